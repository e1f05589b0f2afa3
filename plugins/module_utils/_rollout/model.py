# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is waited for, and how far it is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Object = dict[str, Any]

KINDS = ("DaemonSet", "Deployment", "StatefulSet")


@dataclass(frozen=True, order=True)
class Workload:
    """One DaemonSet, Deployment or StatefulSet, by its name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Seen:
    """Pods of a DaemonSet, counted one by one because some of its nodes are asleep.

    asleep: Pods on these. updated, available: nodes that are awake and have a Pod of the last revision, and one that is ready.
    """

    asleep: int = 0
    updated: int = 0
    available: int = 0


@dataclass(frozen=True)
class Standing:
    """How far a workload is. waiting_for: what is missing, in a user's words; empty once it is rolled out.

    The numbers are of Pods, without those on nodes that are asleep.
    """

    waiting_for: str
    desired: int = 0
    updated: int = 0
    available: int = 0

    @property
    def is_rolled_out(self) -> bool:
        return not self.waiting_for


@dataclass(frozen=True)
class Stuck:
    """What stands in the way of a Pod. next_step: an imperative sentence."""

    name: str
    node: str
    state: str
    next_step: str


@dataclass(frozen=True)
class Report:
    """A workload, how far it is, and what is known of why it is not further. events: the last ones, oldest first."""

    workload: Workload
    standing: Standing
    stuck: Sequence[Stuck] = ()
    events: Sequence[str] = ()
    exists: bool = True


@dataclass(frozen=True)
class Request:
    """What the module is asked. asleep: nodes whose DaemonSet Pods are not waited for. timeout: seconds; 0 judges what is now."""

    workloads: tuple[Workload, ...]
    asleep: frozenset[str] = frozenset()
    timeout: float = 300.0
    interval: float = 2.0

    def namespaces_of(self, kind: str) -> tuple[str, ...]:
        return tuple(sorted({one.namespace for one in self.workloads if one.kind == kind}))


@dataclass
class Snapshot:
    """What one round of lists brought: the workloads that exist, and, where nodes are asleep, the Pods of DaemonSets."""

    objects: dict[Workload, Object] = field(default_factory=dict)
    seen: dict[Workload, Seen] = field(default_factory=dict)


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    timeout = float(params["timeout"])
    if timeout < 0:
        raise Refusal("timeout", f"{timeout:g}", "a number of seconds, 0 or more", "Use 0 to judge without waiting.")
    named = [Workload(one["kind"], one["namespace"], one["name"]) for one in params["workloads"]]
    # Kubernetes writes the names of nodes small
    return Request(tuple(dict.fromkeys(named)), frozenset(name.lower() for name in params["asleep"]), timeout)


def name_of(thing: Mapping[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def is_owned_by(thing: Mapping[str, Any], uids: Collection[str]) -> bool:
    return any(owner.get("uid") in uids for owner in thing["metadata"].get("ownerReferences") or ())
