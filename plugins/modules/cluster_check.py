#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_check
short_description: Run all checks of a cluster that ask the Kubernetes API
version_added: 0.3.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Runs the checks of several modules in one task, with one connection to the API server and all at the same time. C(playbooks/check.yml)
    uses it. The findings are those of these modules.
  - C(nodes) checks the nodes as M(vmstation.cluster.node_ready_check) with C(accepts_pods), without waiting.
  - C(control_plane), C(certificates), C(api), C(workloads), C(storage) and C(monitoring) are those of
    M(vmstation.cluster.cluster_health_check).
  - C(calico) checks Calico as M(vmstation.cluster.calico_check).
  - C(dns) checks the DNS of the cluster as M(vmstation.cluster.coredns_check).
  - C(services) checks the Services of O(plan) and their NodePorts on each node as M(vmstation.cluster.service_check).
  - C(drift) compares O(plan) with the cluster as M(vmstation.cluster.cluster_drift_check).
  - If one check gives no result, such as for a damaged O(plan), a finding of severity C(error) in its group has the reason, and all other
    groups are checked. If the API server does not answer at all, the task fails, unless an expired certificate is the reason and
    C(certificates) is checked.
attributes:
  platform:
    platforms: all
options:
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host. In lower case it is the name of its node.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of addresses.
        type: raw
        required: true
      mac:
        description:
          - Not used.
        type: str
      role:
        description:
          - V(control_plane) for a control plane host. Other values are ignored.
        type: str
      sleeps:
        description:
          - Whether the host may be put to sleep. CoreDNS must have a Pod on a host that may not.
        type: bool
  asleep:
    description:
      - The names of the hosts in O(nodes) that are asleep.
    type: list
    elements: str
    default: []
  groups:
    description:
      - The groups of checks to run. By default, these are all groups, or without O(plan) all but V(calico), V(dns), V(services) and
        V(drift), which need it.
    type: list
    elements: str
    choices: [nodes, control_plane, certificates, api, workloads, storage, monitoring, calico, dns, services, drift]
  plan:
    description:
      - The network plan, a dictionary, as M(vmstation.cluster.network_plan_check) takes it.
    type: raw
  corefile:
    description:
      - The Corefile that CoreDNS must have, if the role dns installed it. By default, it is the one that
        P(vmstation.cluster.dns_corefile#filter) returns for O(plan).
    type: str
  dns_replicas:
    description:
      - The minimum number of replicas of the Deployment C(kube-system/coredns).
    type: int
    default: 1
  monitoring_namespace:
    description:
      - The namespace of the Services C(prometheus), C(loki) and C(grafana).
    type: str
    default: monitoring
  kubelets:
    description:
      - Whether V(drift) requests the running configuration of each kubelet, at most for 15 seconds.
    type: bool
    default: true
  nat_outgoing:
    description:
      - Whether traffic of Pods to addresses outside the cluster uses the address of their node, as C(calico_nat_outgoing) of the role
        calico.
    type: bool
    default: true
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
seealso:
  - module: vmstation.cluster.node_ready_check
  - module: vmstation.cluster.cluster_health_check
  - module: vmstation.cluster.calico_check
  - module: vmstation.cluster.coredns_check
  - module: vmstation.cluster.service_check
  - module: vmstation.cluster.cluster_drift_check
  - module: vmstation.cluster.check_report
"""

EXAMPLES = r"""
- name: Check the cluster
  vmstation.cluster.cluster_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    dns_replicas: 2
    fail_on: never
  delegate_to: localhost
  run_once: true
  register: cluster

- name: Fail if a node or a workload of a cluster without a network plan is not healthy
  vmstation.cluster.cluster_check:
    kubeconfig: ~/.kube/config
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    groups: [nodes, workloads]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: All problems that were found, in the order of O(groups) in this document.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    group:
      description: The group of checks, one of O(groups).
      type: str
      returned: always
      sample: control_plane
    rule:
      description: The rule that is violated. For a check without a result, it is C(checks_have_a_result).
      type: str
      returned: always
      sample: control_plane_components_run
    severity:
      description: C(error) or C(warning), C(unknown) for what could not be read, or C(info) for nodes in O(asleep).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: kube-scheduler
    found:
      description: What was found.
      type: str
      returned: always
      sample: "no Pod kube-scheduler-masternode; its Lease was last renewed 75 s ago: no Pod is scheduled"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: ready on masternode, with a renewed Lease
    fix:
      description: The next step.
      type: str
      returned: always
      sample: >-
        On masternode, check its manifest /etc/kubernetes/manifests/kube-scheduler.yaml and `journalctl -u kubelet`.
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the checks looked at, also where they found nothing.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    group:
      description: The group of checks, one of O(groups).
      type: str
      returned: always
      sample: nodes
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: node homelab
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "ready, and accepts Pods"
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
      sample: [homelab]
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
api_calls:
  description: The number of requests to the API server, including those to kubelets.
  returned: when the API server answered
  type: int
  sample: 71
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster_check.check import GROUPS, check, chosen
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster_check.io import SharedApi, edges_of
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result_of_groups, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    **CLUSTER_HOSTS_ARGUMENTS,
    "groups": {"type": "list", "elements": "str", "choices": list(GROUPS)},
    "plan": {"type": "raw"},
    "corefile": {"type": "str"},
    "dns_replicas": {"type": "int", "default": 1},
    "monitoring_namespace": {"type": "str", "default": "monitoring"},
    "kubelets": {"type": "bool", "default": True},
    "nat_outgoing": {"type": "bool", "default": True},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        groups = chosen(module.params)
        cluster = SharedApi(module.params["kubeconfig"], module.params["context"])
        verdicts = check(module.params, groups, edges_of(cluster))
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    result = {"changed": False, **as_result_of_groups(verdicts), "api_calls": cluster.calls}
    # two groups may report the same in the same words
    found = dict.fromkeys(finding for verdict in verdicts.values() for finding in verdict.findings)
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
