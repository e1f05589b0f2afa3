# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which local network a magic packet leaves through, read from ``ip -json address``."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Sequence
from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LIMITED_BROADCAST = "255.255.255.255"  # RFC 919: every host of the link; the route decides which link
LONGEST_PREFIX = 30  # RFC 3021: a /31 has no broadcast address


@dataclass(frozen=True)
class LocalNetwork:
    """An IPv4 network of this host on an interface that can broadcast. up: whether the interface is switched on."""

    interface: str
    network: str
    broadcast: str
    up: bool

    def __str__(self) -> str:
        return f"{self.network} on {self.interface} (broadcast {self.broadcast}{'' if self.up else ', interface is down'})"


def local_networks(ip_json_address: str) -> tuple[LocalNetwork, ...]:
    """The broadcast networks that ``ip -json -4 address show`` lists (iproute2; without ``brd`` the prefix decides, as in the kernel)."""
    networks = []
    for link in json.loads(ip_json_address or "[]"):
        flags = link.get("flags", [])
        if "BROADCAST" not in flags:
            continue
        for entry in link.get("addr_info", []):
            if entry.get("family") != "inet" or entry["prefixlen"] > LONGEST_PREFIX:
                continue
            network = ipaddress.IPv4Interface(f"{entry['local']}/{entry['prefixlen']}").network
            broadcast = entry.get("broadcast", str(network.broadcast_address))
            networks.append(LocalNetwork(link["ifname"], str(network), broadcast, "UP" in flags))
    return tuple(networks)


def outgoing_network(broadcast: str, interface: str, networks: Sequence[LocalNetwork]) -> LocalNetwork:
    """The network that ``broadcast`` belongs to, on ``interface`` if one is named. Refuses when there is none or more than one."""
    listed = "; ".join(map(str, networks)) or "none"
    candidates = [network for network in networks if interface in ("", network.interface)]
    if interface and not candidates:
        raise Refusal(
            f"interface {interface}",
            f"no such interface with an IPv4 network; this host has: {listed}",
            "an interface of this host that can broadcast",
            "Name one of these, or run the task on a host of the sleeping hosts' LAN (delegate_to).",
        )
    matching = [network for network in candidates if broadcast in (network.broadcast, LIMITED_BROADCAST)]
    if not matching:
        raise Refusal(
            f"broadcast {broadcast}",
            f"on no local network{' of ' + interface if interface else ''}; this host has: {listed}",
            "the broadcast address of a network that this host is on: routers do not forward magic packets",
            "Correct `broadcast`, or run the task on a host of the sleeping hosts' LAN (delegate_to).",
        )
    usable = [network for network in matching if network.up]
    if not usable:
        raise Refusal(f"interface {matching[0].interface}", "switched off", "up", f"Run `ip link set {matching[0].interface} up`.")
    if len({network.interface for network in usable}) > 1:
        raise Refusal(
            f"broadcast {broadcast}", f"on several local networks: {listed}", "one to send through", "Name it with the option `interface`."
        )
    return usable[0]


def device_to_bind(broadcast: str, interface: str, network: LocalNetwork) -> str:
    """The interface that the sending socket is bound to; empty when the route to the broadcast address already decides rightly."""
    return network.interface if interface or broadcast == LIMITED_BROADCAST else ""
