# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``nmcli`` says of an interface and of its connection profile."""

from __future__ import annotations

import re
from dataclasses import dataclass

UNMANAGED = 10  # NM_DEVICE_STATE_UNMANAGED
PROPERTY = "802-3-ethernet.wake-on-lan"
MAGIC = "magic"
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

    An interface that is ``connected (externally)`` was set up by somebody else: NetworkManager only watches it.
    """
    state = STATE.search(output)
    if state is None or int(state.group(1)) <= UNMANAGED or "(externally)" in state.group(2):
        return Device(managed=False)
    profile = PROFILE.search(output)
    return Device(managed=True, profile=profile.group(1) if profile else "")


def wakes_on_magic(value: str) -> bool:
    """From ``nmcli -g 802-3-ethernet.wake-on-lan connection show UUID``: ``magic``, ``phy, magic``, ``64 (magic)``, ``default``..."""
    return MAGIC in re.findall(r"[a-z]+", value)
