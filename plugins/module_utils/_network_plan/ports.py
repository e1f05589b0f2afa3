# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports a plan needs open on a role, and from whom: the port facts applied to a plan and its hosts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import (
    DeclaredPort,
    Host,
    Network,
    Plan,
    PortRange,
    Role,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.port_facts import PORT_FACTS, SSH_PORT, PortFact, Sources


@dataclass(frozen=True)
class OpenPort:
    """A fact applied to a plan. sources: canonical CIDRs; () is anyone."""

    fact: PortFact
    ports: Optional[PortRange]
    sources: tuple[str, ...]

    @property
    def declared(self) -> DeclaredPort:
        return DeclaredPort(self.fact.protocol, self.ports)


def open_ports(plan: Plan, role: Role, hosts: Optional[Iterable[Host]] = None, ssh_port: int = SSH_PORT) -> tuple[OpenPort, ...]:
    """The ports that a role needs under this plan, in the order of the table.

    hosts: whose addresses stand as sources; a source that no host is known for falls back to the node network, never to anyone.
    A fact whose port or sources the plan does not say is left out.
    """
    known = tuple(hosts or ())
    found = []
    for fact in PORT_FACTS:
        if role not in fact.roles or not fact.when(plan):
            continue
        ports = {"fact": fact.ports, "ssh": PortRange(ssh_port, ssh_port), "node_port_range": plan.node_port_range}[fact.ports_from]
        sources = _sources(fact.sources, plan, known)
        if (ports is None and fact.protocol in ("tcp", "udp", "sctp")) or (not sources and fact.sources != "anyone"):
            continue
        found.append(OpenPort(fact, ports, sources))
    return tuple(found)


def _sources(kind: Sources, plan: Plan, hosts: tuple[Host, ...]) -> tuple[str, ...]:
    if kind == "anyone":
        return ()
    nodes = plan.node_cidr or ()
    if kind in ("node_network", "ipv4_node_network"):
        return _sorted(net for net in nodes if kind == "node_network" or net.version == 4)
    listed = [host for host in hosts if kind == "hosts" or host.role == "control_plane"]
    addresses = [single for host in listed for single in host.addresses or ()]
    if not addresses:
        return _sorted(nodes)
    return tuple(f"{single}/{single.max_prefixlen}" for single in sorted(set(addresses), key=lambda one: (one.version, int(one))))


def _sorted(networks: Iterable[Network]) -> tuple[str, ...]:
    return tuple(str(net) for net in sorted(networks, key=lambda net: (net.version, int(net[0]))))


def entry(port: OpenPort) -> dict[str, object]:
    """A port as the module `firewall_ports` takes it."""
    number: dict[str, object] = {}
    if port.ports is not None:
        number["port"] = port.ports.first if port.ports.first == port.ports.last else str(port.ports)
    comment = f"{port.fact.name}: {port.fact.reason}"
    return {**number, "protocol": port.fact.protocol, "sources": list(port.sources), "comment": comment}
