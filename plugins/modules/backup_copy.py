#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_copy
short_description: Create a verified, decrypted copy of a backup for transfer to a host
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Copies or decrypts a backup into a file that only its owner may read, and replaces an existing file. The copy gets its final name only
    after each of its files has been compared with the manifest.
  - With O(part), it copies the archive of an application that is stored beside a backup, compared with that backup's manifest. If no backup
    has the part, nothing is changed.
  - Remove the copy, and the directory that was created for it, when it is no longer needed. The next run removes the leftovers
    of a killed run.
attributes:
  check_mode:
    support: none
    details:
      - To check a backup without writing anything, use M(vmstation.cluster.backup_archive_check).
  diff_mode:
    support: none
    details:
      - There is no diff, because it would contain the archive.
  idempotent:
    support: none
    details:
      - Every run writes the copy again.
  platform:
    platforms: linux
options:
  path:
    description:
      - The backup. Without it, the newest backup in O(directory). With O(part), the newest one that has the part.
    type: path
  directory:
    description:
      - The directory that contains the backups.
    type: path
  destination:
    description:
      - The path of the copy. Without it, the copy is created in a new directory in O(work_directory) that only its owner can access.
    type: path
  part:
    description:
      - The part of the backup to copy instead of the backup itself, such as V(jellyfin).
    type: str
  cluster_name:
    description:
      - The name of the cluster that the backup must belong to.
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

- name: Decrypt Jellyfin's configuration from the newest backup that has it
  vmstation.cluster.backup_copy:
    directory: /srv/backups
    part: jellyfin
    destination: /root/jellyfin.tar.gz
    cluster_name: vmstation
    passphrase_file: ~/.config/vmstation/backup-passphrase
"""

RETURN = r"""
destination:
  description: The path of the copy. Empty if no backup has O(part).
  returned: success
  type: str
  sample: /run/user/1000/vmstation-copied-vmstation.28998-59542.k3m9x_2a/backup.tar.gz
path:
  description: The backup that was copied, or whose part was copied. Empty if no backup has O(part).
  returned: success
  type: str
  sample: /srv/backups/vmstation-20261125T233300Z.tar.gz.gpg
part:
  description:
    - The content of the part, as RV(vmstation.cluster.cluster_backup#module:backup) describes it. Empty without O(part), or if no backup
      has it.
  returned: success
  type: dict
  sample: {name: jellyfin, host: storagenodet3500, label: 10.11.11}
backup:
  description: The content of the backup, as RV(vmstation.cluster.cluster_backup#module:backup) describes it.
  returned: success
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import copy
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path"},
    "directory": {"type": "path"},
    "destination": {"type": "path"},
    "part": {"type": "str"},
    "cluster_name": {"type": "str", "required": True},
    # a path, not a secret
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
