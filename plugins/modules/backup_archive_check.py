#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_archive_check
short_description: Judge a backup before anything is restored from it
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads a backup to its end, decrypts it where it is encrypted, and compares every file in it with the manifest.
  - Names the cluster, the versions and the time that it is of, and everything that is missing or damaged. An archive that is cut short, one
    that another key opens, and one of another cluster are told apart.
  - What belongs to it and lies beside it is compared, too. It being missing or damaged is a warning, as the control plane can be restored
    without it.
  - It touches no host. While an encrypted backup is read, its plain archive lies in O(work_directory).
attributes:
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
  cluster_name:
    description:
      - The cluster that it must be of.
    type: str
    required: true
  paths:
    description:
      - The paths of applications that O(vmstation.cluster.cluster_restore#module:paths) names. A file for any other place is an error.
        Without it, that is not judged.
    type: list
    elements: str
seealso:
  - module: vmstation.cluster.backup_archive
  - module: vmstation.cluster.cluster_restore
extends_documentation_fragment:
  - vmstation.cluster.backup
  - vmstation.cluster.backup.reading
  - vmstation.cluster.findings
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: Judge the newest backup
  vmstation.cluster.backup_archive_check:
    directory: /srv/backups
    cluster_name: vmstation
    passphrase_file: ~/.config/vmstation/backup-passphrase
  register: newest
"""

RETURN = r"""
path:
  description: The backup.
  returned: when it could be read
  type: str
  sample: /srv/backups/vmstation-20261125T233300Z.tar.gz.gpg
backup:
  description: What it is of, as RV(vmstation.cluster.cluster_backup#module:backup) says it.
  returned: when it could be read
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
findings:
  description: Everything that is wrong with it, or needs attention.
  returned: when it could be read
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      sample: every_member_of_the_backup_is_whole
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      sample: "archive /srv/backups/vmstation-20261125T233300Z.tar.gz, etcd.db"
    found:
      description: What it is.
      type: str
      sample: not there
    expected:
      description: What it must be.
      type: str
      sample: a file
    fix:
      description: The next step.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.encryption import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path"},
    "directory": {"type": "path"},
    "cluster_name": {"type": "str", "required": True},
    "paths": {"type": "list", "elements": "str"},
    # a path is no secret
    "passphrase_file": {"type": "path", "no_log": False},
    "recipients": {"type": "list", "elements": "str", "default": []},
    "accept_unencrypted": {"type": "bool", "default": False},
    "work_directory": {"type": "path"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, required_one_of=[("path", "directory")])
    try:
        seen = check(module.params, LocalPacking(module.params["work_directory"] or ""), Gpg(HostCommands()))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    result = {"path": seen.path, "backup": seen.manifest.summary(), "findings": as_dicts(seen.findings)}
    failing = failures(seen.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
