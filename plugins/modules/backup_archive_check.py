#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_archive_check
short_description: Check a backup before a restore
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads the whole backup, decrypts it if it is encrypted, and compares each of its files with the manifest.
  - Reports the cluster, the versions and the time of the backup, and everything that is missing or damaged. It distinguishes a truncated
    archive, one that is encrypted for another key, and one of another cluster.
  - The parts beside the backup are compared too. A missing or damaged part is a warning, because the control plane can be restored without
    it.
  - No host is changed. While an encrypted backup is read, its decrypted archive is in O(work_directory).
attributes:
  platform:
    platforms: linux
options:
  path:
    description:
      - The backup. Without it, the newest backup in O(directory).
    type: path
  directory:
    description:
      - The directory that contains the backups.
    type: path
  cluster_name:
    description:
      - The name of the cluster that the backup must belong to.
    type: str
    required: true
  paths:
    description:
      - The paths of applications, as in O(vmstation.cluster.cluster_restore#module:paths). A file outside of these paths is an error.
        Without it, this is not checked.
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
- name: Check the newest backup
  vmstation.cluster.backup_archive_check:
    directory: /srv/backups
    cluster_name: vmstation
    passphrase_file: ~/.config/vmstation/backup-passphrase
  register: newest
"""

RETURN = r"""
path:
  description: The path of the backup.
  returned: when it could be read
  type: str
  sample: /srv/backups/vmstation-20261125T233300Z.tar.gz.gpg
backup:
  description: The content of the backup, as RV(vmstation.cluster.cluster_backup#module:backup) describes it.
  returned: when it could be read
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
findings:
  description: All problems of the backup, and what needs attention.
  returned: when it could be read
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      sample: every_member_of_the_backup_is_whole
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: error
    subject:
      description: The object that was checked.
      type: str
      sample: "archive /srv/backups/vmstation-20261125T233300Z.tar.gz, etcd.db"
    found:
      description: What was found.
      type: str
      sample: not there
    expected:
      description: What is required.
      type: str
      sample: a file
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
  returned: when it could be read
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: archive /srv/backups/vmstation-20261129.tar
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "a backup with 214 members"
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
    subject: archive /srv/backups/x.tar
    found: no such file
    expected: a backup
    fix: Name another one.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path"},
    "directory": {"type": "path"},
    "cluster_name": {"type": "str", "required": True},
    "paths": {"type": "list", "elements": "str"},
    # a path, not a secret
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
        module.fail_json(**refusal.as_result())
    result = {"path": seen.path, "backup": seen.manifest.summary(), **as_result(seen.findings, seen.looked_at)}
    failing = failures(seen.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(changed=False, **result)


if __name__ == "__main__":
    main()
