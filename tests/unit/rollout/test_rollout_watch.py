# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it is waited, what is asked meanwhile, and what is said in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import (
    Request,
    Workload,
    as_data,
    findings,
    looked_at,
    request,
    watch,
)

from tests.unit.clock import START, Clock

COREDNS = Workload("Deployment", "kube-system", "coredns")
CALICO = Workload("DaemonSet", "kube-system", "calico-node")
BUSY = Unavailable("Kubernetes API", "connection refused", "an answer", "Look at it.")


class Cluster:
    """Lists by (kind, namespace): what a function makes of the seconds since the start, which may be a Refusal."""

    server = "https://192.168.4.63:6443"

    def __init__(self, clock: Clock, **lists: Callable[[float], object]) -> None:
        self.clock = clock
        self.lists = lists
        self.asked: list[str] = []

    def items(self, api_version: str, kind: str, namespace: str = "", *_selectors: str) -> Iterator[dict[str, Any]]:
        self.asked.append(f"{kind} {namespace}")
        found = self.lists.get(kind, lambda _seconds: [])(self.clock.time - START)
        if isinstance(found, Refusal):
            raise found
        return iter(found)


def deployment(available: int, name: str = "coredns") -> dict[str, Any]:
    status = {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": available}
    return {
        "metadata": {"name": name, "namespace": "kube-system", "uid": f"uid-{name}", "generation": 1},
        "spec": {"replicas": 2},
        "status": status,
    }


def daemon_set(**status: int) -> dict[str, Any]:
    numbers = {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": 2, **status}
    return {
        "metadata": {"name": "calico-node", "namespace": "kube-system", "uid": "uid-calico", "generation": 1},
        "spec": {},
        "status": numbers,
    }


def owned(name: str, owner: str, node: str = "", revision: str = "new", **status: object) -> dict[str, Any]:
    labels = {"controller-revision-hash": revision}
    metadata = {"name": name, "namespace": "kube-system", "uid": f"uid-{name}", "ownerReferences": [{"uid": owner}], "labels": labels}
    return {"metadata": metadata, "spec": {"nodeName": node}, "status": {"phase": "Pending", **status}, "revision": 1}


def event(uid: str, reason: str, at: str, kind: str = "Warning") -> dict[str, Any]:
    return {"involvedObject": {"uid": uid}, "reason": reason, "message": "it  said\nso", "lastTimestamp": at, "type": kind}


def test_it_ends_as_soon_as_all_is_there() -> None:
    clock = Clock()
    cluster = Cluster(clock, Deployment=lambda seconds: [deployment(2 if seconds >= 7 else 1), deployment(0, "other")])
    outcome = watch(Request((COREDNS,), timeout=300, interval=2), cluster, clock)
    assert outcome.seconds == 8
    assert outcome.reports[0].standing.is_rolled_out
    assert findings(outcome.reports, outcome.seconds) == []
    assert [(one.subject, one.facts, one.state) for one in looked_at(outcome.reports, [])] == [
        ("Deployment kube-system/coredns", "2 of 2 Pods available", "ok")
    ]
    assert set(cluster.asked) == {"Deployment kube-system"}


def test_it_asks_once_for_each_namespace_and_kind() -> None:
    clock = Clock()
    more = [Workload("Deployment", "kube-system", f"d{number}") for number in range(50)]
    cluster = Cluster(
        clock, Deployment=lambda _seconds: [deployment(2, one.name) for one in more], DaemonSet=lambda _seconds: [daemon_set()]
    )
    outcome = watch(Request((*more, CALICO), timeout=0), cluster, clock)
    assert all(report.standing.is_rolled_out for report in outcome.reports)
    assert cluster.asked == ["DaemonSet kube-system", "Deployment kube-system"]


def test_it_ends_in_time_and_says_why() -> None:
    clock = Clock()
    replica_set = owned("coredns-abc", "uid-coredns")
    pods = [owned("coredns-abc-1", "uid-coredns-abc", "homelab"), owned("stranger", "uid-other", "homelab")]
    events = [
        event("uid-coredns-abc-1", "Second", "2026-11-23T07:00:02Z"),
        event("uid-coredns-abc", "First", "2026-11-23T07:00:01Z"),
        event("uid-coredns", "Progress", "2026-11-23T07:00:09Z", "Normal"),
        event("uid-stranger", "Strange", "2026-11-23T07:00:09Z"),
    ]
    cluster = Cluster(
        clock,
        Deployment=lambda _seconds: [deployment(1)],
        ReplicaSet=lambda _seconds: [replica_set],
        Pod=lambda _seconds: pods,
        Event=lambda _seconds: events,
    )
    outcome = watch(Request((COREDNS,), timeout=5, interval=2), cluster, clock)
    assert outcome.seconds == 5
    (finding,) = findings(outcome.reports, outcome.seconds)
    assert finding.subject == "Deployment kube-system/coredns"
    assert [one.state for one in looked_at(outcome.reports, [finding])] == ["error"]
    assert finding.found == (
        "after 5 s still waiting for 1 of 2 Pods to be available; Pod coredns-abc-1 on homelab: Pending: the kubelet has not taken it up; "
        "last events: First: it said so | Second: it said so"
    )
    (data,) = as_data(outcome.reports)
    assert (data["rolled_out"], data["desired"], data["available"], len(data["pods"])) == (False, 2, 1, 1)


def test_without_time_it_judges_once() -> None:
    clock = Clock()
    cluster = Cluster(clock, Deployment=lambda _seconds: [deployment(1)])
    outcome = watch(Request((COREDNS,), timeout=0), cluster, clock)
    assert clock.time == START
    assert findings(outcome.reports, outcome.seconds)[0].found.startswith("waiting for 1 of 2")


def test_a_workload_that_is_not_there_is_named_with_its_own_step() -> None:
    clock = Clock()
    outcome = watch(Request((COREDNS,), timeout=0), Cluster(clock), clock)
    (finding,) = findings(outcome.reports, 0)
    assert "no object of this name" in finding.found
    assert "kubectl get deployment --all-namespaces" in finding.fix


@pytest.mark.parametrize(
    ("revision", "ready", "misscheduled", "is_rolled_out"),
    [("new", "True", 0, True), ("new", "True", 1, True), ("old", "True", 1, False), ("new", "False", 1, False), ("new", "False", 0, False)],
)
def test_daemon_sets_do_not_wait_for_nodes_that_are_asleep(revision: str, ready: str, misscheduled: int, is_rolled_out: bool) -> None:
    clock = Clock()
    newest, older = owned("r2", "uid-calico"), {**owned("r1", "uid-calico", revision="old"), "revision": 0}
    conditions = [{"type": "Ready", "status": ready}]
    pods = [
        owned("calico-1", "uid-calico", "homelab", "old"),
        owned("calico-2", "uid-calico", "masternode", revision, conditions=conditions),
        owned("other", "uid-x", "homelab"),
    ]
    status = {"desiredNumberScheduled": 2 - misscheduled, "numberMisscheduled": misscheduled}
    cluster = Cluster(
        clock,
        DaemonSet=lambda _seconds: [daemon_set(**status)],
        ControllerRevision=lambda _seconds: [newest, older],
        Pod=lambda _seconds: pods,
    )
    outcome = watch(Request((CALICO,), frozenset({"homelab"}), timeout=0), cluster, clock)
    assert outcome.reports[0].standing.is_rolled_out == is_rolled_out
    assert outcome.reports[0].standing.desired == 1


def test_an_api_server_that_restarts_meanwhile_is_asked_again() -> None:
    clock = Clock()
    cluster = Cluster(clock, Deployment=lambda seconds: BUSY if 1 < seconds < 9 else [deployment(2 if seconds > 9 else 0)])
    assert watch(Request((COREDNS,), timeout=60, interval=2), cluster, clock).reports[0].standing.is_rolled_out


@pytest.mark.parametrize(
    "answer", [lambda _seconds: BUSY, lambda seconds: BUSY if seconds > 1 else [deployment(0)]], ids=["from the first", "for good"]
)
def test_an_api_server_that_is_gone_is_said(answer: Callable[[float], object]) -> None:
    clock = Clock()
    with pytest.raises(Unavailable, match="connection refused"):
        watch(Request((COREDNS,), timeout=6, interval=2), Cluster(clock, Deployment=answer), clock)
    assert clock.time <= 106


def test_a_permission_that_is_missing_ends_it_at_once() -> None:
    clock = Clock()
    forbidden = Refusal("Kubernetes API", "403", "list", "Grant it.")
    cluster = Cluster(clock, Deployment=lambda seconds: forbidden if seconds > 1 else [deployment(0)])
    with pytest.raises(Refusal, match="403"):
        watch(Request((COREDNS,), timeout=60, interval=2), cluster, clock)
    assert clock.time == 102


def test_options_are_read() -> None:
    one = {"kind": "Deployment", "namespace": "kube-system", "name": "coredns"}
    assert request({"workloads": [one, one], "asleep": ["HomeLab"], "timeout": 5}) == Request((COREDNS,), frozenset({"homelab"}), 5.0)
    with pytest.raises(Refusal, match="timeout"):
        request({"workloads": [one], "asleep": [], "timeout": -1})
