# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Placing, asking and removing, against a cluster that keeps to a script."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.model import CHECKS, REMOVAL_SECONDS, Outcome, Request
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.probe import judge, run
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

from tests.unit.clock import Clock

M, H, S = "masternode", "homelab", "storagenodet3500"
SPACE = "vmstation-probe-a"
REQUEST = Request((M, H, S), frozenset(), ("10.233.0.3",), ("kubernetes.default.svc.cluster.local",), ("4789/udp",), "busybox", 60)
SILENCE = Unavailable("Kubernetes API", "no complete answer within 30 s", "an answer", "Look.")
FORBIDDEN = Refusal("Kubernetes API", "HTTP status 403: no", "the permission to create pods", "Let it.")


class Cluster:
    """Pods start at once, and answer each question well. fails: raises in place of what is about to be done, such as ``create Pod``."""

    def __init__(self, clock: Clock, stuck: Mapping[str, Any] | None = None, fails: Callable[[str], None] = lambda _what: None) -> None:
        self._clock, self._stuck, self._fails = clock, stuck or {}, fails
        self.there: dict[str, dict] = {}
        self.done: list[str] = []
        self.goes_after = 2.0
        self.patched = self.overlooks = 0
        self._ends = float("inf")
        self.events: list[dict] = []

    def _do(self, what: str) -> None:
        self._fails(what)
        self.done.append(what)

    def items(self, _version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Iterator[dict]:
        self._fails(f"list {kind}")
        if kind == "Node":
            return iter(
                [{"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}} for name in REQUEST.nodes]
            )
        if kind == "Event":
            return iter(self.events)
        return iter(copy.deepcopy([one for one in self.there.values() if one["kind"] == kind]))

    def get(self, _version: str, _kind: str, name: str, namespace: str = "") -> dict | None:
        self._fails("get Namespace")
        return self.there.get(f"Namespace {name}") if self._clock.now() < self._ends else None

    def create(self, documents: Sequence[dict], namespace: str = "") -> list[dict]:
        made = []
        for number, document in enumerate(documents):
            kind, name = document["kind"], document["metadata"]["name"]
            self._do(f"create {kind}")
            one = copy.deepcopy(document)
            one["metadata"].update(namespace=namespace, creationTimestamp="2026-11-23T22:00:00Z")
            if kind == "Service":
                one["spec"]["clusterIP"] = f"10.96.0.{number}"
            if kind == "Pod":
                one["status"] = self._started(one)
            self.there[f"{kind} {name}"] = one
            made.append(one)
        return made

    def _started(self, pod: dict) -> dict:
        node = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"][0]
        stuck = self._stuck.get(node["matchFields"][0]["values"][0])
        running = [{"name": name, "state": {"running": {}}} for name in ("listen", "ask")]
        return stuck or {"phase": "Running", "podIP": "10.244.0.9", "containerStatuses": running}

    def patch_pods(self, namespace: str, patches: Mapping[str, str]) -> None:
        self._do("patch Pod")
        self.patched += 1
        if self.patched <= self.overlooks:
            return
        for name, patch in patches.items():
            lines = json.loads(patch)["metadata"]["annotations"][CHECKS].splitlines()
            message = "nameserver 10.233.0.3\n" + "".join(f"{line.split()[0]} ok 1 1\n" for line in lines)
            ended = {"name": "ask", "state": {"terminated": {"exitCode": 0, "message": message}}}
            self.there[f"Pod {name}"]["status"]["containerStatuses"][1] = ended

    def delete_namespace(self, name: str) -> None:
        self._do("delete Namespace")
        self._ends = self._clock.now() + self.goes_after

    def end_pods(self, namespace: str) -> None:
        self._do("end Pods")
        self._ends = self._clock.now()


def played(stuck: Mapping[str, Any] | None = None, fails: Callable[[str], None] = lambda _what: None) -> tuple[Outcome, Cluster]:
    clock = Clock()
    cluster = Cluster(clock, stuck, fails)
    return run(REQUEST, cluster, clock, SPACE), cluster


def raising(what: str, error: BaseException, times: int = 10**6) -> Callable[[str], None]:
    left = [times]

    def fail(about: str) -> None:
        if about == what and left[0]:
            left[0] -= 1
            raise error

    return fail


def waiting(reason: str, message: str = "no") -> dict:
    return {"phase": "Pending", "containerStatuses": [{"name": "ask", "state": {"waiting": {"reason": reason, "message": message}}}]}


def test_all_is_well() -> None:
    outcome, cluster = played()
    assert judge(REQUEST, outcome) == []
    assert len(outcome.rows) == 6 + 9 + 3
    assert all(row.ok for row in outcome.rows)
    assert not outcome.is_changed
    assert cluster.done[-1] == "delete Namespace"


def test_the_pods_that_run_are_judged_without_the_one_that_does_not() -> None:
    outcome, cluster = played({H: waiting("ImagePullBackOff", "nobody has it")})
    (finding,) = judge(REQUEST, outcome)
    assert (finding.rule, finding.subject) == ("probe_pods_start", f"node {H}")
    assert "nobody has it" in finding.found
    assert "Make the image available on homelab" in finding.fix
    assert all(row.ok is (None if H in (row.source, row.target) else True) for row in outcome.rows)
    assert outcome.seconds < 10, "what gets no further is not waited for"
    assert cluster.done[-1] == "delete Namespace"


def test_a_pod_without_the_image_of_its_sandbox_needs_that_image() -> None:
    clock = Clock()
    cluster = Cluster(clock, {S: waiting("ContainerCreating", "")})
    message = 'failed to get sandbox image "registry.k8s.io/pause:3.10.2": no such host'
    about = {"kind": "Pod", "name": "probe-2"}
    cluster.events = [{"type": "Warning", "reason": "FailedCreatePodSandBox", "message": message, "involvedObject": about, "metadata": {}}]
    (finding,) = judge(REQUEST, run(REQUEST, cluster, clock, SPACE))
    assert "pause:3.10.2" in finding.found
    assert finding.fix.startswith(f"Make the image available on {S}")


def test_a_pod_without_a_sandbox_is_waited_for_and_told_with_the_words_of_the_cni_plugin() -> None:
    clock = Clock()
    cluster = Cluster(clock, {S: waiting("ContainerCreating", "")})
    about = {"kind": "Pod", "name": "probe-2"}
    cluster.events = [
        {
            "type": "Warning",
            "reason": "FailedCreatePodSandBox",
            "message": "plugin type=calico failed",
            "involvedObject": about,
            "metadata": {},
        },
        {"type": "Normal", "reason": "Scheduled", "message": "placed", "involvedObject": about, "metadata": {}},
    ]
    outcome = run(REQUEST, cluster, clock, SPACE)
    (finding,) = judge(REQUEST, outcome)
    assert finding.subject == f"node {S}"
    assert "after 35 s" in finding.found
    assert "plugin type=calico failed" in finding.found
    assert "CNI plugin" in finding.fix


def test_a_kubelet_that_overlooks_the_questions_is_reminded() -> None:
    clock = Clock()
    cluster = Cluster(clock)
    cluster.overlooks = 2
    outcome = run(REQUEST, cluster, clock, SPACE)
    assert judge(REQUEST, outcome) == []
    assert cluster.done.count("patch Pod") == 3


def test_an_api_server_that_is_silent_for_a_moment_is_asked_again() -> None:
    outcome, _cluster = played(fails=raising("list Pod", SILENCE, times=3))
    assert judge(REQUEST, outcome) == []


@pytest.mark.parametrize("step", ["create Namespace", "list Namespace", "create ServiceAccount", "create Pod", "list Pod", "patch Pod"])
@pytest.mark.parametrize("error", [SILENCE, FORBIDDEN], ids=["silence", "forbidden"])
def test_whatever_ends_it_early_nothing_is_left_and_nothing_is_good(step: str, error: Refusal) -> None:
    outcome, cluster = played(fails=raising(step, error))
    assert outcome.left is None
    assert ("delete Namespace" in cluster.done) is (f"Namespace {SPACE}" in cluster.there)
    (finding,) = [one for one in judge(REQUEST, outcome) if one.rule == "pod_network_can_be_probed"]
    assert finding.severity == ("unknown" if error is FORBIDDEN else "error")
    assert len(outcome.rows) == 6 + 9 + 3
    assert {row.ok for row in outcome.rows} == {None}


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interruption_removes_everything(error: BaseException) -> None:
    clock = Clock()
    cluster = Cluster(clock, fails=raising("list Pod", error))
    with pytest.raises(type(error)):
        run(REQUEST, cluster, clock, SPACE)
    assert cluster.done[-1] == "delete Namespace"


def test_pods_whose_node_does_not_confirm_their_end_are_taken_out() -> None:
    clock = Clock()
    cluster = Cluster(clock)
    cluster.goes_after = 10_000
    outcome = run(REQUEST, cluster, clock, SPACE)
    assert outcome.left is None
    assert cluster.done[-2:] == ["delete Namespace", "end Pods"]


@pytest.mark.parametrize(("error", "seconds"), [(FORBIDDEN, 0), (SILENCE, REMOVAL_SECONDS)])
def test_a_namespace_that_stays_is_an_error(error: Refusal, seconds: float) -> None:
    outcome, _cluster = played(fails=raising("delete Namespace", error))
    (finding,) = judge(REQUEST, outcome)
    assert (finding.rule, finding.severity, finding.subject) == ("probes_are_removed", "error", f"Namespace {SPACE}")
    assert finding.fix.startswith(f"Remove it: `kubectl delete namespace {SPACE}`.")
    assert outcome.is_changed
    assert outcome.seconds >= seconds
