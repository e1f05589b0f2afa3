# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network arithmetic: overlaps, and values derived from the plan's ranges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Optional

from .model import Address, Encapsulation, Network, Plan

# networking.k8s.io/v1 ServiceCIDR is stable and served by default from this version on:
# https://kubernetes.io/docs/reference/networking/service-ranges/
FIRST_VERSION_WITH_SERVICE_CIDR = (1, 33)

# An extra service range has 256 addresses: its addresses are easy to recognise by their prefix.
EXTRA_RANGE_BITS = 8

DOCKER_BRIDGE = IPv4Network("172.17.0.0/16")
# Docker takes the networks of further bridges from these: https://docs.docker.com/engine/network/#subnet-allocation
DOCKER_POOLS = tuple(
    IPv4Network(f"172.{second}.0.0/{bits}") for second, bits in ((17, 16), (18, 16), (19, 16), (20, 14), (24, 14), (28, 14))
)
DOCKER_POOLS = (*DOCKER_POOLS, IPv4Network("192.168.0.0/16"))

PRIVATE_IPV4 = tuple(IPv4Network(net) for net in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))

# ranges that are not for hosts: https://www.iana.org/assignments/iana-ipv4-special-registry,
# https://www.iana.org/assignments/iana-ipv6-special-registry; Calico rejects a pool over link-local addresses
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
# https://kubernetes.io/docs/setup/best-practices/cluster-large/ and the kubelet's default of maxPods
PODS_PER_NODE = 110

# https://docs.tigera.io/calico/latest/networking/configuring/mtu, for an Ethernet MTU of 1500 bytes
_NETWORK_MTU = 1500
_HEADER_BYTES = {("IPIP", 4): 20, ("VXLAN", 4): 50, ("VXLAN", 6): 70}


@dataclass(frozen=True)
class Pool:
    """A Calico IP pool. mtu: of pods, in bytes, with an Ethernet MTU of 1500. blocks: how many nodes can have their own."""

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
    """Return whether two networks overlap; networks of different families never do."""
    if one.version != other.version:
        return False
    return int(one[0]) <= int(other[-1]) and int(other[0]) <= int(one[-1])


def relation(one: Network, other: Network) -> str:
    """Return how two overlapping networks relate, as a verb: ``is``, ``lies inside`` or ``covers``."""
    if one == other:
        return "is"
    return "lies inside" if one.prefixlen > other.prefixlen else "covers"


def home_of(single: Address, networks: Optional[Iterable[Network]]) -> Optional[Network]:
    """Return the first of the networks that contains the address."""
    return next((net for net in networks or () if single in net), None)


def is_network_or_broadcast(single: Address, net: Network) -> Optional[str]:
    """Return ``network`` or ``broadcast`` if it is that address of the network. IPv6 has no broadcast; /31 and /32 have neither."""
    if net.max_prefixlen - net.prefixlen < 2:
        return None
    if single == net[0]:
        return "network"
    return "broadcast" if single.version == 4 and single == net[-1] else None


def is_ipv6_link_local(single: Address) -> bool:
    return single.version == 6 and single.is_link_local


def broadcast(plan: Plan) -> Optional[str]:
    """Return the destination of magic packets: the broadcast address of the IPv4 node network."""
    for net in plan.node_cidr or ():
        if isinstance(net, IPv4Network) and net.prefixlen < 31:
            return str(net.broadcast_address)
    return None


def extra_service_range(single: Address) -> Network:
    """Return the range of 256 addresses that makes an address a service address."""
    prefix = single.max_prefixlen - EXTRA_RANGE_BITS
    return ip_network(f"{single}/{prefix}", strict=False)


def extra_service_ranges(plan: Plan) -> tuple[Network, ...]:
    """Return the ranges that the DNS addresses need besides service_cidr; () if none, or if too little is known."""
    if plan.service_cidr is None:
        return ()
    families = {net.version for net in plan.service_cidr}
    taken = (*plan.service_cidr, *(plan.node_cidr or ()), *(plan.pod_cidr or ()), *SPECIAL)
    outside = [single for single in plan.dns_service_ip or () if single.version in families and not home_of(single, taken)]
    return tuple(extra_service_range(single) for single in outside)


def has_service_cidr_objects(plan: Plan) -> bool:
    return plan.kubernetes_version is not None and plan.kubernetes_version >= FIRST_VERSION_WITH_SERVICE_CIDR


def api_server_address(plan: Plan) -> Optional[Address]:
    """Return the address of the Service ``kubernetes``: the first address of the primary service range."""
    primary = (plan.service_cidr or (None,))[0]
    return None if primary is None or primary.num_addresses < 2 else primary[1]


def encapsulation_of(pool: Network, word: Encapsulation) -> Encapsulation:
    """Return the encapsulation of a pool: with IP-in-IP, which carries IPv4 only, an IPv6 pool has none."""
    return "None" if pool.version == 6 and word.startswith("IPIP") else word


def mtu_of(pool: Network, word: Encapsulation) -> int:
    header = _HEADER_BYTES.get((word.replace("CrossSubnet", ""), pool.version), 0)
    return _NETWORK_MTU - header


def block_size_of(pool: Network, sizes: Iterable[int]) -> int:
    """Return the configured block size for the pool's family, else Calico's default."""
    first, last = BLOCK_SIZES[pool.version]
    return next((size for size in sizes if first <= size <= last), DEFAULT_BLOCK_SIZE[pool.version])


def pools(plan: Plan) -> tuple[Pool, ...]:
    """Return one pool per pod network; () if the plan is incomplete."""
    if plan.pod_cidr is None or plan.block_sizes is None or plan.encapsulation is None:
        return ()
    found = []
    for cidr in plan.pod_cidr:
        word = encapsulation_of(cidr, plan.encapsulation)
        found.append(Pool(cidr, block_size_of(cidr, plan.block_sizes), word, mtu_of(cidr, word)))
    return tuple(found)
