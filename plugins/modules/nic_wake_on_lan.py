#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nic_wake_on_lan
short_description: Configure Wake-on-LAN on this host, now and after every boot
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads with C(ethtool) whether a network card supports waking on a magic packet and whether this is enabled, enables it, and makes the
    setting persistent. Most drivers reset the setting at boot, so that the host could be woken only once.
  - If NetworkManager manages the interface, the setting is stored in the property C(802-3-ethernet.wake-on-lan) of the active connection.
    The connection is not restarted.
  - Otherwise it is stored in the systemd C(.link) file C(/etc/systemd/network/50-wake-INTERFACE.link). systemd applies only one C(.link)
    file to an interface (systemd.link(5)), so this file repeats the C([Link]) settings of the shipped file that it replaces, and the
    interface keeps its name. If a custom C(.link) file applies to the interface, that file is kept and gets a drop-in.
  - An interface that does not support waking, such as one of a container or a virtual machine, is a finding of severity C(warning) and is
    skipped.
options:
  mac:
    description:
      - The MAC address of the interface, current or permanent, in any notation that M(vmstation.cluster.wake_on_lan) accepts.
      - If a bridge, bond or VLAN has the same address as the card below it, the card is used.
    type: str
  interface:
    description:
      - The name of the interface.
    type: str
  state:
    description:
      - V(present) enables waking on a magic packet.
      - V(absent) disables it. It removes the files of this module, resets the NetworkManager property to its default and switches the mode
        off. The driver or the firmware may set the mode again at the next boot.
    type: str
    choices: [present, absent]
    default: present
  fail_on:
    description:
      - The severity of findings that fail the task. V(warning) also fails if the interface does not support waking.
    type: str
    choices: [error, warning, never]
    default: error
requirements:
  - ethtool
  - ip (iproute2)
seealso:
  - module: vmstation.cluster.wake_on_lan
  - name: ethtool(8)
    description: The letters of the wake-up modes.
    link: https://man7.org/linux/man-pages/man8/ethtool.8.html
  - name: systemd.link(5)
    description: How systemd selects a C(.link) file, and its settings.
    link: https://www.freedesktop.org/software/systemd/man/latest/systemd.link.html
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Enable Wake-on-LAN on this host
  vmstation.cluster.nic_wake_on_lan:
    mac: "d0:94:66:30:d6:63"
  become: true

- name: Enable Wake-on-LAN and fail if the interface does not support it
  vmstation.cluster.nic_wake_on_lan:
    interface: eno1
    fail_on: warning
  become: true

- name: Disable Wake-on-LAN again
  vmstation.cluster.nic_wake_on_lan:
    interface: eno1
    state: absent
  become: true
"""

RETURN = r"""
interface:
  description: The name of the interface.
  returned: success
  type: str
  sample: eno1
mac:
  description: The permanent MAC address, or the current one if there is no permanent one.
  returned: success
  type: str
  sample: d0:94:66:30:d6:63
supported:
  description: Whether the interface supports waking on a magic packet.
  returned: success
  type: bool
  sample: true
runtime:
  description: Whether waking is enabled now. In check mode, whether it would be.
  returned: success
  type: bool
  sample: true
persistent:
  description: Whether waking is configured for the next boot. In check mode, whether it would be.
  returned: success
  type: bool
  sample: true
kept_by:
  description: What configures the interface at boot and stores the setting.
  returned: success
  type: str
  sample: systemd.link
findings:
  description: The problems that were found.
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: interface_can_wake_its_host
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      returned: always
      sample: warning
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: interface eth0 (d0:94:66:30:d6:63)
    found:
      description: What was found.
      type: str
      returned: always
      sample: no wake-up modes at all
    expected:
      description: What is required.
      type: str
      returned: always
      sample: "`Supports Wake-on` with g, the magic packet"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Turn wake on LAN on in the firmware setup, use another network card, or set `sleeps: false` for this host."
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import read_text, replace_all, sweep
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.card import (
    after,
    apply_change,
    diff,
    findings,
    plan_change,
    read_standing,
    refuse_what_did_not_hold,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "mac": {"type": "str"},
    "interface": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_one_of=[("mac", "interface")], mutually_exclusive=[("mac", "interface")], supports_check_mode=True
    )
    commands, state = HostCommands(), module.params["state"]
    where = (commands, read_text, module.params["interface"] or "", module.params["mac"] or "")
    try:
        standing = read_standing(*where)
        if not module.check_mode:
            sweep(standing.files)
        change = plan_change(standing, state)
        if change and not module.check_mode:
            apply_change(commands, replace_all, standing.interface, standing.profile, change)
            refuse_what_did_not_hold(read_standing(*where), state)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = findings(standing, state)
    result = {"changed": bool(change), "diff": diff(standing, change), "findings": as_dicts(found), **after(standing, change)}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    for finding in found:
        module.warn(str(finding))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
