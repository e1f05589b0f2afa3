# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemd .link file for one interface, as systemd.link(5) has it.

The first .link file in the order of their names that matches an interface is the only one that udev applies to it. A file of ours therefore
repeats the [Link] settings of the shipped file that it takes the place of, or the interface would lose its name. A file that the
administrator wrote is left in its place; ours is then a drop-in of it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

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
    """Where the setting stands and the text that must stand there."""

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
    """The file that makes the interface wake its host after every boot; None if the administrator's own file says so already.

    permanent_mac: the card's own; empty if it has none, then ``current_mac`` must do. applied: as ``applied_file`` returns it.
    """
    head = HEAD.format(interface=interface)
    own = own_path(interface)
    if applied and applied != own and _stands_before(applied, own):
        if re.search(r"^WakeOnLan=.*\bmagic\b", read_text(applied) or "", re.MULTILINE):
            return None
        return LinkFile(drop_in_path(interface, applied), f"{head}\n[Link]\n{WAKE}\n")
    origin = _origin(read_text(own) or "") if applied in ("", own) else applied
    settings = link_settings((read_text(origin) or "") if origin else "") or DEFAULT_SETTINGS
    # a bridge or VLAN on top has the current address too, never the permanent one
    match = f"PermanentMACAddress={permanent_mac}" if permanent_mac else f"MACAddress={current_mac}"
    lines = [head, *([ORIGIN + origin] if origin else []), "[Match]", match, "", "[Link]", *settings, WAKE]
    return LinkFile(own, "\n".join(lines) + "\n")


def _stands_before(applied: str, own: str) -> bool:
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
    """The file whose place ours took, as ours tells."""
    for line in own_text.splitlines():
        if line.startswith(ORIGIN):
            return line[len(ORIGIN) :]
    return ""
