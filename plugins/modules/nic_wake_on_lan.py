#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: nic_wake_on_lan
short_description: Let a magic packet wake this host, now and after every boot
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads with C(ethtool) whether a network card can wake its host on a magic packet and whether it is set to do so, sets it, and makes it
    last. Most drivers forget the setting at boot, and then the host sleeps once and wakes no more.
  - Where NetworkManager manages the interface, the active connection's property C(802-3-ethernet.wake-on-lan) holds the setting. The
    connection is not restarted.
  - Elsewhere a systemd C(.link) file holds it, C(/etc/systemd/network/50-wake-INTERFACE.link). Only one C(.link) file is applied to an
    interface (systemd.link(5)), so it repeats the C([Link]) settings of the shipped file that it takes the place of, and the interface
    keeps its name. Where a C(.link) file of the administrator is applied to the interface, that file stays and gets a drop-in.
  - An interface that cannot wake its host, such as one of a container or a virtual machine, is a finding of severity C(warning) and is left
    alone.
options:
  mac:
    description:
      - The MAC address of the interface, current or permanent, in any of the notations of M(vmstation.cluster.wake_on_lan).
      - Where a bridge, bond or VLAN has the same address as the card below it, the card is meant.
    type: str
  interface:
    description:
      - The interface's name.
    type: str
  state:
    description:
      - V(present) lets magic packets wake the host.
      - V(absent) ends that. It removes the files of this module, gives the NetworkManager property back its default and switches the mode
        off. What the driver or the firmware sets at the next boot is theirs.
    type: str
    choices: [present, absent]
    default: present
  fail_on:
    description:
      - The severity of a finding that fails the task. V(warning) fails on an interface that cannot wake its host.
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
    description: How a C(.link) file is chosen, and what it sets.
    link: https://www.freedesktop.org/software/systemd/man/latest/systemd.link.html
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Let magic packets wake this host
  vmstation.cluster.nic_wake_on_lan:
    mac: "d0:94:66:30:d6:63"
  become: true

- name: Insist on it, because this host is going to be put to sleep
  vmstation.cluster.nic_wake_on_lan:
    interface: eno1
    fail_on: warning
  become: true

- name: Take it back
  vmstation.cluster.nic_wake_on_lan:
    interface: eno1
    state: absent
  become: true
"""

RETURN = r"""
interface:
  description: The interface's name.
  returned: success
  type: str
  sample: eno1
mac:
  description: Its permanent MAC address, or its current one if it has no permanent one.
  returned: success
  type: str
  sample: d0:94:66:30:d6:63
supported:
  description: Whether it can wake its host on a magic packet.
  returned: success
  type: bool
  sample: true
runtime:
  description: Whether a magic packet wakes the host as things stand now. In check mode, as they would stand.
  returned: success
  type: bool
  sample: true
persistent:
  description: Whether that is written down for the next boot. In check mode, whether it would be.
  returned: success
  type: bool
  sample: true
kept_by:
  description: What sets the interface up at boot and holds the setting.
  returned: success
  type: str
  sample: systemd.link
findings:
  description: What stands in the way.
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that does not hold.
      type: str
      returned: always
      sample: interface_can_wake_its_host
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      returned: always
      sample: warning
    subject:
      description: What was judged.
      type: str
      returned: always
      sample: interface eth0 (d0:94:66:30:d6:63)
    found:
      description: What it is.
      type: str
      returned: always
      sample: no wake-up modes at all
    expected:
      description: What it must be.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import read_text, replace_all, sweep
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.audit import after, diff, findings, plan_change
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.card import apply_change, read_standing, refuse_what_did_not_hold
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
