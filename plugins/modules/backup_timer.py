#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_timer
short_description: Back up the control plane on a schedule, on its own host
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Installs a program and a systemd timer on a control plane host. At O(schedule), it creates the archive that
    M(vmstation.cluster.cluster_backup) creates, encrypts it with C(gpg) for O(recipients), keeps the newest O(keep) in O(directory), and
    copies the newest to O(receivers).
  - The host has the public keys only, so it cannot decrypt the backups. An archive is unencrypted for a short time below
    C(/var/lib/vmstation), in files that only root can read, on the host that all of its content comes from.
  - Copies are sent over SSH with a key pair of its own, which is created on this host. M(vmstation.cluster.backup_receiver) restricts the
    key on the other host to one program, which adds a backup, and cannot read, replace or delete one.
  - Each run is in the journal of C(vmstation-backup.service). The age of the newest backup and of each copy, and whether the last run
    failed, are in C(/var/lib/misc/vmstation-backup.prom) for the textfile collector of node-exporter.
options:
  state:
    description:
      - V(present) installs the timer. V(absent) removes it with its program and its key pair. The backups in O(directory) stay.
    type: str
    choices: [present, absent]
    default: present
  cluster_name:
    description:
      - The name of the cluster. A host of another cluster is not backed up.
    type: str
  schedule:
    description:
      - When to back up, as C(OnCalendar) of systemd.time(7). systemd on the host must accept it, and it must have a next time. A backup
        that was missed while the host was off is created when the host is on.
    type: str
  recipients:
    description:
      - The fingerprints of the keys to encrypt for. Each of them can decrypt the backups.
    type: list
    elements: str
    default: []
  public_keys:
    description:
      - The public keys of O(recipients), in the same order, each as C(gpg --armor --export) prints it. A secret key is an error.
    type: list
    elements: str
    default: []
  keep:
    description:
      - The number of backups of the cluster to keep.
    type: int
    default: 7
  directory:
    description:
      - The directory for the backups. It is created with mode 0700 if it does not exist.
    type: str
    default: /var/backups/vmstation
  paths:
    description:
      - Files and directories of applications on this host to include, as in O(vmstation.cluster.cluster_backup#module:paths).
    type: list
    elements: str
    default: []
  receivers:
    description:
      - The hosts that get copies. A host that does not answer gets the next backup.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the host.
        type: str
        required: true
      address:
        description:
          - The address of its SSH server, IPv4 or IPv6.
        type: str
        required: true
      port:
        description:
          - The port of its SSH server.
        type: int
        default: 22
      host_keys:
        description:
          - The public host keys of the host, each as C(ssh-ed25519 AAAA...). No other key is accepted.
          - If the list is empty, for example because the host is asleep, the known keys of the last run are kept. A host without known keys
            gets no copy yet. M(vmstation.cluster.backup_timer_check) reports why, if no other host has a copy.
        type: list
        elements: str
        default: []
  containerd_address:
    description:
      - The path of containerd's socket.
    type: path
    default: /run/containerd/containerd.sock
requirements:
  - gpg (GnuPG) >= 2.2.7
notes:
  - Run it as root, on a control plane that this collection created.
seealso:
  - module: vmstation.cluster.backup_receiver
  - module: vmstation.cluster.backup_timer_check
  - module: vmstation.cluster.cluster_backup
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Back up the control plane every night
  vmstation.cluster.backup_timer:
    cluster_name: vmstation
    schedule: "*-*-* 03:00"
    recipients: [A93D73F95BAF9EE9E7B435AF6655B0B37D3AD4B4]
    public_keys: ["{{ lookup('ansible.builtin.file', 'backup.asc') }}"]
    receivers:
      - name: homelab
        address: 192.168.4.62
        host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm0cMrVHBrZVZ0kAzGpDIv1n2Jmtp0GuQpvfOlbmsGD"]
  become: true
  register: backups

- name: Remove the timer, and keep the backups
  vmstation.cluster.backup_timer:
    state: absent
  become: true
"""

RETURN = r"""
public_key:
  description: The public key that copies are sent with. Empty if there is none, for example in check mode before it is created.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOlbmsGDm0cMrVHBrZVZ0kAzGpDIv1n2Jmtp0GuQpvf vmstation-backup
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.host import BACKUP_ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.schedule import ensure_timer
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

RECEIVER = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "host_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
}
ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "cluster_name": {"type": "str"},
    "schedule": {"type": "str"},
    "recipients": {"type": "list", "elements": "str", "default": []},
    "public_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
    "keep": {"type": "int", "default": 7},
    "directory": {"type": "str", "default": "/var/backups/vmstation"},
    "paths": {"type": "list", "elements": "str", "default": []},
    "receivers": {"type": "list", "elements": "dict", "default": [], "options": RECEIVER},
    "containerd_address": {"type": "path", "default": "/run/containerd/containerd.sock"},
}


def main() -> None:
    required = [("state", "present", ["cluster_name", "schedule"])]
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=required, supports_check_mode=True)
    host = this_host()
    try:
        result = ensure_timer(host, module.params, BACKUP_ENTRY, Gpg(host.commands).listed, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
