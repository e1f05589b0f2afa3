# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import (
    LocalNetwork,
    device_to_bind,
    local_networks,
    outgoing_network,
)


def link(name, local="", prefix=24, broadcast="", flags=("BROADCAST", "MULTICAST", "UP", "LOWER_UP"), **others):
    entry = {"family": "inet", "local": local, "prefixlen": prefix, "scope": "global", "label": name, **others}
    if broadcast:
        entry["broadcast"] = broadcast
    return {"ifindex": 2, "ifname": name, "flags": list(flags), "addr_info": [entry] if local else []}


LAN = LocalNetwork("eth0", "192.168.4.0/24", "192.168.4.255", up=True)
CABLE = LocalNetwork("eth1", "10.0.0.0/8", "10.255.255.255", up=True)
DOWN = LocalNetwork("eth2", "172.20.0.0/16", "172.20.255.255", up=False)


@pytest.mark.parametrize(
    ("links", "networks"),
    [
        ([], ()),
        ([{}], ()),  # iproute2 prints empty objects for the families that it leaves out
        ([link("lo", "127.0.0.1", 8, flags=("LOOPBACK", "UP", "LOWER_UP"))], ()),
        ([link("eth0")], ()),
        ([link("eth0", "192.168.4.63", 24, "192.168.4.255")], (LAN,)),
        ([link("eth0", "192.168.4.63", 24)], (LAN,)),  # added without `brd`
        ([link("eth0", "192.168.4.63", 32)], ()),
        ([link("eth0", "192.168.4.62", 31)], ()),
        ([link("tun0", "10.8.0.2", 24, flags=("POINTOPOINT", "NOARP", "UP"))], ()),
        ([link("eth2", "172.20.1.1", 16, flags=("BROADCAST", "MULTICAST"))], (DOWN,)),
        ([link("eth0", "192.168.4.63", 24, "192.168.4.255"), link("eth1", "10.1.1.1", 8, "10.255.255.255")], (LAN, CABLE)),
    ],
)
def test_local_networks_are_those_that_can_broadcast(links, networks):
    assert local_networks(json.dumps(links)) == networks


def test_no_output_is_no_network():
    assert local_networks("") == ()


@pytest.mark.parametrize(
    ("broadcast", "interface", "networks", "leaves_through"),
    [
        ("192.168.4.255", "", (LAN, CABLE), "eth0"),
        ("10.255.255.255", "", (LAN, CABLE), "eth1"),
        ("192.168.4.255", "eth0", (LAN, CABLE), "eth0"),
        ("255.255.255.255", "", (LAN,), "eth0"),
        ("255.255.255.255", "", (LAN, DOWN), "eth0"),
        ("255.255.255.255", "eth1", (LAN, CABLE), "eth1"),
        ("192.168.4.255", "", (LAN, LAN), "eth0"),  # two addresses in one network
    ],
)
def test_the_network_of_a_broadcast_address(broadcast, interface, networks, leaves_through):
    assert outgoing_network(broadcast, interface, networks).interface == leaves_through


@pytest.mark.parametrize(
    ("broadcast", "interface", "networks", "said"),
    [
        ("192.168.5.255", "", (LAN, CABLE), "broadcast 192.168.5.255: found on no local network; this host has: 192.168.4.0/24 on eth0"),
        ("192.168.4.255", "", (), "this host has: none"),
        ("192.168.4.62", "", (LAN,), "on no local network"),
        ("192.168.4.0", "", (LAN,), "on no local network"),
        ("192.168.4.255", "eth1", (LAN, CABLE), "on no local network of eth1"),
        ("192.168.4.255", "eth9", (LAN,), "interface eth9: found no such interface"),
        ("172.20.255.255", "", (LAN, DOWN), "interface eth2: found down"),
        ("255.255.255.255", "", (LAN, CABLE), "on several local networks"),
        ("255.255.255.255", "", (), "on no local network"),
    ],
)
def test_a_broadcast_address_that_leads_nowhere_is_refused(broadcast, interface, networks, said):
    with pytest.raises(Refusal) as refused:
        outgoing_network(broadcast, interface, networks)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("broadcast", "interface", "device"),
    [("192.168.4.255", "", ""), ("192.168.4.255", "eth0", "eth0"), ("255.255.255.255", "", "eth0"), ("255.255.255.255", "eth0", "eth0")],
)
def test_the_socket_is_bound_only_where_the_route_does_not_decide(broadcast, interface, device):
    assert device_to_bind(broadcast, interface, LAN) == device
