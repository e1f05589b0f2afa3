#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_archive
short_description: Verify a fetched backup, encrypt it, and keep the newest backups in a directory
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads an archive that M(vmstation.cluster.cluster_backup) wrote and that was fetched, compares it with O(sha256) and each of its files
    with the manifest. Only then does the archive get its final name.
  - With O(passphrase_file) or O(recipients), it is first encrypted with C(gpg). What was encrypted with a passphrase is decrypted again and
    compared. You can decrypt it with C(gpg --decrypt).
  - The archives in O(parts) are stored beside the backup and are complete before it is. Each is compared with the manifest.
  - Then the oldest backups of the cluster are removed with their parts, so that O(keep) backups remain, and so are the leftovers of killed
    runs. The newest backup that has a part is always kept. Other files are not changed.
attributes:
  check_mode:
    support: none
    details:
      - If nothing was fetched, there is nothing to do.
  diff_mode:
    support: none
    details:
      - There is no diff, because it would contain the archive.
  idempotent:
    support: none
    details:
      - Each run moves O(source) away.
  platform:
    platforms: linux
options:
  source:
    description:
      - The fetched archive. With O(passphrase_file) or O(recipients), it may be anywhere, preferably in a directory that
        M(vmstation.cluster.private_directory) created. Without them, it must be in O(directory), under a name that begins with a dot and
        ends with C(.unfinished), so that a later run removes it if this run is killed.
    type: path
    required: true
  directory:
    description:
      - The directory that contains the backups. It must exist.
    type: path
    required: true
  cluster_name:
    description:
      - The name of the cluster that the backup must belong to.
    type: str
    required: true
  sha256:
    description:
      - The SHA-256 checksum of the archive on the host that wrote it. If empty, it is not compared.
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
          - The name of the part.
        type: str
        required: true
      source:
        description:
          - The path of the fetched archive. The same rules apply as for O(source).
        type: path
        required: true
  keep:
    description:
      - The number of backups of the cluster to keep, including this one.
    type: int
    default: 7
  passphrase_file:
    description:
      - A file whose first line is the passphrase for encryption, of at least 16 characters. Only its owner may read it. Without it and
        O(recipients), nothing is encrypted.
    type: path
  recipients:
    description:
      - The fingerprints of the keys in your key ring to encrypt for, instead of a passphrase.
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
  description: The path of the backup.
  returned: success
  type: str
  sample: /srv/backups/vmstation-20261125T233300Z.tar.gz.gpg
backup:
  description: The content of the backup, as RV(vmstation.cluster.cluster_backup#module:backup) describes it.
  returned: success
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
removed:
  description: The backups that were removed.
  returned: success
  type: list
  elements: str
  sample: [/srv/backups/vmstation-20261118T233300Z.tar.gz.gpg]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import keep
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
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
    # a path, not a secret
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
