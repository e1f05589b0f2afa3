#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: patch_plan_check
short_description: Plan the update of hosts one after the other, and check that their nodes can be drained
version_added: 0.3.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the order in which hosts are updated, the workers first, and for each host its updates, whether it must be rebooted, and the
    Pods that a drain of its node moves or stops.
  - A worker with updates is drained, and so is one that must be rebooted. Each one is checked as M(vmstation.cluster.node_sleep_check)
    checks it, on its own, as the other nodes take its Pods.
  - A control plane host is drained only if ordinary Pods can run on its node and on another one. Otherwise its Pods stop during a reboot,
    and start again with the host.
  - A host that runs this module is not rebooted, because the reboot would end Ansible. So is a host with a container that runs it. They are
    recognized by the start of their kernel, however Ansible connects to them.
  - A node that is not ready is an error if its host is to be updated. Hosts that are known to be asleep are left for a later run.
  - This module changes nothing. It reads one list each of nodes, Pods, ReplicaSets, PersistentVolumeClaims, PersistentVolumes and
    PodDisruptionBudgets, whatever the number of hosts.
attributes:
  platform:
    platforms: all
options:
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Those that are in neither O(packages) nor
        O(asleep) are left out of the plan.
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
      - The names of the hosts in O(nodes) that are known to be asleep. They are updated in a later run.
    type: list
    elements: str
    default: []
  packages:
    description:
      - By the name of the host, what M(vmstation.cluster.package_updates_info) returned for it.
    type: dict
    required: true
  may_stop:
    description:
      - Workloads that may stop while their host is updated, each as C(namespace/name) of its Deployment, StatefulSet or other controller,
        or of a Pod without one.
      - The annotation C(vmstation.cluster/may-stop) with the value C(true) on Pods has the same effect.
    type: list
    elements: str
    default: []
  reboot:
    description:
      - With V(if_needed), a host that must be rebooted is part of the plan. With V(never), that is a finding of severity C(warning).
    type: str
    choices: [if_needed, never]
    default: if_needed
seealso:
  - module: vmstation.cluster.package_updates_info
  - module: vmstation.cluster.node_sleep_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Plan the update of all hosts
  vmstation.cluster.patch_plan_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    packages: "{{ dict(ansible_play_hosts | zip(ansible_play_hosts | map('extract', hostvars, 'package_updates'))) }}"
    may_stop: [media/jellyfin]
  delegate_to: localhost
  run_once: true
  register: patch_plan
"""

RETURN = r"""
findings:
  description: The problems that prevent the update, and remarks for the user.
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
      description: C(error), C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The host, node, Pod or PodDisruptionBudget that was checked.
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
      sample: host homelab
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "3 updates, reboot not required"
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
  description: A line for each host, in the order of the update.
  returned: when the API server answered
  type: list
  elements: str
  sample:
    - "storagenodet3500: 2 updates (libc6, openssl); reboot required (libc6); Pods that move: default/web-5d9c7b6f4-x2x7q"
    - "homelab: asleep, left for the next run"
    - "masternode: no updates"
patch:
  description: The names of the hosts that are to be updated or rebooted now, in their order.
  returned: when the API server answered
  type: list
  elements: str
  sample: [storagenodet3500]
hosts:
  description: The hosts of the plan, by their name in the inventory.
  returned: when the API server answered
  type: dict
  contains:
    patch:
      description: Whether the host is to be updated or rebooted now.
      type: bool
      returned: always
    drain:
      description: Whether its node is drained first.
      type: bool
      returned: always
    may_reboot:
      description: Whether the host may be rebooted if it must be.
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
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 6
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.host import system_of
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.plan import as_data, judge, looked_at, plan, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import look

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    **CLUSTER_HOSTS_ARGUMENTS,
    "packages": {"type": "dict", "required": True},
    "may_stop": {"type": "list", "elements": "str", "default": []},
    "reboot": {"type": "str", "choices": ["if_needed", "never"], "default": "if_needed"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = read_request(module.params, system_of(LocalFiles()))
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        seen = look(cluster)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = judge(request, seen)
    result = {
        "changed": False,
        **as_result(found, looked_at(request, found)),
        "plan": plan(request, seen),
        "patch": [host.name for host in request.hosts if host.has_work],
        "hosts": as_data(request, seen),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
