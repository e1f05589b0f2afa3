# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network card of a host, through the host's own programs, which are passed in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.audit import Change, Keeper, Standing, State, plan_change
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.ethtool import WakeOn, permanent_mac, wake_on
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.link_file import (
    ReadText,
    applied_file,
    drop_in_path,
    own_path,
    wanted_file,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.links import Link, ethernet_links, link_named, link_with_mac
from ansible_collections.vmstation.cluster.plugins.module_utils._nic.network_manager import (
    DEFAULT,
    MAGIC,
    PROPERTY,
    Device,
    device,
    wakes_on_magic,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.mac import station_mac

ReplaceAll = Callable[[Mapping[str, Optional[str]]], None]


def read_standing(commands: Commands, read_text: ReadText, interface: str, mac: str) -> Standing:
    """What stands of the interface with this name, or if that is empty of the one with this MAC address."""
    link = _find_link(commands, interface, mac)
    manager = _network_manager(commands, link.name)
    profile_is_magic = False
    if manager.profile:
        value = commands.run(["nmcli", "-g", PROPERTY, "connection", "show", manager.profile]).stdout
        profile_is_magic = wakes_on_magic(value)
    permanent = permanent_mac(commands.run(["ethtool", "-P", link.name], check=False).stdout)
    applied = _applied_file(commands, link.name)
    link_file = wanted_file(link.name, permanent, link.macs[0], applied, read_text)
    ours = {own_path(link.name), *([drop_in_path(link.name, applied)] if applied else [])}
    keeper: Keeper = "NetworkManager" if manager.managed else "systemd.link"
    return Standing(
        interface=link.name,
        mac=permanent or link.macs[0],
        wake_on=_wake_on(commands, link.name),
        keeper=keeper,
        link_file=link_file,
        files={path: read_text(path) for path in sorted(ours)},
        profile=manager.profile,
        profile_is_magic=profile_is_magic,
    )


def apply_change(commands: Commands, replace_all: ReplaceAll, interface: str, profile: str, change: Change) -> None:
    """What must last first: a host that loses power in between wakes next time rather than never."""
    if change.files:
        replace_all(change.files)
    if change.profile_is_magic is not None:
        commands.run(["nmcli", "connection", "modify", profile, PROPERTY, MAGIC if change.profile_is_magic else DEFAULT])
    if change.wake_on is not None:
        commands.run(["ethtool", "-s", interface, "wol", change.wake_on])


def refuse_what_did_not_hold(standing: Standing, state: State) -> None:
    """Judge the interface as it was read back."""
    left = plan_change(standing, state)
    if left:
        raise Refusal(
            f"interface {standing.interface}",
            f"still {left} to do after everything was set: the driver or another program undid it",
            f"the wake-up to be {state}",
            f"See `ethtool {standing.interface}` and the driver's messages in `dmesg`.",
        )


def _find_link(commands: Commands, interface: str, mac: str) -> Link:
    wanted_mac = station_mac(mac, "mac") if mac else ""
    links = ethernet_links(commands.run(["ip", "-json", "-details", "link", "show"]).stdout)
    return link_named(interface, links) if interface else link_with_mac(wanted_mac, links)


def _wake_on(commands: Commands, interface: str) -> WakeOn:
    shown = commands.run(["ethtool", interface], check=False)
    found = wake_on(shown.stdout)
    if not found.supported and "Operation not permitted" in shown.stderr:
        # without the privilege ethtool leaves the wake-up lines out and still exits 0
        raise Refusal(f"command `ethtool {interface}`", "Operation not permitted", "root's rights", "Run the task with `become: true`.")
    return found


def _network_manager(commands: Commands, interface: str) -> Device:
    """Status 8 is nmcli's "NetworkManager is not running", 10 its "not found" (nmcli(1)); neither manages anything."""
    if not commands.has("nmcli"):
        return Device(managed=False)
    shown = commands.run(["nmcli", "-t", "-f", "GENERAL.STATE,GENERAL.CON-UUID", "device", "show", interface], check=False)
    if shown.status in (0, 8, 10):
        return device(shown.stdout if shown.status == 0 else "")
    raise Refusal(
        f"command `{' '.join(shown.argv)}`",
        f"exit status {shown.status}: {shown.stderr.strip()}",
        "an answer",
        "Correct what its output names.",
    )


def _applied_file(commands: Commands, interface: str) -> str:
    if not commands.has("udevadm"):
        return ""
    return applied_file(commands.run(["udevadm", "info", "--query=property", f"--path=/sys/class/net/{interface}"], check=False).stdout)
