# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a network plan says, once it has been read. A field that was absent or not understood is None: its rules are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal, Optional, Union

Address = Union[IPv4Address, IPv6Address]
Network = Union[IPv4Network, IPv6Network]
Role = Literal["control_plane", "worker"]
Encapsulation = Literal["IPIP", "IPIPCrossSubnet", "VXLAN", "VXLANCrossSubnet", "None"]

ROLES: tuple[Role, ...] = ("control_plane", "worker")
ENCAPSULATIONS: tuple[Encapsulation, ...] = ("IPIP", "IPIPCrossSubnet", "VXLAN", "VXLANCrossSubnet", "None")
SERVICE_TYPES = ("NodePort", "ClusterIP", "LoadBalancer")
TRANSPORTS = ("tcp", "udp", "sctp")


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


@dataclass(frozen=True, order=True)
class DeclaredPort:
    """What an owner believes must be open. ``ports`` is None for an IP protocol, whose ``protocol`` is its number as text."""

    protocol: str
    ports: Optional[PortRange] = None

    def __str__(self) -> str:
        return f"{self.ports}/{self.protocol}" if self.ports else f"protocol {self.protocol}"


@dataclass(frozen=True)
class Declaration:
    """What one role declares. ``all_read``: no entry of it was unreadable, so that what is not there is missing."""

    ports: tuple[DeclaredPort, ...]
    all_read: bool = True


@dataclass(frozen=True)
class Service:
    """A Service of the plan. ``label`` is how findings call it: ``network_plan.services[0] (grafana)``."""

    label: str
    name: Optional[str]
    namespace: Optional[str]
    port: Optional[int]
    node_port: Optional[int]
    protocol: Optional[str]
    type: Optional[str]
    health: Optional[str] = None


@dataclass(frozen=True)
class Host:
    """A machine of the cluster. ``label`` is how findings call it: ``host homelab``."""

    label: str
    name: Optional[str]
    addresses: Optional[tuple[Address, ...]]
    mac: Optional[str]
    role: Optional[Role]
    sleeps: Optional[bool]
    has_mac: bool = False  # a MAC was given, well formed or not


@dataclass(frozen=True)
class Plan:
    """The network plan. Networks and addresses hold one entry, or two for dual stack: one of each family.

    kubernetes_version: (major, minor). block_sizes: as written; ``pools`` of `ranges` pairs them with the pod networks.
    declared_ports: None when the plan declares nothing, else what each role declares.
    """

    node_cidr: Optional[tuple[Network, ...]] = None
    gateway: Optional[tuple[Address, ...]] = None
    upstream_dns: Optional[tuple[Address, ...]] = None
    pod_cidr: Optional[tuple[Network, ...]] = None
    service_cidr: Optional[tuple[Network, ...]] = None
    dns_service_ip: Optional[tuple[Address, ...]] = None
    dns_domain: Optional[str] = None
    node_port_range: Optional[PortRange] = None
    local_port_range: Optional[PortRange] = None
    kubernetes_version: Optional[tuple[int, int]] = None
    encapsulation: Optional[Encapsulation] = None
    block_sizes: Optional[tuple[int, ...]] = None
    services: Optional[tuple[Service, ...]] = None
    declared_ports: Optional[dict[Role, Declaration]] = None


@dataclass(frozen=True)
class Cluster:
    """All that the rules judge. ``hosts`` is None when nothing is known about them."""

    plan: Plan
    hosts: Optional[tuple[Host, ...]] = None
