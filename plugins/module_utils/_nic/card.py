# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network card of a host: its settings as ethtool, systemd .link files and NetworkManager hold them, and what must change."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Optional

from .._findings import Finding
from .._host.commands import Commands
from .._json import read_json
from .._refusal import Refusal
from .._wake.wake import station_mac

# What ``ethtool`` shows of waking up. The letters are those of ethtool(8): g is the magic packet, d is off.

MAGIC = "g"
OFF = "d"
LINE = re.compile(r"^\s*(Supports Wake-on|Wake-on):\s*([a-z]*)\s*$", re.MULTILINE)
PERMANENT = re.compile(r"^Permanent address:\s*((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s*$", re.MULTILINE | re.IGNORECASE)
NO_ADDRESS = "00:00:00:00:00:00"


@dataclass(frozen=True)
class WakeOn:
    """The letters that an interface can, and those that it has on now; both empty if it cannot wake a host at all."""

    supported: str = ""
    enabled: str = ""

    @property
    def can_magic(self) -> bool:
        return MAGIC in self.supported

    @property
    def has_magic(self) -> bool:
        return MAGIC in self.enabled

    def without_magic(self) -> str:
        """What to set so that magic packets no longer wake and all else stays."""
        return self.enabled.replace(MAGIC, "") or OFF


def wake_on(output: str) -> WakeOn:
    """From ``ethtool INTERFACE``. An interface without the two lines (veth, most virtual ones) supports nothing."""
    lines = dict(LINE.findall(output))
    return WakeOn(lines.get("Supports Wake-on", ""), lines.get("Wake-on", ""))


def permanent_mac(output: str) -> str:
    """From ``ethtool -P INTERFACE``: the address burnt into the card; empty if there is none (``not set``)."""
    found = PERMANENT.search(output)
    mac = found.group(1).lower() if found else NO_ADDRESS
    return "" if mac == NO_ADDRESS else mac


# A systemd .link file for one interface, as systemd.link(5) has it.
#
# The first .link file in the order of their names that matches an interface is the only one that udev applies to it. A file of ours
# therefore repeats the [Link] settings of the shipped file that it replaces, or the interface would lose its name. A file that the
# administrator wrote stays; ours is then a drop-in of it.

DIRECTORY = "/etc/systemd/network"
SHIPPED = ("/usr/lib/systemd/network/", "/lib/systemd/network/", "/usr/local/lib/systemd/network/")
WAKE = "WakeOnLan=magic"
# of systemd's own 99-default.link, for a host where udev has not yet applied any file to the interface
DEFAULT_SETTINGS = (
    "NamePolicy=keep kernel database onboard slot path",
    "AlternativeNamesPolicy=database onboard slot path",
    "MACAddressPolicy=persistent",
)
HEAD = "# Written by vmstation.cluster.nic_wake_on_lan. A magic packet wakes this host through {interface}."
ORIGIN = "# The other settings are those of "
ReadText = Callable[[str], Optional[str]]


@dataclass(frozen=True)
class LinkFile:
    """Where the setting is, and the text that must be there."""

    path: str
    text: str


def applied_file(udev_properties: str) -> str:
    """From ``udevadm info --query=property``: the .link file that udev applied to the interface; empty if it has applied none."""
    for line in udev_properties.splitlines():
        name, _equals, value = line.partition("=")
        if name == "ID_NET_LINK_FILE":
            return value
    return ""


def own_path(interface: str) -> str:
    return f"{DIRECTORY}/50-wake-{interface}.link"


def drop_in_path(interface: str, applied: str) -> str:
    return f"{DIRECTORY}/{os.path.basename(applied)}.d/50-wake-{interface}.conf"


def wanted_file(interface: str, permanent_mac: str, current_mac: str, applied: str, read_text: ReadText) -> Optional[LinkFile]:
    """The file that makes the interface wake its host after every boot; None if the administrator's own file has that setting already.

    permanent_mac: the card's own; empty if it has none, then ``current_mac`` must do. applied: as ``applied_file`` returns it.
    """
    head = HEAD.format(interface=interface)
    own = own_path(interface)
    if applied and applied != own and _takes_precedence(applied, own):
        if re.search(r"^WakeOnLan=.*\bmagic\b", read_text(applied) or "", re.MULTILINE):
            return None
        return LinkFile(drop_in_path(interface, applied), f"{head}\n[Link]\n{WAKE}\n")
    origin = _origin(read_text(own) or "") if applied in ("", own) else applied
    settings = link_settings((read_text(origin) or "") if origin else "") or DEFAULT_SETTINGS
    # a bridge or VLAN on top has the current address too, never the permanent one
    match = f"PermanentMACAddress={permanent_mac}" if permanent_mac else f"MACAddress={current_mac}"
    lines = [head, *([ORIGIN + origin] if origin else []), "[Match]", match, "", "[Link]", *settings, WAKE]
    return LinkFile(own, "\n".join(lines) + "\n")


def _takes_precedence(applied: str, own: str) -> bool:
    """Whether a file is the administrator's, or would be applied before ours."""
    return not applied.startswith(SHIPPED) or os.path.basename(applied) < os.path.basename(own)


def link_settings(text: str) -> tuple[str, ...]:
    """The settings of the [Link] sections, without the one that is ours."""
    settings = []
    section = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("["):
            section = line
        elif section == "[Link]" and line and not line.startswith(("#", ";")) and not line.startswith("WakeOnLan"):
            settings.append(line)
    return tuple(settings)


def _origin(own_text: str) -> str:
    """The file whose place ours took, as ours records."""
    for line in own_text.splitlines():
        if line.startswith(ORIGIN):
            return line[len(ORIGIN) :]
    return ""


# What ``nmcli`` shows of an interface and of its connection profile.

UNMANAGED = 10  # NM_DEVICE_STATE_UNMANAGED
PROPERTY = "802-3-ethernet.wake-on-lan"
NM_MAGIC = "magic"
DEFAULT = "default"
STATE = re.compile(r"^GENERAL\.STATE:(\d+)(.*)$", re.MULTILINE)
PROFILE = re.compile(r"^GENERAL\.CON-UUID:([0-9a-fA-F-]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Device:
    """managed: NetworkManager configures the interface itself. profile: the UUID of its active connection; empty: none is active."""

    managed: bool
    profile: str = ""


def device(output: str) -> Device:
    """From ``nmcli -t -f GENERAL.STATE,GENERAL.CON-UUID device show INTERFACE``.

    An interface that is ``connected (externally)`` was set up by another program: NetworkManager only watches it.
    """
    state = STATE.search(output)
    if state is None or int(state.group(1)) <= UNMANAGED or "(externally)" in state.group(2):
        return Device(managed=False)
    profile = PROFILE.search(output)
    return Device(managed=True, profile=profile.group(1) if profile else "")


def wakes_on_magic(value: str) -> bool:
    """From ``nmcli -g 802-3-ethernet.wake-on-lan connection show UUID``: ``magic``, ``phy, magic``, ``64 (magic)``, ``default``..."""
    return NM_MAGIC in re.findall(r"[a-z]+", value)


# The state of an interface's wake-up, and what must change.

State = Literal["present", "absent"]
Keeper = Literal["NetworkManager", "systemd.link"]


@dataclass(frozen=True)
class Standing:
    """An interface as it was found.

    keeper: who sets it up at boot. profile, profile_is_magic: NetworkManager's active connection and whether it wakes on magic packets.
    link_file: what must be there for systemd; None: the administrator's own file does. files: the present texts of the files that may be
    ours; None: there is no such file.
    """

    interface: str
    mac: str
    wake_on: WakeOn
    keeper: Keeper
    link_file: Optional[LinkFile]
    files: Mapping[str, Optional[str]]
    profile: str = ""
    profile_is_magic: bool = False

    @property
    def is_persistent(self) -> bool:
        if self.keeper == "NetworkManager":
            return self.profile_is_magic
        return self.link_file is None or self.files.get(self.link_file.path) == self.link_file.text


@dataclass(frozen=True)
class Change:
    """What must be done. wake_on: the letters to set now. profile_is_magic: the setting that the profile must have. None: nothing to do."""

    wake_on: Optional[str] = None
    profile_is_magic: Optional[bool] = None
    files: Mapping[str, Optional[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.wake_on is not None or self.profile_is_magic is not None or bool(self.files)


def plan_change(standing: Standing, state: State) -> Change:
    """What makes ``state`` true. Rejects an interface whose NetworkManager has nowhere to write it.

    An interface that cannot wake its host is skipped; what an earlier run wrote can still be removed."""
    present = state == "present"
    if present and not standing.wake_on.can_magic:
        return Change()
    by_profile = standing.keeper == "NetworkManager"
    if present and by_profile and not standing.profile:
        raise Refusal(
            f"interface {standing.interface}",
            "managed by NetworkManager without an active connection",
            "an active connection, whose profile can hold the setting",
            f"Activate one with `nmcli device connect {standing.interface}`.",
        )
    wanted: dict[str, Optional[str]] = dict.fromkeys(standing.files)
    if present and not by_profile and standing.link_file is not None:
        wanted[standing.link_file.path] = standing.link_file.text
    wake_on = None
    if standing.wake_on.has_magic != present:
        wake_on = MAGIC if present else standing.wake_on.without_magic()
    return Change(
        wake_on=wake_on,
        profile_is_magic=present if by_profile and standing.profile_is_magic != present else None,
        files={path: text for path, text in wanted.items() if standing.files.get(path) != text},
    )


def after(standing: Standing, change: Change) -> dict[str, Any]:
    """What is reported: the interface as it is after ``change``."""
    changed = replace(
        standing,
        wake_on=standing.wake_on if change.wake_on is None else replace(standing.wake_on, enabled=change.wake_on),
        profile_is_magic=standing.profile_is_magic if change.profile_is_magic is None else change.profile_is_magic,
        files={**standing.files, **change.files},
    )
    return {
        "interface": standing.interface,
        "mac": standing.mac,
        "supported": standing.wake_on.can_magic,
        "runtime": changed.wake_on.has_magic,
        "persistent": changed.is_persistent,
        "kept_by": standing.keeper,
    }


def diff(standing: Standing, change: Change) -> list[dict[str, str]]:
    """The wake-up of the interface, and each file that changes, before and after."""
    header = f"wake-up of {standing.interface}"
    summaries = [after(standing, Change()), after(standing, change)]
    before_text, after_text = ("".join(f"{key}: {summary[key]}\n" for key in ("runtime", "persistent")) for summary in summaries)
    differences = [{"before_header": header, "after_header": header, "before": before_text, "after": after_text}]
    for path, text in change.files.items():
        differences.append({"before_header": path, "after_header": path, "before": standing.files.get(path) or "", "after": text or ""})
    return differences


def findings(standing: Standing, state: State) -> list[Finding]:
    if state == "absent" or standing.wake_on.can_magic:
        return []
    supported = standing.wake_on.supported
    return [
        Finding(
            rule="interface_can_wake_its_host",
            severity="warning",
            subject=f"interface {standing.interface} ({standing.mac})",
            found=f"wake-up modes `{supported}`, without g" if supported else "no wake-up modes at all",
            expected="`Supports Wake-on` with g, the magic packet",
            fix="Turn wake on LAN on in the firmware setup, use another network card, or set `sleeps: false` for this host.",
        )
    ]


# Which network interface is meant, read from ``ip -json -details link show``.

# interfaces that lie on top of another one and often carry its MAC address
STACKED = frozenset({"bond", "bridge", "ipvlan", "ipvtap", "macsec", "macvlan", "macvtap", "openvswitch", "team", "vlan", "vrf", "vxlan"})


@dataclass(frozen=True)
class Link:
    """An Ethernet interface. macs: its current MAC and, if it differs, the permanent one, last. kind: ip-link's; empty: hardware."""

    name: str
    macs: tuple[str, ...]
    kind: str = ""


def ethernet_links(ip_json_link: str) -> tuple[Link, ...]:
    links = []
    for link in read_json(ip_json_link or "[]"):
        if link.get("link_type") != "ether":
            continue
        info = link.get("linkinfo", {})
        # the members of a bond have the MAC address of its first one
        permanent = link.get("permaddr") or info.get("info_slave_data", {}).get("perm_hwaddr")
        macs = tuple(dict.fromkeys(mac.lower() for mac in (link.get("address"), permanent) if mac))
        links.append(Link(link["ifname"], macs, info.get("info_kind", "")))
    return tuple(links)


def link_named(name: str, links: tuple[Link, ...]) -> Link:
    for link in links:
        if link.name == name:
            return link
    raise Refusal(f"interface {name}", f"none of that name; this host has: {_listed(links)}", "an Ethernet interface", "Set one of these.")


def link_with_mac(mac: str, links: tuple[Link, ...]) -> Link:
    """The interface whose address this is; among several the one that the others lie on."""
    having = [link for link in links if mac in link.macs]
    below = [link for link in having if link.kind not in STACKED]
    below = [link for link in below if link.macs[-1] == mac] or below
    if len(below) == 1:
        return below[0]
    if not having:
        found, required = f"on no interface; this host has: {_listed(links)}", "the MAC address of an Ethernet interface of this host"
    else:
        found, required = f"on {', '.join(link.name for link in below or having)}", "on one network card"
    raise Refusal(f"mac {mac}", found, required, "Correct it, or select the card with the option `interface`.")


def _listed(links: tuple[Link, ...]) -> str:
    return ", ".join(f"{link.name} ({', '.join(link.macs)})" for link in links) or "none"


# The network card of a host, through the host's own programs, which are passed in.

ReplaceAll = Callable[[Mapping[str, Optional[str]]], None]


def read_standing(commands: Commands, read_text: ReadText, interface: str, mac: str) -> Standing:
    """The state of the interface with this name, or if that is empty of the one with this MAC address."""
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
        commands.run(["nmcli", "connection", "modify", profile, PROPERTY, NM_MAGIC if change.profile_is_magic else DEFAULT])
    if change.wake_on is not None:
        commands.run(["ethtool", "-s", interface, "wol", change.wake_on])


def refuse_what_did_not_hold(standing: Standing, state: State) -> None:
    """Check the interface as it was read back."""
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
        "Correct the error in its output.",
    )


def _applied_file(commands: Commands, interface: str) -> str:
    if not commands.has("udevadm"):
        return ""
    return applied_file(commands.run(["udevadm", "info", "--query=property", f"--path=/sys/class/net/{interface}"], check=False).stdout)
