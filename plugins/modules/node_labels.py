#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_labels
short_description: Set the labels and taints of nodes
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads one list of nodes, and sends one request for each node that differs.
  - The annotation C(vmstation.cluster/inventory) of each Node remembers the keys that this module set. Keys that are no longer in O(nodes)
    are removed from the Node. Other labels and taints are not changed.
  - A label or taint that is named here is set even if it exists with another value, and from then on it is one that this module set.
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: all
options:
  nodes:
    description:
      - The nodes.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the node. Letters are converted to lower case, as kubelet does.
        type: str
        required: true
      labels:
        description:
          - The labels. Values are strings.
        type: dict
        default: {}
      taints:
        description:
          - The taints. A node has at most one taint of the same O(nodes[].taints[].key) and O(nodes[].taints[].effect).
        type: list
        elements: dict
        default: []
        suboptions:
          key:
            description:
              - The key.
            type: str
            required: true
          effect:
            description:
              - What happens to Pods that do not tolerate the taint. V(NoSchedule) keeps new ones off the node, and V(PreferNoSchedule) only
                if they fit on another node.
              - V(NoExecute) also evicts those that run there. The module warns when it adds such a taint.
            type: str
            choices: [NoSchedule, PreferNoSchedule, NoExecute]
            required: true
          value:
            description:
              - The value.
            type: str
            default: ""
seealso:
  - module: vmstation.cluster.node_ready_check
  - name: Taints and tolerations
    link: https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
    description: The effects.
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Keep other Pods off the node with a graphics card
  vmstation.cluster.node_labels:
    kubeconfig: ~/.kube/vmstation.config
    nodes:
      - name: homelab
        labels: {gpu: intel}
        taints: [{key: gpu, effect: NoSchedule}]
"""

RETURN = r"""
nodes:
  description: The nodes of O(nodes), by name.
  returned: when the API server answered
  type: dict
  contains:
    changed:
      description: Whether the node was changed, or would be in check mode.
      type: bool
      returned: always
    error:
      description: Why the node could not be changed, or an empty string. The task fails after it has changed the other nodes.
      type: str
      returned: always
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the API server did not answer, or the options are wrong
  type: dict
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 3
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster import node_labels
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    PatchingApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "labels": {"type": "dict", "default": {}},
            "taints": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "key": {"type": "str", "required": True, "no_log": False},
                    "effect": {"type": "str", "required": True, "choices": list(node_labels.EFFECTS)},
                    "value": {"type": "str", "default": ""},
                },
            },
        },
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        cluster = PatchingApi(module.params["kubeconfig"], module.params["context"])
        outcomes = node_labels.ensure(node_labels.wishes(module.params["nodes"]), cluster, module.check_mode)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    for warning in node_labels.warnings(outcomes):
        module.warn(warning)
    result = {**node_labels.as_data(outcomes), "api_calls": cluster.calls}
    errors = [str(outcome.error) for outcome in outcomes.values() if outcome.error]
    if errors:
        module.fail_json(msg=" ".join(errors), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
