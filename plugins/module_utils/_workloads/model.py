# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What workloads need of a cluster, and what was seen of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Object = dict[str, Any]


@dataclass(frozen=True)
class PlannedService:
    """A Service that is to have a NodePort."""

    namespace: str
    name: str
    node_port: int

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Request:
    """What the module is asked. nodes, asleep: as Kubernetes writes names, in lower case."""

    services: tuple[PlannedService, ...]
    nodes: tuple[str, ...]
    asleep: frozenset[str]
    storage_classes: tuple[str, ...]


@dataclass
class Sight:
    """What stands. holders: Services by the NodePort they have. unknown: what could not be read, each as a Refusal."""

    holders: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    nodes: Mapping[str, Object] = field(default_factory=dict)
    storage_classes: Sequence[str] = ()
    unknown: list[Refusal] = field(default_factory=list)
    nodes_are_known: bool = True
    storage_classes_are_known: bool = True


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    planned = tuple(PlannedService(one["namespace"], one["name"], one["node_port"]) for one in params["services"] if one["node_port"])
    taken: dict[int, PlannedService] = {}
    for one in planned:
        other = taken.setdefault(one.node_port, one)
        if other != one:
            found = f"NodePort {one.node_port} for {other} and for {one}"
            raise Refusal("services", found, "a NodePort of its own for each", "Give one of them another.")
    return Request(
        planned,
        tuple(str(one).lower() for one in params["nodes"]),
        frozenset(str(one).lower() for one in params["asleep"]),
        tuple(params["storage_classes"]),
    )
