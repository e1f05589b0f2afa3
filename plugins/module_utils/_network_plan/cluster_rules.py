# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for Services and NodePorts, for DNS, and for Calico's pools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from .model import ROLES, Cluster, DeclaredPort, ExtraPort, Network, Plan, Role, Rule, Violation
from .ports import HOSTS_WITHOUT_TYPHA, PORT_FACTS, SSH_PORT, STALE_FACTS, OpenPort, open_ports, typha_replicas, uses_bgp, uses_typha
from .proposals import free_network
from .ranges import (
    BLOCK_SIZES,
    PODS_PER_NODE,
    PRIVATE_IPV4,
    Pool,
    api_server_address,
    extra_service_range,
    extra_service_ranges,
    has_service_cidr_objects,
    home_of,
    is_network_or_broadcast,
    meets,
    pools,
    relation,
)
from .rules import special_kind

# Rules for Services, NodePorts and declared ports

RANGE = "network_plan.node_port_range"
DNS_PORT = 53


def node_port_range_avoids_local_ports(cluster: Cluster) -> Iterator[Violation]:
    """NodePorts are outside the kernel's range for outgoing connections (net.ipv4.ip_local_port_range)."""
    nodes, local = cluster.plan.node_port_range, cluster.plan.local_port_range
    if nodes and local and nodes.meets(local):
        yield Violation(RANGE, f"{nodes}, which overlaps local_port_range {local}", "two separate ranges")


def node_port_range_avoids_host_ports(cluster: Cluster) -> Iterator[Violation]:
    """NodePorts are not ports that the hosts themselves listen on."""
    nodes = cluster.plan.node_port_range
    own = {port.ports: port.fact.name for port in _host_ports(cluster)}
    met = [f"{ports} ({name})" for ports, name in own.items() if nodes and ports and nodes.meets(ports)]
    if met:
        yield Violation(RANGE, f"{nodes}, which contains " + ", ".join(met), "a range without the hosts' own ports")


def _host_ports(cluster: Cluster) -> list[OpenPort]:
    own = [port for role in ROLES for port in open_ports(cluster.plan, role, cluster.hosts)]
    return [port for port in own if port.fact.ports_from != "node_port_range" and port.fact in PORT_FACTS]


def node_ports_are_in_the_range(cluster: Cluster) -> Iterator[Violation]:
    """Every node_port lies in node_port_range: the API server rejects any other."""
    nodes = cluster.plan.node_port_range
    for service in cluster.plan.services or ():
        if nodes and service.node_port is not None and service.node_port not in nodes:
            yield Violation(service.label, f"node_port {service.node_port}", f"a port in {nodes}")


def node_ports_are_taken_once(cluster: Cluster) -> Iterator[Violation]:
    """No two services use the same node_port with the same protocol."""
    first: dict[tuple[int, str], str] = {}
    for service in cluster.plan.services or ():
        if service.node_port is None or service.protocol is None:
            continue
        key = (service.node_port, service.protocol)
        if key in first:
            found = f"node_port {service.node_port}/{service.protocol}, which {first[key]} uses too"
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
    """No service is of type LoadBalancer: a home network assigns it no address, so it would stay pending."""
    for service in cluster.plan.services or ():
        if service.type == "LoadBalancer":
            yield Violation(service.label, "type LoadBalancer", "type NodePort or ClusterIP")


def cluster_ip_services_have_no_node_port(cluster: Cluster) -> Iterator[Violation]:
    """A service of type ClusterIP has no node_port."""
    for service in cluster.plan.services or ():
        if service.type == "ClusterIP" and service.node_port is not None:
            yield Violation(service.label, f"type ClusterIP with node_port {service.node_port}", "one of the two")


def extra_ports_are_listed_once(cluster: Cluster) -> Iterator[Violation]:
    """No two extra ports overlap on a host."""
    extras = cluster.plan.extra_ports or ()
    for at, extra in enumerate(extras):
        for other in extras[:at]:
            same_host = set(extra.roles or ()) & set(other.roles or ())
            if extra.ports and other.ports and extra.protocol == other.protocol and same_host and extra.ports.meets(other.ports):
                yield Violation(extra.label, f"{_written(extra)}, which {other.label} opens too", "each port of a host once")
                break


def extra_ports_are_not_the_clusters(cluster: Cluster) -> Iterator[Violation]:
    """No extra port is one that the cluster itself needs on that host."""
    for extra in cluster.plan.extra_ports or ():
        for opening in _host_ports(cluster):
            on_host = set(extra.roles or ()) & set(opening.fact.roles)
            if extra.ports and opening.ports and extra.protocol == opening.fact.protocol and on_host and extra.ports.meets(opening.ports):
                found = f"{_written(extra)}, which the cluster uses for {opening.fact.name} ({opening.declared})"
                yield Violation(extra.label, found, "a port that the cluster does not use")
                break


def extra_ports_are_no_node_ports(cluster: Cluster) -> Iterator[Violation]:
    """No extra port lies in node_port_range, where Kubernetes gives ports to Services."""
    nodes = cluster.plan.node_port_range
    for extra in cluster.plan.extra_ports or ():
        if nodes and extra.ports and extra.ports.meets(nodes):
            yield Violation(extra.label, f"port {extra.ports}, in node_port_range {nodes}", f"a port outside {nodes}")


def extra_ports_avoid_local_ports(cluster: Cluster) -> Iterator[Violation]:
    """No extra port lies in the kernel's range for outgoing connections, where another program can have it when yours starts."""
    local = cluster.plan.local_port_range
    for extra in cluster.plan.extra_ports or ():
        if local and extra.ports and extra.ports.meets(local):
            yield Violation(extra.label, f"port {extra.ports}, in local_port_range {local}", f"a port outside {local}")


def extra_ports_are_for_your_networks(cluster: Cluster) -> Iterator[Violation]:
    """The sources of an extra port are private networks or the node network, or the word anyone."""
    for extra in cluster.plan.extra_ports or ():
        for net in extra.sources if isinstance(extra.sources, tuple) else ():
            own = (*PRIVATE_IPV4, *(cluster.plan.node_cidr or ()))
            within = any(meets(net, other) and relation(net, other) != "covers" for other in own)
            if not within and (net.version == 4 or net.prefixlen == 0):
                yield Violation(extra.label, f"sources {net}, a public network", "networks of your own, or the word anyone")


def _written(extra: ExtraPort) -> str:
    return f"{extra.ports}/{extra.protocol}"


def declared_ports_are_not_stale(cluster: Cluster) -> Iterator[Violation]:
    """No declared port belongs to a component that this cluster does not run."""
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
    """If a role declares ports, every port that the plan needs is among them."""
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
    """Return whether each port of the wanted range is in some range of the same protocol."""
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
    Rule(services_need_no_load_balancer, "warning", "Set type: NodePort, or omit the type."),
    Rule(cluster_ip_services_have_no_node_port, "error", "Remove node_port, or set type: NodePort."),
    Rule(extra_ports_are_listed_once, "error", "Remove one of the two, or give them different roles."),
    Rule(extra_ports_are_not_the_clusters, "error", "Choose another port for your program, or remove the entry: the cluster's is open."),
    Rule(extra_ports_are_no_node_ports, "error", "Choose another port. A Service with a NodePort belongs into services."),
    Rule(extra_ports_avoid_local_ports, "warning", "Choose a lower port."),
    Rule(extra_ports_are_for_your_networks, "warning", "Correct the network, or write sources: anyone if you mean everyone."),
    Rule(declared_ports_are_not_stale, "warning", "Remove it from declared_ports."),
    Rule(declared_ports_are_needed, "warning", "Remove it from declared_ports, or add it to extra_ports, which are opened."),
    Rule(declared_ports_are_complete, "warning", "Add it to declared_ports, or omit declared_ports: ports are derived."),
)


# Rules for DNS: the cluster's DNS address and the upstream servers

SUBJECT = "network_plan.dns_service_ip"


def dns_service_ip_is_outside_nodes_and_pods(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address is not in the node network or in a pod network."""
    plan = cluster.plan
    for single in plan.dns_service_ip or ():
        for name, networks in (("node_cidr", plan.node_cidr), ("pod_cidr", plan.pod_cidr)):
            home = home_of(single, networks)
            if home and not home_of(single, plan.service_cidr):
                yield Violation(SUBJECT, f"{single}, an address of {name} {home}", "an address of service_cidr")


def dns_service_ip_is_a_service_address(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address lies in service_cidr, or Kubernetes is 1.33 or newer and gets an extra range (then it is only an info)."""
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
    """The DNS address is neither the first nor the last address of its range: Kubernetes never assigns those."""
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
    """The DNS address is not the first address of service_cidr, which the Service `kubernetes` uses."""
    own = api_server_address(cluster.plan)
    for single in cluster.plan.dns_service_ip or ():
        if single == own:
            primary = (cluster.plan.service_cidr or ())[0]
            found = f"{single}, the first address of service_cidr {primary}"
            yield Violation(SUBJECT, found, "another address: the API server takes the first", f"Choose another, like {primary[10]}.")


def dns_service_ip_has_a_family_of_services(cluster: Cluster) -> Iterator[Violation]:
    """The DNS address has an address family of the services."""
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
    """An upstream DNS server is not a loopback (like 127.0.0.53), link-local or multicast address: pods cannot reach it."""
    for single in cluster.plan.upstream_dns or ():
        kind = special_kind(single)
        if kind and single not in (cluster.plan.gateway or ()):
            yield Violation("network_plan.upstream_dns", f"{single}, a {kind} address", "an address that pods can reach")


def upstream_dns_on_a_host_is_open_to_pods(cluster: Cluster) -> Iterator[Violation]:
    """If an upstream DNS server is a host of the cluster, extra_ports opens its port to Pods: of their host they reach only open ports."""
    plan = cluster.plan
    servers = [single for single in plan.upstream_dns or () if single not in (plan.gateway or ())]
    for host in cluster.hosts or ():
        for single in servers:
            pods = [net for net in plan.pod_cidr or () if net.version == single.version]
            if single in (host.addresses or ()) and not any(_is_dns_for(extra, host.role, pods) for extra in plan.extra_ports or ()):
                sources = ", ".join(str(net) for net in (*(plan.node_cidr or ()), *(plan.pod_cidr or ())))
                yield Violation(
                    "network_plan.upstream_dns",
                    f"{single}, the address of {host.label}, whose port 53/udp is not open to Pods",
                    "a server that CoreDNS reaches",
                    f"Add {{name: dns, port: 53, protocol: udp, sources: [{sources}], reason: CoreDNS asks it}} to extra_ports, and again "
                    "with protocol: tcp.",
                )


def _is_dns_for(extra: ExtraPort, role: Optional[Role], pods: list[Network]) -> bool:
    if extra.protocol != "udp" or extra.ports is None or DNS_PORT not in extra.ports or role not in (extra.roles or ()):
        return False
    networks = extra.sources if isinstance(extra.sources, tuple) else ()
    return extra.sources in ("anyone", "hosts") or all(
        any(meets(net, pod) and relation(net, pod) != "lies inside" for net in networks) for pod in pods
    )


DNS_RULES = (
    Rule(dns_service_ip_is_outside_nodes_and_pods, "error", "Choose an address of service_cidr."),
    Rule(
        dns_service_ip_is_a_service_address,
        "error",
        'Either set dns_service_ip to an address inside service_cidr; or set kubernetes_version to "1.33" or newer.',
    ),
    Rule(dns_service_ip_is_not_a_network_or_broadcast_address, "error", "Choose an address between the first and the last."),
    Rule(dns_service_ip_is_not_the_api_servers, "error", "Choose another address, like the tenth one of service_cidr."),
    Rule(dns_service_ip_has_a_family_of_services, "error", "Choose an address of service_cidr."),
    Rule(dns_service_ip_is_for_machines, "error", "Choose an address of service_cidr."),
    Rule(upstream_dns_is_outside_the_cluster, "error", "Write your router's address, or another DNS server outside the cluster."),
    Rule(upstream_dns_is_reachable_from_pods, "error", "Write your router's address, or another DNS server of your network."),
    Rule(upstream_dns_on_a_host_is_open_to_pods, "warning", "Add port 53 of udp and tcp to extra_ports, with pod_cidr in sources."),
)


# Rules for Calico: pools, blocks and encapsulation

# a full mesh is for about 100 nodes or fewer
BGP_DOCUMENT = "https://docs.tigera.io/calico/latest/networking/configuring/bgp"
NODES_OF_A_FULL_MESH = 100


def block_sizes_are_calicos(cluster: Cluster) -> Iterator[Violation]:
    """A block size is 20 to 32 for an IPv4 pool and 116 to 128 for an IPv6 pool, at most one for each."""
    pods, sizes = cluster.plan.pod_cidr, cluster.plan.block_sizes
    if not pods or not sizes:
        return
    allowed = [BLOCK_SIZES[net.version] for net in pods]
    expected = " or ".join(f"{first} to {last} (IPv{net.version})" for net, (first, last) in zip(pods, allowed))
    strangers = [size for size in sizes if not any(first <= size <= last for first, last in allowed)]
    for size in strangers:
        yield Violation("network_plan.block_size", f"{size}", expected)
    for first, last in allowed if not strangers else ():
        of_family = [size for size in sizes if first <= size <= last]
        if len(of_family) > 1:
            yield Violation("network_plan.block_size", " and ".join(map(str, of_family)), "one block size for each pod network")


def _valid_pools(cluster: Cluster) -> list[Pool]:
    """Return pools with a valid block size, so that their capacity can be checked."""
    if list(block_sizes_are_calicos(cluster)):
        return []
    return [pool for pool in pools(cluster.plan) if pool.block_size >= pool.cidr.prefixlen]


def blocks_fit_in_their_pool(cluster: Cluster) -> Iterator[Violation]:
    """A pod network contains at least one complete Calico block."""
    if list(block_sizes_are_calicos(cluster)):
        return
    for pool in pools(cluster.plan):
        if pool.block_size < pool.cidr.prefixlen:
            found = f"blocks of /{pool.block_size} in {pool.cidr}"
            yield Violation("network_plan.block_size", found, f"a block size of {pool.cidr.prefixlen} or more")


def pools_have_a_block_for_every_node(cluster: Cluster) -> Iterator[Violation]:
    """A pod network has at least as many Calico blocks as there are hosts: a node without a block has no pod addresses of its own."""
    nodes = len(cluster.hosts or ())
    for pool in _valid_pools(cluster):
        if pool.blocks < nodes:
            count = f"{pool.blocks} block{'s' if pool.blocks > 1 else ''}"
            found = f"{pool.cidr}, which has {count} of /{pool.block_size}, for {nodes} hosts"
            yield Violation("network_plan.pod_cidr", found, f"at least {nodes} blocks", _larger(pool, cluster, ", or raise block_size"))


def pools_hold_all_pods_of_full_nodes(cluster: Cluster) -> Iterator[Violation]:
    """A pod network has 110 addresses for every host, the most Pods that a kubelet runs by default."""
    nodes = len(cluster.hosts or ())
    for pool in _valid_pools(cluster):
        have = pool.blocks * pool.addresses_per_block
        if pool.blocks >= nodes and have < nodes * PODS_PER_NODE:
            found = f"{pool.cidr}, which has {have} addresses, for {nodes} hosts"
            yield Violation("network_plan.pod_cidr", found, f"{nodes * PODS_PER_NODE} addresses or more", _larger(pool, cluster))


def _larger(pool: Pool, cluster: Cluster, instead: str = "") -> str:
    larger = free_network("pod_cidr", pool.cidr.version, cluster)
    return f"Enlarge pod_cidr, for example to {larger}{instead}." if larger else ""


def ipip_has_an_ipv4_pool(cluster: Cluster) -> Iterator[Violation]:
    """With IP-in-IP, which carries IPv4 only, there is an IPv4 pod network."""
    plan = cluster.plan
    word = plan.encapsulation or ""
    if plan.pod_cidr and word.startswith("IPIP") and all(net.version == 6 for net in plan.pod_cidr):
        yield Violation("network_plan.encapsulation", f"{word} for {plan.pod_cidr[0]}", "VXLAN, VXLANCrossSubnet or None for IPv6 pods")


def every_pool_is_encapsulated(cluster: Cluster) -> Iterator[Violation]:
    """With an encapsulation, every pod network is encapsulated (with IP-in-IP an IPv6 pool is not: it works within one LAN)."""
    plan = cluster.plan
    if len(plan.pod_cidr or ()) < 2 or not (plan.encapsulation or "").startswith("IPIP"):
        return
    for pool in pools(plan):
        if pool.encapsulation == "None":
            yield Violation(
                "network_plan.encapsulation",
                f"{plan.encapsulation}, which does not encapsulate {pool.cidr}",
                "an encapsulation for both families",
            )


def large_clusters_use_typha(cluster: Cluster) -> Iterator[Violation]:
    """Without Typha there are at most 50 hosts: with more, the API server has too many watches, as each node has its own."""
    nodes = len(cluster.hosts or ())
    if nodes > HOSTS_WITHOUT_TYPHA and cluster.plan.typha == "absent":
        yield Violation("network_plan.typha", f"absent, for {nodes} hosts", f"{HOSTS_WITHOUT_TYPHA} hosts or fewer without Typha")


def typha_has_hosts_that_never_sleep(cluster: Cluster) -> Iterator[Violation]:
    """If Calico uses Typha, three hosts never sleep (one more for each further 200 hosts above 600): Typha runs only on such hosts."""
    hosts = cluster.hosts or ()
    never_sleep = sum(host.sleeps is False for host in hosts)
    least = min(typha_replicas(len(hosts), len(hosts)), len(hosts))
    if hosts and never_sleep < least and uses_typha(cluster.plan, len(hosts), runs=False):
        found = f"{never_sleep} that never sleep{'s' if never_sleep == 1 else ''}, of {len(hosts)}"
        yield Violation("hosts", found, f"{least} for the replicas of Typha: with fewer, nodes lose their connection if one restarts")


def the_bgp_mesh_is_small(cluster: Cluster) -> Iterator[Violation]:
    """There are at most 100 hosts if Calico uses BGP: in its full mesh every node has a session with every other node."""
    nodes = len(cluster.hosts or ())
    if uses_bgp(cluster.plan) and nodes > NODES_OF_A_FULL_MESH:
        found = f"{nodes} hosts with encapsulation {cluster.plan.encapsulation}: {nodes - 1} BGP sessions on each"
        yield Violation("network_plan.encapsulation", found, f"{NODES_OF_A_FULL_MESH} hosts or fewer in a full BGP mesh")


CALICO_RULES = (
    Rule(block_sizes_are_calicos, "error", "Write block_size: 26 for IPv4, 122 for IPv6, or omit it."),
    Rule(blocks_fit_in_their_pool, "error", "Enlarge pod_cidr, or raise block_size."),
    Rule(pools_have_a_block_for_every_node, "error", "Enlarge pod_cidr, like 10.244.0.0/16, or raise block_size."),
    Rule(pools_hold_all_pods_of_full_nodes, "warning", "Enlarge pod_cidr, like 10.244.0.0/16."),
    Rule(ipip_has_an_ipv4_pool, "error", "Set encapsulation: VXLAN."),
    Rule(every_pool_is_encapsulated, "info", "Set encapsulation: VXLAN if nodes are on several networks."),
    Rule(large_clusters_use_typha, "warning", "Remove the key typha, and run site.yml."),
    Rule(typha_has_hosts_that_never_sleep, "warning", "Set sleeps: false for more hosts."),
    Rule(
        the_bgp_mesh_is_small,
        "warning",
        "Either set encapsulation: VXLAN before the cluster is created, because it needs no BGP; or configure route reflectors, and "
        f"disable the node-to-node mesh: {BGP_DOCUMENT}.",
    ),
)
