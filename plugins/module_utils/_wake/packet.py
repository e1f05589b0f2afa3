# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The magic packet, byte for byte.

Its form is that of AMD's white paper "Magic Packet Technology" (publication 20213, November 1995): six bytes of 0xff, then the address
of the sleeping interface sixteen times without a break. A SecureOn password of six bytes (four on some cards) follows it directly.
"""

from __future__ import annotations

import ipaddress

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.mac import octets_of, six_octets

SYNCHRONIZATION = b"\xff" * 6
REPETITIONS = 16


def magic_packet(mac: str, password: bytes = b"") -> bytes:
    """The UDP payload that wakes ``mac`` (as ``station_mac`` returns it): 102 bytes and the password's 0, 4 or 6."""
    return SYNCHRONIZATION + octets_of(mac) * REPETITIONS + password


def secure_on_password(text: str) -> bytes:
    """The password's bytes: 6 when written as a MAC address is, 4 when written as an IPv4 address is. Empty: no password.

    The refusal does not repeat it: a password has no place in a log.
    """
    if not text:
        return b""
    octets = six_octets(text)
    if octets:
        return octets
    try:
        # int() would take digits of any script
        return ipaddress.IPv4Address(text).packed if text.isascii() else _refuse(text)
    except ipaddress.AddressValueError:
        return _refuse(text)


def _refuse(text: str) -> bytes:
    raise Refusal(
        "password",
        f"a text of {len(text)} characters in neither form (not shown)",
        "6 bytes as aa:bb:cc:dd:ee:ff or 4 bytes as 192.168.4.1",
        "Write it as the network card's own setup shows it.",
    )
