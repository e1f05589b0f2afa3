# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan says of a Service, and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import PortRange
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.scalars import Misread, port_range
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Object = dict[str, Any]


@dataclass(frozen=True)
class PlannedService:
    """An entry of the plan's ``services``.

    node_port: None for type ClusterIP. health: an HTTP path; empty means that a connection is enough.
    """

    namespace: str
    name: str
    port: int
    node_port: Optional[int]
    protocol: str
    type: str
    health: str

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.name}"

    @property
    def is_asked(self) -> bool:
        """Whether a node's port can be asked from outside: UDP and SCTP have no answer that everything gives."""
        return self.node_port is not None and self.protocol == "tcp"


@dataclass(frozen=True)
class Node:
    """A host of the cluster. address: the first of its addresses."""

    name: str
    address: str


@dataclass(frozen=True)
class Request:
    """What the module is asked. nodes: those that are awake."""

    services: tuple[PlannedService, ...]
    nodes: tuple[Node, ...]
    node_ports: PortRange
    seconds: float


@dataclass(frozen=True)
class Question:
    """A node's port that is asked. path: empty means that only the connection counts."""

    node: Node
    port: int
    path: str

    @property
    def url(self) -> str:
        host = f"[{self.node.address}]" if ":" in self.node.address else self.node.address
        return f"http://{host}:{self.port}{self.path}" if self.path else f"tcp://{host}:{self.port}"


@dataclass(frozen=True)
class Answer:
    """What came back. status: of HTTP, 0 without one. problem: why there was no answer, empty if there was one."""

    status: int = 0
    problem: str = ""

    @property
    def is_well(self) -> bool:
        return not self.problem and self.status < 400

    def __str__(self) -> str:
        return self.problem or f"HTTP status {self.status}"


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of a Service. not_ready: the Pods behind the others, as namespace/name."""

    ready: int = 0
    not_ready: tuple[str, ...] = ()


@dataclass
class Sight:
    """Everything that was seen. unknown: what could not be read, each as a Refusal."""

    services: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    endpoints: Mapping[tuple[str, str], Endpoints] = field(default_factory=dict)
    answers: Mapping[PlannedService, Sequence[tuple[Question, Answer]]] = field(default_factory=dict)
    unknown: list[Refusal] = field(default_factory=list)
    services_are_known: bool = True
    endpoints_are_known: bool = True


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    seconds = float(params["timeout"])
    if seconds <= 0:
        raise Refusal("timeout", f"{seconds:g}", "a number of seconds above 0", "Leave it out for 5 seconds.")
    asleep = frozenset(params["asleep"])
    nodes = tuple(_node(index, one) for index, one in enumerate(params["nodes"]) if one["name"] not in asleep)
    planned = tuple(_planned(one) for one in params["services"])
    return Request(planned, nodes, _range(params["node_port_range"]), seconds)


def _planned(entry: Mapping[str, Any]) -> PlannedService:
    return PlannedService(
        entry["namespace"],
        entry["name"],
        entry["port"],
        entry["node_port"],
        entry["protocol"],
        entry["type"] or ("NodePort" if entry["node_port"] else "ClusterIP"),
        entry["health"] or "",
    )


def _node(index: int, entry: Mapping[str, Any]) -> Node:
    given = entry["address"]
    addresses = given if isinstance(given, (list, tuple)) else [given]
    if not addresses or not all(isinstance(one, str) and one for one in addresses):
        raise Refusal(f"nodes[{index}].address", repr(given), "an address, or a list of them", f"Give {entry['name']} its address.")
    return Node(entry["name"], addresses[0])


def _range(text: str) -> PortRange:
    required, next_step = "ports like 30000-32767", "Pass network_plan.node_port_range."
    try:
        return port_range(text)
    except Misread as misread:
        raise Refusal("node_port_range", misread.found, required, misread.fix or next_step) from None
