# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at all workloads at once, again and again, until they are rolled out or the time is over."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.model import (
    KINDS,
    Object,
    Report,
    Request,
    Seen,
    Snapshot,
    Standing,
    Stuck,
    Workload,
    is_owned_by,
    name_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import is_ready, stuck
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.predicates import standing

LAST_EVENTS = 3


@dataclass(frozen=True)
class Outcome:
    """reports: one for each workload, in the order of the request. seconds: how long it was waited."""

    reports: tuple[Report, ...]
    seconds: float


def watch(request: Request, cluster: ClusterReader, clock: Clock) -> Outcome:
    """Look until everything is rolled out, for ``request.timeout`` seconds at most.

    An API server that does not answer the first look is a Refusal; one that stops answering later may be restarting.
    """
    began = clock.now()
    snapshot, trouble = look(request, cluster), None
    while _unfinished(_standings(request, snapshot)) and clock.now() - began < request.timeout:
        clock.sleep(min(request.interval, max(0.0, began + request.timeout - clock.now())))
        try:
            snapshot, trouble = look(request, cluster), None
        except Unavailable as unavailable:
            trouble = unavailable
    if trouble:
        raise trouble
    standings = _standings(request, snapshot)
    waited = clock.now() - began
    late = _unfinished(standings)
    reports = []
    for one in request.workloads:
        found = snapshot.objects.get(one)
        obstacles, events = explain(one, found, cluster, request.asleep) if found and one in late else ([], [])
        reports.append(Report(one, standings[one], obstacles, events, found is not None))
    return Outcome(tuple(reports), waited)


def look(request: Request, cluster: ClusterReader) -> Snapshot:
    """One list for each kind and namespace; where nodes are asleep, one of Pods and of revisions for each namespace with DaemonSets."""
    snapshot = Snapshot()
    for kind in KINDS:
        for namespace in request.namespaces_of(kind):
            for found in cluster.items("apps/v1", kind, namespace):
                workload = Workload(kind, namespace, name_of(found))
                if workload in request.workloads:
                    snapshot.objects[workload] = found
    if request.asleep:
        for namespace in request.namespaces_of("DaemonSet"):
            _count_pods(snapshot, request.asleep, namespace, cluster)
    return snapshot


def explain(workload: Workload, found: Object, cluster: ClusterReader, asleep: Collection[str]) -> tuple[list[Stuck], list[str]]:
    """The Pods that are not ready, and the last events of the workload, of what stands between it and its Pods, and of those Pods."""
    owners = {str(found["metadata"]["uid"])}
    if workload.kind == "Deployment":
        owners |= {
            str(one["metadata"]["uid"]) for one in cluster.items("apps/v1", "ReplicaSet", workload.namespace) if is_owned_by(one, owners)
        }
    late = []
    for pod in cluster.items("v1", "Pod", workload.namespace):
        if is_owned_by(pod, owners) and pod["spec"].get("nodeName") not in asleep:
            obstacle = stuck(pod)
            if obstacle:
                late.append(obstacle)
                owners.add(str(pod["metadata"]["uid"]))
    events = [one for one in cluster.items("v1", "Event", workload.namespace) if (one.get("involvedObject") or {}).get("uid") in owners]
    return late, _last(events)


def _standings(request: Request, snapshot: Snapshot) -> dict[Workload, Standing]:
    return {one: standing(one.kind, snapshot.objects.get(one), snapshot.seen.get(one)) for one in request.workloads}


def _unfinished(standings: dict[Workload, Standing]) -> list[Workload]:
    return [workload for workload, one in standings.items() if not one.is_rolled_out]


def _count_pods(snapshot: Snapshot, asleep: Collection[str], namespace: str, cluster: ClusterReader) -> None:
    sets = {
        one["metadata"]["uid"]: workload
        for workload, one in snapshot.objects.items()
        if workload.kind == "DaemonSet" and workload.namespace == namespace
    }
    if not sets:
        return
    newest: dict[str, Object] = {}
    for revision in cluster.items("apps/v1", "ControllerRevision", namespace):
        for uid in _owners(revision, sets):
            if uid not in newest or revision["revision"] > newest[uid]["revision"]:
                newest[uid] = revision
    sleepers = dict.fromkeys(sets, 0)
    updated: dict[str, set[str]] = {uid: set() for uid in sets}
    available: dict[str, set[str]] = {uid: set() for uid in sets}
    for pod in cluster.items("v1", "Pod", namespace):
        node = str(pod["spec"].get("nodeName") or "")
        for uid in _owners(pod, sets):
            if node in asleep:
                sleepers[uid] += 1
                continue
            if uid in newest and _revision(pod) == _revision(newest[uid]) and not pod["metadata"].get("deletionTimestamp"):
                updated[uid].add(node)
            if is_ready(pod):
                available[uid].add(node)
    for uid, workload in sets.items():
        snapshot.seen[workload] = Seen(sleepers[uid], len(updated[uid]), len(available[uid]))


def _owners(thing: Object, sets: Collection[str]) -> list[str]:
    return [owner["uid"] for owner in thing["metadata"].get("ownerReferences") or () if owner.get("uid") in sets]


def _revision(thing: Object) -> Optional[str]:
    return (thing["metadata"].get("labels") or {}).get("controller-revision-hash")


def _last(events: Iterable[Object]) -> list[str]:
    """The last few, oldest first, each text once; where there are warnings, nothing that only tells of progress."""
    known = sorted(events, key=_time)
    ordered = [one for one in known if one.get("type") == "Warning"] or known
    texts = list(dict.fromkeys(f"{one.get('reason', '')}: {' '.join(str(one.get('message', '')).split())}" for one in reversed(ordered)))
    return texts[:LAST_EVENTS][::-1]


def _time(event: Object) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")
