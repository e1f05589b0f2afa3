# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``ethtool`` says of waking up. The letters are those of ethtool(8): g is the magic packet, d is off."""

from __future__ import annotations

import re
from dataclasses import dataclass

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
