#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: installed_programs_info
short_description: Tell which programs of an installation source a host lacks
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares the checksums of installed programs with those of an installation source, all of them in one call.
  - It looks and changes nothing.
attributes:
  platform:
    platforms: linux
options:
  programs:
    description:
      - The programs, as M(vmstation.cluster.installation_source_check) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The program's file name.
        type: str
        required: true
      sha256:
        description:
          - Its checksum.
        type: str
        required: true
      path:
        description:
          - Where it is on the controller. It is returned as it is.
        type: str
        default: ""
  directory:
    description:
      - The directory on the host that they are installed in.
    type: path
    default: /usr/bin
seealso:
  - module: vmstation.cluster.installation_source_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: See which programs differ
  vmstation.cluster.installed_programs_info:
    programs: "{{ source.installation.programs }}"
  register: installed

- name: Copy them
  ansible.builtin.copy:
    src: "{{ item.path }}"
    dest: "/usr/bin/{{ item.name }}"
    mode: "0755"
  become: true
  loop: "{{ installed.differing }}"
"""

RETURN = r"""
differing:
  description: The programs of O(programs) that are not there, are others, or cannot be run by everybody.
  returned: success
  type: list
  elements: dict
  sample:
    - name: kubelet
      sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
      path: /srv/kubernetes-1.36.4/bin/kubelet
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.source_directory import FilesBelow

ARGUMENTS = {
    "programs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "sha256": {"type": "str", "required": True},
            "path": {"type": "str", "default": ""},
        },
    },
    "directory": {"type": "path", "default": "/usr/bin"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    programs = module.params["programs"]
    installed = FilesBelow(module.params["directory"]).programs([program["name"] for program in programs])
    differing = [program for program in programs if installed[program["name"]] != program["sha256"]]
    module.exit_json(changed=False, differing=differing)


if __name__ == "__main__":
    main()
