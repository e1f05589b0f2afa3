# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of ports that a cluster needs, with sources and reasons, and the ports that a plan opens on each role. When Typha runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Callable, Literal, Optional, Union

from .model import ROLES, DeclaredPort, Host, Network, Plan, PortRange, Role, Service, Sources

# Whether a cluster runs Typha, which watches the API server for all nodes, and how often

# https://docs.tigera.io/calico/latest/getting-started/kubernetes/self-managed-onprem/onpremises: calico.yaml is for 50 nodes or fewer
HOSTS_WITHOUT_TYPHA = 50
# A Typha that runs stays down to half of that: a cluster near the limit does not change with each host that joins or leaves.
HOSTS_THAT_KEEP_TYPHA = 25
# calico-typha.yaml: "one replica for every 100-200 nodes. In production, we recommend running at least 3 replicas"
HOSTS_OF_A_REPLICA = 200
REPLICAS = 3


def may_use_typha(plan: Plan, hosts: int) -> bool:
    """Return whether Typha runs, or may still run. It depends on the inventory alone, because the firewalls of the hosts follow from it."""
    return plan.typha == "present" or (plan.typha == "auto" and hosts > HOSTS_THAT_KEEP_TYPHA)


def uses_typha(plan: Plan, hosts: int, runs: bool) -> bool:
    """runs: whether Typha is installed already."""
    return may_use_typha(plan, hosts) and (plan.typha == "present" or hosts > HOSTS_WITHOUT_TYPHA or runs)


def typha_replicas(hosts: int, never_sleep: int) -> int:
    """never_sleep: how many of the hosts never sleep. Typha runs only on these, and at most once on each: it uses a port of the host."""
    return max(1, min(max(REPLICAS, -(-hosts // HOSTS_OF_A_REPLICA)), never_sleep))


# The table of ports: where they are needed and which hosts need them, why, and the document of each

KUBERNETES_PORTS = "https://kubernetes.io/docs/reference/networking/ports-and-protocols/"
CALICO_REQUIREMENTS = "https://docs.tigera.io/calico/latest/getting-started/kubernetes/requirements"
FELIX_METRICS = "https://docs.tigera.io/calico/latest/operations/monitor/monitor-component-metrics"
ETCD_METRICS = "https://etcd.io/docs/latest/op-guide/monitoring/"
KUBE_PROXY = "https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/"
NODE_PORTS = "https://kubernetes.io/docs/concepts/services-networking/service/#type-nodeport"
NODE_EXPORTER = "https://github.com/prometheus/node_exporter"
VRRP = "https://www.rfc-editor.org/rfc/rfc9568"
OPENSSH = "https://man.openbsd.org/sshd_config#Port"

SSH_PORT = 22


@dataclass(frozen=True)
class PortFact:
    """A port of the cluster.

    name: for people. ports: None for an IP protocol, or if ``ports_from`` names another origin (`ssh`, `node_port_range`).
    roles: hosts that listen there. sources: who may reach it. when: whether a plan needs it; wording: the same in words.
    carries_pods: whether packets between pods of two nodes, or the routes for them, use it. with_hosts: whether a plan needs it with this
    number of hosts.
    """

    name: str
    protocol: str
    ports: Optional[PortRange]
    roles: tuple[Role, ...]
    sources: Union[Sources, tuple[Network, ...]]
    reason: str
    document: str
    when: Callable[[Plan], bool] = lambda plan: True
    wording: str = "always"
    ports_from: Literal["fact", "ssh", "node_port_range"] = "fact"
    carries_pods: bool = False
    with_hosts: Callable[[Plan, int], bool] = lambda plan, hosts: True


def uses_ipip(plan: Plan) -> bool:
    return (plan.encapsulation or "").startswith("IPIP") and any(net.version == 4 for net in plan.pod_cidr or ())


def uses_vxlan(plan: Plan) -> bool:
    return (plan.encapsulation or "").startswith("VXLAN")


def uses_bgp(plan: Plan) -> bool:
    """Return whether the plan uses BGP: Calico's VXLAN does not; IP-in-IP and unencapsulated pools do.

    Source: https://docs.tigera.io/calico/latest/networking/configuring/vxlan-ipip
    """
    return plan.encapsulation is not None and not uses_vxlan(plan)


def _says_enough(plan: Plan) -> bool:
    return plan.encapsulation is not None and plan.pod_cidr is not None


def has_service_over(plan: Plan, transport: str) -> bool:
    return any(service.protocol == transport and service.type != "ClusterIP" for service in plan.services or ())


_CONTROL_PLANE: tuple[Role, ...] = ("control_plane",)
PORT_FACTS = (
    PortFact("SSH", "tcp", None, ROLES, "anyone", "Ansible and its owner reach the host", OPENSSH, ports_from="ssh"),
    PortFact(
        "Kubernetes API",
        "tcp",
        PortRange(6443, 6443),
        _CONTROL_PLANE,
        "anyone",
        "nodes, pods and kubectl talk to the API server",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "etcd",
        "tcp",
        PortRange(2379, 2380),
        _CONTROL_PLANE,
        "control_plane",
        "API servers and etcd members, only of the control plane",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "VRRP",
        "112",
        None,
        _CONTROL_PLANE,
        "control_plane",
        "keepalived agrees on the host that has the address of the API",
        VRRP,
        lambda plan: plan.api_vip is not None,
        "api_vip",
    ),
    PortFact(
        "etcd metrics",
        "tcp",
        PortRange(2381, 2381),
        _CONTROL_PLANE,
        "hosts_and_pods",
        "Prometheus scrapes its metrics, and nothing else answers there",
        ETCD_METRICS,
    ),
    PortFact(
        "kubelet",
        "tcp",
        PortRange(10250, 10250),
        ROLES,
        "hosts_and_pods",
        "the API server fetches logs and runs exec, Prometheus scrapes",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "kube-controller-manager",
        "tcp",
        PortRange(10257, 10257),
        _CONTROL_PLANE,
        "hosts_and_pods",
        "Prometheus scrapes its metrics",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "kube-scheduler",
        "tcp",
        PortRange(10259, 10259),
        _CONTROL_PLANE,
        "hosts_and_pods",
        "Prometheus scrapes its metrics",
        KUBERNETES_PORTS,
    ),
    PortFact(
        "kube-proxy metrics",
        "tcp",
        PortRange(10249, 10249),
        ROLES,
        "hosts_and_pods",
        "Prometheus scrapes its metrics",
        KUBE_PROXY,
    ),
    PortFact(
        "Calico Felix metrics",
        "tcp",
        PortRange(9091, 9091),
        ROLES,
        "hosts_and_pods",
        "Prometheus scrapes its metrics",
        FELIX_METRICS,
    ),
    PortFact(
        "Calico BGP",
        "tcp",
        PortRange(179, 179),
        ROLES,
        "hosts",
        "nodes exchange their pod routes",
        CALICO_REQUIREMENTS,
        uses_bgp,
        "encapsulation IPIP, IPIPCrossSubnet or None",
        carries_pods=True,
    ),
    PortFact(
        "Calico IP-in-IP",
        "4",
        None,
        ROLES,
        "ipv4_hosts",
        "packets between pods of two nodes travel inside IP protocol 4",
        CALICO_REQUIREMENTS,
        uses_ipip,
        "encapsulation IPIP or IPIPCrossSubnet",
        carries_pods=True,
    ),
    PortFact(
        "Calico VXLAN",
        "udp",
        PortRange(4789, 4789),
        ROLES,
        "hosts",
        "packets between pods of two nodes travel inside VXLAN",
        CALICO_REQUIREMENTS,
        uses_vxlan,
        "encapsulation VXLAN or VXLANCrossSubnet",
        carries_pods=True,
    ),
    PortFact(
        "Calico Typha",
        "tcp",
        PortRange(5473, 5473),
        ROLES,
        "hosts",
        "nodes watch Calico's objects through Typha",
        CALICO_REQUIREMENTS,
        wording=f"typha: present, or more than {HOSTS_THAT_KEEP_TYPHA} hosts without typha: absent",
        with_hosts=may_use_typha,
    ),
    PortFact(
        "NodePorts",
        "tcp",
        None,
        ROLES,
        "node_ports",
        "Services answer on every node",
        NODE_PORTS,
        ports_from="node_port_range",
    ),
    PortFact(
        "NodePorts over UDP",
        "udp",
        None,
        ROLES,
        "node_ports",
        "a Service of the plan uses UDP",
        NODE_PORTS,
        lambda plan: has_service_over(plan, "udp"),
        "a service with protocol udp",
        "node_port_range",
    ),
    PortFact(
        "NodePorts over SCTP",
        "sctp",
        None,
        ROLES,
        "node_ports",
        "a Service of the plan uses SCTP",
        NODE_PORTS,
        lambda plan: has_service_over(plan, "sctp"),
        "a service with protocol sctp",
        "node_port_range",
    ),
    PortFact(
        "node exporter", "tcp", PortRange(9100, 9100), ROLES, "hosts_and_pods", "Prometheus scrapes the host's own figures", NODE_EXPORTER
    ),
)


@dataclass(frozen=True)
class StaleFact:
    """A port that is often opened although this cluster does not use it. when: under which plan it is stale."""

    port: DeclaredPort
    what: str
    instead: str
    when: Callable[[Plan], bool] = lambda plan: True


STALE_FACTS = (
    StaleFact(
        DeclaredPort("udp", PortRange(8472, 8472)),
        "Flannel's VXLAN; this cluster runs Calico",
        "protocol 4 and 179/tcp under IPIP, 4789/udp under VXLAN",
    ),
    StaleFact(
        DeclaredPort("udp", PortRange(8285, 8285)),
        "Flannel's UDP backend; this cluster runs Calico",
        "protocol 4 and 179/tcp under IPIP, 4789/udp under VXLAN",
    ),
    StaleFact(
        DeclaredPort("tcp", PortRange(10251, 10251)), "the kube-scheduler's port of former years; nothing listens there", "10259/tcp"
    ),
    StaleFact(
        DeclaredPort("tcp", PortRange(10252, 10252)),
        "the kube-controller-manager's port of former years; nothing listens there",
        "10257/tcp",
    ),
    StaleFact(DeclaredPort("tcp", PortRange(10255, 10255)), "the kubelet's read-only port, off under kubeadm", "10250/tcp"),
    StaleFact(DeclaredPort("94"), "the protocol that Debian calls ipip; IP-in-IP is another one", "protocol 4"),
    StaleFact(
        DeclaredPort("4"),
        "IP-in-IP, which this encapsulation does not use",
        "what the encapsulation needs",
        lambda plan: _says_enough(plan) and not uses_ipip(plan),
    ),
    StaleFact(
        DeclaredPort("tcp", PortRange(179, 179)),
        "BGP, which Calico's VXLAN does not use",
        "4789/udp",
        lambda plan: _says_enough(plan) and not uses_bgp(plan),
    ),
    StaleFact(
        DeclaredPort("udp", PortRange(4789, 4789)),
        "VXLAN, which this encapsulation does not use",
        "what the encapsulation needs",
        lambda plan: _says_enough(plan) and not uses_vxlan(plan),
    ),
)


# The ports that a plan needs open on a role, with their sources

# Up to this many host addresses are listed one by one as sources. With hundreds of hosts, each host would need a rule per address.
ONE_BY_ONE = 16


@dataclass(frozen=True)
class OpenPort:
    """A port of the table under a plan. sources: canonical CIDRs; () is any source."""

    fact: PortFact
    ports: Optional[PortRange]
    sources: tuple[str, ...]

    @property
    def declared(self) -> DeclaredPort:
        return DeclaredPort(self.fact.protocol, self.ports)


def open_ports(plan: Plan, role: Role, hosts: Optional[Iterable[Host]] = None, ssh_port: int = SSH_PORT) -> tuple[OpenPort, ...]:
    """Return the ports that a role needs under this plan, in the order of the table, then the plan's extra ports.

    hosts: their addresses become sources; without a known host, the source is the node network, never anyone.
    A port is left out if the plan does not set its number or its sources.
    """
    known = tuple(hosts or ())
    found: list[OpenPort] = []
    for fact in (*PORT_FACTS, *_extra_facts(plan)):
        if role not in fact.roles or not fact.when(plan) or not fact.with_hosts(plan, len(known)):
            continue
        if fact.sources == "node_ports":
            found.extend(_node_ports(fact, plan, known))
            continue
        ports = {"fact": fact.ports, "ssh": PortRange(ssh_port, ssh_port), "node_port_range": plan.node_port_range}[fact.ports_from]
        sources = _sources(fact.sources, plan, known)
        if (ports is None and fact.protocol in ("tcp", "udp", "sctp")) or (not sources and fact.sources != "anyone"):
            continue
        found.append(OpenPort(fact, ports, sources))
    return tuple(found)


def _extra_facts(plan: Plan) -> Iterator[PortFact]:
    """Yield the valid extra ports. Their document is their place in the plan."""
    for extra in plan.extra_ports or ():
        if extra.name and extra.protocol and extra.ports and extra.roles and extra.sources and extra.reason:
            # a Pod reaches of its host what is open to Pods
            sources = "hosts_and_pods" if extra.sources == "hosts" else extra.sources
            yield PortFact(extra.name, extra.protocol, extra.ports, extra.roles, sources, extra.reason, extra.label)


# Services that ask for no password: their NodePorts are open to the hosts and to ``admin_sources`` only, unless the plan sets ``sources``
WITHOUT_PASSWORD = ("alertmanager", "loki", "prometheus")


def _node_ports(fact: PortFact, plan: Plan, hosts: tuple[Host, ...]) -> Iterable[OpenPort]:
    """Yield the NodePort range in pieces: `firewall_ports` gives a port that two entries cover the sources of both."""
    if plan.node_port_range is None:
        return
    unlisted = _node_port_sources((plan.node_cidr or ()) if plan.unlisted_node_ports != "closed" else (), plan, hosts)
    listed = {
        service.node_port: _node_port_sources(_clients(service, plan), plan, hosts)
        for service in plan.services or ()
        if service.protocol == fact.protocol and service.type != "ClusterIP" and service.node_port is not None
    }
    first = plan.node_port_range.first
    for port, sources in sorted(listed.items()):
        if port in plan.node_port_range and sources != unlisted:
            yield from _piece(fact, first, port - 1, unlisted)
            yield from _piece(fact, port, port, sources)
            first = port + 1
    yield from _piece(fact, first, plan.node_port_range.last, unlisted)


def host_sources(plan: Plan, hosts: Optional[Iterable[Host]] = None) -> tuple[str, ...]:
    """Return the addresses of the hosts, or the node network if none is known, and the plan's ``host_sources``."""
    return _sources("hosts", plan, tuple(hosts or ()))


def _piece(fact: PortFact, first: int, last: int, sources: tuple[str, ...]) -> Iterable[OpenPort]:
    if first <= last and sources:  # no source would mean any source
        yield OpenPort(fact, PortRange(first, last), sources)


def _clients(service: Service, plan: Plan) -> tuple[Network, ...]:
    if service.sources is not None:
        return service.sources
    return (plan.admin_sources if service.name in WITHOUT_PASSWORD else plan.node_cidr) or ()


def _node_port_sources(clients: Iterable[Network], plan: Plan, hosts: tuple[Host, ...]) -> tuple[str, ...]:
    """Return these clients and the cluster's hosts, which always reach NodePorts."""
    return _collapsed([*clients, *(ip_network(source) for source in host_sources(plan, hosts))])


def _sources(kind: Union[Sources, tuple[Network, ...]], plan: Plan, hosts: tuple[Host, ...]) -> tuple[str, ...]:
    if isinstance(kind, tuple) or kind == "anyone":
        return _sorted(kind) if isinstance(kind, tuple) else ()
    if kind == "hosts_and_pods":  # Prometheus' Pod on this host; packets of Pods on other hosts have the address of their host
        own = _sources("hosts", plan, hosts)
        return (*own, *_sorted(plan.pod_cidr or ())) if own else ()
    nodes = plan.node_cidr or ()
    if kind == "node_network":
        return _sorted(nodes)
    listed = [host for host in hosts if kind != "control_plane" or host.role == "control_plane"]
    found = {ip_network(single) for host in listed for single in host.addresses or ()} or set(nodes)
    if kind != "control_plane":
        found |= set(plan.host_sources or ())
    if kind == "ipv4_hosts":
        found = {net for net in found if net.version == 4}
    return _sorted(found) if len(found) <= ONE_BY_ONE else _collapsed(found)


def _collapsed(networks: Iterable[Network]) -> tuple[str, ...]:
    """Return exactly the addresses of these networks, adjacent ones combined; IPv4 first."""
    given = list(networks)
    ipv4 = collapse_addresses(network for network in given if isinstance(network, IPv4Network))
    ipv6 = collapse_addresses(network for network in given if isinstance(network, IPv6Network))
    return tuple(str(network) for network in (*ipv4, *ipv6))


def _sorted(networks: Iterable[Network]) -> tuple[str, ...]:
    return tuple(str(net) for net in sorted(networks, key=lambda net: (net.version, int(net[0]))))


def port_entry(port: OpenPort) -> dict[str, object]:
    """Return a port as an entry for the module `firewall_ports`."""
    number: dict[str, object] = {}
    if port.ports is not None:
        number["port"] = port.ports.first if port.ports.first == port.ports.last else str(port.ports)
    comment = f"{port.fact.name}: {port.fact.reason}"
    return {**number, "protocol": port.fact.protocol, "sources": list(port.sources), "comment": comment}
