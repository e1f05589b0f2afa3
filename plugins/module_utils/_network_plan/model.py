# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network plan after validation. A field that is absent or invalid is None, and its rules are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Callable, Literal, Optional, Union

from .._findings import Finding, Severity

# The network plan

Address = Union[IPv4Address, IPv6Address]
Network = Union[IPv4Network, IPv6Network]
Role = Literal["control_plane", "worker"]
Encapsulation = Literal["IPIP", "IPIPCrossSubnet", "VXLAN", "VXLANCrossSubnet", "None"]

ROLES: tuple[Role, ...] = ("control_plane", "worker")
ENCAPSULATIONS: tuple[Encapsulation, ...] = ("IPIP", "IPIPCrossSubnet", "VXLAN", "VXLANCrossSubnet", "None")
SERVICE_TYPES = ("NodePort", "ClusterIP", "LoadBalancer")
TRANSPORTS = ("tcp", "udp", "sctp")
# Who may reach a port. A user writes one of SOURCE_WORDS, or networks; the others are for ports of the cluster itself.
Sources = Literal["anyone", "hosts", "hosts_and_pods", "control_plane", "ipv4_hosts", "node_network", "node_ports"]
SOURCE_WORDS: tuple[Sources, ...] = ("anyone", "hosts", "node_network")
UNLISTED_NODE_PORTS = ("open", "closed")
TYPHA_WORDS = ("auto", "present", "absent")


@dataclass(frozen=True, order=True)
class PortRange:
    """Ports ``first`` to ``last``, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: int) -> bool:
        return self.first <= port <= self.last

    def meets(self, other: PortRange) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class AddressRange:
    """Addresses ``first`` to ``last`` of one family, both included."""

    first: Address
    last: Address

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"

    def __contains__(self, single: Address) -> bool:
        return single.version == self.first.version and int(self.first) <= int(single) <= int(self.last)


@dataclass(frozen=True, order=True)
class DeclaredPort:
    """A port that the plan declares open. ``ports`` is None for an IP protocol; ``protocol`` is then its number as text."""

    protocol: str
    ports: Optional[PortRange] = None

    def __str__(self) -> str:
        return f"{self.ports}/{self.protocol}" if self.ports else f"protocol {self.protocol}"


@dataclass(frozen=True)
class Declaration:
    """The declared ports of one role. ``all_read``: every entry was valid, so that a missing port is really missing."""

    ports: tuple[DeclaredPort, ...]
    all_read: bool = True


@dataclass(frozen=True)
class Service:
    """A Service of the plan. ``label``: its name in findings, ``network_plan.services[0] (grafana)``.

    sources: who may reach its NodePort besides the cluster's hosts; None if the plan does not set it, or not validly.
    """

    label: str
    name: Optional[str]
    namespace: Optional[str]
    port: Optional[int]
    node_port: Optional[int]
    protocol: Optional[str]
    type: Optional[str]
    health: Optional[str] = None
    sources: Optional[tuple[Network, ...]] = None


@dataclass(frozen=True)
class ExtraPort:
    """A port of the user's own programs. ``label``: its name in findings, ``network_plan.extra_ports[0] (syncthing)``."""

    label: str
    name: Optional[str]
    ports: Optional[PortRange]
    protocol: Optional[str]
    roles: Optional[tuple[Role, ...]]
    sources: Union[Sources, tuple[Network, ...], None]
    reason: Optional[str]


@dataclass(frozen=True)
class Host:
    """A machine of the cluster. ``label``: its name in findings, ``host homelab``."""

    label: str
    name: Optional[str]
    addresses: Optional[tuple[Address, ...]]
    mac: Optional[str]
    role: Optional[Role]
    sleeps: Optional[bool]
    has_mac: bool = False  # a MAC was given, valid or not


@dataclass(frozen=True)
class Plan:
    """The network plan. Networks and addresses have one entry, or two for dual stack: one of each family.

    kubernetes_version: (major, minor). block_sizes: as written; ``pools`` of `ranges` assigns them to the pod networks.
    declared_ports: None if the plan declares nothing, else the ports of each role.
    """

    node_cidr: Optional[tuple[Network, ...]] = None
    gateway: Optional[tuple[Address, ...]] = None
    upstream_dns: Optional[tuple[Address, ...]] = None
    dhcp_range: Optional[AddressRange] = None
    api_vip: Optional[Address] = None
    pod_cidr: Optional[tuple[Network, ...]] = None
    service_cidr: Optional[tuple[Network, ...]] = None
    dns_service_ip: Optional[tuple[Address, ...]] = None
    dns_domain: Optional[str] = None
    node_port_range: Optional[PortRange] = None
    local_port_range: Optional[PortRange] = None
    kubernetes_version: Optional[tuple[int, int]] = None
    encapsulation: Optional[Encapsulation] = None
    block_sizes: Optional[tuple[int, ...]] = None
    typha: Optional[str] = None
    services: Optional[tuple[Service, ...]] = None
    extra_ports: Optional[tuple[ExtraPort, ...]] = None
    admin_sources: Optional[tuple[Network, ...]] = None
    host_sources: Optional[tuple[Network, ...]] = None
    unlisted_node_ports: Optional[str] = None
    declared_ports: Optional[dict[Role, Declaration]] = None


@dataclass(frozen=True)
class Cluster:
    """What the rules check. ``hosts`` is None if nothing is known about them."""

    plan: Plan
    hosts: Optional[tuple[Host, ...]] = None


# A rule: a function named after what it asserts, with its severity and fix


@dataclass(frozen=True)
class Violation:
    """One violation of a rule. fix, severity: if they differ from the rule's own."""

    subject: str
    found: str
    expected: str
    fix: str = ""
    severity: Optional[Severity] = None


@dataclass(frozen=True)
class Rule:
    """assertion: yields the violations in a cluster; unknown values (None) yield none."""

    assertion: Callable[[Cluster], Iterable[Violation]]
    severity: Severity
    fix: str

    @property
    def name(self) -> str:
        return self.assertion.__name__

    @property
    def truth(self) -> str:
        return (self.assertion.__doc__ or "").strip().splitlines()[0]

    def judge(self, cluster: Cluster) -> Iterator[Finding]:
        for case in self.assertion(cluster):
            yield Finding(self.name, case.severity or self.severity, case.subject, case.found, case.expected, case.fix or self.fix)
