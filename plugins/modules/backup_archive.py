#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_archive
short_description: Keep a backup in a directory, verified, encrypted, and the newest of them
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads an archive that M(vmstation.cluster.cluster_backup) wrote and that was fetched, compares it with O(sha256) and every file in it
    with the manifest, and gives it its name then, and not before.
  - With O(passphrase_file) or O(recipients) it is encrypted with C(gpg) first. What was encrypted with a passphrase is decrypted again and
    compared. C(gpg --decrypt) opens it by hand.
  - What belongs to it, O(parts), gets its name before it, and lies beside it. Each is compared with the manifest.
  - Then the oldest backups of the cluster are removed, with what belongs to them, so that O(keep) are left, and what killed runs have left.
    The newest backup that has a part stays in any case. Other files are left alone.
attributes:
  check_mode:
    support: none
    details:
      - There is nothing to keep where nothing was fetched.
  diff_mode:
    support: none
    details:
      - What it shows would be the archive.
  idempotent:
    support: none
    details:
      - It consumes O(source).
  platform:
    platforms: linux
options:
  source:
    description:
      - The fetched archive. With O(passphrase_file) or O(recipients) it may be anywhere, best in a directory that
        M(vmstation.cluster.private_directory) has made. Without, it must be in O(directory), under a name that begins with a dot and ends
        with C(.unfinished), so that a later run removes it after a kill.
    type: path
    required: true
  directory:
    description:
      - The directory of backups. It must exist.
    type: path
    required: true
  cluster_name:
    description:
      - The cluster that it must be of.
    type: str
    required: true
  sha256:
    description:
      - Its checksum on its host. Empty means that it is not compared.
    type: str
    default: ""
  parts:
    description:
      - The fetched archives of those O(parts) that M(vmstation.cluster.cluster_backup) was given and that are not missing.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - What it is of.
        type: str
        required: true
      source:
        description:
          - The fetched archive, where O(source) may be.
        type: path
        required: true
  keep:
    description:
      - How many backups of the cluster stay, this one included.
    type: int
    default: 7
  passphrase_file:
    description:
      - A file whose first line is the passphrase to encrypt with, for its owner alone. Without it and O(recipients), nothing is encrypted.
    type: path
  recipients:
    description:
      - Whose public keys of your key ring to encrypt for, in the place of a passphrase.
    type: list
    elements: str
    default: []
requirements:
  - gpg (GnuPG) >= 2.2.7, for encryption
seealso:
  - module: vmstation.cluster.backup_archive_check
  - module: vmstation.cluster.private_directory
extends_documentation_fragment:
  - vmstation.cluster.backup
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Keep the backup
  vmstation.cluster.backup_archive:
    source: /srv/backups/.vmstation-20261125T233300Z.tar.gz.unfinished
    directory: /srv/backups
    cluster_name: vmstation
    sha256: "{{ made.sha256 }}"
    keep: 7
    passphrase_file: ~/.config/vmstation/backup-passphrase
  delegate_to: localhost
"""

RETURN = r"""
path:
  description: The backup.
  returned: success
  type: str
  sample: /srv/backups/vmstation-20261125T233300Z.tar.gz.gpg
backup:
  description: What it is of, as RV(vmstation.cluster.cluster_backup#module:backup) says it.
  returned: success
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
removed:
  description: The backups that are no longer kept.
  returned: success
  type: list
  elements: str
  sample: [/srv/backups/vmstation-20261118T233300Z.tar.gz.gpg]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import keep
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "source": {"type": "path", "required": True},
    "directory": {"type": "path", "required": True},
    "cluster_name": {"type": "str", "required": True},
    "sha256": {"type": "str", "default": ""},
    "parts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "source": {"type": "path", "required": True}},
    },
    "keep": {"type": "int", "default": 7},
    # a path is no secret
    "passphrase_file": {"type": "path", "no_log": False},
    "recipients": {"type": "list", "elements": "str", "default": []},
    "work_directory": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS)
    try:
        kept = keep(module.params, LocalPacking(module.params["work_directory"] or ""), Gpg(HostCommands()))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=True, path=kept.path, backup=kept.manifest.summary(), removed=list(kept.removed))


if __name__ == "__main__":
    main()
