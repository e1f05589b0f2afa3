# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places the pods, lets them ask, gathers the answers, and removes everything again, however it went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Optional, Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import ASLEEP, judge_all
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network import answers, manifests
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.model import (
    ASKING_SECONDS,
    Check,
    NodeSeen,
    Object,
    Outcome,
    Request,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import stuck

PAUSE = 0.5
# a kubelet that is busy may miss that a pod's annotations changed, and look at them again only after a minute or at the next change
REMIND_SECONDS = 5.0
# a container in one of these states gets no further by itself within the time of a check
_HOPELESS = {"ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName", "CreateContainerConfigError", "CreateContainerError"}


class ProbeCluster(ClusterReader, Protocol):
    """Who writes to the cluster besides; tests pass a scripted fake."""

    def create(self, documents: Sequence[Object], namespace: str = "") -> list[Object]:
        """All at once; what the API server made of them, in the same order."""

    def patch_pods(self, namespace: str, patches: Mapping[str, str]) -> None:
        """Merge patches by a Pod's name, all at once."""

    def delete_namespace(self, name: str) -> None:
        """Ask for its removal; one that is gone is fine."""

    def end_pods(self, namespace: str) -> None:
        """Take its Pods out of the API server without waiting for their nodes."""


def plan(request: Request, cluster: ClusterReader, clock: Clock, namespace: str) -> Outcome:
    """What a run would place, from what the nodes say now."""
    began = clock.now()
    outcome = Outcome(_nodes(request, cluster))
    outcome.placed = _described(namespace, [one.name for one in outcome.of_state("awake")])
    outcome.seconds = clock.now() - began
    return outcome


def run(request: Request, cluster: ProbeCluster, clock: Clock, namespace: str) -> Outcome:
    """The whole check. What ends it early stands in the outcome; only a cluster that does not answer at first is a Refusal."""
    began = clock.now()
    outcome = Outcome(_nodes(request, cluster))
    nodes = [one.name for one in outcome.of_state("awake")]
    if nodes:
        try:
            _Probing(request, cluster, clock, namespace, outcome).of(nodes)
        except Refusal as refusal:
            outcome.refusal = refusal
        finally:
            outcome.left = _remove(cluster, clock, namespace)
    _fill(request, outcome)
    outcome.seconds = clock.now() - began
    return outcome


class _Probing:
    """One run between placing and removing."""

    def __init__(self, request: Request, cluster: ProbeCluster, clock: Clock, namespace: str, outcome: Outcome) -> None:
        self._request, self._cluster, self._clock, self._namespace, self._outcome = request, cluster, clock, namespace, outcome
        self._end = clock.now() + request.seconds
        self._began = clock.now()

    def of(self, nodes: Sequence[str]) -> None:
        (ours,) = self._cluster.create([manifests.namespace(self._namespace, self._request)])
        self._remove_leftovers(ours)
        self._cluster.create([manifests.account()], self._namespace)
        numbered = list(enumerate(nodes))
        services = [manifests.service(number) for number, _node in numbered]
        made = self._cluster.create(
            [*services, *(manifests.pod(number, node, self._request) for number, node in numbered)], self._namespace
        )
        self._outcome.placed = _described(self._namespace, nodes)
        addresses = {node: str(made[number]["spec"]["clusterIP"]) for number, node in numbered}
        started = self._wait_until_started(nodes)
        asked = answers.checks(self._request, started, addresses)
        if asked:
            self._ask({manifests.object_name(number): asked[node] for number, node in numbered if node in asked})

    def _remove_leftovers(self, ours: Object) -> None:
        for other in self._cluster.items("v1", "Namespace", label_selector=manifests.SELECTOR):
            if manifests.has_outlived(other, ours):
                self._cluster.delete_namespace(other["metadata"]["name"])
                self._outcome.removed.append(other["metadata"]["name"])

    def _wait_until_started(self, nodes: Sequence[str]) -> dict[str, str]:
        """The addresses of the pods that run, by node. Of the others the outcome says why they do not."""
        deadline = self._end - ASKING_SECONDS
        while True:
            pods = self._pods()
            there = {node: pods.get(manifests.object_name(number)) for number, node in enumerate(nodes)}
            waiting = {node: pod for node, pod in there.items() if pod is None or not _runs(pod)}
            if not waiting or self._clock.now() >= deadline or all(pod and _is_hopeless(pod) for pod in waiting.values()):
                break
            self._clock.sleep(PAUSE)
        started = {node: str(pod["status"]["podIP"]) for node, pod in there.items() if pod and node not in waiting}
        for node, address in started.items():
            self._outcome.nodes[node].state, self._outcome.nodes[node].address = "started", address
        if waiting:
            self._explain(waiting)
        return started

    def _explain(self, waiting: Mapping[str, Optional[Object]]) -> None:
        said = _last_warnings(self._cluster.items("v1", "Event", namespace=self._namespace))
        waited = f"after {self._clock.now() - self._began:.0f} s"
        for node, pod in waiting.items():
            obstacle = stuck(pod) if pod else None
            event = said.get(pod["metadata"]["name"], "") if pod else ""
            seen = self._outcome.nodes[node]
            seen.state = "not_started"
            state = obstacle.state if obstacle else "the Pod has gone"
            # elsewhere the state tells it already
            is_vague = "ContainerCreating" in state or "not taken it up" in state
            seen.reason = f"{waited}: {state}" + (f"; {event}" if event and is_vague else "")
            seen.fix = _what_to_do(node, state, event)

    def _ask(self, asked: Mapping[str, Sequence[Check]]) -> None:
        messages: dict[str, Optional[str]] = dict.fromkeys(asked)
        handed, times = -REMIND_SECONDS, 0
        while True:
            silent = [name for name, message in messages.items() if message is None]
            if not silent or self._clock.now() >= self._end:
                break
            if self._clock.now() - handed >= REMIND_SECONDS:
                handed, times = self._clock.now(), times + 1
                lines = {name: answers.as_lines(asked[name]) for name in silent}
                patches = {name: manifests.questions_patch(text, times) for name, text in lines.items()}
                self._cluster.patch_pods(self._namespace, patches)
            self._clock.sleep(PAUSE)
            pods = self._pods()
            messages = {name: _message(pods.get(name)) for name in asked}
        for name, checks in asked.items():
            message = messages[name]
            if message is None:
                why = f"the probe pod did not report within {self._request.seconds:g} s"
                self._outcome.rows += answers.unknown(checks, why)
                continue
            self._outcome.rows += answers.rows(checks, message)
            self._outcome.nodes[checks[0].source].nameservers = answers.nameservers(message)

    def _pods(self) -> dict[str, Object]:
        """An API server that stops answering for a while is asked again as long as there is time."""
        while True:
            try:
                return {pod["metadata"]["name"]: pod for pod in self._cluster.items("v1", "Pod", namespace=self._namespace)}
            except Unavailable:
                if self._clock.now() >= self._end:
                    raise
                self._clock.sleep(PAUSE)


def _nodes(request: Request, cluster: ClusterReader) -> dict[str, NodeSeen]:
    """Of a host that has just been put to sleep the Node still says for a while that it is ready: it is asleep all the same."""
    found = {}
    for verdict in judge_all(cluster.items("v1", "Node"), request.nodes, request.asleep):
        if verdict.name in request.asleep:
            found[verdict.name] = NodeSeen(verdict.name, "asleep", ASLEEP)
        elif verdict.ready:
            found[verdict.name] = NodeSeen(verdict.name, "awake")
        else:
            found[verdict.name] = NodeSeen(verdict.name, "not_ready", verdict.reason, verdict.fix)
    return found


def _remove(cluster: ProbeCluster, clock: Clock, namespace: str) -> Optional[Refusal]:
    """Until it is gone. Pods whose node does not confirm their end are taken out after half of the time; they end by themselves."""
    deadline = clock.now() + manifests.REMOVAL_SECONDS
    found = f"there after {manifests.REMOVAL_SECONDS:g} s"
    asked = forced = False
    while True:
        try:
            if not cluster.get("v1", "Namespace", namespace):
                return None
            if not asked:
                cluster.delete_namespace(namespace)
                asked = True
            elif not forced and deadline - clock.now() < manifests.REMOVAL_SECONDS / 2:
                cluster.end_pods(namespace)
                forced = True
        except Unavailable as silence:
            found = f"not removed: {silence.found}"
        except Refusal as refusal:
            found, deadline = f"not removed: {refusal.found}", clock.now()
        if clock.now() >= deadline:
            fix = f"Remove it: `kubectl delete namespace {namespace}`."
            return Refusal(f"Namespace {namespace}", found, "no remains of this check", fix)
        clock.sleep(PAUSE)


def _fill(request: Request, outcome: Outcome) -> None:
    """Every question that could not be asked, as unknown; in the order of the nodes. A node that is asleep has none."""
    asked = {(row.source, row.target, row.kind) for row in outcome.rows}
    there = {one.name: "" for one in outcome.nodes.values() if one.state != "asleep"}
    every = answers.checks(request, there, there)
    for source, checks in every.items():
        missing = [one for one in checks if (one.source, one.target, one.kind) not in asked]
        for one in missing:
            outcome.rows += answers.unknown([one], _why_not_asked(outcome, source, one.target))
    order = {name: number for number, name in enumerate(every)}
    outcome.rows.sort(key=lambda row: order[row.source])


def _why_not_asked(outcome: Outcome, source: str, target: str) -> str:
    for name in (source, target):
        one = outcome.nodes.get(name)
        if one and one.state in {"not_ready", "not_started"}:
            return f"no probe pod on {name}"
    return f"not asked: {outcome.refusal.found}" if outcome.refusal else "not asked"


def _described(namespace: str, nodes: Iterable[str]) -> list[str]:
    each = [(manifests.object_name(number), node) for number, node in enumerate(nodes)]
    placed = [word for name, node in each for word in (f"Pod {namespace}/{name} on {node}", f"Service {namespace}/{name}")]
    return [f"Namespace {namespace}", f"ServiceAccount {namespace}/{manifests.ACCOUNT}", *placed] if placed else []


def _runs(pod: Object) -> bool:
    """Both containers have begun: the one that asks waits for its questions."""
    states = [one.get("state", {}) for one in pod["status"].get("containerStatuses") or ()]
    return bool(pod["status"].get("podIP")) and len(states) == 2 and all("running" in state for state in states)


def _is_hopeless(pod: Object) -> bool:
    if any(one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable" for one in pod["status"].get("conditions") or ()):
        return True
    waiting = [(one.get("state", {}).get("waiting") or {}).get("reason") for one in pod["status"].get("containerStatuses") or ()]
    return pod["status"].get("phase") in {"Failed", "Succeeded"} or bool(_HOPELESS & set(waiting))


def _message(pod: Optional[Object]) -> Optional[str]:
    """What the container that asks left; None while it has not ended. A Pod that has gone left nothing."""
    if pod is None:
        return ""
    for one in pod["status"].get("containerStatuses") or ():
        ended = one.get("state", {}).get("terminated")
        if one["name"] == "ask" and ended:
            return str(ended.get("message") or "")
    return "" if pod["status"].get("phase") in {"Failed", "Succeeded"} else None


def _last_warnings(events: Iterable[Object]) -> dict[str, str]:
    """The last warning about each Pod."""
    found: dict[str, tuple[str, str]] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        when = str(event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp") or "")
        if event.get("type") == "Warning" and about.get("kind") == "Pod" and when >= found.get(about["name"], ("", ""))[0]:
            found[about["name"]] = (when, " ".join(f"{event.get('reason')}: {event.get('message')}".split())[:400])
    return {name: said for name, (_when, said) in found.items()}


def _what_to_do(node: str, state: str, event: str) -> str:
    if "Image" in state or "Image" in event:
        return f"Make the image available on {node}: a registry that it reaches, or an archive in its containerd; or name another."
    if "sandbox" in event.lower():
        return f"Look at the CNI plugin on {node}: its calico-node Pod in kube-system, and `journalctl -u kubelet -u containerd`."
    if "Unschedulable" in state:
        return f"Free {node} of what the scheduler names: `kubectl describe node {node}`."
    if "PodScheduled" in state or ("has not taken it up" in state and "FailedScheduling" not in event):
        return f"Look at kube-scheduler in kube-system, and at the kubelet on {node}: `systemctl status kubelet`."
    return f"Look at the kubelet on {node}: `journalctl -u kubelet`."
