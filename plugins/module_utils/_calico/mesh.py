# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares the BGP sessions that each node reports with those that the configuration asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import Facts, Node, NodeStatus, Pod
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import uses_bird
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.node_rules import Place
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan

UNCONFIGURED = "not configured"


@dataclass(frozen=True)
class Doubt:
    """Why nothing can be said of a node's sessions. found: in words that follow its name. fix: the next step."""

    found: str
    fix: str


@dataclass(frozen=True)
class Down:
    """A session that one node reports as not established. peer: a node's name, or an address of nobody known."""

    reporter: str
    peer: str
    state: str
    since: str = ""

    def __str__(self) -> str:
        return f"{self.reporter} says of {self.peer}: {self.state}{f' since {self.since}' if self.since else ''}"


@dataclass(frozen=True)
class Sessions:
    """What a node reports. expected: how many there should be, those with nodes that sleep left out. is_complete: no selector hides any."""

    expected: int
    established: int
    down: tuple[Down, ...]
    is_complete: bool


def families(plan: Plan) -> tuple[int, ...]:
    """The IP versions that BIRD routes."""
    return tuple(sorted({cidr.version for cidr in plan.pod_cidr or ()})) if uses_bird(plan) else ()


class Mesh:
    """Who has a session with whom: everyone with everyone, unless that is switched off, and whom BGPPeers name."""

    def __init__(self, facts: Facts, found: Sequence[Place], versions: Iterable[int]) -> None:
        nodes: Mapping[str, Node] = facts.nodes or {}
        self._versions = tuple(versions)
        self._owners = {address: node.name for node in nodes.values() for address in node.addresses.values()}
        self._asleep = frozenset(address for place in found if place.is_asleep and place.node for address in self._of(place.node))
        members = (node for node in nodes.values() if not node.is_reflector) if facts.has_mesh else ()
        self._members = frozenset(address for node in members for address in self._of(node))
        self._peers = facts.peers or ()
        self._is_known = facts.peers is not None and facts.bgp is not None

    def _of(self, node: Node) -> tuple[str, ...]:
        return tuple(address for version, address in node.addresses.items() if version in self._versions)

    def name_of(self, address: str) -> str:
        return self._owners.get(address, address)

    def sessions(self, node: Node, status: NodeStatus) -> Sessions:
        mine = [peer for peer in self._peers if peer.node in {"", node.name}]
        wanted = {peer.address for peer in mine if peer.is_derivable}
        if not node.is_reflector:
            wanted |= self._members
        wanted -= {*node.addresses.values(), *self._asleep}
        missing = wanted - status.established
        # what a selector asks for is seen only where it fails
        failing = {address for address in status.others if address not in self._asleep and self._counts(address)}
        down = []
        for address in sorted(missing | failing):
            other = status.others.get(address)
            state, since = (other.state, other.since) if other else (UNCONFIGURED, "")
            down.append(Down(node.name, self.name_of(address), state, since))
        is_complete = self._is_known and all(peer.is_derivable for peer in mine)
        return Sessions(len(wanted | failing), len(wanted) - len(missing), tuple(down), is_complete)

    def _counts(self, address: str) -> bool:
        return (6 if ":" in address else 4) in self._versions


def doubt(name: str, pod: Pod, facts: Facts) -> Optional[Doubt]:
    """Whether what a node reports is of now. That it was written long ago proves nothing: it is written when something changes."""
    status = (facts.statuses or {}).get(name)
    if status is None:
        fix = "Run vmstation.cluster.calico_check with create_status: true, and look again a minute later."
        return Doubt("no CalicoNodeStatus", fix)
    called = f"CalicoNodeStatus {status.name}"
    if not status.has_bgp or not status.period:
        found = f"{called} without the class BGP" if not status.has_bgp else f"{called} whose updatePeriodSeconds is 0"
        return Doubt(found, f"Delete it (`kubectl delete caliconodestatus {status.name}`), and have calico_check make another.")
    log = f"`kubectl logs --namespace {pod.namespace} {pod.name} --container calico-node` says why it is not written."
    if status.updated is None:
        return Doubt(f"{called} that calico-node has not written yet", f"Look again {status.period} s later; if it stays, {log}")
    if pod.started and status.updated < pod.started:
        found = f"{called} of {status.updated.isoformat()}, before its calico-node was started at {pod.started.isoformat()}"
        return Doubt(found, f"Look again {status.period} s later; if it stays, {log}")
    return None
