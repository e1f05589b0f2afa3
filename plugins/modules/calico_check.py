#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_check
short_description: Check Calico on each node and between nodes against the network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Uses only the Kubernetes API. For each node, it checks that the node is ready, that its calico-node Pod is ready and does not restart
    repeatedly, that Calico uses the planned address, that the tunnel has its own address in the pod network, that the blocks are confirmed,
    and that the BGP sessions are those of the expected mesh. For the cluster, it checks that the IP pools match the plan and that blocks
    belong to existing Nodes.
  - Ready Pods do not show that BGP sessions are established, because calico-node's own probe passes without peers. The sessions are read
    from CalicoNodeStatus objects, which do not exist by default. Without such an object, the verdict on a node's sessions is V(unknown),
    with a finding of severity C(unknown), and never V(ok). O(create_status) creates these objects.
  - A status is used if the node and its Pod are ready and it was written after the Pod's start. An old status is not a problem, because
    calico-node writes it only when something changes.
  - With VXLAN, no BGP is expected. In an IPv4 cluster, the state of BIRD for IPv6 is ignored. If BGPPeers with selectors define the
    sessions, the module does not derive the expected sessions, and the verdict is V(unknown) unless a session is down.
  - A finding for a session that is down names both ends and what to check, unless one end has a finding that explains it.
  - A node in O(asleep) that is not ready is asleep, and sessions with it are not expected. A node in O(asleep) that is ready is checked
    like any other.
  - If calico-node uses Typha, Typha must be ready. The key C(typha) of O(plan) and the number of O(nodes) decide whether it is expected.
  - If Calico was never installed and the cluster has another pod network, such as Flannel or Cilium, nothing is checked, and RV(looked_at)
    names that network.
  - Reads one list of each kind, however many nodes there are. If the API server denies a read, a finding of severity C(unknown) names the
    missing permission, and the rest is checked.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - The objects that O(create_status) creates are returned as RV(created).
  idempotent:
    support: full
  platform:
    platforms: posix
options:
  plan:
    description:
      - The network plan.
    type: dict
    required: true
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys are ignored.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of addresses, of which the first of each IP version is used.
        type: raw
        required: true
      mac:
        description:
          - Not used.
        type: str
      role:
        description:
          - Not used.
        type: str
      sleeps:
        description:
          - Not used.
        type: bool
  asleep:
    description:
      - The names of the hosts in O(nodes) that are asleep.
    type: list
    elements: str
    default: []
  create_status:
    description:
      - Whether to create a CalicoNodeStatus for every Node without one, if BGP is expected. calico-node fills it some seconds later, so the
        sessions of this node are V(unknown) until the next run.
    type: bool
    default: false
seealso:
  - module: vmstation.cluster.calico_info
  - module: vmstation.cluster.calico_preflight_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Check Calico
  vmstation.cluster.calico_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
  delegate_to: localhost
  run_once: true

- name: Create the objects in which every node reports its BGP sessions
  vmstation.cluster.calico_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    create_status: true
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: Everything that violates a rule.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: bgp_sessions_are_established
    severity:
      description: C(error) or C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked, such as a node, the nodes at both ends, or an IPPool.
      type: str
      returned: always
      sample: nodes homelab and masternode
    found:
      description: What was found.
      type: str
      returned: always
      sample: "masternode reports homelab: Active since 06:41:00"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: an established BGP session
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "masternode connects to homelab: try `nc -vz 192.168.4.62 179` on masternode."
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
      sample: node homelab
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "Calico runs on it, and is connected to the other nodes"
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
nodes:
  description: The verdict on each of O(nodes), in the same order, then on Nodes that are not in O(nodes).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: The name of the node.
      type: str
      returned: always
      sample: homelab
    verdict:
      description: V(ok), V(error), V(unknown) or V(asleep).
      type: str
      returned: always
      sample: ok
    node_ready:
      description: Whether the node's condition Ready is true. V(null) if Nodes could not be read.
      type: bool
      returned: always
      sample: true
    calico_node_ready:
      description: Whether the node's calico-node Pod is ready. V(null) if Pods could not be read.
      type: bool
      returned: always
      sample: true
    calico_node:
      description: The name of the calico-node Pod, or an empty string.
      type: str
      returned: always
      sample: calico-node-x7k2p
    restarts:
      description: The number of restarts of the container calico-node.
      type: int
      returned: always
      sample: 0
    address:
      description: The address that Calico uses for the node, or an empty string.
      type: str
      returned: always
      sample: 192.168.4.62
    tunnel_addresses:
      description: The addresses of the node's tunnels.
      type: list
      elements: str
      returned: always
      sample: [10.244.12.64]
    blocks:
      description: The number of the node's address blocks. V(null) if blocks could not be read.
      type: int
      returned: always
      sample: 1
    blocks_confirmed:
      description: The number of confirmed blocks. V(null) if blocks could not be read.
      type: int
      returned: always
      sample: 1
    bgp:
      description: The BGP sessions of the node.
      type: dict
      returned: always
      contains:
        verdict:
          description: V(ok), V(error), V(unknown), V(asleep), or V(not_expected), for example with VXLAN.
          type: str
          returned: always
          sample: ok
        expected:
          description: The number of expected sessions, without those with nodes that are asleep. V(null) if no status is used.
          type: int
          returned: always
          sample: 2
        established:
          description: The number of expected sessions that are established. V(null) if no status is used.
          type: int
          returned: always
          sample: 2
        down:
          description: The sessions that are not established, each with C(peer), C(state) and C(since), as BIRD reports them.
          type: list
          elements: dict
          returned: always
          sample: []
encapsulation:
  description: The encapsulation of the planned pools in the cluster, in the plan's terms. Empty if there is no such pool or it could not be
    read.
  returned: when the API server answered
  type: str
  sample: IPIP
pools:
  description: The IPPools of the cluster, as M(vmstation.cluster.calico_info) returns them.
  returned: when the API server answered
  type: list
  elements: dict
  sample: [{name: default-ipv4-ippool, cidr: 10.244.0.0/16, block_size: 26, ipip_mode: Always, vxlan_mode: Never, disabled: false}]
created:
  description: The nodes whose CalicoNodeStatus was created, or would be in check mode.
  returned: when the API server answered
  type: list
  elements: str
  sample: []
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 13
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import bgp, node_rules, survey, verdict
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    CreatingApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "plan": {"type": "dict", "required": True},
    **CLUSTER_HOSTS_ARGUMENTS,
    "create_status": {"type": "bool", "default": False},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = node_rules.request(module.params)
        api = CreatingApi(module.params["kubeconfig"], module.params["context"])
        facts = survey.look(api)
        missing = bgp.missing(request.plan, facts) if module.params["create_status"] else []
        made = [] if module.check_mode else bgp.create(missing, api, facts)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    judged = verdict.judge(request, facts, datetime.now(timezone.utc), made)
    created = [one["spec"]["node"] for one in missing] if module.check_mode else made
    result = {
        "changed": bool(created),
        "created": created,
        "api_calls": api.calls,
        **as_result(judged.findings, judged.looked_at),
        **judged.as_data(),
    }
    failing = failures(judged.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
