# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one reader of MAC addresses of this collection."""

from __future__ import annotations

import re

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

SIX_OCTETS = re.compile(
    r"""(?: [0-9a-f]{2} (?P<separator>[:-]) (?:[0-9a-f]{2} (?P=separator)){4} [0-9a-f]{2}
          | [0-9a-f]{4} \. [0-9a-f]{4} \. [0-9a-f]{4}
          | [0-9a-f]{12} )""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
SEPARATORS = re.compile(r"[:.-]")
NOTATIONS = "12 hexadecimal digits, as aa:bb:cc:dd:ee:ff, aa-bb-cc-dd-ee-ff, aabb.ccdd.eeff or aabbccddeeff"


def six_octets(text: str) -> bytes:
    """The 6 bytes that a MAC notation stands for; empty if it is none. ASCII digits only, one style of separator, no blanks."""
    if SIX_OCTETS.fullmatch(text) is None:
        return b""
    return bytes.fromhex(SEPARATORS.sub("", text))


def station_mac(value: object, subject: str) -> str:
    """The address of one network interface, as ``aa:bb:cc:dd:ee:ff``.

    Refuses, naming ``subject``, what is malformed and what no single interface can have: the broadcast address, a group address
    (the lowest bit of the first octet, IEEE Std 802-2014, 8.2) and all zeros.
    """
    if not isinstance(value, str):
        raise _refusal(subject, f"{value!a}, which is no text ({type(value).__name__})", NOTATIONS)
    octets = six_octets(value)
    if not octets:
        raise _refusal(subject, _description(value), NOTATIONS)
    if octets == b"\xff" * 6:
        raise _refusal(subject, f"{value}, the broadcast address", "the address of one network interface")
    if octets[0] & 1:
        raise _refusal(subject, f"{value}, a multicast address", "the address of one network interface (an even first octet)")
    if not any(octets):
        raise _refusal(subject, f"{value}, all zeros", "the address of one network interface")
    return octets.hex(":")


def octets_of(mac: str) -> bytes:
    """The 6 bytes of an address that ``station_mac`` returned."""
    return bytes.fromhex(mac.replace(":", ""))


def _description(value: str) -> str:
    if not value:
        return "an empty text"
    if value.isascii() and value.isdigit():
        # YAML 1.1 reads 52:54:00:12:34:56 as a number to the base 60
        return f"{value!r}, a number; YAML reads a MAC address of decimal digits alone as one: put quotes around it"
    if not value.isascii():
        return f"{value!a}, which has characters other than ASCII"
    return repr(value)


def _refusal(subject: str, found: str, required: str) -> Refusal:
    return Refusal(subject, found, required, "Take it from `ip link` on that host or from the label of its network card.")
