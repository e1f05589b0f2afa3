# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of patch.yml: the order, what a drain takes down, and what stops it before anything is changed."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.packages import FIRST_PID_NAMESPACE, System, a_reboot_ends
from ansible_collections.vmstation.cluster.plugins.module_utils._patch.plan import as_data, judge, looked_at, plan, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import CONTROL_PLANE, MAY_STOP, Sight

NODES = [{"name": "Master", "role": "control_plane"}, {"name": "storage", "role": "worker"}, {"name": "homelab", "role": "worker"}]
TAINT = {"key": CONTROL_PLANE, "effect": "NoSchedule"}
OWNED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]}
BARE = {"ownerReferences": []}
HERE = {"kubernetes.io/hostname": "storage"}


CONTROLLER, ANOTHER = System("b1", FIRST_PID_NAMESPACE), System("b2", FIRST_PID_NAMESPACE)


def packages(*names: str, reboot: str = "not_required", kept_back: tuple[str, ...] = (), system: System = ANOTHER) -> dict[str, Any]:
    updates = [{"name": name, "version": "2"} for name in names]
    reasons = ["linux"] if reboot == "required" else []
    return {
        "updates": updates, "kept_back": list(kept_back), "reboot": reboot, "reboot_reasons": reasons, "system": system.as_data()
    }  # fmt: skip


def node(name: str, *, ready: str = "True", **spec: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/hostname": name, **({CONTROL_PLANE: ""} if name == "master" else {})}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec, "status": {"conditions": [{"type": "Ready", "status": ready}]}}


def pod(on: str, metadata: Any = None, **spec: Any) -> dict[str, Any]:
    owned = OWNED if metadata is None else metadata
    return {"metadata": {"namespace": "media", "name": f"web-{on}", **owned}, "spec": {"nodeName": on, **spec}}


MASTER, STORAGE, HOMELAB = node("master", taints=[TAINT]), node("storage"), node("homelab")
ALL = {"Master": packages("libc6"), "storage": packages("libc6", "openssl"), "homelab": packages()}


def seen(*pods: dict[str, Any], nodes: Any = (MASTER, STORAGE, HOMELAB)) -> Sight:
    owners = {("media", "web-1"): "web"}
    return Sight({one["metadata"]["name"]: one for one in nodes}, pods, owners=owners, claims={}, volumes={}, budgets=())


def asked(found: Any = None, **options: Any) -> Any:
    given = {
        "nodes": NODES,
        "asleep": [],
        "packages": ALL if found is None else found,
        "may_stop": [],
        "reboot": "if_needed",
    }
    return read_request({**given, **options}, CONTROLLER)


def test_workers_come_first_and_each_host_has_a_line() -> None:
    assert plan(asked(), seen(pod("storage"), pod("master"))) == [
        "storage: 2 updates (libc6, openssl); Pods that move: media/web-storage",
        "homelab: no updates",
        "Master: 1 update (libc6); not drained; Pods that stop during a reboot: media/web-master",
    ]


def test_hosts_that_sleep_are_named_and_hosts_beyond_the_limit_are_not() -> None:
    request = asked({"storage": packages()}, asleep=["homelab"])
    assert plan(request, seen()) == ["storage: no updates", "homelab: asleep, left for the next run"]
    assert judge(request, seen(nodes=[MASTER, STORAGE, node("homelab", ready="Unknown")])) == []
    assert [one.state for one in looked_at(request, [])] == ["ok", "asleep"]


FACTS = {
    "a reboot alone": ({"reboot": "required"}, {}, "no updates; reboot required (linux)", True),
    "a reboot that is not wanted": ({"reboot": "required"}, {"reboot": "never"}, "no updates; reboot required (linux)", False),
    "unknown": ({"reboot": "unknown"}, {}, "no updates", False),
    "what is kept back": ({"kept_back": ("docker-ce",)}, {}, "no updates; kept back: docker-ce", False),
}


@pytest.mark.parametrize("case", FACTS)
def test_a_host_is_touched_for_updates_and_for_a_reboot_that_may_be(case: str) -> None:
    facts, options, line, has_work = FACTS[case]
    request = asked({"homelab": packages(**facts)}, **options)
    assert plan(request, seen()) == [f"homelab: {line}"]
    data = as_data(request, seen())["homelab"]
    assert (data["patch"], data["drain"], data["may_reboot"]) == (has_work, has_work, not options)
    found = [(one.rule, one.severity, one.hosts) for one in judge(request, seen())]
    rules = {True: ("hosts_run_what_is_installed", "warning"), False: ("the_need_for_a_reboot_is_known", "unknown")}
    assert found == ([(*rules[bool(options)], ("homelab",))] if options or case == "unknown" else [])


STOPPED: dict[str, tuple[Sight, list[str]]] = {
    "nothing": (seen(pod("storage")), []),
    "a Pod that only this node can run": (seen(pod("storage", nodeSelector=HERE)), ["pods_have_somewhere_to_go"]),
    "a Pod without a controller": (seen(pod("storage", BARE)), ["pods_come_back"]),
    "the same on the control plane, which is not drained": (seen(pod("master", BARE)), []),
    "the same on a host without work": (seen(pod("homelab", BARE)), []),
    "a node that is not ready": (seen(nodes=[MASTER, node("storage", ready="False"), HOMELAB]), ["nodes_are_ready"]),
    "a host that has not joined": (seen(nodes=[MASTER, HOMELAB]), ["nodes_are_ready"]),
}


@pytest.mark.parametrize("case", STOPPED)
def test_what_stops_it(case: str) -> None:
    sight, rules = STOPPED[case]
    found = judge(asked(), sight)
    assert [one.rule for one in found] == rules
    assert {(one.severity, one.hosts) for one in found} <= {("error", ("storage",))}


def test_a_workload_that_may_stop_is_named() -> None:
    sight = seen(pod("storage", nodeSelector=HERE))
    request = asked(may_stop=["media/web"])
    assert judge(request, sight) == []
    assert plan(request, sight)[0].endswith("; Pods that stop: media/web-storage")
    annotated = seen(pod("storage", {**OWNED, "annotations": {MAY_STOP: "true"}}, nodeSelector=HERE))
    assert judge(asked(), annotated) == []


OWN, OTHER = "pid:[4026532001]", "pid:[4026532002]"
# the controller, the host, and whether a reboot of the host ends the controller
REBOOTED = {
    "the same host": (CONTROLLER, CONTROLLER, True),
    "another machine": (CONTROLLER, ANOTHER, False),
    "another machine's container of the same number": (System("b1", OWN), System("b2", OWN), False),
    "containers on the controller": (CONTROLLER, System("b1", OWN), False),
    "the controller is a container on the host": (System("b1", OWN), CONTROLLER, True),
    "the controller and the host are the same container": (System("b1", OWN), System("b1", OWN), True),
    "the controller and the host are two containers of one machine": (System("b1", OWN), System("b1", OTHER), False),
    "a host whose namespace is unknown, with the same kernel": (CONTROLLER, System("b1"), True),
    "a host of which nothing is known": (CONTROLLER, System(), False),
    "a controller without /proc": (System(), CONTROLLER, False),
    "neither is known": (System(), System(), False),
}


@pytest.mark.parametrize("case", REBOOTED)
def test_whether_a_reboot_ends_the_controller(case: str) -> None:
    controller, system, ends = REBOOTED[case]
    assert a_reboot_ends(controller, system) is ends


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        ({}, "no updates"),
        ({"names": ["libc6"]}, "1 update (libc6); not rebooted, because it runs Ansible"),
        ({"reboot": "required"}, "no updates; reboot required (linux); not rebooted, because it runs Ansible"),
    ],
)
def test_the_host_that_runs_ansible_is_not_rebooted(facts: dict[str, Any], line: str) -> None:
    names = facts.pop("names", ())
    request = asked({"homelab": packages(*names, **facts, system=CONTROLLER)})
    assert plan(request, seen()) == [f"homelab: {line}"]
    data = as_data(request, seen())["homelab"]
    assert (data["patch"], data["may_reboot"]) == (bool(names), False)
    reported = ["a reboot is required (linux), and patch.yml does not reboot it because it runs Ansible"] if facts else []
    assert [one.found for one in judge(request, seen())] == reported


UNTAINTED = node("master")
DRAINED = {
    "with a taint": ((MASTER, STORAGE), False),
    "where ordinary Pods run": ((UNTAINTED, STORAGE), True),
    "alone": ((UNTAINTED,), False),
    "with a worker that sleeps": ((UNTAINTED, node("storage", ready="Unknown")), False),
    "with a worker that is cordoned": ((UNTAINTED, node("storage", unschedulable=True)), False),
}


@pytest.mark.parametrize("case", DRAINED)
def test_a_control_plane_is_drained_only_to_another_node(case: str) -> None:
    nodes, is_drained = DRAINED[case]
    request, sight = asked({"Master": packages("libc6")}), seen(pod("master", BARE), nodes=nodes)
    assert as_data(request, sight)["Master"]["drain"] is is_drained
    assert [one.rule for one in judge(request, sight)] == (["pods_come_back"] if is_drained else [])


def test_bad_options_are_rejected() -> None:
    with pytest.raises(Refusal, match="packages: found no updates of storage; required: results of package_updates_info"):
        asked({"storage": {"skipped": True}})
    with pytest.raises(Refusal, match="may_stop: found web; required: namespace/name"):
        asked(may_stop=["web"])
    with pytest.raises(
        Refusal, match=r"may_stop: found null; required: a list of workloads. Write it as in \[media/jellyfin\], or \[\] for"
    ):
        asked(may_stop=None)
