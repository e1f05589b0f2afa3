#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: coredns_check
short_description: Judge the DNS of a cluster and what it stands on against the network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Judges from the Kubernetes API alone whether the DNS Service has the address of the plan, whether that address can be given, whether
    kubelets tell it to Pods, and whether CoreDNS is there with the wanted Corefile, on different nodes, one of which stays awake.
  - It does not ask DNS. M(vmstation.cluster.rollout_check) says why Pods are not ready, and M(vmstation.cluster.cluster_dns_check) asks the
    address itself from a node.
  - The number of requests is always the same. It changes nothing.
attributes:
  platform:
    platforms: all
options:
  plan:
    description:
      - The network plan of the cluster, as M(vmstation.cluster.network_plan_check) takes it.
    type: dict
    required: true
  corefile:
    description:
      - The Corefile that must be in the ConfigMap C(kube-system/coredns). Without it, the Corefile is not judged.
    type: str
  sleeping:
    description:
      - Names of the nodes that are put to sleep, whether they sleep now or not. DNS must not live on these alone.
    type: list
    elements: str
    default: []
  deployed:
    description:
      - Whether CoreDNS is meant to be there. With V(false) only what would be in its way is judged, before it is made.
    type: bool
    default: true
  accept:
    description:
      - Rules whose findings you know and accept. They are left out.
    type: list
    elements: str
    default: []
    choices:
      - the_dns_service_has_the_planned_addresses
      - no_second_service_is_dns
      - the_dns_addresses_are_not_taken
      - the_dns_addresses_are_in_ready_service_ranges
      - kubelets_are_told_the_dns_addresses
      - the_dns_service_is_there
      - coredns_is_there
      - the_corefile_is_the_wanted_one
      - a_replica_is_ready
      - replicas_are_on_different_nodes
      - a_replica_is_where_nobody_sleeps
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
seealso:
  - module: vmstation.cluster.corefile_check
  - module: vmstation.cluster.rollout_check
  - module: vmstation.cluster.cluster_dns_check
"""

EXAMPLES = r"""
- name: Judge the DNS of the cluster
  vmstation.cluster.coredns_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    corefile: "{{ network_plan | vmstation.cluster.dns_corefile }}"
    sleeping: [storagenodet3500, homelab]
  delegate_to: localhost

- name: Judge whether DNS can be made at the address of the plan
  vmstation.cluster.coredns_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    deployed: false
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: What stands against the DNS of the cluster, in the order of the rules under O(accept).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: the_dns_service_has_the_planned_addresses
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      returned: always
      sample: "Service kube-system/kube-dns"
    found:
      description: What it is.
      type: str
      returned: always
      sample: "clusterIP 10.96.0.10"
    expected:
      description: What it must be.
      type: str
      returned: always
      sample: "10.233.0.3, the plan's dns_service_ip"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Write the old address into the plan, or delete the Service, run this again, and restart all Pods."
service_exists:
  description: Whether there is a Service C(kube-system/kube-dns).
  returned: when the API server answered
  type: bool
  sample: true
is_deployed:
  description: Whether there are both that Service and a Deployment C(kube-system/coredns).
  returned: when the API server answered
  type: bool
  sample: true
replicas:
  description: The Pods of CoreDNS.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: The name of the Pod.
      type: str
      returned: always
      sample: coredns-6c8f4d-x2x7q
    node:
      description: Its node, or an empty string.
      type: str
      returned: always
      sample: masternode
    is_ready:
      description: Whether it is ready.
      type: bool
      returned: always
      sample: true
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 8
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_rules import RULES, Wanted, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_state import look
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi, read_yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "plan": {"type": "dict", "required": True},
    "corefile": {"type": "str"},
    "sleeping": {"type": "list", "elements": "str", "default": []},
    "deployed": {"type": "bool", "default": True},
    "accept": {"type": "list", "elements": "str", "default": [], "choices": list(RULES)},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    params = module.params
    try:
        wanted = Wanted(dns_plan(params["plan"]), params["corefile"] or "", frozenset(params["sleeping"]))
        cluster = KubernetesApi(params["kubeconfig"], params["context"])
        state = look(wanted.plan, cluster, read_yaml)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    findings = judge(state, wanted, params["deployed"], params["accept"])
    result = {
        "changed": False,
        "findings": as_dicts(findings),
        "service_exists": state.dns_service is not None,
        "is_deployed": state.is_deployed,
        "replicas": [asdict(one) for one in state.replicas],
        "api_calls": cluster.calls,
    }
    failing = failures(findings, params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
