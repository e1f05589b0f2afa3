# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic of networks: what meets what, and what follows from the plan's ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import (
    Address,
    Encapsulation,
    Network,
    Plan,
)

# networking.k8s.io/v1 ServiceCIDR is stable and served by default from this version on:
# https://kubernetes.io/docs/reference/networking/service-ranges/
FIRST_VERSION_WITH_SERVICE_CIDR = (1, 33)

# An extra service range holds 256 addresses: the smallest that one still reads off an address at a glance.
EXTRA_RANGE_BITS = 8

DOCKER_BRIDGE = IPv4Network("172.17.0.0/16")

PRIVATE_IPV4 = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))

# ranges that no machine of a network can have for its own: https://www.iana.org/assignments/iana-ipv4-special-registry,
# https://www.iana.org/assignments/iana-ipv6-special-registry; Calico refuses a pool over link-local addresses
SPECIAL: dict[Network, str] = {
    ip_network("0.0.0.0/8"): "this network",
    ip_network("127.0.0.0/8"): "loopback",
    ip_network("169.254.0.0/16"): "link-local",
    ip_network("224.0.0.0/4"): "multicast",
    ip_network("240.0.0.0/4"): "reserved",
    ip_network("::/127"): "unspecified and loopback",
    ip_network("::ffff:0:0/96"): "IPv4-mapped",
    ip_network("fe80::/10"): "link-local",
    ip_network("ff00::/8"): "multicast",
}

# https://docs.tigera.io/calico/latest/reference/resources/ippool
BLOCK_SIZES = {4: (20, 32), 6: (116, 128)}
DEFAULT_BLOCK_SIZE = {4: 26, 6: 122}

# https://docs.tigera.io/calico/latest/networking/configuring/mtu, for an Ethernet of 1500 bytes
_NETWORK_MTU = 1500
_HEADER_BYTES = {("IPIP", 4): 20, ("VXLAN", 4): 50, ("VXLAN", 6): 70}


@dataclass(frozen=True)
class Pool:
    """A Calico IP pool. mtu: bytes of a pod's packet on an Ethernet of 1500. blocks: how many nodes can have one of their own."""

    cidr: Network
    block_size: int
    encapsulation: Encapsulation
    mtu: int

    @property
    def blocks(self) -> int:
        return 1 << max(0, self.block_size - self.cidr.prefixlen)

    @property
    def addresses_per_block(self) -> int:
        return 1 << (self.cidr.max_prefixlen - self.block_size)


def meets(one: Network, other: Network) -> bool:
    """Whether any address is in both; networks of different families never meet."""
    if one.version != other.version:
        return False
    return int(one[0]) <= int(other[-1]) and int(other[0]) <= int(one[-1])


def relation(one: Network, other: Network) -> str:
    """How two networks that meet lie to each other, as a verb: ``is``, ``lies inside`` or ``covers``."""
    if one == other:
        return "is"
    return "lies inside" if one.prefixlen > other.prefixlen else "covers"


def home_of(single: Address, networks: Optional[Iterable[Network]]) -> Optional[Network]:
    """The first of the networks that holds the address."""
    return next((net for net in networks or () if single in net), None)


def is_network_or_broadcast(single: Address, net: Network) -> Optional[str]:
    """``network`` or ``broadcast`` if the address is that of the network. IPv6 has no broadcast; a /31 and a /32 have neither."""
    if net.max_prefixlen - net.prefixlen < 2:
        return None
    if single == net[0]:
        return "network"
    return "broadcast" if single.version == 4 and single == net[-1] else None


def is_ipv6_link_local(single: Address) -> bool:
    return single.version == 6 and single.is_link_local


def broadcast(plan: Plan) -> Optional[str]:
    """Where a magic packet for a sleeping host goes: the broadcast address of the IPv4 node network."""
    for net in plan.node_cidr or ():
        if isinstance(net, IPv4Network) and net.prefixlen < 31:
            return str(net.broadcast_address)
    return None


def extra_service_range(single: Address) -> Network:
    """The range that makes an address a service address: the 256 around it."""
    prefix = single.max_prefixlen - EXTRA_RANGE_BITS
    return ip_network(f"{single}/{prefix}", strict=False)


def extra_service_ranges(plan: Plan) -> tuple[Network, ...]:
    """Ranges that the DNS addresses need besides service_cidr; () when they need none or too little is known."""
    if plan.service_cidr is None:
        return ()
    families = {net.version for net in plan.service_cidr}
    taken = (*plan.service_cidr, *(plan.node_cidr or ()), *(plan.pod_cidr or ()), *SPECIAL)
    outside = [single for single in plan.dns_service_ip or () if single.version in families and not home_of(single, taken)]
    return tuple(extra_service_range(single) for single in outside)


def has_service_cidr_objects(plan: Plan) -> bool:
    return plan.kubernetes_version is not None and plan.kubernetes_version >= FIRST_VERSION_WITH_SERVICE_CIDR


def api_server_address(plan: Plan) -> Optional[Address]:
    """The Service ``kubernetes`` takes the first address of the primary service range."""
    primary = (plan.service_cidr or (None,))[0]
    return None if primary is None or primary.num_addresses < 2 else primary[1]


def encapsulation_of(pool: Network, word: Encapsulation) -> Encapsulation:
    """IP-in-IP carries IPv4 only: an IPv6 pool beside an IPIP pool goes without."""
    return "None" if pool.version == 6 and word.startswith("IPIP") else word


def mtu_of(pool: Network, word: Encapsulation) -> int:
    header = _HEADER_BYTES.get((word.replace("CrossSubnet", ""), pool.version), 0)
    return _NETWORK_MTU - header


def block_size_of(pool: Network, sizes: Iterable[int]) -> int:
    """The written block size that suits the pool's family, else Calico's default."""
    first, last = BLOCK_SIZES[pool.version]
    return next((size for size in sizes if first <= size <= last), DEFAULT_BLOCK_SIZE[pool.version])


def pools(plan: Plan) -> tuple[Pool, ...]:
    """One pool per pod network; () when the plan does not say enough."""
    if plan.pod_cidr is None or plan.block_sizes is None or plan.encapsulation is None:
        return ()
    found = []
    for cidr in plan.pod_cidr:
        word = encapsulation_of(cidr, plan.encapsulation)
        found.append(Pool(cidr, block_size_of(cidr, plan.block_sizes), word, mtu_of(cidr, word)))
    return tuple(found)
