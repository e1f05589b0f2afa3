# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules about Services and their NodePorts, and about what the owner declares open."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Cluster, DeclaredPort, Plan, Role
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.port_facts import SSH_PORT, STALE_FACTS
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports import OpenPort, open_ports
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.rule import Rule, Violation

RANGE = "network_plan.node_port_range"


def node_port_range_avoids_local_ports(cluster: Cluster) -> Iterator[Violation]:
    """NodePorts are outside the kernel's range for outgoing connections (net.ipv4.ip_local_port_range)."""
    nodes, local = cluster.plan.node_port_range, cluster.plan.local_port_range
    if nodes and local and nodes.meets(local):
        yield Violation(RANGE, f"{nodes}, which meets local_port_range {local}", "two ranges apart")


def node_port_range_avoids_host_ports(cluster: Cluster) -> Iterator[Violation]:
    """NodePorts are none of the ports at which the hosts themselves listen."""
    nodes = cluster.plan.node_port_range
    own = {port.ports: port.fact.name for port in _host_ports(cluster.plan)}
    met = [f"{ports} ({name})" for ports, name in own.items() if nodes and ports and nodes.meets(ports)]
    if met:
        yield Violation(RANGE, f"{nodes}, which holds " + ", ".join(met), "a range apart from the hosts' own ports")


def _host_ports(plan: Plan) -> list[OpenPort]:
    own = [*open_ports(plan, "control_plane"), *open_ports(plan, "worker")]
    return [port for port in own if port.fact.ports_from != "node_port_range"]


def node_ports_are_in_the_range(cluster: Cluster) -> Iterator[Violation]:
    """Every node_port lies in node_port_range, outside of which the API server refuses it."""
    nodes = cluster.plan.node_port_range
    for service in cluster.plan.services or ():
        if nodes and service.node_port is not None and service.node_port not in nodes:
            yield Violation(service.label, f"node_port {service.node_port}", f"a port in {nodes}")


def node_ports_are_taken_once(cluster: Cluster) -> Iterator[Violation]:
    """No two services have the same node_port over the same protocol."""
    first: dict[tuple[int, str], str] = {}
    for service in cluster.plan.services or ():
        if service.node_port is None or service.protocol is None:
            continue
        key = (service.node_port, service.protocol)
        if key in first:
            found = f"node_port {service.node_port}/{service.protocol}, which {first[key]} has too"
            yield Violation(service.label, found, "a node_port of its own")
        first.setdefault(key, service.label)


def services_are_listed_once(cluster: Cluster) -> Iterator[Violation]:
    """A port of a service is listed once."""
    first: dict[tuple[object, ...], str] = {}
    for service in cluster.plan.services or ():
        key = (service.namespace, service.name, service.port, service.protocol)
        if None in key:
            continue
        if key in first:
            found = f"port {service.port}/{service.protocol} of {service.namespace}/{service.name}, which {first[key]} is too"
            yield Violation(service.label, found, "each port of a service once")
        first.setdefault(key, service.label)


def services_need_no_load_balancer(cluster: Cluster) -> Iterator[Violation]:
    """No service is of type LoadBalancer: nothing on a home network hands out its address, it would stay pending."""
    for service in cluster.plan.services or ():
        if service.type == "LoadBalancer":
            yield Violation(service.label, "type LoadBalancer", "type NodePort or ClusterIP")


def cluster_ip_services_have_no_node_port(cluster: Cluster) -> Iterator[Violation]:
    """A service of type ClusterIP has no node_port."""
    for service in cluster.plan.services or ():
        if service.type == "ClusterIP" and service.node_port is not None:
            yield Violation(service.label, f"type ClusterIP with node_port {service.node_port}", "one of the two")


def declared_ports_are_not_stale(cluster: Cluster) -> Iterator[Violation]:
    """No declared port belongs to something that this cluster does not run."""
    for label, _role, port in _declared(cluster.plan):
        for stale in STALE_FACTS:
            if port == stale.port and stale.when(cluster.plan):
                fix = f"Remove it from declared_ports; what is needed is {stale.instead}, which is derived."
                yield Violation(label, f"{port}: {stale.what}", stale.instead, fix)


def declared_ports_are_needed(cluster: Cluster) -> Iterator[Violation]:
    """Every declared port is one that the plan needs on that role."""
    plan = cluster.plan
    if None in (plan.node_cidr, plan.pod_cidr, plan.encapsulation, plan.node_port_range, plan.services):
        return
    for label, role, port in _declared(plan):
        needed = [opening.declared for opening in _derived(cluster, role)]
        stale = any(port == stale.port and stale.when(plan) for stale in STALE_FACTS)
        if not stale and not _covers(needed, port):
            yield Violation(label, f"{port}, which nothing in the plan needs", "a port that the plan needs")


def declared_ports_are_complete(cluster: Cluster) -> Iterator[Violation]:
    """Where a role declares ports, every port that the plan needs is among them."""
    for role, declaration in (cluster.plan.declared_ports or {}).items():
        for opening in _derived(cluster, role) if declaration.all_read else ():
            if not _covers(list(declaration.ports), opening.declared):
                found = f"no {opening.declared} ({opening.fact.name})"
                fix = f"Add {opening.declared} if you keep the list; it is opened in any case: {opening.fact.reason}."
                yield Violation(_label(role), found, f"{opening.declared}", fix)


def _label(role: Role) -> str:
    return "network_plan.declared_ports." + ("control_plane" if role == "control_plane" else "workers")


def _declared(plan: Plan) -> Iterator[tuple[str, Role, DeclaredPort]]:
    for role, declaration in (plan.declared_ports or {}).items():
        for port in dict.fromkeys(declaration.ports):
            yield _label(role), role, port


def _derived(cluster: Cluster, role: Role) -> tuple[OpenPort, ...]:
    return open_ports(cluster.plan, role, cluster.hosts, SSH_PORT)


def _covers(having: list[DeclaredPort], wanted: DeclaredPort) -> bool:
    """Whether each port of the wanted range is in some range of the same protocol."""
    if wanted.ports is None:
        return wanted in having
    reached = wanted.ports.first - 1
    for ports in sorted(port.ports for port in having if port.ports and port.protocol == wanted.protocol):
        if ports.first <= reached + 1:
            reached = max(reached, ports.last)
    return reached >= wanted.ports.last


SERVICE_RULES = (
    Rule(node_port_range_avoids_local_ports, "warning", "Move one of the two, like node_port_range: 30000-32767."),
    Rule(node_port_range_avoids_host_ports, "error", "Choose a range above them, like 30000-32767."),
    Rule(node_ports_are_in_the_range, "error", "Choose a free port of the range."),
    Rule(node_ports_are_taken_once, "error", "Choose another port for one of the two."),
    Rule(services_are_listed_once, "error", "Remove one of the two entries."),
    Rule(services_need_no_load_balancer, "warning", "Set type: NodePort, or leave the type out."),
    Rule(cluster_ip_services_have_no_node_port, "error", "Remove node_port, or set type: NodePort."),
    Rule(declared_ports_are_not_stale, "warning", "Remove it from declared_ports."),
    Rule(declared_ports_are_needed, "warning", "Remove it from declared_ports, or add what listens there to services."),
    Rule(declared_ports_are_complete, "warning", "Add it to declared_ports, or leave declared_ports out: ports are derived."),
)
