#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: etcd_members
short_description: Remove the etcd members of control plane hosts that are gone or join again
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Removes the members of the given hosts, through the member on the host that it runs on. A host that is new, or was installed again,
    cannot join while etcd has a member of its name or address.
  - Then it deletes the Nodes of these hosts. kubeadm does not join a host whose Node is still ready.
  - Nothing is removed if no healthy majority would be left.
options:
  nodes:
    description:
      - The hosts whose members are removed, a list of mappings with the keys C(name) and C(address), one address or a list.
      - The filter P(vmstation.cluster.cluster_hosts#filter) returns such a list. Only hosts with the role C(control_plane) count.
    type: list
    elements: dict
    required: true
  containerd_socket:
    description: The socket of containerd. If the host has no etcdctl, the one of etcd's image is used.
    type: path
    default: /run/containerd/containerd.sock
notes:
  - Run it as root on a control plane host that stays.
seealso:
  - module: vmstation.cluster.etcd_members_check
  - module: vmstation.cluster.kubeadm_control_plane
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Remove the member of a control plane host that no longer exists
  vmstation.cluster.etcd_members:
    nodes: [{name: masternode, address: 192.168.4.63, role: control_plane}]
  become: true
"""

RETURN = r"""
members:
  description: The members that stay.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: The ID of the member, in hexadecimal digits.
      type: str
      sample: 8e9e05c52164694d
    name:
      description: The name of its host. Empty if it has not started yet.
      type: str
      sample: masternode
    address:
      description: The address that other members reach it at.
      type: str
      sample: 192.168.4.63
    learner:
      description: Whether it has no vote yet, because it is still joining.
      type: bool
    healthy:
      description: Whether it answers and has a leader.
      type: bool
removed:
  description: The names of the removed members.
  returned: success
  type: list
  elements: str
  sample: [masternode]
nodes_deleted:
  description: The names of the deleted Nodes.
  returned: success
  type: list
  elements: str
  sample: [masternode]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.etcd import control_planes, ensure_removed
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.host import api_of_this_host, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "containerd_socket": {"type": "path", "default": "/run/containerd/containerd.sock"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        hosts = control_planes(module.params["nodes"])
        etcd = this_host(module.params["containerd_socket"])
        result = ensure_removed(etcd, api_of_this_host(), hosts, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
