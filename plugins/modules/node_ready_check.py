#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_ready_check
short_description: Wait until nodes are ready, and say what keeps those that are not
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Waits in bounded time until all named nodes are ready. One list of nodes at a look, however many there are.
  - Names for each node that is not ready what keeps it, be it a network plugin that is missing, a kubelet that has fallen silent, or a Node
    object that does not exist.
attributes:
  platform:
    platforms: all
options:
  nodes:
    description:
      - The names of the nodes.
    type: list
    elements: str
    required: true
  asleep:
    description:
      - Which of them are known to sleep. They are not waited for, and are called asleep with a finding of severity C(info).
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds until the waiting ends, for all nodes together. With V(0) what stands is judged at once.
    type: float
    default: 300
  heartbeat:
    description:
      - Count a node as ready only when its kubelet has renewed its lease since this task began, which kubelets do every 10 seconds.
      - After a restore of etcd, what is said of a node is of the time of the backup.
    type: bool
    default: false
  release:
    description:
      - The release that their kubelets must run, as in V(1.36.4). A node of another one is not ready yet. Without it any will do.
    type: str
    default: ""
  inventory:
    description:
      - The names of all hosts that may be nodes. A node of another name is a finding of severity C(warning), and is left as it is.
      - Without it others are not looked for.
    type: list
    elements: str
seealso:
  - module: vmstation.cluster.kubeadm_worker
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Wait for the nodes
  vmstation.cluster.node_ready_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: [masternode, storagenodet3500, homelab]
    asleep: [homelab]
    timeout: 180
"""

RETURN = r"""
findings:
  description: One for each node that is not ready, and for each that is not in O(inventory).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: nodes_are_ready
    severity:
      description: C(error), C(info) for nodes in O(asleep), and C(warning) for those that are not in O(inventory).
      type: str
      returned: always
      sample: error
    subject:
      description: The node.
      type: str
      returned: always
      sample: node homelab
    found:
      description: What keeps it.
      type: str
      returned: always
      sample: "not ready: silent since 2026-11-23T06:41:00Z (Kubelet stopped posting node status.), after 180 s"
    expected:
      description: What is waited for.
      type: str
      returned: always
      sample: ready
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Look whether homelab is on, and at its kubelet: `systemctl status kubelet`."
nodes:
  description: Every node of O(nodes), by its name.
  returned: when the API server answered
  type: dict
  contains:
    ready:
      description: Whether its condition Ready holds.
      type: bool
      returned: always
    reason:
      description: What keeps it, or an empty string.
      type: str
      returned: always
    asleep:
      description: Whether it is not ready and in O(asleep).
      type: bool
      returned: always
    schedulable:
      description: Whether it takes new Pods, that is, whether it exists and is not cordoned.
      type: bool
      returned: always
    labels:
      description: Its labels.
      type: dict
      returned: always
    pressures:
      description: Its conditions C(DiskPressure), C(MemoryPressure) and C(PIDPressure) that hold, if it is ready.
      type: list
      elements: str
      returned: always
  sample:
    homelab:
      {ready: true, reason: "", asleep: false, schedulable: true, labels: {node-role.kubernetes.io/worker: ""}, pressures: []}
seconds:
  description: How long it waited.
  returned: when the API server answered
  type: float
  sample: 12.1
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 2
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes import judge, watch
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "nodes": {"type": "list", "elements": "str", "required": True},
    "asleep": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 300},
    "heartbeat": {"type": "bool", "default": False},
    "release": {"type": "str", "default": ""},
    "inventory": {"type": "list", "elements": "str"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        outcome = watch.wait_for_nodes(watch.request(module.params), cluster, SystemClock())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.findings(outcome.verdicts, outcome.seconds) + [judge.finding_of_stranger(name) for name in outcome.strangers]
    result = {
        "changed": False,
        "findings": as_dicts(found),
        "nodes": judge.as_data(outcome.verdicts),
        "seconds": round(outcome.seconds, 1),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
