#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_check
short_description: Judge whether Calico is as the network plan says, on each node and between them
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Judges from the Kubernetes API alone. Of each node, whether it is ready, its Pod of calico-node is ready and keeps running, Calico uses
    the planned address, its tunnel has an address of its own within the pod network, its blocks are confirmed, and its BGP sessions are
    those of the expected mesh. Of the cluster, whether the IP pools are as planned, and whether blocks belong to Nodes that exist.
  - Ready Pods prove no BGP session, as calico-node's own probe passes without peers. The sessions are those that CalicoNodeStatus objects
    report, which exist only if somebody makes them. Without one the verdict on a node's sessions is V(unknown), with a finding of severity
    C(warning), and never V(ok). With O(create_status) they are made.
  - A status counts while the node and its Pod are ready and it was written after the Pod's start. That it was last written long ago is no
    fault, as it is written only when something changes.
  - With VXLAN no BGP is expected. On a cluster of IPv4, BIRD for IPv6 may be as it is. Where BGPPeers with selectors say who
    has a session with whom, that is not worked out and the verdict is V(unknown), unless a session is down.
  - A session that is down is told of with both its ends and what to look at, unless one of them has a finding that explains it.
  - A node in O(asleep) that is not ready is asleep, and sessions with it are not expected. One that is ready is judged as every other one.
  - It takes one list of each kind, however many nodes there are. What the API server does not permit to read is a finding of severity
    C(warning) that names the missing permission, and the rest is judged.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - What it makes with O(create_status) is returned as RV(created).
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
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys than these do not count.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The host's name.
        type: str
        required: true
      address:
        description:
          - Its address, or a list of them, of which the first of each IP version counts.
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
      - Names of O(nodes) that are asleep.
    type: list
    elements: str
    default: []
  create_status:
    description:
      - Whether to make a CalicoNodeStatus for every Node that has none, where BGP is expected. calico-node fills it some seconds later, so
        that the sessions of this node are V(unknown) until the next run.
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
- name: Judge Calico
  vmstation.cluster.calico_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
  delegate_to: localhost
  run_once: true

- name: Have every node report its BGP sessions from now on
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
  description: Everything that is not as it must be.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: bgp_sessions_are_established
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: The node, the nodes at both ends, the IPPool or whatever else was judged.
      type: str
      returned: always
      sample: nodes homelab and masternode
    found:
      description: What was found.
      type: str
      returned: always
      sample: "masternode says of homelab: Active since 06:41:00"
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
nodes:
  description: The verdict on each of O(nodes), in their order, then on Nodes that are not among them.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: The node's name.
      type: str
      returned: always
      sample: homelab
    verdict:
      description: V(ok), V(error), V(unknown) or V(asleep).
      type: str
      returned: always
      sample: ok
    node_ready:
      description: Whether its condition Ready holds, V(null) if Nodes could not be read.
      type: bool
      returned: always
      sample: true
    calico_node_ready:
      description: Whether its Pod of calico-node is ready, V(null) if Pods could not be read.
      type: bool
      returned: always
      sample: true
    calico_node:
      description: The name of that Pod, or an empty string.
      type: str
      returned: always
      sample: calico-node-x7k2p
    restarts:
      description: How often its container calico-node was started again.
      type: int
      returned: always
      sample: 0
    address:
      description: The address that Calico uses, or an empty string.
      type: str
      returned: always
      sample: 192.168.4.62
    tunnel_addresses:
      description: The addresses of its tunnels.
      type: list
      elements: str
      returned: always
      sample: [10.244.12.64]
    blocks:
      description: How many blocks of addresses it has, V(null) if they could not be read.
      type: int
      returned: always
      sample: 1
    blocks_confirmed:
      description: How many of them are confirmed.
      type: int
      returned: always
      sample: 1
    bgp:
      description: Its BGP sessions.
      type: dict
      returned: always
      contains:
        verdict:
          description: V(ok), V(error), V(unknown), V(asleep), or V(not_expected) as with VXLAN.
          type: str
          returned: always
          sample: ok
        expected:
          description: How many there should be, without those with nodes that are asleep. V(null) if its report does not count.
          type: int
          returned: always
          sample: 2
        established:
          description: How many of these are established.
          type: int
          returned: always
          sample: 2
        down:
          description: Those that are not, each with C(peer), C(state) and C(since), which is in BIRD's own words.
          type: list
          elements: dict
          returned: always
          sample: []
encapsulation:
  description: That of the planned pools as they stand, in the plan's words. Empty if there is none, or if it could not be read.
  returned: when the API server answered
  type: str
  sample: IPIP
pools:
  description: The IPPools as they stand, as M(vmstation.cluster.calico_info) returns them.
  returned: when the API server answered
  type: list
  elements: dict
  sample: [{name: default-ipv4-ippool, cidr: 10.244.0.0/16, block_size: 26, ipip_mode: Always, vxlan_mode: Never, disabled: false}]
created:
  description: The nodes whose CalicoNodeStatus was made, or would be in check mode.
  returned: when the API server answered
  type: list
  elements: str
  sample: []
api_calls:
  description: How many requests it took.
  returned: when the API server answered
  type: int
  sample: 13
"""

from datetime import datetime, timezone

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import checking, node_statuses, survey, verdict
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.creating import CreatingApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
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
        request = checking.request(module.params)
        api = CreatingApi(module.params["kubeconfig"], module.params["context"])
        facts = survey.look(api)
        missing = node_statuses.missing(request.plan, facts) if module.params["create_status"] else []
        made = [] if module.check_mode else node_statuses.create(missing, api, facts)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    judged = verdict.judge(request, facts, datetime.now(timezone.utc), made)
    created = [one["spec"]["node"] for one in missing] if module.check_mode else made
    result = {
        "changed": bool(created),
        "created": created,
        "api_calls": api.calls,
        "findings": as_dicts(judged.findings),
        **judged.as_data(),
    }
    failing = failures(judged.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
