#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: idle_guard
short_description: Let the idle watch of the control plane ask who uses this host, and suspend it when nobody does
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Puts a program onto a worker, and one line for the key of M(vmstation.cluster.idle_watch) into O(authorized_keys). With that
    key this program runs, whatever else is asked for, without a terminal and without forwarding.
  - The program answers two words. C(status) tells the host's uptime, load, login sessions, SSH connections, and who has a TCP connection to
    the host or to one of its Pods. C(sleep) looks once more, and suspends the host only if nobody is there.
  - Other lines of the file stay as they are.
options:
  state:
    description:
      - V(absent) removes the program and the line.
    type: str
    choices: [present, absent]
    default: present
  public_key:
    description:
      - RV(vmstation.cluster.idle_watch#module:public_key). Required with O(state=present). In check mode it may be empty, as
        long as the pair is not made.
    type: str
  authorized_keys:
    description:
      - The file of root's authorized keys, if the SSH server reads another (C(AuthorizedKeysFile) of sshd_config(5)).
    type: path
    default: /root/.ssh/authorized_keys
  unit:
    description:
      - What the host starts to sleep. The watch cannot choose another.
    type: str
    choices: [poweroff.target, suspend.target, hibernate.target]
    default: poweroff.target
requirements:
  - conntrack, ss and ip (iproute2), who (coreutils), systemd
notes:
  - The SSH server must let root in by a key, as it does by default (C(PermitRootLogin prohibit-password)), or at least with
    C(forced-commands-only).
seealso:
  - module: vmstation.cluster.idle_watch
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Let the idle watch ask this host, and suspend it
  vmstation.cluster.idle_guard:
    public_key: "{{ hostvars['masternode'].watch.public_key }}"
  become: true

- name: Take it back
  vmstation.cluster.idle_guard:
    state: absent
  become: true
"""

RETURN = r"""# """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import UNITS
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard_files import ensure
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.host import GUARD_ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "public_key": {"type": "str", "no_log": False},
    "authorized_keys": {"type": "path", "default": "/root/.ssh/authorized_keys", "no_log": False},
    "unit": {"type": "str", "choices": list(UNITS), "default": "poweroff.target"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "present", ["public_key"])], supports_check_mode=True)
    try:
        result = ensure(this_host(), module.params, GUARD_ENTRY, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
