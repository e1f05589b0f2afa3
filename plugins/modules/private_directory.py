#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: private_directory
short_description: Create a temporary directory that only one user can access, for unencrypted data
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Creates a new directory of mode 0700, for example for a backup that is fetched before it is encrypted. Backup directories are not
    suitable, because they may be on a USB stick, a NAS or in a synchronized folder, where deleted data may still be readable.
  - Directories with the same O(name) that killed runs of this user left are removed first. Those of runs that are still active stay, so
    any number of runs can use the same O(name).
  - Remove the directory in an C(always) section, so that it is also removed when tasks fail.
attributes:
  check_mode:
    support: full
    details:
      - It creates nothing, and RV(path) is empty.
  diff_mode:
    support: none
    details:
      - There is no diff for an empty directory.
  idempotent:
    support: none
    details:
      - Every run creates a new directory.
  platform:
    platforms: linux
options:
  name:
    description:
      - The purpose of the directory, as a part of its name.
    type: str
    required: true
  size:
    description:
      - The required free space in bytes.
    type: int
    default: 0
  exclusive:
    description:
      - Whether to wait until no other active run of this user on this machine has a directory with the same O(name). Until the directory is
        removed or the run ends, it is a lock for tasks that two runs must not execute at the same time. Runs with another O(work_directory)
        do not see this lock.
    type: bool
    default: false
    version_added: 0.2.0
  timeout:
    description:
      - With O(exclusive), the maximum time in seconds to wait. The error names the process that has the directory.
    type: int
    default: 3600
    version_added: 0.2.0
seealso:
  - module: vmstation.cluster.backup_archive
extends_documentation_fragment:
  - vmstation.cluster.backup
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Create a directory for the fetched archive
  vmstation.cluster.private_directory:
    name: fetched-vmstation
    size: 2231296
  delegate_to: localhost
  register: fetched_to

- name: Wait until no other run backs up this cluster
  vmstation.cluster.private_directory:
    name: backup-vmstation
    exclusive: true
    timeout: 600
  delegate_to: localhost
  register: lock
"""

RETURN = r"""
path:
  description: The path of the directory. Empty in check mode.
  returned: success
  type: str
  sample: /run/user/1000/vmstation-fetched-vmstation.28998-59542.k3m9x_2a
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.private import exclusive_directory, new_directory
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "size": {"type": "int", "default": 0},
    "exclusive": {"type": "bool", "default": False},
    "timeout": {"type": "int", "default": 3600},
    "work_directory": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params, path = module.params, ""
    wanted = (params["name"], params["work_directory"] or "", params["size"])
    try:
        if not module.check_mode:
            path = exclusive_directory(*wanted, params["timeout"], SystemClock()) if params["exclusive"] else new_directory(*wanted)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=True, path=path)


if __name__ == "__main__":
    main()
