# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network interface is meant, read from ``ip -json -details link show``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# interfaces that lie on top of another one and often carry its MAC address
STACKED = frozenset({"bond", "bridge", "ipvlan", "ipvtap", "macsec", "macvlan", "macvtap", "openvswitch", "team", "vlan", "vrf", "vxlan"})


@dataclass(frozen=True)
class Link:
    """An Ethernet interface. macs: its current MAC and, where it differs, the permanent one. kind: ip-link's kind, empty for hardware."""

    name: str
    macs: tuple[str, ...]
    kind: str = ""


def ethernet_links(ip_json_link: str) -> tuple[Link, ...]:
    links = []
    for link in json.loads(ip_json_link or "[]"):
        if link.get("link_type") != "ether":
            continue
        macs = tuple(link[key].lower() for key in ("address", "permaddr") if key in link)
        links.append(Link(link["ifname"], macs, link.get("linkinfo", {}).get("info_kind", "")))
    return tuple(links)


def link_named(name: str, links: tuple[Link, ...]) -> Link:
    for link in links:
        if link.name == name:
            return link
    raise Refusal(f"interface {name}", f"none of that name; this host has: {_listed(links)}", "an Ethernet interface", "Name one of these.")


def link_with_mac(mac: str, links: tuple[Link, ...]) -> Link:
    """The interface whose address this is; among several the one that the others lie on."""
    having = [link for link in links if mac in link.macs]
    below = [link for link in having if link.kind not in STACKED]
    if len(below) == 1:
        return below[0]
    if not having:
        found, required = f"on no interface; this host has: {_listed(links)}", "the MAC address of an Ethernet interface of this host"
    else:
        found, required = f"on {', '.join(link.name for link in below or having)}", "on one network card"
    raise Refusal(f"mac {mac}", found, required, "Correct it, or name the card with the option `interface`.")


def _listed(links: tuple[Link, ...]) -> str:
    return ", ".join(f"{link.name} ({', '.join(link.macs)})" for link in links) or "none"
