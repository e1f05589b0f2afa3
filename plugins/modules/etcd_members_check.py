#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_members_check
short_description: Check that each control plane host has a healthy etcd member
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Lists the members of etcd and their health, through the member on the host that it runs on, and compares them with the control plane
    hosts.
  - It only reads.
options:
  nodes:
    description:
      - The hosts of the cluster, a list of mappings with the keys C(name), C(address) and C(role).
      - The filter P(vmstation.cluster.cluster_hosts#filter) returns such a list. Only hosts with the role C(control_plane) count.
    type: list
    elements: dict
    required: true
  containerd_socket:
    description: The socket of containerd. If the host has no etcdctl, the one of etcd's image is used.
    type: path
    default: /run/containerd/containerd.sock
attributes:
  platform:
    platforms: linux
notes:
  - Run it as root on a control plane host.
seealso:
  - module: vmstation.cluster.etcd_members
extends_documentation_fragment:
  - vmstation.cluster.findings
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: Check the members of etcd
  vmstation.cluster.etcd_members_check:
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  become: true
"""

RETURN = r"""
findings:
  description: What is wrong with the members. The severity is V(error).
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      sample: etcd_members_are_healthy
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: error
    subject:
      description: The object that was checked.
      type: str
      sample: etcd
    found:
      description: What was found.
      type: str
      sample: 2 of 3 members healthy, not masternode
    expected:
      description: What is required.
      type: str
      sample: all members healthy
    fix:
      description: The next step.
      type: str
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
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: etcd
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: 3 of 3 healthy
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
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: etcdctl
    found: an answer that cannot be read
    expected: members as JSON
    fix: Use etcd 3.5 or newer.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.etcd import control_planes, judge, read_members
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "containerd_socket": {"type": "path", "default": "/run/containerd/containerd.sock"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        hosts, etcd = control_planes(module.params["nodes"]), this_host(module.params["containerd_socket"])
        verdict = judge(read_members(etcd.members(), etcd.health()), hosts)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    failing = failures(verdict.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **as_result(verdict.findings, verdict.looked_at))
    module.exit_json(changed=False, **as_result(verdict.findings, verdict.looked_at))


if __name__ == "__main__":
    main()
