#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: coredns_check
short_description: Check the DNS of a cluster against the network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Uses only the Kubernetes API to check that the DNS Service has the planned address, that this address can be allocated, that kubelets
    announce it to Pods, and that CoreDNS exists with the required Corefile, on different nodes, at least one of which stays awake.
  - It sends no DNS queries. M(vmstation.cluster.rollout_check) reports why Pods are not ready, and M(vmstation.cluster.cluster_dns_check)
    queries the address from a node.
  - If another installer deployed CoreDNS, such as kubespray or k3s, its DNS Service may have another name. What the roles of this
    collection set is not checked then, which is the Corefile, the kubelets' configuration and the distribution of the Pods over nodes.
  - This module changes nothing. The number of requests is constant, except for two requests for each of O(objects).
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
      - The Corefile that the ConfigMap C(kube-system/coredns) must contain. Without it, the Corefile is not checked.
    type: str
  sleeping:
    description:
      - The names of the nodes that may be put to sleep, whether they are asleep now or not. DNS must not run only on these.
    type: list
    elements: str
    default: []
  deployed:
    description:
      - Whether CoreDNS must exist already. If V(false), only obstacles to its creation are checked.
    type: bool
    default: true
  objects:
    description:
      - The objects that DNS consists of. Those that are still to be applied are returned in RV(pending). The API server compares them with
        dry runs of server-side apply. These require the permission to patch the objects, and change nothing.
    type: list
    elements: dict
    default: []
  field_manager:
    description:
      - The field manager for applying O(objects).
    type: str
    default: vmstation.cluster
  accept:
    description:
      - Rules whose findings you accept. These findings are left out of the result.
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
      - the_dns_service_selects_coredns
      - policies_let_queries_in
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
- name: Check the DNS of the cluster
  vmstation.cluster.coredns_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    corefile: "{{ network_plan | vmstation.cluster.dns_corefile }}"
    sleeping: [storagenodet3500, homelab]
  delegate_to: localhost

- name: Check whether DNS can be created at the address of the plan
  vmstation.cluster.coredns_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    deployed: false
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: The problems of the cluster's DNS, in the order of the rules under O(accept).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: the_dns_service_has_the_planned_addresses
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: "Service kube-system/kube-dns"
    found:
      description: What was found.
      type: str
      returned: always
      sample: "clusterIP 10.96.0.10"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: "10.233.0.3, the plan's dns_service_ip"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Set the old address in the plan, or delete the Service, run this again, and restart all Pods."
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: cluster DNS
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "at the planned address; 2 Pods of CoreDNS ready on masternode"
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
service_exists:
  description: Whether the Service C(kube-system/kube-dns) exists.
  returned: when the API server answered
  type: bool
  sample: true
is_deployed:
  description: Whether both this Service and the Deployment C(kube-system/coredns) exist.
  returned: when the API server answered
  type: bool
  sample: true
is_rolled_out:
  description: Whether the Deployment is rolled out, as M(vmstation.cluster.rollout_check) defines it.
  returned: when the API server answered
  type: bool
  sample: true
pending:
  description: Those of O(objects) that do not exist or that differ, in the same order.
  returned: when the module does not fail
  type: list
  elements: dict
  sample: []
is_as_wanted:
  description:
    - Whether RV(pending) is empty, the Deployment is rolled out, and no rule has a finding, including rules about existing objects.
  returned: when the module does not fail
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
      description: The node of the Pod, or an empty string.
      type: str
      returned: always
      sample: masternode
    is_ready:
      description: Whether the Pod is ready.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    PreviewingApi,
    read_yaml,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.objects import pending
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns import RULES, Wanted, judge, look, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "plan": {"type": "dict", "required": True},
    "corefile": {"type": "str"},
    "sleeping": {"type": "list", "elements": "str", "default": []},
    "deployed": {"type": "bool", "default": True},
    "objects": {"type": "list", "elements": "dict", "default": []},
    "field_manager": {"type": "str", "default": "vmstation.cluster"},
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
        cluster = PreviewingApi(params["kubeconfig"], params["context"])
        state = look(wanted.plan, cluster, read_yaml)
        findings, everything = (judge(state, wanted, deployed, params["accept"]) for deployed in (params["deployed"], True))
        result = {
            "changed": False,
            **as_result(findings, looked_at(state, findings)),
            "service_exists": state.dns_service is not None,
            "is_deployed": state.is_deployed,
            "is_rolled_out": state.is_rolled_out,
            "replicas": [asdict(one) for one in state.replicas],
        }
        failing = failures(findings, params["fail_on"])
        if failing:
            module.fail_json(msg=failure_message(failing), api_calls=cluster.calls, **result)
        result["pending"] = pending(params["objects"], cluster, params["field_manager"])
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    is_as_wanted = state.is_rolled_out and not result["pending"] and not everything
    module.exit_json(is_as_wanted=is_as_wanted, api_calls=cluster.calls, **result)


if __name__ == "__main__":
    main()
