# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about the hosts: where they are, who they are, and which of them may sleep."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Cluster, Host
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import home_of, is_network_or_broadcast
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.rule import Rule, Violation


def hosts_are_in_the_node_network(cluster: Cluster) -> Iterator[Violation]:
    """Every address of a host lies in the node network."""
    nodes = cluster.plan.node_cidr
    for host in cluster.hosts or ():
        for single in host.addresses or ():
            if nodes and not home_of(single, nodes):
                yield Violation(host.label, f"address {single}", "an address in " + ", ".join(map(str, nodes)))


def host_addresses_are_not_reserved(cluster: Cluster) -> Iterator[Violation]:
    """No host has the gateway's, the network's or the broadcast address."""
    plan = cluster.plan
    for host in cluster.hosts or ():
        for single in host.addresses or ():
            home = home_of(single, plan.node_cidr)
            kind = "gateway's" if single in (plan.gateway or ()) else is_network_or_broadcast(single, home) if home else None
            if kind:
                yield Violation(host.label, f"address {single}, the {kind} address", "an address of its own")


def _twice(hosts: tuple[Host, ...], what: str, values: Callable[[Host], tuple[Optional[Hashable], ...]]) -> Iterator[Violation]:
    first: dict[Hashable, str] = {}
    for at, host in enumerate(hosts):
        for value in values(host):
            if value is None:
                continue
            if value in first:
                yield Violation(host.label, f"{what} {value}, which {first[value]} has too", f"its own {what}")
            else:
                first[value] = host.label if what != "name" else f"hosts[{at}]"


def host_addresses_are_unique(cluster: Cluster) -> Iterator[Violation]:
    """No two hosts have the same address."""
    yield from _twice(cluster.hosts or (), "address", lambda host: host.addresses or ())


def host_macs_are_unique(cluster: Cluster) -> Iterator[Violation]:
    """No two hosts have the same MAC address."""
    yield from _twice(cluster.hosts or (), "MAC", lambda host: (host.mac,))


def host_names_are_unique(cluster: Cluster) -> Iterator[Violation]:
    """No two hosts have the same name."""
    yield from _twice(cluster.hosts or (), "name", lambda host: (host.name,))


def sleeping_hosts_have_a_mac(cluster: Cluster) -> Iterator[Violation]:
    """A host that sleeps has a MAC address to wake it by."""
    for host in cluster.hosts or ():
        if host.sleeps and not host.has_mac:
            yield Violation(host.label, "sleeps: true without a mac", "the MAC address of its network card")


def there_is_a_control_plane(cluster: Cluster) -> Iterator[Violation]:
    """At least one host has the role control_plane."""
    hosts = cluster.hosts
    if hosts is None or any(host.role in (None, "control_plane") for host in hosts):
        return
    yield Violation("hosts", f"{len(hosts)} hosts, none of them with role control_plane", "one control plane host")


def the_control_plane_never_sleeps(cluster: Cluster) -> Iterator[Violation]:
    """No control plane host sleeps: without it there is no API to drain, wake and watch the others by."""
    for host in cluster.hosts or ():
        if host.role == "control_plane" and host.sleeps:
            yield Violation(host.label, "role control_plane with sleeps: true", "a control plane host that stays awake")


def there_is_only_one_control_plane(cluster: Cluster) -> Iterator[Violation]:
    """Only one host has the role control_plane: this collection sets up no replicated control plane."""
    names = [host.name or host.label for host in cluster.hosts or () if host.role == "control_plane"]
    if len(names) > 1:
        yield Violation("hosts", f"{len(names)} control plane hosts: {', '.join(names)}", "one control plane host")


HOST_RULES = (
    Rule(hosts_are_in_the_node_network, "error", "Correct the host's address, or node_cidr."),
    Rule(host_addresses_are_not_reserved, "error", "Give the host a free address."),
    Rule(host_addresses_are_unique, "error", "Give one of the two another address."),
    Rule(host_macs_are_unique, "error", "Read each MAC from its host: `ip link show`."),
    Rule(host_names_are_unique, "error", "Rename one of the two: a node's name is its identity in the cluster."),
    Rule(sleeping_hosts_have_a_mac, "error", "Add its mac (`ip link show` on that host), or set sleeps: false."),
    Rule(there_is_a_control_plane, "error", "Put a host into the group control_plane."),
    Rule(the_control_plane_never_sleeps, "error", "Set sleeps: false for it, or make another host the control plane."),
    Rule(there_is_only_one_control_plane, "error", "Keep one host in the group control_plane, and move the others to the group workers."),
)
