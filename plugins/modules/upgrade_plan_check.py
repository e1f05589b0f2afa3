#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: upgrade_plan_check
short_description: Check whether a cluster may be upgraded to a release of Kubernetes, and plan the steps
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads the releases of the API server, kubeadm's configuration, kube-proxy and each kubelet, and checks by Kubernetes' version skew
    policy whether O(release) may follow. No minor version may be skipped, a downgrade is not possible, a kubelet may be at most three minor
    versions older than the API server, and every node must be ready, unless its host is known to be asleep.
  - Returns the steps in their order, for the user to confirm.
  - This module changes nothing. It takes a fixed number of requests and one list of nodes.
attributes:
  platform:
    platforms: all
options:
  release:
    description:
      - The required release of Kubernetes, for example V(1.36.4).
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
        description: The name of the host in the inventory.
        type: str
        required: true
      address:
        description: The address of the host, or a list of one of each IP version. Not used.
        type: raw
        required: true
      mac:
        description: The MAC address of the host's network card. Not used.
        type: str
      role:
        description: C(control_plane) or C(worker).
        type: str
      sleeps:
        description: Whether the host may be put to sleep. Not used.
        type: bool
  asleep:
    description:
      - The names of the hosts in O(nodes) that are known to be asleep. They are upgraded in a later run.
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
  description: The problems that prevent the upgrade, and remarks for the user.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: one_minor_version_at_a_time
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The API server, node or host that was checked.
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
      sample: "kubelet v1.36.4"
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
plan:
  description: The steps, in their order. Empty if there is nothing to do.
  returned: when the API server answered
  type: list
  elements: str
  sample:
    - "control plane: API server v1.36.3 -> v1.36.4, kube-proxy v1.36.3 -> v1.36.4; its certificates are renewed"
    - "masternode: kubelet v1.36.3 -> v1.36.4"
    - "homelab: its Pods move to other nodes, kubelet v1.36.3 -> v1.36.4"
control_plane:
  description: Whether the components of the control plane must be upgraded.
  returned: when the API server answered
  type: bool
  sample: true
workers:
  description: The workers whose kubelets are upgraded now, in the order of the plan.
  returned: when the API server answered
  type: list
  elements: str
  sample: [homelab]
nodes:
  description: The hosts of O(nodes) that are nodes, by the name of the node.
  returned: when the API server answered
  type: dict
  contains:
    release:
      description: The release of the node's kubelet.
      type: str
      returned: always
      sample: v1.36.3
    ready:
      description: Whether the node is ready.
      type: bool
      returned: always
    schedulable:
      description: Whether the node is not cordoned.
      type: bool
      returned: always
    takes_pods:
      description: Whether ordinary Pods can run on the node, that is, no taint prevents it.
      type: bool
      returned: always
    upgrade:
      description: Whether the node's kubelet is upgraded now.
      type: bool
      returned: always
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.judge import as_data, judge, look, looked_at, plan, read_request

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
        module.fail_json(**refusal.as_result())
    found, planned = judge(request, seen), plan(request, seen)
    result = {
        "changed": False,
        **as_result(found, looked_at(seen, found)),
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
