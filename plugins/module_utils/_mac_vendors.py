# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The vendor of a network card, from netaddr's copy of the IEEE's list. Without netaddr, or if the list is not clear, it is left out.

Managed hosts have no netaddr, so only what runs on the controller asks. The first call takes a tenth of a second: it imports netaddr.
"""

from __future__ import annotations

# the lowest bits of an address's first octet: IEEE Std 802-2014, 8.2
_LOCAL = 0b10

# in the list, for a prefix that several vendors share, and for a vendor that is not published
_NO_VENDOR = frozenset({"IEEE Registration Authority", "Private"})

_LONGEST = 40


def vendor_of(mac: str) -> str:
    """Return the vendor of the card with this address (``aa:bb:cc:dd:ee:ff``), or ``locally administered``; empty if unknown."""
    if int(mac[:2], 16) & _LOCAL:
        return "locally administered"
    try:
        from netaddr import EUI, NotRegisteredError  # noqa: PLC0415 - see the file's first lines
    except ImportError:
        return ""
    try:
        prefix = EUI(mac).oui
    except (NotRegisteredError, OSError, ValueError, IndexError):  # the last three: Debian's netaddr reads the list of another package
        return ""
    return _shown(prefix.registration().org) if prefix.reg_count == 1 else ""


def with_vendor(mac: str) -> str:
    """Return the address with its vendor in parentheses if there is one."""
    vendor = vendor_of(mac)
    return f"{mac} ({vendor})" if vendor else mac


def _shown(name: object) -> str:
    """Return a name of the list as one short, printable text."""
    words = " ".join("".join(one if one.isprintable() else " " for one in str(name)).split())
    if words in _NO_VENDOR:
        return ""
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST - 3].rstrip()}..."
