#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: idle_guard
short_description: Allow the idle watch of the control plane to query this host and to suspend it when it is idle
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Installs a program on a worker, and adds the key of M(vmstation.cluster.idle_watch) to O(authorized_keys). This key can run only this
    program, whatever the command, without a terminal and without forwarding.
  - The program accepts two commands. C(status) reports the host's uptime, load, login sessions, SSH connections, and which addresses have a
    TCP connection to the host or to one of its Pods. C(sleep) checks these again, and suspends the host only if it is idle.
  - Other lines of the file are not changed.
options:
  state:
    description:
      - V(present) installs the program and the line. V(absent) removes them.
    type: str
    choices: [present, absent]
    default: present
  public_key:
    description:
      - The public key RV(vmstation.cluster.idle_watch#module:public_key). Required with O(state=present). In check mode it may be empty
        if the key pair does not exist yet.
    type: str
  from_addresses:
    description:
      - The addresses of the host that runs the watch. The key is accepted from these only. Without any, it is accepted from all.
    type: list
    elements: str
    default: []
  authorized_keys:
    description:
      - The file with root's authorized keys, if the SSH server reads a different one (C(AuthorizedKeysFile) of sshd_config(5)).
    type: path
    default: /root/.ssh/authorized_keys
  unit:
    description:
      - The systemd unit that the host starts to suspend. The watch cannot choose another one.
    type: str
    choices: [poweroff.target, suspend.target, hibernate.target]
    default: poweroff.target
requirements:
  - conntrack, ss and ip (iproute2), who (coreutils), systemd
notes:
  - The SSH server must allow root to log in with a key, as it does by default (C(PermitRootLogin prohibit-password)), or at least with
    C(forced-commands-only).
seealso:
  - module: vmstation.cluster.idle_watch
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Allow the idle watch to query and suspend this host
  vmstation.cluster.idle_guard:
    public_key: "{{ hostvars['masternode'].watch.public_key }}"
    from_addresses: [192.168.4.63]
  become: true

- name: Revoke this access
  vmstation.cluster.idle_guard:
    state: absent
  become: true
"""

RETURN = r"""# """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import UNITS, ensure_guard
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.host import GUARD_ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "public_key": {"type": "str", "no_log": False},
    "from_addresses": {"type": "list", "elements": "str", "default": []},
    "authorized_keys": {"type": "path", "default": "/root/.ssh/authorized_keys", "no_log": False},
    "unit": {"type": "str", "choices": list(UNITS), "default": "poweroff.target"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "present", ["public_key"])], supports_check_mode=True)
    try:
        result = ensure_guard(this_host(), module.params, GUARD_ENTRY, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
