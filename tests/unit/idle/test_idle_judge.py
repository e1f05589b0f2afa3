# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a worker awake, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._idle import watch
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import Question, Status
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import Sight

from tests.unit.idle.clusters import CONFIGURATION, MASTER, node, pod

IDLE = Status(uptime=1800, load=0.75, sessions=(), ssh=(), clients=())
HOSTS = {
    "idle": ({}, []),
    "just up": ({"uptime": 1799.9}, ["up for less than 30 minutes"]),
    "at work": ({"load": 0.76}, ["load above 0.75"]),
    "somebody sits there": ({"sessions": ("admin on tty1",)}, ["login session: admin on tty1"]),
    "somebody is connected": ({"ssh": ("192.168.4.20",)}, ["SSH connection from 192.168.4.20"]),
    "media is played": ({"clients": ("192.168.4.20 of 10.244.1.5 port 8096",)}, ["client 192.168.4.20 of 10.244.1.5 port 8096"]),
    "all at once": (
        {"uptime": 1, "load": 9, "sessions": ("a",), "ssh": ("b",), "clients": ("c",)},
        ["up for less than 30 minutes", "load above 0.75", "login session: a", "SSH connection from b", "client c"],
    ),
}


@pytest.mark.parametrize("case", HOSTS)
def test_what_the_host_tells(case: str) -> None:
    status, reasons = HOSTS[case]
    assert list(watch.of_the_host(replace(IDLE, **status), CONFIGURATION)) == reasons


NODES = {
    "nothing": (node("homelab"), [], []),
    "no Node": (node("other"), [], ["its node: has no Node object"]),
    "cordoned by its owner": (node("homelab", unschedulable=True), [], ["its node is cordoned, and not by us"]),
    "cordoned by sleep.yml": (node("homelab", by="sleep"), [], ["its node is cordoned, and not by us"]),
    "a Deployment's Pod": (node("homelab"), [pod()], []),
    "a Job's Pod": (node("homelab"), [pod(kind="Job")], ["Pod media/web-1-x is of a Job"]),
    "a Job's Pod elsewhere": (node("homelab"), [pod(kind="Job", at="masternode")], []),
    "a Job's Pod that waits": (node("homelab"), [pod(kind="Job", at=None)], []),
    "a DaemonSet's Pod with the host's network": (node("homelab"), [pod(kind="DaemonSet", hostNetwork=True)], []),
    "a static Pod": (node("homelab"), [pod(kind="Node", hostNetwork=True)], []),
    "a server with the host's network": (
        node("homelab"),
        [pod(hostNetwork=True)],
        ["Pod media/web-1-x has the host's network, so that its clients look like others"],
    ),
}


@pytest.mark.parametrize("case", NODES)
def test_what_the_cluster_tells(case: str) -> None:
    one, pods, reasons = NODES[case]
    assert list(watch.of_the_node("homelab", {one["metadata"]["name"]: one}, pods)) == reasons


def test_a_node_that_is_not_ready_is_named() -> None:
    (reason,) = watch.of_the_node("homelab", {"homelab": node("homelab", ready=False)}, [])
    assert reason.startswith("its node: not ready")


PODS = {
    "one that may stop": (pod(nodeSelector={"kubernetes.io/hostname": "homelab"}), ""),
    "one with nowhere to go": (pod(metadata={"namespace": "other"}), "no other node can run it"),
    "one that nobody would make again": (pod(kind="", namespace="other"), "no controller: a drain deletes it for good"),
    "one that has somewhere to go": (pod(metadata={"namespace": "other"}, tolerations=[{"operator": "Exists"}]), ""),
}


@pytest.mark.parametrize("case", PODS)
def test_what_would_have_nowhere_to_go(case: str) -> None:
    one, found = PODS[case]
    owners = {("media", "web-1"): "web"}
    seen = Sight({"homelab": node("homelab"), "masternode": MASTER}, [one], owners, {}, {}, ())
    reasons = watch.of_the_pods("homelab", seen, CONFIGURATION)
    assert len(reasons) == bool(found)
    assert found in "".join(reasons)


@pytest.mark.parametrize(("by", "ours"), [("", False), ("sleep", False), ("upgrade", False), ("idle-watch", True)])
def test_only_our_own_cordon_is_ours(by: str, ours: bool) -> None:
    assert watch.is_ours(node("homelab", by=by)) is ours
    assert not watch.is_ours(None)


def test_a_guard_is_told_of_the_pods_that_ask_and_of_the_nodes() -> None:
    pods: list[dict[str, Any]] = [
        {**pod(namespace="monitoring"), "status": {"podIPs": [{"ip": "10.244.0.9"}, {"ip": "fd00::9"}]}},
        {**pod(namespace="monitoring", hostNetwork=True), "status": {"podIPs": [{"ip": "192.168.4.63"}]}},
        {**pod(namespace="monitoring"), "status": {}},
        pod(),
    ]
    nodes = {"masternode": MASTER, "homelab": node("homelab", address="192.168.4.62")}
    asked = watch.sleep_question(nodes, pods, CONFIGURATION)
    assert asked == Question(1800, frozenset({"10.244.0.9", "fd00::9"}), frozenset({"192.168.4.62", "192.168.4.63"}))
