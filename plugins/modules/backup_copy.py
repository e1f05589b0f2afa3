#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: A plain copy of a backup, verified, for a task that takes it to a host
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Copies a backup, or decrypts it, into a file for its owner alone, which replaces what is there. The file has its name when every file
    in it was compared with the manifest, and not before.
  - With O(part) it is the archive of an application that lies beside a backup, compared with the backup's manifest. Where no backup has
    it, nothing is changed.
  - Remove the copy, and the directory that was made for it, as soon as it is not needed. What a killed run has left, the next one removes.
attributes:
  check_mode:
    support: none
    details:
      - M(vmstation.cluster.backup_archive_check) judges a backup and writes nothing.
  diff_mode:
    support: none
    details:
      - What it shows would be the archive.
  idempotent:
    support: none
    details:
      - Every run writes the copy anew.
  platform:
    platforms: linux
options:
  path:
    description:
      - The backup. Without it, the newest of O(directory); with O(part), the newest that has it.
    type: path
  directory:
    description:
      - The directory of backups.
    type: path
  destination:
    description:
      - The copy. Without it, the copy is in a new directory in O(work_directory), for its owner alone.
    type: path
  part:
    description:
      - Copy this part of the backup in its place, such as V(jellyfin).
    type: str
  cluster_name:
    description:
      - The cluster that it must be of.
    type: str
    required: true
seealso:
  - module: vmstation.cluster.backup_archive_check
extends_documentation_fragment:
  - vmstation.cluster.backup
  - vmstation.cluster.backup.reading
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Decrypt the newest backup
  vmstation.cluster.backup_copy:
    directory: /srv/backups
    cluster_name: vmstation
    passphrase_file: ~/.config/vmstation/backup-passphrase
  register: decrypted

- name: Decrypt Jellyfin's configuration out of the newest backup that has it
  vmstation.cluster.backup_copy:
    directory: /srv/backups
    part: jellyfin
    destination: /root/jellyfin.tar.gz
    cluster_name: vmstation
    passphrase_file: ~/.config/vmstation/backup-passphrase
"""

RETURN = r"""
destination:
  description: The copy. Empty where no backup has O(part).
  returned: success
  type: str
  sample: /run/user/1000/vmstation-copied-vmstation.k3m9x_2a/backup.tar.gz
path:
  description: The backup that was copied, or whose part was. Empty where none has O(part).
  returned: success
  type: str
  sample: /srv/backups/vmstation-20261125T233300Z.tar.gz.gpg
part:
  description:
    - What the part is of, as RV(vmstation.cluster.cluster_backup#module:backup) says it. Empty without O(part), and where none has it.
  returned: success
  type: dict
  sample: {name: jellyfin, host: storagenodet3500, label: 10.11.11}
backup:
  description: What it is of, as RV(vmstation.cluster.cluster_backup#module:backup) says it.
  returned: success
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import copy
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path"},
    "directory": {"type": "path"},
    "destination": {"type": "path"},
    "part": {"type": "str"},
    "cluster_name": {"type": "str", "required": True},
    # a path is no secret
    "passphrase_file": {"type": "path", "no_log": False},
    "recipients": {"type": "list", "elements": "str", "default": []},
    "accept_unencrypted": {"type": "bool", "default": False},
    "work_directory": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_one_of=[("path", "directory")])
    try:
        copied = copy(module.params, LocalPacking(module.params["work_directory"] or ""), Gpg(HostCommands()))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**copied.as_result())


if __name__ == "__main__":
    main()
