#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_leftovers_check
short_description: Wait until the cluster has nothing left of a node, and name what stays
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Waits in bounded time until the cluster has no object of a node any more. That is its Node, Pods, Lease, CSINode and
    VolumeAttachments, and of Calico its BlockAffinities, blocks, handles of addresses and CalicoNodeStatus.
  - Kubernetes and Calico take these away by themselves when the Node is deleted, except for a CalicoNodeStatus.
  - Settings of Calico for this node alone, such as a FelixConfiguration, are somebody's own. They are told with severity C(warning), and
    are not waited for.
  - It changes nothing. A look takes up to twelve requests, whatever the number of nodes.
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
      - Seconds until the waiting ends. With V(0) what is there is judged at once.
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
  description: One for each object that is left.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: nothing_of_the_node_is_left
    severity:
      description: C(error), and C(warning) for somebody's settings.
      type: str
      returned: always
      sample: error
    subject:
      description: The object.
      type: str
      returned: always
      sample: BlockAffinity homelab-10-244-7-0-26
    found:
      description: What is there.
      type: str
      returned: always
      sample: of the node homelab, and still there, after 300 s
    expected:
      description: What is required.
      type: str
      returned: always
      sample: nothing of a node that has left
    fix:
      description: The next step.
      type: str
      returned: always
leftovers:
  description: The objects, so that a playbook can delete what nobody else does.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    api_version:
      description: Its API version.
      type: str
      returned: always
      sample: crd.projectcalico.org/v1
    kind:
      description: Its kind.
      type: str
      returned: always
      sample: CalicoNodeStatus
    name:
      description: Its name.
      type: str
      returned: always
      sample: homelab
    namespace:
      description: Its namespace; empty for kinds without.
      type: str
      returned: always
seconds:
  description: How long it waited.
  returned: when the API server answered
  type: float
  sample: 51.3
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._removal import leftovers, watch

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
        wanted = watch.request(module.params)
        outcome = watch.wait_until_gone(wanted, KubernetesApi(module.params["kubeconfig"], module.params["context"]), SystemClock())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = list(leftovers.findings(wanted.node, outcome.left, outcome.seconds))
    result = {
        "changed": False,
        "findings": as_dicts(found),
        "leftovers": [asdict(one) for one in outcome.left],
        "seconds": round(outcome.seconds, 1),
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
