# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free ranges and addresses, which fixes name as examples. They are what netaddr's sets leave of the private networks.

Only network_plan_check, which runs on the controller, names some. Without netaddr, fixes have no examples of this kind. Its import takes
longer than all rules, so it is imported when there is something to name.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from types import ModuleType
from typing import TYPE_CHECKING, Optional, Union

from .model import Address, Cluster, Network
from .ranges import DOCKER_POOLS, PODS_PER_NODE, PRIVATE_IPV4, block_size_of, extra_service_ranges

if TYPE_CHECKING:
    from netaddr import IPSet

# proposed if they are free
_USUAL: dict[str, dict[int, Network]] = {
    "pod_cidr": {4: ip_network("10.244.0.0/16"), 6: ip_network("fd00:10:244::/56")},
    "service_cidr": {4: ip_network("10.96.0.0/12"), 6: ip_network("fd00:10:96::/112")},
}
# the others of IPv4 are no larger than this without need
_ENOUGH = 16
# searched in this order; the second one of IPv6 is for a home network that is the first
_PRIVATE: dict[int, tuple[Network, ...]] = {4: PRIVATE_IPV4, 6: (ip_network("fd00:10::/32"), ip_network("fd00:20::/32"))}


def free_network(name: str, version: int, cluster: Cluster) -> Optional[Network]:
    """Return a private network for ``pod_cidr`` or ``service_cidr`` that overlaps nothing else of the plan and no pool of Docker.

    It has room for all hosts. The one for Services does not overlap the one for Pods, so that both can be used. None for other names.
    """
    netaddr = _netaddr() if name in _USUAL else None
    if netaddr is None:
        return None
    usual = _USUAL[name][version]
    prefix = max(usual.prefixlen, _ENOUGH)
    taken = _set(netaddr, version, _others(name, cluster))
    if name == "pod_cidr":
        prefix = min(prefix, _prefix_for_pods(usual, cluster))
    else:
        taken |= _set(netaddr, version, [free_network("pod_cidr", version, cluster)])
    if usual.prefixlen <= prefix and taken.isdisjoint(_set(netaddr, version, [usual])):
        return usual
    for private in _PRIVATE[version]:
        # the highest, because home networks and VPNs often have the lowest
        for free in reversed((_set(netaddr, version, [private]) - taken).iter_cidrs()):
            if free.prefixlen <= prefix:
                return ip_network((free.last, prefix), strict=False)
    return None


def free_address(version: int, cluster: Cluster) -> Optional[Address]:
    """Return an address of the node network that the plan gives to nothing else."""
    netaddr, plan = _netaddr(), cluster.plan
    home = next((net for net in plan.node_cidr or () if net.version == version), None)
    if netaddr is None or home is None:
        return None
    pods_and_services = (*(plan.pod_cidr or ()), *(plan.service_cidr or ()), *extra_service_ranges(plan))
    free = _set(netaddr, version, [home]) - _set(netaddr, version, [*pods_and_services, *_addresses(cluster), home[0], home[-1]])
    if plan.dhcp_range is not None and plan.dhcp_range.first.version == version:
        free -= netaddr.IPSet(netaddr.IPRange(str(plan.dhcp_range.first), str(plan.dhcp_range.last)))
    cidrs = free.iter_cidrs()
    # the last addresses of an IPv6 network are reserved: RFC 2526
    return ip_address(cidrs[-1].last if version == 4 else cidrs[0].first) if cidrs else None


def _netaddr() -> Optional[ModuleType]:
    try:
        import netaddr  # noqa: PLC0415 - see the file's first lines
    except ImportError:
        return None
    module: ModuleType = netaddr
    return module


def _set(netaddr: ModuleType, version: int, members: Iterable[Union[Network, Address, None]]) -> IPSet:
    """Return a set of the addresses of one family."""
    return netaddr.IPSet([str(one) for one in members if one is not None and one.version == version])


def _others(name: str, cluster: Cluster) -> tuple[Union[Network, Address], ...]:
    """Return what the network must not overlap. The one that it replaces is no part of that."""
    plan = cluster.plan
    other = plan.service_cidr if name == "pod_cidr" else plan.pod_cidr
    # 0.0.0.0/0 does not mean that all addresses are in use
    sources = [net for net in (*(plan.admin_sources or ()), *(plan.host_sources or ())) if net.prefixlen]
    return (*(plan.node_cidr or ()), *(other or ()), *extra_service_ranges(plan), *sources, *_addresses(cluster), *DOCKER_POOLS)


def _addresses(cluster: Cluster) -> tuple[Address, ...]:
    plan = cluster.plan
    return (*(plan.gateway or ()), *(plan.upstream_dns or ()), *(one for host in cluster.hosts or () for one in host.addresses or ()))


def _prefix_for_pods(family: Network, cluster: Cluster) -> int:
    """Return the prefix of the smallest pool that has a block for each host, and an address for each of its Pods."""
    hosts = max(1, len(cluster.hosts or ()))
    blocks = block_size_of(family, cluster.plan.block_sizes or ()) - (hosts - 1).bit_length()
    return min(blocks, family.max_prefixlen - (hosts * PODS_PER_NODE - 1).bit_length())
