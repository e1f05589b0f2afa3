#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_ready_check
short_description: Wait until nodes are ready, and report why a node is not
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Waits until all named nodes are ready, at most for O(timeout). Each check reads one list of nodes, however many there are.
  - For each node that is not ready, it reports the reason, such as a missing network plugin, a kubelet that stopped posting its status, or
    a missing Node object.
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
      - The names of the nodes that are known to be asleep. They are not waited for. If they are not ready, they are reported with severity
        C(info).
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time to wait in seconds, for all nodes together. With V(0), the nodes are checked immediately.
    type: float
    default: 300
  heartbeat:
    description:
      - Whether a node counts as ready only after its kubelet has renewed its lease since the start of this task. Kubelets do this every 10
        seconds.
      - Use it after a restore of etcd, when the status of the nodes dates from the backup, and after a reboot, when it dates from before.
        Errors of the API server, which forbids all requests for a moment after its start, are waited for too.
    type: bool
    default: false
  release:
    description:
      - The release that the kubelets must run, for example V(1.36.4). A node with another release is not ready. Without it, any release is
        accepted.
    type: str
    default: ""
  inventory:
    description:
      - The names of all hosts that may be nodes. A node with another name is a finding of severity C(warning), and is not changed.
      - Without it, other nodes are not reported.
    type: list
    elements: str
  accepts_pods:
    description:
      - Whether nodes that are ready must also accept and keep Pods. If V(true), a node that is short of disk space, memory or process IDs
        is a finding of severity C(error), and a cordoned node or one with a taint that evicts Pods is one of severity C(warning). A taint
        that M(vmstation.cluster.node_labels) set is not a finding.
    type: bool
    default: false
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
  description: One finding for each node that is not ready, and for each that is not in O(inventory).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: nodes_are_ready
    severity:
      description: C(error), C(info) for nodes in O(asleep), or C(warning) for nodes that are not in O(inventory).
      type: str
      returned: always
      sample: error
    subject:
      description: The node.
      type: str
      returned: always
      sample: node homelab
    found:
      description: The reason why the node is not ready.
      type: str
      returned: always
      sample: "not ready: silent since 2026-11-23T06:41:00Z (Kubelet stopped posting node status.), after 180 s"
    expected:
      description: The state that is waited for.
      type: str
      returned: always
      sample: ready
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Check that homelab is on, and its kubelet: `systemctl status kubelet`."
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
nodes:
  description: The nodes of O(nodes), by name.
  returned: when the API server answered
  type: dict
  contains:
    ready:
      description: Whether the condition Ready is true.
      type: bool
      returned: always
    reason:
      description: The reason why the node is not ready, or an empty string.
      type: str
      returned: always
    asleep:
      description: Whether the node is in O(asleep) and not ready.
      type: bool
      returned: always
    schedulable:
      description: Whether the node accepts new Pods, that is, it exists and is not cordoned.
      type: bool
      returned: always
    labels:
      description: The labels of the node. A Node object that kubelet created has some.
      type: dict
      returned: always
    annotations:
      description: The annotations of the node.
      type: dict
      returned: always
    pressures:
      description: The conditions C(DiskPressure), C(MemoryPressure) and C(PIDPressure) that are true, if the node is ready.
      type: list
      elements: str
      returned: always
    evicting:
      description:
        - The taints of the node that evict Pods, if the node is ready. Those that M(vmstation.cluster.node_labels) set are left out.
      type: list
      elements: str
      returned: always
  sample:
    homelab:
      ready: true
      reason: ""
      asleep: false
      schedulable: true
      labels: {node-role.kubernetes.io/worker: ""}
      annotations: {}
      pressures: []
      evicting: []
seconds:
  description: The number of seconds that the module waited.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster import nodes
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "nodes": {"type": "list", "elements": "str", "required": True},
    "asleep": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 300},
    "heartbeat": {"type": "bool", "default": False},
    "release": {"type": "str", "default": ""},
    "inventory": {"type": "list", "elements": "str"},
    "accepts_pods": {"type": "bool", "default": False},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        outcome = nodes.wait_for_nodes(nodes.request(module.params), cluster, SystemClock())
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = nodes.all_findings(outcome, module.params["accepts_pods"])
    result = {
        "changed": False,
        **as_result(found, nodes.looked_at(outcome.verdicts, found)),
        "nodes": nodes.as_data(outcome.verdicts),
        "seconds": round(outcome.seconds, 1),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
