#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_sleep_check
short_description: Judge what putting nodes to sleep would take down
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Says, before a node is drained, which of its Pods would have nowhere to go. That is a Pod without a controller, which a drain deletes
    for good; a Pod that no other node may take, by its node selector, its node affinity, the nodes' taints or its volumes; a
    PodDisruptionBudget that allows no disruption.
  - Refuses nodes of the control plane, and names that are no nodes.
  - With O(for_good) it judges nodes that are to leave the cluster.
  - Pods of DaemonSets and static Pods stay on their node, and are not judged. Nor is a node that is not ready, which is asleep already.
  - How much processor and memory the other nodes have left is not judged; the scheduler does that.
  - It changes nothing. It reads one list each of nodes, Pods, ReplicaSets, PersistentVolumeClaims, PersistentVolumes and
    PodDisruptionBudgets, whatever their number.
attributes:
  platform:
    platforms: all
options:
  nodes:
    description:
      - Names of the nodes that are to sleep, all at once.
    type: list
    elements: str
    required: true
  may_stop:
    description:
      - Workloads that may stop while these nodes sleep, each as C(namespace/name) of its Deployment, StatefulSet or other controller, or
        of a Pod without one.
      - The annotation C(vmstation.cluster/may-stop) with the value C(true) on Pods says the same of them.
    type: list
    elements: str
    default: []
  for_good:
    description:
      - The nodes are to leave the cluster. Pods of nodes that are not ready are judged, too, the annotation is not enough, as it was given
        for a time, and a name that is no node is no finding, as it has left already.
    type: bool
    default: false
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Refuse to put homelab to sleep if something there has nowhere to go
  vmstation.cluster.node_sleep_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: [homelab]
    may_stop: [jellyfin/jellyfin]
  delegate_to: localhost

- name: Refuse to remove homelab from the cluster if something there has nowhere to go
  vmstation.cluster.node_sleep_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: [homelab]
    for_good: true
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: What speaks against it. Empty if nothing does.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: pods_have_somewhere_to_go
    severity:
      description: Always C(error).
      type: str
      returned: always
      sample: error
    subject:
      description: The node, Pod or PodDisruptionBudget.
      type: str
      returned: always
      sample: Pod media/jellyfin-5d9c7b6f4-x2x7q
    found:
      description: What is there.
      type: str
      returned: always
      sample: "no other node may take it (masternode: taint node-role.kubernetes.io/control-plane)"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: another node that takes it
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Let another node take it, or say that it may stop meanwhile: media/jellyfin in may_stop."
nodes:
  description: Every node of O(nodes), by its name.
  returned: when the API server answered
  type: dict
  contains:
    exists:
      description: Whether it is a node of the cluster.
      type: bool
      returned: always
    ready:
      description: Whether it is up.
      type: bool
      returned: always
    schedulable:
      description: Whether it takes Pods, that is, nobody has cordoned it.
      type: bool
      returned: always
    pods:
      description: The Pods that a drain takes from it, as C(namespace/name).
      type: list
      elements: str
      returned: always
    volumes:
      description: The PersistentVolumes that no other node can use.
      type: list
      elements: str
      returned: always
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 9
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.look import look
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.model import read_request

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "nodes": {"type": "list", "elements": "str", "required": True},
    "may_stop": {"type": "list", "elements": "str", "default": []},
    "for_good": {"type": "bool", "default": False},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = read_request(module.params)
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        seen = look(cluster)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.judge(request, seen)
    result = {"changed": False, "findings": as_dicts(found), "nodes": judge.as_data(request, seen), "api_calls": cluster.calls}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
