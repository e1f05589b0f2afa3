#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: installed_programs_info
short_description: Report which programs, files and services of a host differ from the required state
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares the checksums of installed programs with those of an installation source, the content of files with the required content, and
    the state of services with the required state. One call handles all of them.
  - This module changes nothing. Roles use it to skip tasks that have nothing to do on this host.
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
          - The file name of the program.
        type: str
        required: true
      sha256:
        description:
          - The SHA-256 checksum of the program.
        type: str
        required: true
      path:
        description:
          - The path of the program on the controller. It is returned unchanged.
        type: str
        default: ""
  directory:
    description:
      - The directory on the host that the programs are installed in.
    type: path
    default: /usr/bin
  files:
    description:
      - Text files with their required content. Their mode must be C(0644).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description:
          - The path of the file on the host.
        type: path
        required: true
      content:
        description:
          - The required content of the file.
        type: str
        required: true
      optional:
        description:
          - Whether RV(complete) ignores the file.
        type: bool
        default: false
  directories:
    description:
      - Directories that must exist.
    type: list
    elements: path
    default: []
  services:
    description:
      - Services of systemd that must be enabled.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the service without C(.service).
        type: str
        required: true
      running:
        description:
          - Whether the service must also be running.
        type: bool
        default: false
seealso:
  - module: vmstation.cluster.installation_source_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: Find the programs that differ
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

- name: Check whether anything is left to do
  vmstation.cluster.installed_programs_info:
    programs: "{{ source.installation.programs }}"
    files:
      - path: /etc/crictl.yaml
        content: "{{ lookup('ansible.builtin.template', 'crictl.yaml.j2') }}"
    services:
      - {name: containerd, running: true}
      - {name: kubelet}
  become: true
  register: installed
"""

RETURN = r"""
differing:
  description: Those of O(programs) that are missing, that differ, or that not all users can run.
  returned: success
  type: list
  elements: dict
  sample:
    - name: kubelet
      sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
      path: /srv/kubernetes-1.36.4/bin/kubelet
files:
  description:
    - The state of each path in O(files). V(same) is a regular file with the required content and the mode C(0644), V(missing) means that
      nothing exists, V(different) is anything else.
  returned: success
  type: dict
  sample: {/etc/crictl.yaml: same}
missing_directories:
  description: The paths in O(directories) that are not directories.
  returned: success
  type: list
  elements: str
  sample: []
differing_services:
  description:
    - The names of O(services) that are not enabled, that must be running but are not, whose unit has changed since systemd read it, or
      whose state is unknown.
  returned: success
  type: list
  elements: str
  sample: []
complete:
  description: Whether nothing differs.
  returned: success
  type: bool
  sample: false
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import regular_file
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.installed import (
    File,
    Unit,
    compare_files,
    differing_units,
    is_complete,
    look_at_units,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.io import FilesBelow
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

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
    "files": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "path": {"type": "path", "required": True},
            "content": {"type": "str", "required": True},
            "optional": {"type": "bool", "default": False},
        },
    },
    "directories": {"type": "list", "elements": "path", "default": []},
    "services": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "running": {"type": "bool", "default": False}},
    },
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    programs = module.params["programs"]
    installed = FilesBelow(module.params["directory"]).programs([program["name"] for program in programs])
    differing = [program for program in programs if installed[program["name"]] != program["sha256"]]
    units = [Unit(**service) for service in module.params["services"]]
    files = [File(**file) for file in module.params["files"]]
    try:
        services = differing_units(units, look_at_units(units, HostCommands()))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    states = compare_files(files, regular_file)
    missing = [path for path in module.params["directories"] if not os.path.isdir(path)]
    module.exit_json(
        changed=False,
        differing=differing,
        files=states,
        missing_directories=missing,
        differing_services=services,
        complete=not (differing or missing or services) and is_complete(files, states),
    )


if __name__ == "__main__":
    main()
