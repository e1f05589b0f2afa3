# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a set of open ports is, the same for every firewall."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any, Union

Network = Union[IPv4Network, IPv6Network]

EVERYONE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, order=True)
class Opening:
    """One thing that may reach this host.

    protocol: ``tcp``, ``udp``, ``sctp``, or an IP protocol number as text (``4``), which has no ports.
    first, last: the port range, both ends included; 0 for an IP protocol.
    sources: networks in canonical CIDR form, sorted as ``canonical_networks`` does; empty: anyone.
    """

    protocol: str
    first: int = 0
    last: int = 0
    sources: tuple[str, ...] = ()
    comment: str = field(default="", compare=False)

    @property
    def has_ports(self) -> bool:
        return self.first > 0

    @property
    def ports(self) -> str:
        """``10250`` or ``30000-32767``; empty for an IP protocol."""
        if not self.has_ports:
            return ""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        what = f"{self.ports}/{self.protocol}" if self.has_ports else f"protocol {self.protocol}"
        return f"{what} from {', '.join(self.sources)}" if self.sources else what


@dataclass(frozen=True)
class PortSet:
    """All that one owner opens: sorted, and disjoint per protocol, so that two equal sets let the same packets in.

    trusted: networks that pass on input and, from and to them, on forward; canonical CIDRs, sorted.
    guarded: node ports that only their ``sources`` (and ``trusted``, and the host itself) may reach. A node port is DNATed before
        input, so a backend drops everyone else's packets to the host's own addresses before that, in prerouting at mangle priority.
        Each is a part of the node port range, disjoint per protocol, always with sources; it is derived from ``openings``.
    """

    openings: tuple[Opening, ...] = ()
    trusted: tuple[str, ...] = ()
    guarded: tuple[Opening, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.openings or self.trusted or self.guarded)


NOTHING = PortSet()


def canonical_networks(networks: Iterable[Network]) -> tuple[str, ...]:
    """Collapsed, IPv4 first, by address; empty when both families are covered whole, which means anyone."""
    found = list(networks)
    narrow = collapse_addresses(network for network in found if isinstance(network, IPv4Network))
    wide = collapse_addresses(network for network in found if isinstance(network, IPv6Network))
    texts = tuple(str(network) for network in (*narrow, *wide))
    return () if set(texts) == set(EVERYONE.values()) else texts


def of_family(sources: Iterable[str], family: int) -> tuple[str, ...]:
    """Those of the sources that are of IP version 4 or 6."""
    return tuple(source for source in sources if (":" in source) == (family == 6))


def for_families(ports: PortSet, families: frozenset[int]) -> PortSet:
    """The part of a set that has a meaning where only these IP versions are filtered."""

    def narrowed(openings: tuple[Opening, ...]) -> tuple[Opening, ...]:
        kept = []
        for opening in openings:
            sources = tuple(source for family in sorted(families) for source in of_family(opening.sources, family))
            if opening.sources and not sources:
                continue
            covers_all = set(sources) >= {EVERYONE[family] for family in families}
            kept.append(Opening(opening.protocol, opening.first, opening.last, () if covers_all else sources, opening.comment))
        return tuple(kept)

    trusted = tuple(network for family in sorted(families) for network in of_family(ports.trusted, family))
    return PortSet(narrowed(ports.openings), trusted, narrowed(ports.guarded))


def as_lines(ports: PortSet) -> list[str]:
    """A set for people: one thing a line, ``10250/tcp from 192.168.4.0/24``, ``protocol 4``, ``trusted 10.244.0.0/16``."""
    return [
        *(str(opening) for opening in ports.openings),
        *(f"trusted {network}" for network in ports.trusted),
        *(f"node ports {opening.ports}/{opening.protocol} only from {', '.join(opening.sources)}" for opening in ports.guarded),
    ]


def as_data(ports: PortSet) -> dict[str, Any]:
    """A set as JSON holds it."""
    return asdict(ports)


def from_data(data: Mapping[str, Any]) -> PortSet:
    """The set that ``as_data`` wrote. Raises KeyError or TypeError for anything else."""

    def openings(entries: Iterable[Mapping[str, Any]]) -> tuple[Opening, ...]:
        return tuple(Opening(**{**entry, "sources": tuple(entry["sources"])}) for entry in entries)

    return PortSet(openings(data["openings"]), tuple(data["trusted"]), openings(data["guarded"]))


def networks(texts: Iterable[str]) -> list[Network]:
    return [ip_network(text) for text in texts]
