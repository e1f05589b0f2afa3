#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_leftovers_check
short_description: Wait until the cluster has no objects of a removed node, and report the rest
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Waits until the cluster has no object of a node, at most for O(timeout). These are its Node, Pods, Lease, CSINode and VolumeAttachments,
    and Calico's BlockAffinities, blocks, address handles and CalicoNodeStatus.
  - Kubernetes and Calico delete these when the Node is deleted, except for a CalicoNodeStatus.
  - Custom Calico settings for only this node, such as a FelixConfiguration, are reported with severity C(warning), and are not waited for.
  - This module changes nothing. Each check takes up to twelve requests, whatever the number of nodes.
attributes:
  platform:
    platforms: all
options:
  node:
    description:
      - The name of the node.
    type: str
    required: true
  timeout:
    description:
      - The maximum time to wait in seconds. With V(0), the objects are checked immediately.
    type: float
    default: 300
seealso:
  - module: vmstation.cluster.kubeadm_reset
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Wait until nothing of the node is left
  vmstation.cluster.node_leftovers_check:
    kubeconfig: ~/.kube/vmstation.config
    node: homelab
"""

RETURN = r"""
findings:
  description: One finding for each object that is left.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: nothing_of_the_node_is_left
    severity:
      description: C(error), or C(warning) for custom settings.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that is left.
      type: str
      returned: always
      sample: BlockAffinity homelab-10-244-7-0-26
    found:
      description: What was found.
      type: str
      returned: always
      sample: of the node homelab, and still there, after 300 s
    expected:
      description: What is required.
      type: str
      returned: always
      sample: no objects of a removed node
    fix:
      description: The next step.
      type: str
      returned: always
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
      sample: "0 objects left"
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
leftovers:
  description: The objects that are left, so that a playbook can delete those that Kubernetes and Calico do not delete.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    api_version:
      description: The API version of the object.
      type: str
      returned: always
      sample: crd.projectcalico.org/v1
    kind:
      description: The kind of the object.
      type: str
      returned: always
      sample: CalicoNodeStatus
    name:
      description: The name of the object.
      type: str
      returned: always
      sample: homelab
    namespace:
      description: The namespace of the object. Empty for cluster-scoped kinds.
      type: str
      returned: always
seconds:
  description: The number of seconds that the module waited.
  returned: when the API server answered
  type: float
  sample: 51.3
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._removal import leftovers
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "node": {"type": "str", "required": True},
    "timeout": {"type": "float", "default": 300},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        wanted = leftovers.request(module.params)
        outcome = leftovers.wait_until_gone(wanted, KubernetesApi(module.params["kubeconfig"], module.params["context"]), SystemClock())
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = list(leftovers.findings(wanted.node, outcome.left, outcome.seconds))
    result = {
        "changed": False,
        **as_result(found, leftovers.looked_at(wanted.node, outcome.left, found)),
        "leftovers": [asdict(one) for one in outcome.left],
        "seconds": round(outcome.seconds, 1),
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
