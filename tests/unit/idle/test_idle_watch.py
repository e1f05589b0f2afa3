# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks of the watch at a cluster by a script: who is put to sleep, who is woken, and what is undone when a step fails."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import STATE
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.watch import World, run
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import Heard, Target

from tests.unit.fakes import Script, failure
from tests.unit.idle.clusters import CONFIGURATION, HOMELAB, MASTER, node, pod

KUBECTL = "kubectl --kubeconfig=/etc/kubernetes/admin.conf --cache-dir=/var/lib/vmstation/idle-watch/kubectl"
IDLE = {"uptime": 9000, "load": 0.1, "sessions": [], "ssh": [], "clients": [], "told": False}
ALONE = {"workers": (HOMELAB,)}
UNCORDON = f"{KUBECTL} patch node homelab --type=merge --patch=" + json.dumps(
    {"metadata": {"annotations": {"vmstation.cluster/cordoned-by": None}}, "spec": {"unschedulable": None}}
)
CORDON = UNCORDON.replace('cordoned-by": null', 'cordoned-by": "idle-watch"').replace('unschedulable": null', 'unschedulable": true')


class Site:
    """A control plane with a clock that jumps, and workers that go down when their guard was told, and up when a packet was sent."""

    def __init__(self, nodes: Sequence[dict[str, Any]], pods: Sequence[dict[str, Any]] = (), *, down: Sequence[str] = ()) -> None:
        self.lines: list[str] = []
        self.files: dict[str, str | None] = {}
        self.at = 1_000_000.0
        self.down = set(down)
        self.stubborn = False
        self.packets = 0
        self.script = Script({"ssh": json.dumps(IDLE), "nft -j": failure("No such file or directory")})
        self.holds("Node.v1.", [MASTER, *nodes])
        self.holds("Pod.v1.", pods)
        for kind in ("ReplicaSet.v1.apps", "PersistentVolumeClaim.v1.", "PersistentVolume.v1.", "PodDisruptionBudget.v1.policy"):
            self.holds(kind, [])
        self.world = World(self.script, lambda request: self, self, lambda: self.at, self.lines.append, self.files.get, self.files.update)

    def holds(self, kind: str, items: Sequence[dict[str, Any]]) -> None:
        self.script.answers[f"{KUBECTL} get {kind} "] = json.dumps({"items": list(items)})

    def counts(self, packets: int) -> None:
        counter = {"counter": {"name": "tcp_30096", "packets": packets}}
        self.script.answers["nft -j reset counters"] = json.dumps({"nftables": [counter]})

    def guard_says(self, word: str, **answer: Any) -> None:
        # the word is the last of a long line
        begin = next((line for line in self.script.lines if line.startswith("ssh")), "ssh -T").rpartition(" ")[0]
        self.script.answers[f"{begin} {word}"] = json.dumps({**IDLE, **answer})

    def look(self, minutes: float = 0) -> list[str]:
        """What is said by a look so much later."""
        self.at += minutes * 60
        self.lines.clear()
        self.script.lines.clear()
        run(self.world, CONFIGURATION.__class__(**{**CONFIGURATION.__dict__, **ALONE}))
        return list(self.lines)

    def idle_for(self, minutes: int) -> None:
        for _minute in range(minutes):
            self.look(1)

    # the clock

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds

    # the network

    def probe(self, targets: Sequence[Target], seconds: float) -> Mapping[str, Heard]:
        told = any(line.startswith("ssh") and line.endswith(" sleep") for line in self.script.lines)
        down = self.down | ({HOMELAB.name} if told and not self.stubborn else set())
        return {one.name: Heard("silent" if one.name in down else "accepted") for one in targets}

    def send(self, payloads: Sequence[bytes]) -> None:
        self.packets += len(payloads)
        if not self.stubborn:
            self.down.clear()


def idle_site(**more: Any) -> Site:
    """A worker that nobody uses, one minute before it is put to sleep."""
    site = Site([node("homelab", address="192.168.4.62")], **more)
    site.idle_for(30)
    site.guard_says("sleep", told=True)
    return site


def test_a_worker_is_put_to_sleep_when_nobody_has_used_it_for_long_enough() -> None:
    site = Site([node("homelab")])
    assert site.look() == ["homelab stays awake: it is idle, and not yet for long enough"]
    assert site.look(1) == []
    for _minute in range(28):
        assert site.look(1) == []
    site.guard_says("sleep", told=True)
    assert site.look(1) == ["homelab is put to sleep: no client has used it for 30 minutes", "homelab sleeps"]
    steps = [line for line in site.script.lines if line.startswith((f"{KUBECTL} patch", f"{KUBECTL} drain", "ssh"))]
    assert steps[1:3] == [
        CORDON,
        f"{KUBECTL} drain homelab --ignore-daemonsets --delete-emptydir-data --force --timeout=300s",
    ]
    assert [line.rpartition(" ")[2] for line in steps if line.startswith("ssh")] == ["status", "sleep"]
    assert "-oStrictHostKeyChecking=yes" in steps[0]
    assert "-oHostKeyAlias=homelab" in steps[0]


def test_what_keeps_it_awake_is_said_once_and_the_time_begins_anew() -> None:
    site = Site([node("homelab")])
    site.idle_for(25)
    site.guard_says("status", clients=["192.168.4.20 of 10.244.1.5 port 8096"])
    assert site.look(1) == ["homelab stays awake: client 192.168.4.20 of 10.244.1.5 port 8096"]
    assert site.look(1) == []
    site.guard_says("status")
    assert site.look(1) == ["homelab stays awake: it is idle, and not yet for long enough"]
    site.idle_for(29)
    assert site.script.ran(f"{KUBECTL} drain") == []
    site.guard_says("sleep", told=True)
    assert site.look(1)[-1] == "homelab sleeps"


def test_minutes_in_which_nobody_looked_do_not_count() -> None:
    site = Site([node("homelab")])
    site.idle_for(5)
    site.look(60)
    assert site.script.ran(f"{KUBECTL} drain") == []
    site.look(-600)
    assert site.script.ran(f"{KUBECTL} drain") == []


ADMINISTRATOR = '0 0 192.168.4.63:22 192.168.4.20:50022 users:(("sshd",pid=2,fd=4))\n'


@pytest.mark.parametrize(
    ("command", "output", "why"),
    [
        ("ss -Htnp", ADMINISTRATOR, "the control plane has an SSH connection from 192.168.4.20"),
        ("who", "admin tty1 2026-11-26 14:12\n", "the control plane has a login session: admin on tty1"),
    ],
)
def test_nobody_is_put_to_sleep_while_a_playbook_or_an_administrator_is_on_the_control_plane(command: str, output: str, why: str) -> None:
    site = idle_site()
    site.script.answers[command] = output
    assert site.look(1) == [f"homelab stays awake: {why}"]
    assert site.script.ran("ssh") == []
    assert site.script.ran(f"{KUBECTL} drain") == []


def test_a_playbook_that_begins_during_the_drain_is_in_time() -> None:
    site = idle_site()
    run_as_before, asked = site.script.run, iter(["", ADMINISTRATOR])

    def run_and_connect(argv: Sequence[str], **more: Any) -> Any:
        if argv[0] == "ss":
            site.script.answers["ss"] = next(asked)
        return run_as_before(argv, **more)

    site.script.run = run_and_connect  # type: ignore[method-assign]
    said = site.look(1)
    assert "the control plane has an SSH connection from 192.168.4.20" in said[1]
    assert said[2] == "homelab takes Pods again"
    assert [line for line in site.script.ran("ssh") if line.endswith(" sleep")] == []


FAILURES = {
    "the cordon": ({CORDON: failure("not permitted")}, "not permitted"),
    "the drain": ({f"{KUBECTL} drain": failure("global timeout reached: 5m0s")}, "global timeout reached"),
    "the connection": ("sleep", failure("Connection refused"), "Connection refused"),
    "an answer that is none": ("sleep", "Welcome to homelab", "Welcome to homelab"),
    "an answer that is no object": ("sleep", "[]", "an object"),
    "an answer without the word": ("sleep", json.dumps({**IDLE, "told": False}), "did not confirm the command"),
    "somebody has come meanwhile": ("sleep", json.dumps({**IDLE, "ssh": ["192.168.4.20"]}), "SSH connection from 192.168.4.20"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_whatever_fails_the_node_takes_pods_again_and_has_its_time_anew(case: str) -> None:
    site = idle_site()
    *where, why = FAILURES[case]
    if len(where) == 1:
        site.script.answers.update(where[0])
    else:
        word, answer = where
        site.guard_says(word)
        site.script.answers[next(line for line in site.script.answers if line.startswith("ssh") and line.endswith(word))] = answer
    said = site.look(1)
    assert said[0] == "homelab is put to sleep: no client has used it for 30 minutes"
    assert said[1].startswith("homelab stays awake, as that failed: ")
    assert why in said[1]
    assert said[2] == "homelab takes Pods again"
    assert site.script.lines.count(UNCORDON) == 1
    site.idle_for(30)
    assert site.script.ran(f"{KUBECTL} drain") == []


def test_a_host_that_does_not_go_down_takes_pods_again_after_a_while() -> None:
    site = idle_site()
    site.stubborn = True
    began = site.at
    said = site.look(1)
    assert "answers still, 300 s after it was asked to sleep" in said[1]
    assert said[2] == "homelab takes Pods again"
    assert site.at - began < 400


def test_what_cannot_be_undone_is_said() -> None:
    site = idle_site()
    site.script.answers.update({f"{KUBECTL} drain": failure(), UNCORDON: failure("no API server")})
    assert site.look(1)[2].startswith("homelab is still cordoned, which the next look tries to end: ")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (failure("Permission denied (publickey)."), "Permission denied"),
        ("no JSON", "no JSON"),
        ('{"load": 1}', "it is not known who uses it"),
    ],
)
def test_a_worker_that_does_not_answer_stays_awake(answer: Any, why: str) -> None:
    site = Site([node("homelab")])
    site.script.answers["ssh"] = answer
    (said,) = site.look()
    assert said.startswith("homelab stays awake: it is not known who uses it: ")
    assert why in said


def test_a_pod_with_nowhere_to_go_keeps_it_awake() -> None:
    site = idle_site(pods=[pod(namespace="other")])
    (said,) = site.look(1)
    assert said.startswith("homelab stays awake: Pod other/web-1-x: no other node can run it")


def test_whom_others_have_put_to_sleep_is_left_alone() -> None:
    site = Site([node("homelab", ready=False, by="sleep")], down=["homelab"])
    site.idle_for(40)
    assert site.look(1) == []
    assert site.script.ran(f"{KUBECTL} patch") == []
    assert site.script.ran("nft -f") == []


def test_whom_somebody_else_has_woken_takes_pods_again() -> None:
    site = Site([node("homelab", by="idle-watch")])
    assert site.look() == ["homelab takes Pods again"]
    assert site.script.lines.count(UNCORDON) == 1


# asked for while asleep

SERVICE = {
    "metadata": {"namespace": "media", "name": "web"},
    "spec": {"selector": {"app": "web"}, "ports": [{"port": 8096, "nodePort": 30096, "protocol": "TCP"}]},
}


def sleeping_site() -> Site:
    site = Site([node("homelab", ready=False, by="idle-watch")], [pod(at=None)], down=["homelab"])
    site.holds("Service.v1.", [SERVICE])
    site.holds("EndpointSlice.v1.discovery.k8s.io", [])
    return site


def test_while_it_sleeps_its_node_ports_are_counted_every_few_seconds() -> None:
    site = sleeping_site()
    assert site.look() == []
    assert len(site.script.ran("nft -f -")) == 1
    assert len(site.script.ran("nft -j reset counters")) == 10
    assert site.packets == 0
    site.counts(0)
    site.look()
    assert site.script.ran("nft -f -") == []


def test_a_client_wakes_it() -> None:
    site = sleeping_site()
    site.counts(1)
    assert site.look() == [
        "homelab is woken: a client connects to Service media/web, port 30096/tcp",
        "homelab takes Pods again",
    ]
    assert site.packets == 1
    assert f"{KUBECTL} wait --for=condition=Ready node/homelab --timeout=300s" in site.script.lines
    assert site.script.lines.count(UNCORDON) == 1
    # nobody sleeps any more: the table has gone
    assert site.script.ran("nft -f -")


@pytest.mark.parametrize("step", ["up", "ready"])
def test_one_that_does_not_wake_is_said_and_tried_again_when_somebody_asks(step: str) -> None:
    site = sleeping_site()
    site.counts(1)
    if step == "up":
        site.stubborn = True
    else:
        site.script.answers[f"{KUBECTL} wait"] = failure("timed out waiting for the condition")
    said = site.look()
    assert said[1].startswith("homelab did not wake: ")
    assert UNCORDON not in site.script.lines


def test_a_cluster_that_cannot_be_asked_is_a_refusal_and_no_change() -> None:
    site = Site([node("homelab")])
    site.script.answers[f"{KUBECTL} get Node"] = failure("connection refused")
    del site.script.answers[f"{KUBECTL} get Node.v1. "]
    with pytest.raises(Refusal, match="connection refused"):
        site.look()
    assert STATE not in site.files


@pytest.mark.parametrize("text", ["", "no JSON", "[]", '{"other": 1}'])
def test_a_memory_that_nobody_can_read_is_none(text: str) -> None:
    site = Site([node("homelab")])
    site.files[STATE] = text
    assert site.look() == ["homelab stays awake: it is idle, and not yet for long enough"]
