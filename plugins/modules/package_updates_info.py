#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: package_updates_info
short_description: Report which packages of a host have updates, and whether it must be rebooted
version_added: 0.3.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Simulates an update of all packages with the host's own package manager, apt-get or dnf. It is the update of M(ansible.builtin.apt) with
    O(ansible.builtin.apt#module:upgrade=safe) and O(ansible.builtin.apt#module:force_apt_get=true), or of M(ansible.builtin.dnf) with
    O(ansible.builtin.dnf#module:name=*), O(ansible.builtin.dnf#module:state=latest) and O(ansible.builtin.dnf#module:best=false).
    Packages that the update would newly install, such as a kernel, are included.
  - A reboot is required if C(/run/reboot-required) exists, or if a package whose update takes effect with a reboot was installed after the
    host has started. These are the kernel, firmware, the C library, systemd, D-Bus and the TLS libraries.
  - This module changes no package. It fetches the package lists, also in check mode, unless O(refresh=false).
attributes:
  platform:
    platforms: linux
options:
  hold:
    description:
      - The names of packages that are not to be updated. Packages that are held with C(apt-mark hold), with a pin of apt, or with
        C(versionlock) or C(exclude) of dnf are not updated either.
      - A text with commas is a list, too.
    type: list
    elements: str
    default: []
  refresh:
    description:
      - Whether to fetch the package lists first. A repository that does not answer is an error, unless dnf's option
        C(skip_if_unavailable) is set for it, in which case there is a warning.
    type: bool
    default: true
  timeout:
    description:
      - The maximum time in seconds to wait for another process that fetches package lists, for another one that installs packages, and for
        each command of the package manager.
    type: float
    default: 300
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: List the updates, except those of the container runtime
  vmstation.cluster.package_updates_info:
    hold: [containerd, containerd.io]
  become: true
  register: packages

- name: Show them
  ansible.builtin.debug:
    msg: "{{ packages.updates | map(attribute='name') | join(', ') }}; reboot: {{ packages.reboot }}"
"""

RETURN = r"""
manager:
  description: The package manager, C(apt) or C(dnf).
  returned: success
  type: str
  sample: apt
hold:
  description: The packages that are not to be updated, as a list of names.
  returned: success
  type: list
  elements: str
  sample: [containerd, kubelet]
updates:
  description: The packages that an update would install.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the package.
      type: str
      returned: always
      sample: linux-image-6.1.0-30-amd64
    version:
      description: The version that would be installed, which is the installed one if an earlier installation was interrupted.
      type: str
      returned: always
      sample: 6.1.124-1
kept_back:
  description:
    - The packages that have an update which would not be installed, because the host holds them or because of their dependencies. Those in
      O(hold) are not among them.
  returned: success
  type: list
  elements: str
  sample: []
preferences:
  description:
    - The content of a file of apt's preferences with which apt-get makes the same update, a pin for O(hold) and the host's own
      C(/etc/apt/preferences). Name the file in C(Dir::Etc::Preferences) of a file that the environment variable C(APT_CONFIG) names. So
      only this update reads it.
  returned: with apt
  type: str
reboot:
  description: Whether the host must be rebooted, V(required), V(not_required) or V(unknown).
  returned: success
  type: str
  sample: required
reboot_reasons:
  description: The packages that require the reboot, or C(/run/reboot-required) if that names none.
  returned: success
  type: list
  elements: str
  sample: [linux-image-6.1.0-29-amd64]
system:
  description:
    - What the host is, by which M(vmstation.cluster.patch_plan_check) recognizes the host that runs Ansible.
  returned: success
  type: dict
  contains:
    boot_id:
      description: The ID of the kernel's start. Containers have that of their machine. Empty if it cannot be read.
      type: str
      returned: always
      sample: 0e6ab36d-2f3b-4a1c-9c0e-1d2f3a4b5c6d
    pid_namespace:
      description: The PID namespace of the module, as in C(/proc/self/ns/pid). Each container has its own. Empty if it cannot be read.
      type: str
      returned: always
      sample: pid:[4026531836]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._host.processes import lock_holder
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.host import look, reboot_of, system_of
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.packages import read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "hold": {"type": "list", "elements": "str", "default": []},
    "refresh": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 300},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    commands, files = HostCommands(), LocalFiles()
    try:
        request = read_request(module.params)
        updates = look(request, commands, files, SystemClock(), lock_holder)
        reboot, reasons = reboot_of(updates.manager, commands, files)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    system = system_of(files).as_data()
    for warning in updates.warnings:
        module.warn(warning)
    module.exit_json(changed=False, hold=request.hold, **updates.as_data(), reboot=reboot, reboot_reasons=reasons, system=system)


if __name__ == "__main__":
    main()
