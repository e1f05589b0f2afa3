# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How sizes and hosts in URLs are written."""

from __future__ import annotations

import re

from ._refusal import Refusal

UNITS = {"": 1, "B": 1}
UNITS.update({f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)})
UNITS.update({f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)})
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)")


def read_size(subject: str, given: object) -> int:
    """Bytes from a number of them, or from a text like ``2GiB``."""
    match = _SIZE.fullmatch(str(given).strip())
    if not match or match[2] not in UNITS:
        raise Refusal(subject, repr(given), "a size such as 2GiB or 500MB", f"Write a number and one of {', '.join(list(UNITS)[1:])}.")
    return int(float(match[1]) * UNITS[match[2]])


def show_size(size: int) -> str:
    """The size in the largest unit of which there is one at least. Rounded down: what is too little never looks like enough."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= UNITS[unit]:
            return f"{size * 10 // UNITS[unit] / 10:g} {unit}"
    return f"{size} B"


def in_url(address: str) -> str:
    """Return a host name or an address as the host of a URL: IPv6 addresses are in brackets (RFC 3986, 3.2.2)."""
    return f"[{address}]" if ":" in address else address
