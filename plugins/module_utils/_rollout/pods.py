# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a workload is rolled out (as ``kubectl rollout status`` decides), why a Pod is not ready, and the wait for both."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Callable, Optional

from .._cluster.api import ClusterReader
from .._conditions import condition, is_true
from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal, Unavailable
from .._waiting import Clock

# What is waited for, and how far it is.

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
    """How far a workload is. waiting_for: what is missing, in a user's words; empty if it is rolled out.

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
    """What keeps a Pod from being ready. next_step: an imperative sentence."""

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
    """What the module is asked. asleep: nodes whose DaemonSet Pods are not waited for. timeout: seconds; 0 checks what is now."""

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
        raise Refusal("timeout", f"{timeout:g}", "a number of seconds, 0 or more", "Use 0 to check without waiting.")
    named = [Workload(one["kind"], one["namespace"], one["name"]) for one in params["workloads"]]
    # Kubernetes writes the names of nodes small
    return Request(tuple(dict.fromkeys(named)), frozenset(name.lower() for name in params["asleep"]), timeout)


def name_of(thing: Mapping[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def is_owned_by(thing: Mapping[str, Any], uids: Collection[str]) -> bool:
    return any(owner.get("uid") in uids for owner in thing["metadata"].get("ownerReferences") or ())


# What keeps a Pod from being ready, in the words of its status.

LONGEST_MESSAGE = 300

_IMAGE = "Make the image available: a registry that the node reaches, or an archive imported into its containerd; then delete the Pod."
_LOGS = "See why it ended: `kubectl logs --previous {pod}`."
_DESCRIBE = "See `kubectl describe pod {pod}`."
# the kubelet's word for what a container waits for -> the next step
_NEXT_STEPS = {
    "ImagePullBackOff": _IMAGE,
    "ErrImagePull": _IMAGE,
    "ErrImageNeverPull": _IMAGE,
    "InvalidImageName": "Correct the name of the image.",
    "CrashLoopBackOff": _LOGS,
    "RunContainerError": _DESCRIBE,
    "CreateContainerConfigError": "Create the ConfigMap or Secret that it names, or correct the reference.",
    "CreateContainerError": _DESCRIBE,
    "ContainerCreating": "Check its events, and the kubelet and the CNI plugin on its node: `journalctl -u kubelet`.",
    "PodInitializing": _DESCRIBE,
}


def is_ready(pod: Object) -> bool:
    """The Pod's condition Ready is true, and the Pod is not being deleted."""
    return not pod["metadata"].get("deletionTimestamp") and condition(pod, "Ready").get("status") == "True"


def container_statuses(pod: Object) -> list[Object]:
    """Those of the containers that run before the others, and of these."""
    status = pod.get("status") or {}
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def stuck(pod: Object) -> Optional[Stuck]:
    """What keeps this Pod from being ready; None if nothing does, or if it has ended well."""
    status = pod.get("status") or {}
    if is_ready(pod) or status.get("phase") == "Succeeded":
        return None
    state, next_step = next(_obstacles(pod))
    node = str(pod["spec"].get("nodeName") or "")
    called = f"--namespace {pod['metadata']['namespace']} {name_of(pod)}"
    return Stuck(name_of(pod), node, state, next_step.format(pod=called, node=node))


def _obstacles(pod: Object) -> Iterator[tuple[str, str]]:
    """State and next step, the most useful first."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        yield (
            f"Terminating since {pod['metadata']['deletionTimestamp']}",
            "It ends when its node {node} answers again; if it was removed for good, `kubectl delete node {node}`.",
        )
    scheduled = condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        yield (
            f"Pending: {scheduled.get('reason', 'not scheduled')}: {_short(scheduled.get('message'))}",
            "Bring up, uncordon or free a node that may run it.",
        )
    if status.get("phase") == "Failed":
        yield f"Failed: {status.get('reason') or 'its containers ended'}: {_short(status.get('message'))}", _LOGS
    statuses = container_statuses(pod)
    yield from _of_containers(statuses)
    if statuses and all(_has_begun(one) for one in statuses):
        yield (
            "Running, while its condition Ready is False: its node has stopped answering",
            "Check that node {node} is on and its kubelet runs.",
        )
    if not statuses and not pod["spec"].get("nodeName"):
        yield (
            f"{status.get('phase', 'Pending')}: not scheduled, and the scheduler reports no reason",
            "Check kube-scheduler: `kubectl get pods --namespace kube-system --selector component=kube-scheduler`.",
        )
    elif not statuses:
        yield f"{status.get('phase', 'Pending')}: the kubelet has not taken it up", "Check that node {node} is on and its kubelet runs."
    yield f"{status.get('phase', 'Pending')}: {_short(condition(pod, 'Ready').get('message'))}", _DESCRIBE


def _of_containers(statuses: Iterable[Object]) -> Iterator[tuple[str, str]]:
    quiet: list[tuple[str, str]] = []
    for one in statuses:
        waiting, ended = one.get("state", {}).get("waiting"), one.get("state", {}).get("terminated")
        running = one.get("state", {}).get("running")
        called = f"container {one['name']}"
        if waiting:
            reason = str(waiting.get("reason") or "waiting")
            text = f"{called}: {reason}{_detail(waiting.get('message'))}{_last_end(one)}"
            found = (text, _NEXT_STEPS.get(reason, _DESCRIBE))
            if reason in {"ContainerCreating", "PodInitializing"}:
                quiet.append(found)
            else:
                yield found
        elif ended and ended.get("exitCode"):
            yield f"{called}: ended with {_end(ended)}{_restarts(one)}", _LOGS
        elif running is not None and not one.get("ready") and one.get("started") is False:
            yield f"{called}: running, its startup probe has not passed{_last_end(one)}", _DESCRIBE
        elif running is not None and not one.get("ready"):
            yield f"{called}: running, its readiness probe does not pass{_last_end(one)}", _DESCRIBE
    # most containers wait for the one that has the trouble
    yield from quiet


def _has_begun(status: Object) -> bool:
    return bool(status.get("ready")) or bool((status.get("state", {}).get("terminated") or {}).get("exitCode") == 0)


def _last_end(status: Object) -> str:
    last = (status.get("lastState") or {}).get("terminated")
    return f"; last ended with {_end(last)}{_restarts(status)}" if last else ""


def _end(terminated: Object) -> str:
    reason = terminated.get("reason")
    said = f" ({reason})" if reason and reason not in {"Error", "Completed"} else ""
    return f"exit code {terminated.get('exitCode')}{said}{_detail(terminated.get('message'))}"


def _restarts(status: Object) -> str:
    count = status.get("restartCount") or 0
    return f", {count} restart{'s' if count != 1 else ''}" if count else ""


def _detail(message: object) -> str:
    return f": {_short(message)}" if message else ""


def _short(message: object) -> str:
    """One line, its end kept: that is where a message has the cause."""
    text = " ".join(str(message or "no message").split())
    return text if len(text) <= LONGEST_MESSAGE else f"...{text[-LONGEST_MESSAGE:]}"


# When a workload is rolled out: what `kubectl rollout status` asks of each kind, as a table of functions.
#
# https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
# https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates
# https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/


def standing(kind: str, workload: Optional[Object], seen: Optional[Seen] = None) -> Standing:
    """How far the workload is; None: there is none of that name. seen: for a DaemonSet that has nodes which are asleep."""
    if workload is None:
        return Standing("its creation: no object of this name")
    generation, observed = workload["metadata"].get("generation", 0), _status(workload, "observedGeneration")
    if generation > observed:
        return Standing(f"its controller, which has seen generation {observed} of {generation}")
    return _PREDICATES[kind](workload, seen)


def _deployment(workload: Object, _seen: Optional[Seen]) -> Standing:
    desired = _desired(workload)
    existing, updated, available = (_status(workload, name) for name in ("replicas", "updatedReplicas", "availableReplicas"))
    waiting = ""
    if updated < desired:
        waiting = f"{desired - updated} of {desired} Pods to be updated"
        if workload["spec"].get("paused"):
            waiting += ", while its rollout is paused (`kubectl rollout resume`)"
    elif existing > updated:
        waiting = f"{existing - updated} Pods of an older revision to end"
    elif available < updated:
        waiting = f"{updated - available} of {updated} Pods to be available"
    return Standing(_with_failure(waiting, workload), desired, updated, available)


def _daemon_set(workload: Object, seen: Optional[Seen]) -> Standing:
    desired = _status(workload, "desiredNumberScheduled")
    updated, available = _status(workload, "updatedNumberScheduled"), _status(workload, "numberAvailable")
    if seen:
        # The controller counts a node that is off as one that should have a Pod until it is tainted as unreachable. From then on it counts
        # its Pod as misscheduled, and in none of the other numbers.
        desired -= max(0, seen.asleep - _status(workload, "numberMisscheduled"))
        updated, available = seen.updated, seen.available
    waiting = ""
    if updated < desired and not _is_updated_by_hand(workload):
        waiting = f"{desired - updated} of {desired} Pods to be updated"
    elif available < desired:
        waiting = f"{desired - available} of {desired} Pods to be available"
    return Standing(waiting, desired, updated, available)


def _stateful_set(workload: Object, _seen: Optional[Seen]) -> Standing:
    desired = _desired(workload)
    updated, ready = _status(workload, "updatedReplicas"), _status(workload, "readyReplicas")
    # of API servers before 1.22 there is no availableReplicas
    available = _status(workload, "availableReplicas", ready)
    partition = ((workload["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
    waiting = ""
    if available < desired:
        waiting = f"{desired - available} of {desired} Pods to be available"
    elif not _is_updated_by_hand(workload) and not _is_of_one_revision(workload) and updated < desired - partition:
        waiting = f"{desired - partition - updated} of {desired - partition} Pods to be updated"
    return Standing(waiting, desired, updated, available)


_PREDICATES: dict[str, Callable[[Object, Optional[Seen]], Standing]] = {
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
}


def _status(workload: Object, name: str, default: int = 0) -> int:
    value = (workload.get("status") or {}).get(name)
    return default if value is None else int(value)


def _desired(workload: Object) -> int:
    replicas = workload["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _is_updated_by_hand(workload: Object) -> bool:
    return (workload["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"


def _is_of_one_revision(workload: Object) -> bool:
    status = workload.get("status") or {}
    return bool(status.get("updateRevision")) and status.get("updateRevision") == status.get("currentRevision")


def _with_failure(waiting: str, workload: Object) -> str:
    """What a Deployment reports itself about Pods that cannot be made: a quota, an admission policy, a missing account."""
    failed = is_true(workload, "ReplicaFailure")
    return f"{waiting} ({condition(workload, 'ReplicaFailure').get('message', '')})" if waiting and failed else waiting


# The findings of a wait, and its result as plain data.

RULE = "workloads_are_rolled_out"
SHOWN_PODS = 5


def findings(reports: Iterable[Report], seconds: float) -> list[Finding]:
    """One for each workload that is not rolled out."""
    return [_finding(report, seconds) for report in reports if not report.standing.is_rolled_out]


def looked_at(reports: Iterable[Report], found: Sequence[Finding]) -> list[LookedAt]:
    """One for each workload."""
    return [
        LookedAt(
            str(report.workload),
            f"{report.standing.available} of {report.standing.desired} Pods available",
            state_of(one for one in found if one.subject == str(report.workload)),
        )
        for report in reports
    ]


def as_data(reports: Iterable[Report]) -> list[dict[str, Any]]:
    return [
        {
            **asdict(report.workload),
            "rolled_out": report.standing.is_rolled_out,
            "waiting_for": report.standing.waiting_for,
            "desired": report.standing.desired,
            "updated": report.standing.updated,
            "available": report.standing.available,
            "pods": [asdict(one) for one in report.stuck],
            "events": list(report.events),
        }
        for report in reports
    ]


def _finding(report: Report, seconds: float) -> Finding:
    waited = f"after {seconds:.0f} s still waiting for" if seconds >= 1 else "waiting for"
    parts = [f"{waited} {report.standing.waiting_for}"]
    for one in report.stuck[:SHOWN_PODS]:
        parts.append(f"Pod {one.name} on {one.node or 'no node'}: {one.state}")
    if len(report.stuck) > SHOWN_PODS:
        parts.append(f"and {len(report.stuck) - SHOWN_PODS} Pods more")
    if report.events:
        parts.append(f"last events: {' | '.join(report.events)}")
    workload = report.workload
    fallback = f"See `kubectl --namespace {workload.namespace} describe {workload.kind.lower()} {workload.name}`."
    if not report.exists:
        fallback = f"Create it, or correct its name: `kubectl get {workload.kind.lower()} --all-namespaces` lists what there is."
    return Finding(
        rule=RULE,
        severity="error",
        subject=str(workload),
        found="; ".join(parts),
        expected="rolled out" + (f", {report.standing.desired} Pods available" if report.standing.desired else ""),
        fix=report.stuck[0].next_step if report.stuck else fallback,
    )


# Looks at all workloads at once, again and again, until they are rolled out or the time is over.

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
    """The Pods that are not ready, and the last events of the workload, of what is between it and its Pods, and of those Pods."""
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
    """The last few, oldest first, each text once; where there are warnings, nothing that only reports progress."""
    known = sorted(events, key=_time)
    ordered = [one for one in known if one.get("type") == "Warning"] or known
    texts = list(dict.fromkeys(f"{one.get('reason', '')}: {' '.join(str(one.get('message', '')).split())}" for one in reversed(ordered)))
    return texts[:LAST_EVENTS][::-1]


def _time(event: Object) -> str:
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


# Why a Job did not come to a good end, in the words of its own status and of its Pods'.


def troubles(jobs: Iterable[Object], pods: Iterable[Object]) -> list[str]:
    """A line for each container that failed, waits or still runs, after the lines about the Job itself; none for a complete Job."""
    conditions = [one for job in jobs for one in (job.get("status") or {}).get("conditions") or () if one.get("status") == "True"]
    if any(one["type"] == "Complete" for one in conditions):
        return []
    ends = [str(one.get("message") or "it failed without a reason") for one in conditions if one["type"] == "Failed"]
    return [*(ends or ["it has not ended"]), *(line for pod in pods for line in _of_pod(pod))]


def _of_pod(pod: Object) -> Iterator[str]:
    statuses = container_statuses(pod)
    for one in statuses:
        state = one.get("state") or {}
        ended, waiting = state.get("terminated") or {}, state.get("waiting")
        if ended.get("exitCode"):
            yield f"container {one['name']} ended with exit code {ended['exitCode']}: {ended.get('message') or 'no message'}"
        elif waiting is not None:
            reason = ": ".join(filter(None, (waiting.get("reason"), waiting.get("message"))))
            yield f"container {one['name']} waits: {reason or 'no reason given'}"
        elif state.get("running") is not None:
            yield f"container {one['name']} runs still"
    obstacle = None if statuses else stuck(pod)
    if obstacle:
        yield f"Pod {obstacle.name}: {obstacle.state}"
