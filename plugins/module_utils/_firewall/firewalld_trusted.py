# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld 2: one zone for the trusted networks of all sets, without a rule of its own.

firewalld 2 leads a packet between two interfaces that no zone names to no policy, so neither one from pod to pod. Of a source it knows
the way to every interface: a zone that has a network as its source is enough for our policies to judge that network's packets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import ReadText
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_bus import Bus
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld_files import ETC, HEAD, sources_of, zone_path
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Network

ZONE = "vmstation_trusted"
PATH = f"{ETC}/zones/{ZONE}.xml"
NEEDED_FROM = 2  # firewalld's major version
# after every zone that names an interface or has a source by another hand, before what falls to the default zone
PRIORITY = 32767
CLAIMS = re.compile(r"<description>[^<]*?: trusted by (?P<claims>[^<]*)\. Written whole, changes are lost\.</description>")
CLAIM = re.compile(r"(?P<owner>[a-z][a-z0-9-]*) \((?P<networks>[^)]*)\)")

Claims = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Seen:
    """What stands of the zone: the text of its file, its running sources (None: it does not run), and the sources of all other zones."""

    text: Optional[str]
    running: Optional[tuple[str, ...]]
    foreign: frozenset[str]

    def claims(self, owner: str, networks: tuple[str, ...]) -> Claims:
        """Who trusts what when this owner trusts these networks."""
        others = {name: named for name, named in claims_in(self.text).items() if name != owner}
        return {**others, owner: networks} if networks else others

    def runs(self, owner: str, networks: tuple[str, ...]) -> bool:
        """Whether the running zone has the sources that it needs when this owner trusts these networks."""
        return sorted(self.running or ()) == sources(self.claims(owner, networks), self.foreign)

    def damage(self, owner: str, runtime: tuple[str, ...], permanent: tuple[str, ...]) -> list[str]:
        """Where the zone is not as the owner's set needs it, which trusts these networks now and after a reload."""
        found = []
        if self.text != zone_file(self.claims(owner, permanent), self.foreign):
            found.append(f"{PATH} is not as it was written")
        if not self.runs(owner, runtime):
            found.append(f"the running zone {ZONE} has other sources than the networks that are trusted")
        return found


def look(bus: Bus, read_text: ReadText) -> Optional[Seen]:
    """What stands of the zone; None where firewalld does without it."""
    if bus.major_version() < NEEDED_FROM:
        return None
    known = bus.ask("zone", "getZones")
    texts = {name: read_text(zone_path(name)) or "" for name in known if name != ZONE}
    written = [address for name, text in texts.items() if "<source" in text for address in sources_of(zone_path(name), text)]
    active = bus.ask("zone", "getActiveZones")
    loaded = [address for name, members in active.items() if name != ZONE for address in members.get("sources", [])]
    running = tuple(active.get(ZONE, {}).get("sources", [])) if ZONE in known else None
    return Seen(read_text(PATH), running, networks_among([*written, *loaded]))


def zone_file(claims: Claims, foreign: frozenset[str]) -> Optional[str]:
    """The zone with the networks that the owners claim, but for sources of other zones; None if nobody claims any."""
    told = ", ".join(f"{owner} ({', '.join(networks)})" for owner, networks in sorted(claims.items()) if networks)
    if not told:
        return None
    return "".join(
        [
            HEAD,
            f'<zone ingress-priority="{PRIORITY}" egress-priority="{PRIORITY}">\n',
            "  <short>vmstation trusted</short>\n",
            f"  <description>vmstation.cluster.firewall_ports: trusted by {told}. Written whole, changes are lost.</description>\n",
            *(f'  <source address="{network}"/>\n' for network in sources(claims, foreign)),
            "</zone>\n",
        ]
    )


def sources(claims: Claims, foreign: frozenset[str]) -> list[str]:
    """The zone's sources. firewalld lets no source be in two zones, and the other zone serves our policies as well."""
    return sorted({network for networks in claims.values() for network in networks} - foreign)


def claims_in(text: Optional[str]) -> dict[str, tuple[str, ...]]:
    """Who trusts what, as the zone's file tells it; empty if there is no such file."""
    found = CLAIMS.search(text or "")
    if found is None:
        return {}
    return {claim["owner"]: tuple(claim["networks"].split(", ")) for claim in CLAIM.finditer(found["claims"])}


def networks_among(addresses: Iterable[str]) -> frozenset[str]:
    """Those of a zone's sources that are networks, in canonical form; ipsets and MACs are none."""
    return frozenset(str(network) for address in addresses if (network := _network(address)) is not None)


def _network(address: str) -> Optional[Network]:
    try:
        return ip_network(address, strict=False)
    except ValueError:
        return None
