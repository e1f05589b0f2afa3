# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about the ranges of nodes, pods and services: none may be inside another, in either direction."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Address, Cluster, Network, Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import (
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
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.rule import Rule, Violation

# kubeadm's own limits (ValidateServiceSubnetSize, MinimumAddressesInServiceSubnet, ValidatePodSubnetNodeMask):
# https://github.com/kubernetes/kubernetes/blob/master/cmd/kubeadm/app/apis/kubeadm/validation/validation.go
SERVICE_PREFIXES = {4: (12, 28), 6: (108, 124)}
POD_PREFIXES = {4: (8, 24), 6: (48, 64)}

Networks = Optional[tuple[Network, ...]]


# what to propose instead, the usual ones first
_PROPOSALS = {
    "pod_cidr": ("10.244.0.0/16", "10.10.0.0/16", "172.20.0.0/16", "100.64.0.0/16", "fd00:10:244::/56", "fd00:20:244::/56"),
    "service_cidr": ("10.96.0.0/12", "10.32.0.0/16", "172.24.0.0/16", "100.96.0.0/16", "fd00:10:96::/112", "fd00:20:96::/112"),
}


def _proposal(name: str, version: int, plan: Plan) -> str:
    """A range for ``name`` that meets none of the plan's others."""
    others = {"node_cidr": plan.node_cidr, "pod_cidr": plan.pod_cidr, "service_cidr": plan.service_cidr}
    taken = [net for other, networks in others.items() if other != name for net in networks or ()]
    proposals = [net for net in map(ip_network, _PROPOSALS[name]) if net.version == version]
    free = next((net for net in proposals if not any(meets(net, other) for other in taken)), None)
    return f"Move {name}, for example to {free}." if free else ""


def _meetings(plan: Plan, name: str, networks: Networks, other: str, others: Networks) -> Iterator[Violation]:
    for one in networks or ():
        for two in others or ():
            if meets(one, two):
                fix = _proposal(name, one.version, plan) if name in _PROPOSALS and other in ("service_cidr", "node_cidr") else ""
                found = f"{one}, which {relation(one, two)} {other} {two}"
                yield Violation(f"network_plan.{name}", found, f"a network apart from {other}", fix)


def pods_are_apart_from_services(cluster: Cluster) -> Iterator[Violation]:
    """No pod network shares an address with a service network."""
    plan = cluster.plan
    yield from _meetings(plan, "pod_cidr", plan.pod_cidr, "service_cidr", plan.service_cidr)


def pods_are_apart_from_nodes(cluster: Cluster) -> Iterator[Violation]:
    """No pod network shares an address with the network of the nodes."""
    plan = cluster.plan
    yield from _meetings(plan, "pod_cidr", plan.pod_cidr, "node_cidr", plan.node_cidr)


def services_are_apart_from_nodes(cluster: Cluster) -> Iterator[Violation]:
    """No service network shares an address with the network of the nodes."""
    plan = cluster.plan
    yield from _meetings(plan, "service_cidr", plan.service_cidr, "node_cidr", plan.node_cidr)


def networks_are_apart_from_dockers_bridge(cluster: Cluster) -> Iterator[Violation]:
    """No network shares an address with 172.17.0.0/16, which Docker takes for its bridge on every host where it runs."""
    plan = cluster.plan
    named = (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr))
    for name, networks in (*named, ("dns_service_ip", extra_service_ranges(plan))):
        yield from _meetings(plan, name, networks, "Docker's bridge", (DOCKER_BRIDGE,))


def extra_service_ranges_are_apart_from_everything(cluster: Cluster) -> Iterator[Violation]:
    """The extra range that a DNS address outside service_cidr needs shares no address with nodes, pods or services."""
    plan = cluster.plan
    named = (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr))
    for extra in extra_service_ranges(plan):
        for name, networks in named:
            for other in networks or ():
                if meets(extra, other):
                    found = f"the derived range {extra}, which {relation(extra, other)} {name} {other}"
                    yield Violation("network_plan.dns_service_ip", found, f"an extra service range apart from {name}")


def networks_are_for_machines(cluster: Cluster) -> Iterator[Violation]:
    """No network holds link-local, loopback, multicast or reserved addresses."""
    plan = cluster.plan
    for name, networks in (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr)):
        for net in networks or ():
            special = next((other for other in SPECIAL if meets(net, other)), None)
            if special is not None:
                found = f"{net}, which {relation(net, special)} the {SPECIAL[special]} range {special}"
                yield Violation(f"network_plan.{name}", found, "addresses that machines can have")


def networks_are_private(cluster: Cluster) -> Iterator[Violation]:
    """IPv4 networks are private ones (10/8, 172.16/12, 192.168/16, 100.64/10): others hide a part of the internet."""
    plan = cluster.plan
    for name, networks in (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr), ("service_cidr", plan.service_cidr)):
        for net in networks or ():
            inside = any(relation(net, private) != "covers" and meets(net, private) for private in PRIVATE_IPV4)
            if net.version == 4 and not inside and not any(meets(net, other) for other in SPECIAL):
                severity: Optional[Severity] = "info" if name == "node_cidr" else None
                yield Violation(f"network_plan.{name}", f"{net}, a public range", "a private range", severity=severity)


def pod_cidr_suits_kubeadm(cluster: Cluster) -> Iterator[Violation]:
    """A pod network has a prefix that kubeadm takes: /8 to /24 for IPv4, /48 to /64 for IPv6."""
    for net in cluster.plan.pod_cidr or ():
        first, last = POD_PREFIXES[net.version]
        if not first <= net.prefixlen <= last:
            yield Violation("network_plan.pod_cidr", f"{net}", f"a prefix from /{first} to /{last}")


def service_cidr_suits_kubeadm(cluster: Cluster) -> Iterator[Violation]:
    """A service network has a prefix that kubeadm and the API server take: /12 to /28 for IPv4, /108 to /124 for IPv6."""
    for net in cluster.plan.service_cidr or ():
        first, last = SERVICE_PREFIXES[net.version]
        if not first <= net.prefixlen <= last:
            yield Violation("network_plan.service_cidr", f"{net}", f"a prefix from /{first} to /{last}")


def pods_and_services_have_the_same_families(cluster: Cluster) -> Iterator[Violation]:
    """pod_cidr and service_cidr are both IPv4, both IPv6, or both dual stack, with the same family first."""
    pods, services = cluster.plan.pod_cidr, cluster.plan.service_cidr
    if pods and services and _families(pods) != _families(services):
        found = f"pods over {_words(pods)}, services over {_words(services)}"
        yield Violation("network_plan.service_cidr", found, "the families of pod_cidr, in its order")


def nodes_have_the_families_of_pods(cluster: Cluster) -> Iterator[Violation]:
    """The node network has every address family that the pods have."""
    nodes, pods = cluster.plan.node_cidr, cluster.plan.pod_cidr
    if nodes and pods and not set(_families(pods)) <= set(_families(nodes)):
        yield Violation("network_plan.node_cidr", _words(nodes), f"{_words(pods)}, as pod_cidr has")


def gateway_is_outside_pods_and_services(cluster: Cluster) -> Iterator[Violation]:
    """The gateway is no address of a pod or service network."""
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
    """The kind of special range that holds the address (loopback, multicast, ...), or None."""
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
    Rule(
        networks_are_private, "warning", "Choose a private range: machines of the internet in this one cannot be reached from the cluster."
    ),
    Rule(pod_cidr_suits_kubeadm, "error", "Choose a pod_cidr that holds a /24 (IPv6: /64) for each node, like 10.244.0.0/16."),
    Rule(service_cidr_suits_kubeadm, "error", "Choose a service_cidr of that size, like 10.96.0.0/12 or fd00:10:96::/112."),
    Rule(pods_and_services_have_the_same_families, "error", "Give both networks the same families in the same order."),
    Rule(nodes_have_the_families_of_pods, "error", "Write both node networks as a list, or pods and services of the nodes' family only."),
    Rule(gateway_is_outside_pods_and_services, "error", "Write the address of your router, or move the pod or service network."),
    Rule(gateway_is_a_node_network_address, "error", "Write the address of your router, or correct node_cidr."),
)
