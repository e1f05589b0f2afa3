#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan_check
short_description: Judge whether a cluster may be upgraded to a release of Kubernetes, and plan the steps
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads which release the API server, kubeadm's configuration, kube-proxy and each kubelet have, and judges by Kubernetes' version skew
    policy whether the wanted one may follow. No minor version is skipped, there is no way back to an older release, a kubelet is at most
    three minor versions older than the API server, and every node is ready, unless its host is known to sleep.
  - Returns the steps in their order, for a person to confirm.
  - It changes nothing. It takes a fixed number of requests and one list of nodes.
attributes:
  platform:
    platforms: all
options:
  release:
    description:
      - The release that is wanted, as in V(1.36.4).
    type: str
    required: true
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. One of them is the control plane.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: The host's name in the inventory.
        type: str
        required: true
      address:
        description: Its address, or a list of one of each family. It is not used.
        type: raw
        required: true
      mac:
        description: The MAC address of its network card. It is not used.
        type: str
      role:
        description: C(control_plane) or C(worker).
        type: str
      sleeps:
        description: Whether it is put to sleep. It is not used.
        type: bool
  asleep:
    description:
      - Which of them are known to sleep. They are left for the next run.
    type: list
    elements: str
    default: []
seealso:
  - module: vmstation.cluster.kubeadm_upgrade
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Plan the upgrade
  vmstation.cluster.upgrade_plan_check:
    kubeconfig: ~/.kube/vmstation.config
    release: 1.36.4
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  register: upgrade
"""

RETURN = r"""
findings:
  description: What speaks against it, and what a person should know.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: one_minor_version_at_a_time
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The API server, a node or a host.
      type: str
      returned: always
      sample: API server
    found:
      description: What is there.
      type: str
      returned: always
      sample: v1.34.2, and 1.36.4 is wanted
    expected:
      description: What is required.
      type: str
      returned: always
      sample: the next minor version, 1.35, or a later release of its own
    fix:
      description: The next step.
      type: str
      returned: always
plan:
  description: The steps, in their order. None if there is nothing to do.
  returned: when the API server answered
  type: list
  elements: str
  sample:
    - "control plane: API server v1.36.3 -> v1.36.4, kube-proxy v1.36.3 -> v1.36.4; its certificates are renewed"
    - "masternode: kubelet v1.36.3 -> v1.36.4"
    - "homelab: its Pods move to other nodes, kubelet v1.36.3 -> v1.36.4"
control_plane:
  description: Whether the components of the control plane are to be upgraded.
  returned: when the API server answered
  type: bool
  sample: true
workers:
  description: The workers whose kubelets are to be upgraded now, in the order of the plan.
  returned: when the API server answered
  type: list
  elements: str
  sample: [homelab]
nodes:
  description: Every host of O(nodes) that is a node, by its node's name.
  returned: when the API server answered
  type: dict
  contains:
    release:
      description: The release of its kubelet.
      type: str
      returned: always
      sample: v1.36.3
    ready:
      description: Whether it is up.
      type: bool
      returned: always
    schedulable:
      description: Whether it takes Pods, that is, nobody has cordoned it.
      type: bool
      returned: always
    takes_pods:
      description: Whether no taint keeps ordinary Pods away.
      type: bool
      returned: always
    upgrade:
      description: Whether its kubelet is to be upgraded now.
      type: bool
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.judge import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.look import look
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.model import read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.plan import as_data, plan

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    **CLUSTER_HOSTS_ARGUMENTS,
    "release": {"type": "str", "required": True},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = read_request(module.params)
        seen = look(KubernetesApi(module.params["kubeconfig"], module.params["context"]))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found, planned = judge(request, seen), plan(request, seen)
    result = {
        "changed": False,
        "findings": as_dicts(found),
        "plan": list(planned.lines),
        "control_plane": planned.control_plane,
        "workers": [host.name for host in request.hosts if host.name in planned.nodes and not host.is_control_plane],
        "nodes": as_data(request, seen, planned),
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
