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
  - Whoever asked for the copy removes it.
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
      - The backup. Without it, the newest of O(directory).
    type: path
  directory:
    description:
      - The directory of backups.
    type: path
  destination:
    description:
      - The copy.
    type: path
    required: true
  cluster_name:
    description:
      - The cluster that it must be of.
    type: str
    required: true
  passphrase_file:
    description:
      - A file whose first line is the passphrase that it was encrypted with. What was encrypted for a key needs that key in your key ring.
    type: path
requirements:
  - gpg (GnuPG) >= 2.2.7, for what is encrypted
seealso:
  - module: vmstation.cluster.backup_archive_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Decrypt the newest backup
  vmstation.cluster.backup_copy:
    directory: /srv/backups
    destination: /root/vmstation.tar.gz
    cluster_name: vmstation
    passphrase_file: ~/.config/vmstation/backup-passphrase
"""

RETURN = r"""
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
    "destination": {"type": "path", "required": True},
    "cluster_name": {"type": "str", "required": True},
    # a path is no secret
    "passphrase_file": {"type": "path", "no_log": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_one_of=[("path", "directory")])
    try:
        manifest = copy(module.params, LocalPacking(), Gpg(HostCommands()))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=True, backup=manifest.summary())


if __name__ == "__main__":
    main()
