# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a set of open ports is, the same for every firewall."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Opening:
    """One thing that may reach this host.

    protocol: ``tcp``, ``udp``, ``sctp``, or an IP protocol number as text (``4``), which has no ports.
    first, last: the port range, both ends included; 0 for an IP protocol.
    sources: networks in canonical CIDR form, sorted; empty: anyone.
    """

    protocol: str
    first: int = 0
    last: int = 0
    sources: tuple[str, ...] = ()
    comment: str = field(default="", compare=False)

    @property
    def has_ports(self) -> bool:
        return self.first > 0


@dataclass(frozen=True)
class PortSet:
    """All that one owner opens: sorted, merged, without a range that another one covers.

    trusted: networks that pass on input and, from and to them, on forward; canonical CIDRs, sorted.
    """

    openings: tuple[Opening, ...] = ()
    trusted: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.openings or self.trusted)


NOTHING = PortSet()
