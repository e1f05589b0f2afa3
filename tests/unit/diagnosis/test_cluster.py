# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Kubernetes API is asked, what becomes of its answers, and what when it has none."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.proxied import Log
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis import cluster as questions
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.cluster import logs_of, look, pod_of
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import MIB, REDACTED, Entry
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

Object = dict[str, Any]


class ScriptedCluster:
    """lists: objects by kind, or the Refusal to list them. answers: whether there is an API server at all."""

    server = "https://192.168.4.63:6443"

    def __init__(self, lists: dict[str, list[Object] | Refusal] | None = None, *, answers: bool = True) -> None:
        self.lists, self.is_there, self.asked = lists or {}, answers, 0

    def _answer(self) -> None:
        self.asked += 1
        if not self.is_there:
            raise Unavailable("Kubernetes API", "connection refused", "an answer", "Look at it.")

    def serves(self, api_version: str, kind: str) -> bool:
        self._answer()
        return not api_version.startswith("projectcalico.org") and kind in self.lists

    def items(self, api_version: str, kind: str, *_selectors: str) -> Iterator[Object]:
        self._answer()
        found = self.lists.get(kind, [])
        if isinstance(found, Refusal):
            raise found
        return iter(found)

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Object | None:
        self._answer()
        return next((one for one in self.lists.get(kind, []) if one["metadata"]["name"] == name), None)

    def read(self, path: str) -> Object:
        self._answer()
        return {"gitVersion": "v1.36.2"}

    def health(self, path: str) -> str:
        self._answer()
        return "[+]ping ok\n"

    def logs(self, wanted: Sequence[Log], seconds: float) -> list[str | Refusal | None]:
        gone = Refusal("log", 'HTTP status 500: Get "https://1:10250/x?y": dial tcp: refused', "HTTP status 200", "Look at it.")
        return [{"mute": None, "gone": gone}.get(one.pod, "a line\npassword: hunter2\n") for one in wanted]

    def as_text(self, document: Object) -> str:
        return json.dumps(document) + "\n"


class Clock:
    def __init__(self, step: float = 0.0) -> None:
        self._now, self._step = 0.0, step

    def now(self) -> float:
        self._now += self._step
        return self._now

    def sleep(self, seconds: float) -> None:
        raise AssertionError


def seen(cluster: ScriptedCluster, *, room: int = 8 * MIB, seconds: float = 60, clock: Clock | None = None) -> dict[str, Entry]:
    return {entry.name: entry for entry in look(cluster, clock or Clock(), room, seconds)}


def node(name: str, ready: str = "True") -> Object:
    return {"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def pod(
    name: str, namespace: str = "default", on: str = "homelab", *, ready: bool = True, restarts: int = 0, state: str = "running"
) -> Object:
    status = {"name": "main", "ready": ready, "restartCount": restarts, "state": {state: {"exitCode": 0} if state == "terminated" else {}}}
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"nodeName": on, "containers": [{"name": "main", "env": [{"name": "DB_PASSWORD", "value": "hunter2"}]}]},
        "status": {"phase": "Running", "containerStatuses": [status]},
    }


WELL = {"Node": [node("homelab"), node("masternode")], "Pod": [pod("etcd", "kube-system", "masternode"), pod("web")], "Service": []}


def test_of_a_cluster_that_is_well_all_is_read_without_secrets() -> None:
    entries = seen(ScriptedCluster(WELL))
    assert "hunter2" not in "".join(entry.text for entry in entries.values())
    assert '"env": ["DB_PASSWORD"]' in entries["pods.yaml"].text
    assert entries["services.yaml"].text == "# there are none\n"
    assert entries["health/livez.txt"].text == "[+]ping ok\n"
    assert entries["nodes.txt"].text.splitlines()[1].startswith("homelab")
    assert entries["pods.txt"].text.splitlines()[1].split()[:4] == ["kube-system", "etcd", "1/1", "Running"]
    assert entries["logs/kube-system/etcd/main.log"].text == f"a line\npassword: {REDACTED}\n"
    assert entries["calico/ip-pools.yaml"].status == "absent"
    assert {entry.status for entry in entries.values()} == {"complete", "absent"}


def test_secrets_are_not_asked_for() -> None:
    assert "Secret" not in {one.kind for one in questions.KINDS}


def test_an_api_server_that_is_gone_is_asked_twice_and_the_rest_is_named() -> None:
    cluster = ScriptedCluster(WELL, answers=False)
    entries = seen(cluster)
    assert cluster.asked == 2
    assert {entry.status for entry in entries.values()} == {"failed"}
    assert entries["nodes.yaml"].note == "not asked for, as the API server does not answer: connection refused"
    assert len(entries) == len(questions.HEALTH) + 1 + len(questions.KINDS) + 1


def test_a_list_that_is_refused_is_named_and_the_others_are_read() -> None:
    forbidden = Refusal("Kubernetes API, list of pods", "HTTP status 403", "the permission to list pods", "Grant it.")
    entries = seen(ScriptedCluster({**WELL, "Pod": forbidden}))
    assert entries["pods.yaml"].status == "failed"
    assert "the permission to list pods" in entries["pods.yaml"].note
    assert entries["services.yaml"].status == "complete"


def test_when_the_time_is_over_nothing_more_is_asked() -> None:
    cluster = ScriptedCluster(WELL)
    entries = seen(cluster, clock=Clock(step=1), seconds=5)
    assert cluster.asked < 5
    assert entries["events.txt"].note == "not asked for, as the time was over"


def test_what_could_not_be_masked_in_time_is_left_out() -> None:
    class Slow(ScriptedCluster):
        def health(self, path: str) -> str:
            clock.now_is = 100.0
            return "password: hunter2\n"

    class SlowClock(Clock):
        now_is = 0.0

        def now(self) -> float:
            return self.now_is

    clock = SlowClock()
    entries = seen(Slow(WELL), seconds=60, clock=clock)
    late = entries["health/livez.txt"]
    assert (late.status, late.text, late.note) == ("failed", "", "left out, as there was no time to mask secrets in it")
    assert entries["nodes.yaml"].note == "not asked for, as the time was over"


def test_a_long_log_is_cut_before_it_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    masked: list[int] = []

    def counted(text: str) -> tuple[str, int]:
        masked.append(len(text))
        return text, 0

    monkeypatch.setattr("ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.cluster.redact", counted)

    class Long(ScriptedCluster):
        def logs(self, wanted: Sequence[Log], seconds: float) -> list[str | Refusal | None]:
            return [("x" * 99 + "\n") * 10_000 for _log in wanted]

    seen(Long(WELL))
    assert max(masked) <= questions.KEPT_LOG


def test_a_long_list_is_cut_by_whole_objects() -> None:
    many = [{"metadata": {"name": f"s{number}"}, "spec": {"text": "x" * 10_000}} for number in range(300)]
    entry = seen(ScriptedCluster({"Service": many}))["services.yaml"]
    assert entry.status == "cut"
    assert entry.note == "the first 103 of 300 objects"
    assert entry.size < MIB
    assert all(json.loads(text) for text in entry.text.split("---\n"))


def test_all_texts_together_have_room() -> None:
    many = [{"metadata": {"name": f"s{number}"}, "spec": {"text": "x\n" * 500}} for number in range(300)]
    entries = seen(ScriptedCluster({**WELL, "Service": many, "Deployment": many}), room=100_000)
    assert sum(entry.size for entry in entries.values()) <= 100_000
    assert entries["nodes.yaml"].status == "complete"


def test_the_newest_events_are_kept_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.cluster.NEWEST_EVENTS", 2)
    events = [{"metadata": {"name": str(day)}, "lastTimestamp": f"2026-11-0{day}T00:00:00Z", "reason": f"R{day}"} for day in (3, 1, 2)]
    entry = seen(ScriptedCluster({"Event": events}))["events.txt"]
    assert [line.split()[3] for line in entry.text.splitlines()[1:]] == ["R2", "R3"]
    assert entry.note == "the newest 2 of 3 events"


@pytest.mark.parametrize(
    ("pods", "silent", "logs"),
    [
        ([pod("web")], [], []),
        ([pod("web", ready=False, state="waiting")], [], [("web", False)]),
        ([pod("web", restarts=2)], [], [("web", False), ("web", True)]),
        ([pod("job", ready=False, state="terminated")], [], []),
        ([pod("etcd", "kube-system")], [], [("etcd", False)]),
        ([pod("etcd", "kube-system")], ["homelab"], []),
        ([pod("pending", on="", ready=False)], [], []),
        ([pod("etcd", "kube-system"), pod("web", ready=False)], [], [("web", False), ("etcd", False)]),
    ],
)
def test_logs_are_read_of_what_is_not_well_and_of_the_system(pods: list[Object], silent: list[str], logs: list[tuple[str, bool]]) -> None:
    assert [(one.pod, one.previous) for one in logs_of(map(pod_of, pods), silent)] == logs


def test_a_log_that_does_not_come_and_a_node_that_sleeps_are_named() -> None:
    entries = seen(
        ScriptedCluster({"Node": [node("homelab"), node("storage", "Unknown")], "Pod": [pod("mute", ready=False), pod("gone", restarts=1)]})
    )
    assert entries["logs/default/mute/main.log"].note == "no answer by the end of the time"
    assert entries["logs/default/gone/main.previous.log"].note == "HTTP status 500: dial tcp: refused"
    assert entries["logs"].note == "not asked for, as these are not ready: storage"
