# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about names: the cluster's DNS address, and whom it asks for the rest of the world."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.network_rules import special_kind
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import (
    api_server_address,
    extra_service_range,
    extra_service_ranges,
    has_service_cidr_objects,
    home_of,
    is_network_or_broadcast,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.rule import Rule, Violation

SUBJECT = "network_plan.dns_service_ip"


def dns_service_ip_is_outside_nodes_and_pods(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address is no address of the node network or of a pod network."""
    plan = cluster.plan
    for single in plan.dns_service_ip or ():
        for name, networks in (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr)):
            home = home_of(single, networks)
            if home and not home_of(single, plan.service_cidr):
                yield Violation(SUBJECT, f"{single}, an address of {name} {home}", "an address of service_cidr")


def dns_service_ip_is_a_service_address(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address lies in service_cidr, or Kubernetes is 1.33 or newer and gets an extra range (then only told: info)."""
    plan = cluster.plan
    if plan.kubernetes_version is None:
        return
    ranges = ", ".join(map(str, plan.service_cidr or ()))
    for extra in extra_service_ranges(plan):
        singles = [single for single in plan.dns_service_ip or () if single in extra]
        found = f"{singles[0]}, outside {ranges}"
        if has_service_cidr_objects(plan):
            fix = f"Nothing to do: the ServiceCIDR {extra} is created before the DNS Service."
            yield Violation(SUBJECT, found, f"an address of {ranges} or of an extra range", fix, "info")
        else:
            major, minor = plan.kubernetes_version
            expected = f"an address of {ranges}, as Kubernetes {major}.{minor} has no second service range"
            yield Violation(SUBJECT, found, expected, _two_ways_out(cluster))


def _two_ways_out(cluster: Cluster) -> str:
    primary = (cluster.plan.service_cidr or ())[0]
    inside = primary[10] if primary.num_addresses > 11 else primary[-1]
    return f'Either set dns_service_ip to an address inside, like {inside}; or set kubernetes_version to "1.33" or newer.'


def dns_service_ip_is_not_a_network_or_broadcast_address(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address is neither the first nor the last address of its range: Kubernetes gives those to nobody."""
    plan = cluster.plan
    if plan.service_cidr is None:
        return
    elsewhere = (*(plan.node_cidr or ()), *(plan.pod_cidr or ()))
    for single in plan.dns_service_ip or ():
        home = home_of(single, plan.service_cidr)
        if home is None and home_of(single, elsewhere):
            continue
        home = home or extra_service_range(single)
        kind = is_network_or_broadcast(single, home)
        if kind:
            yield Violation(
                SUBJECT,
                f"{single}, the {kind} address of {home}",
                "an address that a Service can have",
                f"Choose another, like {home[10]}.",
            )


def dns_service_ip_is_not_the_api_servers(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address is not the first address of service_cidr, which the Service `kubernetes` has."""
    own = api_server_address(cluster.plan)
    for single in cluster.plan.dns_service_ip or ():
        if single == own:
            primary = (cluster.plan.service_cidr or ())[0]
            found = f"{single}, the first address of service_cidr {primary}"
            yield Violation(SUBJECT, found, "another address: the API server takes the first", f"Choose another, like {primary[10]}.")


def dns_service_ip_has_a_family_of_services(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address has an address family that the services have."""
    services = cluster.plan.service_cidr
    for single in cluster.plan.dns_service_ip or ():
        if services and single.version not in {net.version for net in services}:
            yield Violation(SUBJECT, f"{single}, IPv{single.version}", "an address of " + ", ".join(map(str, services)))


def dns_service_ip_is_for_machines(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address is not a link-local, loopback, multicast or reserved one."""
    for single in cluster.plan.dns_service_ip or ():
        kind = special_kind(single)
        if kind and not home_of(single, cluster.plan.service_cidr):
            yield Violation(SUBJECT, f"{single}, a {kind} address", "an address of service_cidr")


def upstream_dns_is_outside_the_cluster(cluster: Cluster) -> Iterator[Violation]:
    """An upstream DNS server is neither the cluster's DNS nor another address of pods or services: that would be a loop."""
    plan = cluster.plan
    for single in plan.upstream_dns or ():
        if single in (plan.dns_service_ip or ()):
            yield Violation("network_plan.upstream_dns", f"{single}, the cluster's own DNS address", "a DNS server outside the cluster")
            continue
        home = home_of(single, (*(plan.pod_cidr or ()), *(plan.service_cidr or ()), *extra_service_ranges(plan)))
        if home and single not in (plan.gateway or ()) and not home_of(single, plan.node_cidr):
            yield Violation(
                "network_plan.upstream_dns", f"{single}, an address of the cluster's {home}", "a DNS server outside the cluster"
            )


def upstream_dns_is_reachable_from_pods(cluster: Cluster) -> Iterator[Violation]:
    """An upstream DNS server is not on loopback (as 127.0.0.53 is), link-local or multicast: a pod cannot ask it."""
    for single in cluster.plan.upstream_dns or ():
        kind = special_kind(single)
        if kind and single not in (cluster.plan.gateway or ()):
            yield Violation("network_plan.upstream_dns", f"{single}, a {kind} address", "an address that a pod can ask")


DNS_RULES = (
    Rule(dns_service_ip_is_outside_nodes_and_pods, "error", "Choose an address of service_cidr."),
    Rule(
        dns_service_ip_is_a_service_address,
        "error",
        'Either set dns_service_ip to an address inside service_cidr; or set kubernetes_version to "1.33" or newer.',
    ),
    Rule(dns_service_ip_is_not_a_network_or_broadcast_address, "error", "Choose an address between the first and the last."),
    Rule(dns_service_ip_is_not_the_api_servers, "error", "Choose another address, like the tenth of service_cidr."),
    Rule(dns_service_ip_has_a_family_of_services, "error", "Choose an address of service_cidr."),
    Rule(dns_service_ip_is_for_machines, "error", "Choose an address of service_cidr."),
    Rule(upstream_dns_is_outside_the_cluster, "error", "Write your router's address, or another DNS server outside the cluster."),
    Rule(upstream_dns_is_reachable_from_pods, "error", "Write your router's address, or another DNS server of your network."),
)
