#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: private_directory
short_description: Make a directory for one user alone, for what is in clear for a while
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Makes a new directory of mode 0700, such as for a backup that is fetched before it is encrypted. Backups themselves may be on a stick, a
    NAS or in a synced folder, where what is removed may still be read.
  - Directories of the same O(name) that killed runs of this user have left are removed first.
  - Remove it in an C(always) section, whatever becomes of the tasks that use it.
attributes:
  check_mode:
    support: full
    details:
      - It makes nothing, and RV(path) is empty.
  diff_mode:
    support: none
    details:
      - There is nothing to show of a directory that is empty.
  idempotent:
    support: none
    details:
      - Every run makes a new one.
  platform:
    platforms: linux
options:
  name:
    description:
      - What it is for, as a part of its name. Two runs at once need two names.
    type: str
    required: true
  size:
    description:
      - How many bytes there must be room for.
    type: int
    default: 0
seealso:
  - module: vmstation.cluster.backup_archive
extends_documentation_fragment:
  - vmstation.cluster.backup
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Make a directory to fetch to
  vmstation.cluster.private_directory:
    name: fetched-vmstation
    size: 2231296
  delegate_to: localhost
  register: fetched_to
"""

RETURN = r"""
path:
  description: The directory. Empty in check mode.
  returned: success
  type: str
  sample: /run/user/1000/vmstation-fetched-vmstation.k3m9x_2a
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.private import new_directory
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "size": {"type": "int", "default": 0},
    "work_directory": {"type": "path"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    params = module.params
    try:
        path = "" if module.check_mode else new_directory(params["name"], params["work_directory"] or "", params["size"])
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=True, path=path)


if __name__ == "__main__":
    main()
