# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a workload is rolled out, and what keeps a Pod: tables of the API's objects."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import Seen, is_ready, standing, stuck

DEPLOYED = {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}
SPREAD = {"observedGeneration": 3, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3}
STATEFUL = {
    "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2,
    "currentRevision": "b", "updateRevision": "b",
}  # fmt: skip
BETWEEN = {"currentRevision": "a", "updateRevision": "b"}


def workload(status: dict[str, Any], **spec: object) -> dict[str, Any]:
    return {"metadata": {"name": "one", "generation": 3}, "spec": {"replicas": 2, **spec}, "status": status}


CASES = [
    ("Deployment", DEPLOYED, {}, ""),
    ("Deployment", {**DEPLOYED, "observedGeneration": 2}, {}, "its controller, which has seen generation 2 of 3"),
    ("Deployment", {}, {}, "its controller, which has seen generation 0 of 3"),
    ("Deployment", {"observedGeneration": 3}, {}, "2 of 2 Pods to be updated"),
    ("Deployment", {**DEPLOYED, "updatedReplicas": 1}, {}, "1 of 2 Pods to be updated"),
    (
        "Deployment",
        {**DEPLOYED, "updatedReplicas": 1},
        {"paused": True},
        "1 of 2 Pods to be updated, while its rollout is paused (`kubectl rollout resume`)",
    ),
    ("Deployment", {**DEPLOYED, "replicas": 3}, {}, "1 Pods of an older revision to end"),
    ("Deployment", {**DEPLOYED, "availableReplicas": 1}, {}, "1 of 2 Pods to be available"),
    ("Deployment", {**DEPLOYED, "availableReplicas": None}, {}, "2 of 2 Pods to be available"),
    ("Deployment", {"observedGeneration": 3}, {"replicas": 0}, ""),
    ("Deployment", {"observedGeneration": 3}, {"replicas": None}, "1 of 1 Pods to be updated"),
    (
        "Deployment",
        {"observedGeneration": 3, "conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]},
        {},
        "2 of 2 Pods to be updated (exceeded quota)",
    ),
    ("DaemonSet", SPREAD, {}, ""),
    ("DaemonSet", {**SPREAD, "updatedNumberScheduled": 1}, {}, "2 of 3 Pods to be updated"),
    ("DaemonSet", {**SPREAD, "updatedNumberScheduled": 1}, {"updateStrategy": {"type": "OnDelete"}}, ""),
    ("DaemonSet", {**SPREAD, "numberAvailable": 2}, {}, "1 of 3 Pods to be available"),
    ("DaemonSet", {**SPREAD, "desiredNumberScheduled": 0, "updatedNumberScheduled": None, "numberAvailable": None}, {}, ""),
    ("StatefulSet", STATEFUL, {}, ""),
    ("StatefulSet", {**STATEFUL, "availableReplicas": 1}, {}, "1 of 2 Pods to be available"),
    ("StatefulSet", {**STATEFUL, "availableReplicas": None}, {}, ""),
    ("StatefulSet", {**STATEFUL, **BETWEEN, "updatedReplicas": 1}, {}, "1 of 2 Pods to be updated"),
    ("StatefulSet", {**STATEFUL, **BETWEEN, "updatedReplicas": 1}, {"updateStrategy": {"rollingUpdate": {"partition": 1}}}, ""),
    ("StatefulSet", {**STATEFUL, **BETWEEN, "updatedReplicas": 0}, {"updateStrategy": {"type": "OnDelete"}}, ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "status", "spec", "waiting"), CASES)
def test_what_is_waited_for(kind: str, status: dict[str, Any], spec: dict[str, Any], waiting: str) -> None:
    result = standing(kind, workload(status, **spec))
    assert result.waiting_for == waiting
    assert result.is_rolled_out == (not waiting)


def test_a_workload_that_is_not_there_is_waited_for() -> None:
    assert standing("Deployment", None).waiting_for == "its creation: no object of this name"


@pytest.mark.parametrize(
    ("status", "seen", "waiting", "desired"),
    [
        # the node is off, and tainted: the controller counts it no more
        ({"desiredNumberScheduled": 2, "numberMisscheduled": 1}, Seen(1, 2, 2), "", 2),
        ({"desiredNumberScheduled": 2, "numberMisscheduled": 1}, Seen(1, 2, 1), "1 of 2 Pods to be available", 2),
        # it is off, and the controller does not know yet
        ({}, Seen(1, 2, 2), "", 2),
        ({}, Seen(1, 2, 1), "1 of 2 Pods to be available", 2),
        ({}, Seen(1, 1, 2), "1 of 2 Pods to be updated", 2),
        # one of two that are off is known to be off
        ({"desiredNumberScheduled": 2, "numberMisscheduled": 1}, Seen(2, 1, 1), "", 1),
        ({"desiredNumberScheduled": 1, "numberMisscheduled": 2}, Seen(2, 1, 0), "1 of 1 Pods to be available", 1),
        # its Pod is gone
        ({"desiredNumberScheduled": 2}, Seen(0, 2, 2), "", 2),
        ({"desiredNumberScheduled": 0}, Seen(0, 0, 0), "", 0),
    ],
)
def test_pods_of_nodes_that_are_asleep_count_for_nothing(status: dict[str, Any], seen: Seen, waiting: str, desired: int) -> None:
    result = standing("DaemonSet", workload({**SPREAD, **status}), seen)
    assert (result.waiting_for, result.desired) == (waiting, desired)


def pod(
    *containers: dict[str, Any], phase: str = "Pending", conditions: tuple[tuple[str, str, str], ...] = (), **metadata: object
) -> dict[str, Any]:
    status: dict[str, Any] = {
        "phase": phase,
        "conditions": [{"type": kind, "status": is_so, "reason": "Unschedulable", "message": text} for kind, is_so, text in conditions],
    }
    if containers:
        status["containerStatuses"] = [{"name": "web", "ready": False, "restartCount": 0, **one} for one in containers]
    return {"metadata": {"name": "web-1", "namespace": "shop", **metadata}, "spec": {"nodeName": "homelab"}, "status": status}


def waiting(word: str, text: str = "", **last: object) -> dict[str, Any]:
    """A container that waits; last: how it ended before."""
    before = {"lastState": {"terminated": last}, "restartCount": 4} if last else {}
    return {"state": {"waiting": {"reason": word, "message": text}}, **before}


RUNNING = {"state": {"running": {}}, "started": True}
CRASHED = {"exitCode": 1, "reason": "Error", "message": "plugin/forward: no nameservers"}
OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}
UNSCHEDULABLE = (("PodScheduled", "False", "0/3 nodes are available:\n 3 Insufficient cpu."),)
STATES = [
    (pod(conditions=UNSCHEDULABLE), "Pending: Unschedulable: 0/3 nodes are available: 3 Insufficient cpu.", "Bring up"),
    (pod(), "Pending: the kubelet has not taken it up", "homelab is on"),
    ({**pod(), "spec": {}}, "Pending: not scheduled, and the scheduler reports no reason", "Check kube-scheduler"),
    (pod(waiting("ContainerCreating")), "container web: ContainerCreating", "kubelet and the CNI plugin"),
    (pod(waiting("ImagePullBackOff", "Back-off")), "container web: ImagePullBackOff: Back-off", "Make the image available"),
    (
        pod(waiting("CrashLoopBackOff", "back-off 40s", **CRASHED), phase="Running"),
        "container web: CrashLoopBackOff: back-off 40s; last ended with exit code 1: plugin/forward: no nameservers, 4 restarts",
        "kubectl logs --previous --namespace shop web-1",
    ),
    (
        pod(waiting("CrashLoopBackOff", **OUT_OF_MEMORY), phase="Running"),
        "container web: CrashLoopBackOff; last ended with exit code 137 (OOMKilled), 4 restarts",
        "logs",
    ),
    (pod(waiting("CreateContainerConfigError", "no x")), "container web: CreateContainerConfigError: no x", "Create the ConfigMap"),
    (pod({"state": {"terminated": {"exitCode": 2, "reason": "Error"}}}), "container web: ended with exit code 2", "logs"),
    (pod(RUNNING, phase="Running"), "container web: running, its readiness probe does not pass", "describe"),
    (pod({**RUNNING, "started": False}), "container web: running, its startup probe has not passed", "describe"),
    (
        pod({**RUNNING, "ready": True}, phase="Running"),
        "Running, while its condition Ready is False: its node has stopped answering",
        "homelab is on",
    ),
    (
        pod({**RUNNING, "ready": True}, deletionTimestamp="2026-11-23T07:00:00Z"),
        "Terminating since 2026-11-23T07:00:00Z",
        "kubectl delete node homelab",
    ),
    (
        pod(waiting("PodInitializing"), {**waiting("ErrImagePull", "gone"), "name": "side"}),
        "container side: ErrImagePull: gone",
        "Make the image",
    ),
]


@pytest.mark.parametrize(("one", "state", "step"), STATES, ids=[state[:60] for _pod, state, _step in STATES])
def test_what_keeps_a_pod(one: dict[str, Any], state: str, step: str) -> None:
    obstacle = stuck(one)
    assert obstacle is not None
    assert obstacle.state == state
    assert step in obstacle.next_step


def test_an_evicted_pod_says_why() -> None:
    evicted = pod(phase="Failed")
    evicted["status"] |= {"reason": "Evicted", "message": "The node was low on resource: memory."}
    assert stuck(evicted).state == "Failed: Evicted: The node was low on resource: memory."


def test_a_failing_init_container_comes_first() -> None:
    one = pod(waiting("PodInitializing"))
    one["status"]["initContainerStatuses"] = [
        {"name": "first", "ready": False, **waiting("CrashLoopBackOff", **{**CRASHED, "exitCode": 3})}
    ]
    assert stuck(one).state.startswith("container first: CrashLoopBackOff; last ended with exit code 3")


@pytest.mark.parametrize(
    "one", [pod({"state": {"running": {}}, "ready": True}, phase="Running", conditions=(("Ready", "True", ""),)), pod(phase="Succeeded")]
)
def test_nothing_keeps_a_pod_that_is_ready_or_done(one: dict[str, Any]) -> None:
    assert stuck(one) is None


def test_a_pod_on_its_way_out_is_not_ready() -> None:
    assert not is_ready(pod(conditions=(("Ready", "True", ""),), deletionTimestamp="2026-11-23T07:00:00Z"))


def test_a_long_message_keeps_its_end() -> None:
    state = stuck(pod(waiting("ErrImagePull", "x" * 1000 + " connection refused"))).state
    assert len(state) < 400
    assert state.endswith("connection refused")
