#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_directories
short_description: Create missing directories without changing the owner or mode of existing ones
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Creates directories with an owner and a mode. An existing directory keeps its owner and mode, because it may be C(/etc) or your own file
    system.
  - The data directory of a program must belong to that program. With O(directories[].for_owner), an existing empty directory gets the owner
    and the mode, and a directory that already has the owner is not changed. C(lost+found) is ignored. Any other directory is an error.
  - All directories are checked before the first one is created.
options:
  directories:
    description:
      - The directories to create, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - The path of the directory. Missing parent directories are created with the default mode of the umask.
        type: path
        required: true
      mode:
        description:
          - The mode of the directory, in octal.
        type: str
        default: "0755"
      owner:
        description:
          - The numeric ID of the owner. Without it, the user who runs the module.
        type: int
      group:
        description:
          - The numeric ID of the group. Without it, the group of the user who runs the module.
        type: int
      for_owner:
        description:
          - Whether it is the data directory of a program that runs as O(directories[].owner).
        type: bool
        default: false
      owner_variables:
        description:
          - The names of the variables that set O(directories[].owner) and O(directories[].group). If an existing directory of another owner
            is an error, the message names them.
        type: list
        elements: str
        default: []
        version_added: 0.3.0
  timeout:
    description:
      - The maximum time in seconds for a file system to answer.
    type: float
    default: 10
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
seealso:
  - module: vmstation.cluster.local_storage_check
"""

EXAMPLES = r"""
- name: Create the data directory of Grafana
  vmstation.cluster.host_directories:
    directories:
      - path: /srv/monitoring
      - {path: /srv/monitoring/grafana, owner: 472, group: 472, mode: "0750", for_owner: true}
  become: true
"""

RETURN = r"""
directories:
  description: The directories and what was done with each.
  returned: success
  type: list
  elements: dict
  sample: [{path: /srv/monitoring, step: keep}, {path: /srv/monitoring/grafana, step: create}]
  contains:
    path:
      description: The path of the directory.
      type: str
    step:
      description: V(create), V(claim) if an empty directory got owner and mode, or V(keep).
      type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.io import LocalDirectoryMaker, LocalStorage
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.judge import carry_out, plan, read_wishes, seconds

DIRECTORY = {
    "path": {"type": "path", "required": True},
    "mode": {"type": "str", "default": "0755"},
    "owner": {"type": "int"},
    "group": {"type": "int"},
    "for_owner": {"type": "bool", "default": False},
    "owner_variables": {"type": "list", "elements": "str", "default": []},
}
ARGUMENTS = {
    "directories": {"type": "list", "elements": "dict", "required": True, "options": DIRECTORY},
    "timeout": {"type": "float", "default": 10},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        planned = plan(read_wishes(module.params), LocalStorage(seconds(module.params)))
        if not module.check_mode:
            carry_out(planned, LocalDirectoryMaker())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    done = [one for one in planned if one.step != "keep"]
    diff = [{"header": one.wish.path, "before": f"{one.before()}\n", "after": f"{one.after()}\n"} for one in done]
    steps = [{"path": one.wish.path, "step": one.step} for one in planned]
    module.exit_json(changed=bool(done), directories=steps, diff=diff)


if __name__ == "__main__":
    main()
