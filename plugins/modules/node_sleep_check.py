#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_sleep_check
short_description: Check what would stop running if nodes are put to sleep
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reports, before a node is drained, which of its Pods could not run elsewhere. These are a Pod without a controller, which a drain
    deletes permanently; a Pod that no other node can run because of its node selector, its node affinity, taints or its volumes; and a Pod
    whose PodDisruptionBudget allows no disruption.
  - A node of the control plane, or a name that is not a node, is an error.
  - With O(for_good), it checks nodes that will leave the cluster.
  - Pods of DaemonSets and static Pods stay on their node and are not checked. A node that is not ready is already asleep and is not checked
    either.
  - The free processor time and memory of the other nodes are not checked. The scheduler does that.
  - This module changes nothing. It reads one list each of nodes, Pods, ReplicaSets, PersistentVolumeClaims, PersistentVolumes and
    PodDisruptionBudgets, whatever their number.
attributes:
  platform:
    platforms: all
options:
  nodes:
    description:
      - The names of the nodes to put to sleep, all at the same time.
    type: list
    elements: str
    required: true
  may_stop:
    description:
      - Workloads that may stop while these nodes are asleep, each as C(namespace/name) of its Deployment, StatefulSet or other controller,
        or of a Pod without one.
      - The annotation C(vmstation.cluster/may-stop) with the value C(true) on Pods has the same effect.
    type: list
    elements: str
    default: []
  for_good:
    description:
      - Whether the nodes will leave the cluster. If V(true), Pods of nodes that are not ready are checked too, the annotation is not
        sufficient, because it is meant for temporary sleep, and a name that is not a node is not a finding, because the node has already
        left.
    type: bool
    default: false
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Check that homelab can be put to sleep
  vmstation.cluster.node_sleep_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: [homelab]
    may_stop: [jellyfin/jellyfin]
  delegate_to: localhost

- name: Check that homelab can be removed from the cluster
  vmstation.cluster.node_sleep_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: [homelab]
    for_good: true
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: The reasons why the nodes cannot be put to sleep. Empty if there are none.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
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
      sample: "no other node can run it (masternode: taint node-role.kubernetes.io/control-plane)"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: another node that can run it
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Allow it on another node, or allow it to stop meanwhile: media/jellyfin in may_stop."
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
      sample: "3 Pods to move"
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
    exists:
      description: Whether the node exists in the cluster.
      type: bool
      returned: always
    ready:
      description: Whether the node is ready.
      type: bool
      returned: always
    schedulable:
      description: Whether the node is not cordoned.
      type: bool
      returned: always
    pods:
      description: The Pods that a drain evicts from the node, as C(namespace/name).
      type: list
      elements: str
      returned: always
    volumes:
      description: The PersistentVolumes that only this node can use.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import look, read_request

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
        module.fail_json(**refusal.as_result())
    found = judge.judge(request, seen)
    result = {
        "changed": False,
        **as_result(found, judge.looked_at(request, seen, found)),
        "nodes": judge.as_data(request, seen),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
