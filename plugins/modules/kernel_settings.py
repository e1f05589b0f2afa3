#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kernel_settings
short_description: Apply kernel settings now and at every boot, and restore the former ones
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Writes a C(sysctl.d) file and applies its settings, the whole set in one call.
  - The first run records the former values beside the file, including those of settings that kubelet, kube-proxy and the kernel change
    while a cluster runs. O(state=absent) restores all of them and removes the file.
  - In contrast, M(ansible.posix.sysctl) sets one setting in a call and does not record the former value.
options:
  path:
    description:
      - The path of the file. If several files in C(/etc/sysctl.d) contain a setting, the last file is used at boot.
      - The record has the same name with the suffix C(.former).
    type: path
    required: true
  settings:
    description:
      - The value of each setting by its name, as in sysctl(8).
      - Required with O(state=present). A setting that the kernel does not have is an error, because its kernel module is not loaded.
    type: dict
  state:
    description:
      - V(present) applies the settings. V(absent) restores the recorded former values and removes both files.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: ansible.posix.sysctl
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Enable IP forwarding
  vmstation.cluster.kernel_settings:
    path: /etc/sysctl.d/99-vmstation-kubernetes.conf
    settings:
      net.ipv4.ip_forward: 1
      net.bridge.bridge-nf-call-iptables: 1
  become: true

- name: Restore the former kernel settings
  vmstation.cluster.kernel_settings:
    path: /etc/sysctl.d/99-vmstation-kubernetes.conf
    state: absent
  become: true
"""

RETURN = r"""
changes:
  description: One line for each setting that changed, or would change in check mode.
  returned: success
  type: list
  elements: str
  sample: ["net.ipv4.ip_forward: 0 -> 1"]
files:
  description: The files that were written or removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/etc/sysctl.d/99-vmstation-kubernetes.conf, /etc/sysctl.d/99-vmstation-kubernetes.conf.former]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import read_text, replace_all, sweep
from ansible_collections.vmstation.cluster.plugins.module_utils._kernel.io import LocalKernel
from ansible_collections.vmstation.cluster.plugins.module_utils._kernel.settings import carry_out, plan, read_wish
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "path": {"type": "path", "required": True},
    "settings": {"type": "dict"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "present", ["settings"])], supports_check_mode=True)
    kernel = LocalKernel()
    try:
        wish = read_wish(module.params)
        change = plan(wish, kernel, read_text)
        if not module.check_mode:
            sweep((wish.path,))
            carry_out(wish, change, kernel, replace_all)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**change.as_result())


if __name__ == "__main__":
    main()
