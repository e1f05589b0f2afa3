#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_receiver
short_description: Let the control plane add copies of its backups on this host, and nothing else
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Installs a program, and a line for O(public_key) in O(authorized_keys) by which this key starts the program and nothing else. A
    terminal, forwarding and all other commands are rejected.
  - The program adds one encrypted backup of O(cluster_name) to O(directory), if its name, its size and its checksum are right, its time is
    not in the future, it is at least half an hour younger than the newest, and no other copy was received in the last half hour by the
    clock of this host. It reads, replaces and deletes nothing else. Then the oldest copies are removed, so that O(keep) remain.
  - Other lines of O(authorized_keys) are not changed.
options:
  state:
    description:
      - V(present) installs the program and the line. V(absent) removes both. The copies in O(directory) stay.
    type: str
    choices: [present, absent]
    default: present
  public_key:
    description:
      - The key that M(vmstation.cluster.backup_timer) returns.
    type: str
  from_addresses:
    description:
      - The addresses of the control plane. The key is accepted from these only. An empty list accepts it from all.
    type: list
    elements: str
    default: []
  authorized_keys:
    description:
      - The file of root's authorized keys.
    type: path
    default: /root/.ssh/authorized_keys
  cluster_name:
    description:
      - The name of the cluster.
    type: str
  keep:
    description:
      - The number of copies to keep.
    type: int
    default: 7
  directory:
    description:
      - The directory for the copies. The first copy creates it with mode 0700 if it does not exist.
    type: str
    default: /var/backups/vmstation
notes:
  - A person who controls the control plane can add worthless copies, one in half an hour, until O(keep) of them have replaced the good
    ones. Keep a copy of important backups where the control plane has no key.
seealso:
  - module: vmstation.cluster.backup_timer
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Accept copies of the control plane's backups
  vmstation.cluster.backup_receiver:
    public_key: "{{ hostvars['masternode'].backups.public_key }}"
    from_addresses: [192.168.4.63]
    cluster_name: vmstation
  become: true

- name: Accept no more copies
  vmstation.cluster.backup_receiver:
    state: absent
  become: true
"""

RETURN = r"""# """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.host import RECEIVER_ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import ensure_receiver
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "public_key": {"type": "str", "no_log": False},
    "from_addresses": {"type": "list", "elements": "str", "default": []},
    "authorized_keys": {"type": "path", "default": "/root/.ssh/authorized_keys", "no_log": False},
    "cluster_name": {"type": "str"},
    "keep": {"type": "int", "default": 7},
    "directory": {"type": "str", "default": "/var/backups/vmstation"},
}


def main() -> None:
    required = [("state", "present", ["public_key", "cluster_name"])]
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=required, supports_check_mode=True)
    try:
        result = ensure_receiver(this_host(), module.params, RECEIVER_ENTRY, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
