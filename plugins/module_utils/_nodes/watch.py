# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits, in bounded time, until nodes are ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import Verdict, judge_all, strangers, unheard_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable


@dataclass(frozen=True)
class Request:
    """Whom to wait for. timeout: seconds; 0 judges what is now. interval: seconds between two looks.

    heartbeat: a node counts only when its kubelet has renewed its lease since the first look.
    inventory: all hosts that may be nodes; None: others are not looked for. release: of the kubelets; empty: any.
    """

    names: tuple[str, ...]
    asleep: frozenset[str] = frozenset()
    timeout: float = 300.0
    interval: float = 1.0
    heartbeat: bool = False
    inventory: Optional[frozenset[str]] = None
    release: str = ""


@dataclass(frozen=True)
class Outcome:
    """verdicts: in the order of the names. seconds: how long it took. strangers: nodes that the inventory does not name."""

    verdicts: Sequence[Verdict]
    seconds: float
    strangers: Sequence[str] = ()


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    if params["timeout"] < 0:
        raise Refusal("timeout", f"{params['timeout']:g}", "a number of seconds, 0 or more", "Use 0 to judge without waiting.")
    return Request(
        tuple(dict.fromkeys(name.lower() for name in params["nodes"])),
        frozenset(name.lower() for name in params["asleep"]),
        float(params["timeout"]),
        heartbeat=bool(params.get("heartbeat")),
        inventory=None if params["inventory"] is None else frozenset(name.lower() for name in params["inventory"]),
        release=params["release"],
    )


def wait_for_nodes(wanted: Request, cluster: ClusterReader, clock: Clock) -> Outcome:
    """One list of all nodes at a look; back as soon as everyone is ready who does not sleep. An API server that is busy is asked again."""
    began = clock.now()
    first: Optional[Mapping[str, str]] = None
    while True:
        try:
            nodes = list(cluster.items("v1", "Node"))
            verdicts = judge_all(nodes, wanted.names, wanted.asleep, wanted.release)
            if wanted.heartbeat:
                leases = _leases(cluster)
                first = leases if first is None else first
                verdicts = [unheard_of(one) if leases.get(one.name) == first.get(one.name) else one for one in verdicts]
        except Unavailable:
            if clock.now() - began >= wanted.timeout:
                raise
            nodes, verdicts = [], []
        waited = clock.now() - began
        if verdicts and (waited >= wanted.timeout or all(verdict.ready or verdict.is_asleep for verdict in verdicts)):
            return Outcome(verdicts, waited, () if wanted.inventory is None else strangers(nodes, wanted.inventory))
        if not wanted.names:
            return Outcome((), waited)
        clock.sleep(wanted.interval)


def _leases(cluster: ClusterReader) -> dict[str, str]:
    """When each kubelet last renewed its lease."""
    found = cluster.items("coordination.k8s.io/v1", "Lease", namespace="kube-node-lease")
    return {str(lease["metadata"]["name"]): str((lease.get("spec") or {}).get("renewTime")) for lease in found}
