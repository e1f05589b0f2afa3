# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for the ranges of nodes, Pods and Services, and for the hosts."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any, Callable, Optional

from .._findings import Severity
from .._mac_vendors import with_vendor
from .model import Address, Cluster, Host, Network, Rule, Violation
from .proposals import free_address, free_network
from .ranges import (
    DOCKER_BRIDGE,
    PRIVATE_IPV4,
    SPECIAL,
    extra_service_ranges,
    home_of,
    is_ipv6_link_local,
    is_network_or_broadcast,
    meets,
    relation,
)

# Rules for the ranges of nodes, pods and services: none may overlap another

# kubeadm's own limits (ValidateServiceSubnetSize, MinimumAddressesInServiceSubnet, ValidatePodSubnetNodeMask):
# https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/apis/kubeadm/validation/validation.go
SERVICE_PREFIXES = {4: (12, 28), 6: (108, 124)}
POD_PREFIXES = {4: (8, 24), 6: (48, 64)}

Networks = Optional[tuple[Network, ...]]


def _move(name: str, version: int, cluster: Cluster) -> str:
    """Name a range that is free as the next step; empty if there is none to name."""
    free = free_network(name, version, cluster)
    return f"Move {name}, for example to {free}." if free else ""


def _meetings(cluster: Cluster, name: str, networks: Networks, other: str, others: Networks) -> Iterator[Violation]:
    for one in networks or ():
        for two in others or ():
            if meets(one, two):
                fix = _move(name, one.version, cluster) if other in ("service_cidr", "node_cidr") else ""
                found = f"{one}, which {relation(one, two)} {other} {two}"
                yield Violation(f"network_plan.{name}", found, f"a network that does not overlap {other}", fix)


def pods_are_apart_from_services(cluster: Cluster) -> Iterator[Violation]:
    """No pod network overlaps a service network."""
    plan = cluster.plan
    yield from _meetings(cluster, "pod_cidr", plan.pod_cidr, "service_cidr", plan.service_cidr)


def pods_are_apart_from_nodes(cluster: Cluster) -> Iterator[Violation]:
    """No pod network overlaps the network of the nodes."""
    plan = cluster.plan
    yield from _meetings(cluster, "pod_cidr", plan.pod_cidr, "node_cidr", plan.node_cidr)


def services_are_apart_from_nodes(cluster: Cluster) -> Iterator[Violation]:
    """No service network overlaps the network of the nodes."""
    plan = cluster.plan
    yield from _meetings(cluster, "service_cidr", plan.service_cidr, "node_cidr", plan.node_cidr)


def networks_are_apart_from_dockers_bridge(cluster: Cluster) -> Iterator[Violation]:
    """No network overlaps 172.17.0.0/16, which Docker uses for its bridge on every host that runs it."""
    plan = cluster.plan
    named = (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr))
    for name, networks in (*named, ("dns_service_ip", extra_service_ranges(plan))):
        yield from _meetings(cluster, name, networks, "Docker's bridge", (DOCKER_BRIDGE,))


def extra_service_ranges_are_apart_from_everything(cluster: Cluster) -> Iterator[Violation]:
    """The extra range that a DNS address outside service_cidr needs does not overlap nodes, pods or services."""
    plan = cluster.plan
    named = (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr))
    for extra in extra_service_ranges(plan):
        for name, networks in named:
            for other in networks or ():
                if meets(extra, other):
                    found = f"the derived range {extra}, which {relation(extra, other)} {name} {other}"
                    yield Violation("network_plan.dns_service_ip", found, f"an extra service range that does not overlap {name}")


def networks_are_for_machines(cluster: Cluster) -> Iterator[Violation]:
    """No network contains link-local, loopback, multicast or reserved addresses."""
    plan = cluster.plan
    for name, networks in (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr)):
        for net in networks or ():
            special = next((other for other in SPECIAL if meets(net, other)), None)
            if special is not None:
                found = f"{net}, which {relation(net, special)} the {SPECIAL[special]} range {special}"
                yield Violation(f"network_plan.{name}", found, "addresses that hosts can have", _move(name, net.version, cluster))


def networks_are_private(cluster: Cluster) -> Iterator[Violation]:
    """IPv4 networks are private (10/8, 172.16/12, 192.168/16, 100.64/10): others hide a part of the internet."""
    plan = cluster.plan
    for name, networks in (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr)):
        for net in networks or ():
            inside = any(relation(net, private) != "covers" and meets(net, private) for private in PRIVATE_IPV4)
            if net.version == 4 and not inside and not any(meets(net, other) for other in SPECIAL):
                severity: Optional[Severity] = "info" if name == "node_cidr" else None
                fix = _move(name, net.version, cluster)
                yield Violation(f"network_plan.{name}", f"{net}, a public range", "a private range", fix, severity)


def pod_cidr_suits_kubeadm(cluster: Cluster) -> Iterator[Violation]:
    """A pod network has a prefix that kubeadm accepts: /8 to /24 for IPv4, /48 to /64 for IPv6."""
    for net in cluster.plan.pod_cidr or ():
        first, last = POD_PREFIXES[net.version]
        if not first <= net.prefixlen <= last:
            expected = f"a prefix from /{first} to /{last}"
            yield Violation("network_plan.pod_cidr", f"{net}", expected, _move("pod_cidr", net.version, cluster))


def service_cidr_suits_kubeadm(cluster: Cluster) -> Iterator[Violation]:
    """A service network has a prefix that kubeadm and the API server accept: /12 to /28 for IPv4, /108 to /124 for IPv6."""
    for net in cluster.plan.service_cidr or ():
        first, last = SERVICE_PREFIXES[net.version]
        if not first <= net.prefixlen <= last:
            expected = f"a prefix from /{first} to /{last}"
            yield Violation("network_plan.service_cidr", f"{net}", expected, _move("service_cidr", net.version, cluster))


def pods_and_services_have_the_same_families(cluster: Cluster) -> Iterator[Violation]:
    """pod_cidr and service_cidr are both IPv4, both IPv6, or both dual stack, with the same family first."""
    pods, services = cluster.plan.pod_cidr, cluster.plan.service_cidr
    if pods and services and _families(pods) != _families(services):
        found = f"pods over {_words(pods)}, services over {_words(services)}"
        yield Violation("network_plan.service_cidr", found, "the families of pod_cidr, in its order")


def nodes_have_the_families_of_pods(cluster: Cluster) -> Iterator[Violation]:
    """The node network has every address family of the pods."""
    nodes, pods = cluster.plan.node_cidr, cluster.plan.pod_cidr
    if nodes and pods and not set(_families(pods)) <= set(_families(nodes)):
        yield Violation("network_plan.node_cidr", _words(nodes), f"{_words(pods)}, as pod_cidr has")


def gateway_is_outside_pods_and_services(cluster: Cluster) -> Iterator[Violation]:
    """The gateway is not an address of a pod or service network."""
    plan = cluster.plan
    for single in plan.gateway or ():
        for name, networks in (("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr)):
            home = home_of(single, networks)
            if home and not home_of(single, plan.node_cidr):
                yield Violation("network_plan.gateway", f"{single}, an address of {name} {home}", "the router's address in node_cidr")


def gateway_is_a_node_network_address(cluster: Cluster) -> Iterator[Violation]:
    """The gateway is a host address of the node network; an IPv6 router may have a link-local one."""
    plan = cluster.plan
    if plan.node_cidr is None:
        return
    within = ", ".join(map(str, plan.node_cidr))
    for single in plan.gateway or ():
        home = home_of(single, plan.node_cidr)
        kind = is_network_or_broadcast(single, home) if home else None
        if kind:
            yield Violation("network_plan.gateway", f"{single}, the {kind} address of {home}", f"the router's address in {within}")
        elif not home and not is_ipv6_link_local(single) and not home_of(single, (*(plan.pod_cidr or ()), *(plan.service_cidr or ()))):
            yield Violation("network_plan.gateway", f"{single}", f"an address in {within}")


def _families(entries: tuple[Network, ...]) -> tuple[int, ...]:
    return tuple(entry.version for entry in entries)


def _words(entries: tuple[Network, ...]) -> str:
    return " and ".join(f"IPv{entry.version}" for entry in entries)


def special_kind(single: Address) -> Optional[str]:
    """Return the kind of special range that contains the address (loopback, multicast, ...), or None."""
    home = home_of(single, SPECIAL)
    return SPECIAL[home] if home else None


NETWORK_RULES = (
    Rule(pods_are_apart_from_services, "error", "Move one of the two."),
    Rule(pods_are_apart_from_nodes, "error", "Move pod_cidr away from your network."),
    Rule(services_are_apart_from_nodes, "error", "Move service_cidr away from your network."),
    Rule(
        networks_are_apart_from_dockers_bridge, "warning", "Choose another range, or give Docker another bridge (`bip` in its daemon.json)."
    ),
    Rule(
        extra_service_ranges_are_apart_from_everything,
        "error",
        "Choose a dns_service_ip inside service_cidr, or one whose 256 neighbours are free.",
    ),
    Rule(networks_are_for_machines, "error", "Choose a private range, like 10.244.0.0/16 or fd00:10:244::/56."),
    Rule(networks_are_private, "warning", "Choose a private range: the cluster cannot reach internet hosts in this one."),
    Rule(pod_cidr_suits_kubeadm, "error", "Choose a pod_cidr that holds a /24 (IPv6: /64) for each node, like 10.244.0.0/16."),
    Rule(service_cidr_suits_kubeadm, "error", "Choose a service_cidr of that size, like 10.96.0.0/12 or fd00:10:96::/112."),
    Rule(pods_and_services_have_the_same_families, "error", "Give both networks the same families in the same order."),
    Rule(nodes_have_the_families_of_pods, "error", "Write both node networks as a list, or pods and services of the nodes' family only."),
    Rule(gateway_is_outside_pods_and_services, "error", "Write the address of your router, or move the pod or service network."),
    Rule(gateway_is_a_node_network_address, "error", "Write the address of your router, or correct node_cidr."),
)


# Rules for the hosts: addresses, names, roles and sleep


def hosts_are_in_the_node_network(cluster: Cluster) -> Iterator[Violation]:
    """Every host address lies in the node network."""
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
                yield Violation(host.label, f"address {single}, the {kind} address", "a free host address")


def _twice(
    hosts: tuple[Host, ...], what: str, values: Callable[[Host], tuple[Optional[Hashable], ...]], shown: Callable[[Any], str] = str
) -> Iterator[Violation]:
    first: dict[Hashable, str] = {}
    for at, host in enumerate(hosts):
        for value in values(host):
            if value is None:
                continue
            if value in first:
                yield Violation(host.label, f"{what} {shown(value)}, which {first[value]} has too", f"its own {what}")
            else:
                first[value] = host.label if what != "name" else f"hosts[{at}]"


def host_addresses_are_unique(cluster: Cluster) -> Iterator[Violation]:
    """No two hosts have the same address."""
    yield from _twice(cluster.hosts or (), "address", lambda host: host.addresses or ())


def host_macs_are_unique(cluster: Cluster) -> Iterator[Violation]:
    """No two hosts have the same MAC address."""
    yield from _twice(cluster.hosts or (), "MAC", lambda host: (host.mac,), shown=with_vendor)


def host_names_are_unique(cluster: Cluster) -> Iterator[Violation]:
    """No two hosts have the same name."""
    yield from _twice(cluster.hosts or (), "name", lambda host: (host.name,))


def sleeping_hosts_have_a_mac(cluster: Cluster) -> Iterator[Violation]:
    """A host that may sleep has a MAC address to wake it by."""
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
    """No control plane host may sleep: without it there is no API to drain, wake and monitor the others."""
    for host in cluster.hosts or ():
        if host.role == "control_plane" and host.sleeps:
            yield Violation(host.label, "role control_plane with sleeps: true", "a control plane host that never sleeps")


# etcd loses its majority with half of its members: a second host, or a fourth, makes that more likely, not less
CONTROL_PLANES = (1, 3, 5)


def there_is_only_one_control_plane(cluster: Cluster) -> Iterator[Violation]:
    """Only one host has the role control_plane, unless the plan has an `api_vip`, the address at which one of several answers."""
    names = _control_planes(cluster)
    if len(names) > 1 and cluster.plan.api_vip is None:
        yield Violation("hosts", f"{len(names)} control plane hosts: {', '.join(names)}", "one control plane host")


def control_planes_have_a_majority(cluster: Cluster) -> Iterator[Violation]:
    """With `api_vip`, one, three or five hosts have the role control_plane: etcd works while most of its members do."""
    names = _control_planes(cluster)
    if cluster.plan.api_vip is not None and names and len(names) not in CONTROL_PLANES:
        yield Violation("hosts", f"{len(names)} control plane hosts: {', '.join(names)}", "one, three or five control plane hosts")


CHOOSE_A_VIP = "Choose an address that no device has, and that DHCP never gives away."


def api_vip_is_a_free_address_of_the_node_network(cluster: Cluster) -> Iterator[Violation]:
    """The `api_vip` lies in the node network, and neither a host nor the router, a DNS server, DHCP, Pods or Services use it."""
    plan, vip = cluster.plan, cluster.plan.api_vip
    if vip is None:
        return
    home = home_of(vip, plan.node_cidr)
    users = [f"the address of {host.label}" for host in cluster.hosts or () if vip in (host.addresses or ())]
    users += ["the gateway"] if vip in (plan.gateway or ()) else []
    users += ["a server of upstream_dns"] if vip in (plan.upstream_dns or ()) and vip not in (plan.gateway or ()) else []
    users += [f"in dhcp_range {plan.dhcp_range}"] if plan.dhcp_range is not None and vip in plan.dhcp_range else []
    users += [f"in pod_cidr {net}" for net in plan.pod_cidr or () if vip in net]
    users += [f"in service_cidr {net}" for net in (*(plan.service_cidr or ()), *extra_service_ranges(plan)) if vip in net]
    kind = is_network_or_broadcast(vip, home) if home else None
    if plan.node_cidr is not None and home is None:
        users.append("outside node_cidr")
    if kind:
        users.append(f"the {kind} address of {home}")
    if users:
        expected = "a free address in " + ", ".join(map(str, plan.node_cidr or ("node_cidr",)))
        free = free_address((plan.service_cidr or (vip,))[0].version, cluster)
        fix = f"{CHOOSE_A_VIP} In the plan, {free} is free." if free else ""
        yield Violation("network_plan.api_vip", f"{vip}, {' and '.join(users)}", expected, fix)


def api_vip_has_the_family_of_the_api(cluster: Cluster) -> Iterator[Violation]:
    """The `api_vip` is of the family of the primary service network, as are the addresses of API servers."""
    vip, services = cluster.plan.api_vip, cluster.plan.service_cidr
    if vip is not None and services and vip.version != services[0].version:
        yield Violation("network_plan.api_vip", f"{vip}, an IPv{vip.version} address", f"an IPv{services[0].version} address")


def dhcp_range_is_of_the_node_network(cluster: Cluster) -> Iterator[Violation]:
    """The `dhcp_range` lies in the node network."""
    found, nodes = cluster.plan.dhcp_range, cluster.plan.node_cidr
    if found is not None and nodes and not any(found.first in net and found.last in net for net in nodes):
        yield Violation("network_plan.dhcp_range", str(found), "addresses in " + ", ".join(map(str, nodes)))


def _control_planes(cluster: Cluster) -> list[str]:
    return [host.name or host.label for host in cluster.hosts or () if host.role == "control_plane"]


HOST_RULES = (
    Rule(hosts_are_in_the_node_network, "error", "Correct the host's address, or node_cidr."),
    Rule(host_addresses_are_not_reserved, "error", "Give the host a free address."),
    Rule(host_addresses_are_unique, "error", "Give one of the two another address."),
    Rule(host_macs_are_unique, "error", "Read each MAC from its host: `ip link show`."),
    Rule(host_names_are_unique, "error", "Rename one of the two: a node's name is its identity in the cluster."),
    Rule(sleeping_hosts_have_a_mac, "error", "Add its mac (`ip link show` on that host), or set sleeps: false."),
    Rule(there_is_a_control_plane, "error", "Put a host into the group control_plane."),
    Rule(the_control_plane_never_sleeps, "error", "Set sleeps: false for it, or make another host the control plane."),
    Rule(
        there_is_only_one_control_plane,
        "error",
        "Keep one host in the group control_plane, and move the others to the group workers; or, for three or five, set `api_vip` in the "
        "network plan to a free address, as docs/several-control-planes.md describes.",
    ),
    Rule(control_planes_have_a_majority, "error", "Move hosts between the groups control_plane and workers."),
    Rule(api_vip_is_a_free_address_of_the_node_network, "error", CHOOSE_A_VIP),
    Rule(api_vip_has_the_family_of_the_api, "error", "Choose an address of that family."),
    Rule(dhcp_range_is_of_the_node_network, "error", "Write the range of your router's DHCP server, or correct node_cidr."),
)
