# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_sleep_check's judgement: which Pods have nowhere to go."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import (
    MAY_STOP,
    MIRROR,
    Sight,
    SleepRequest,
    as_data,
    judge,
    label_selector_matches,
    looked_at,
    node_selector_matches,
    read_request,
)

DEPLOYED = {"ownerReferences": [{"kind": "ReplicaSet", "name": "web-1", "controller": True}]}
TAINT = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def node(name: str, *, ready: bool = True, labels: Any = (), **spec: Any) -> dict[str, Any]:
    conditions = [{"type": "Ready", "status": "True" if ready else "Unknown"}]
    return {"metadata": {"name": name, "labels": dict(labels)}, "spec": spec, "status": {"conditions": conditions}}


def pod(metadata: Any = None, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "media", "name": "web-1-x", "labels": {"app": "web"}, **(DEPLOYED if metadata is None else metadata)},
        "spec": {"nodeName": "sleeper", **spec},
    }


def seen(*pods: dict[str, Any], other: Any = None, **more: Any) -> Sight:
    control = node("control", labels={TAINT["key"]: ""}, taints=[TAINT])
    nodes = [node("sleeper"), control, *([other] if other else [])]
    facts = {"claims": {}, "volumes": {}, "budgets": (), **more}
    return Sight(nodes={one["metadata"]["name"]: one for one in nodes}, pods=pods, owners={("media", "web-1"): "web"}, **facts)


def rules(sight: Sight, nodes: tuple[str, ...] = ("sleeper",), may_stop: tuple[str, ...] = ()) -> list[str]:
    return [finding.rule for finding in judge(SleepRequest(nodes, frozenset(may_stop)), sight)]


FREE = node("free", labels={"disk": "ssd"})
SSD = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}]}
HERE = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["sleeper"]}]}]}
FITS = {
    "nothing asked for": pod(),
    "a label that it has": pod(nodeSelector={"disk": "ssd"}),
    "an affinity that it meets": pod(affinity={"nodeAffinity": {REQUIRED: SSD}}),
    "a claim without a volume": pod(volumes=[{"persistentVolumeClaim": {"claimName": "none"}}]),
}
NOWHERE = {
    "a label that no other has": pod(nodeSelector={"kubernetes.io/hostname": "sleeper"}),
    "an affinity to this node": pod(affinity={"nodeAffinity": {REQUIRED: HERE}}),
    "a volume of this node": pod(volumes=[{"persistentVolumeClaim": {"claimName": "data"}}]),
}
LOCAL = {
    "claims": {("media", "data"): {"spec": {"volumeName": "disk"}}},
    "volumes": {"disk": {"metadata": {"name": "disk"}, "spec": {"nodeAffinity": {"required": HERE}}}},
}


@pytest.mark.parametrize("case", FITS)
def test_a_pod_that_fits_elsewhere_is_no_finding(case: str) -> None:
    assert rules(seen(FITS[case], other=FREE)) == []


@pytest.mark.parametrize("case", NOWHERE)
def test_a_pod_that_fits_nowhere_else_is_named(case: str) -> None:
    (finding,) = judge(SleepRequest(("sleeper",)), seen(NOWHERE[case], other=FREE, **LOCAL))
    assert (finding.rule, finding.subject) == ("pods_have_somewhere_to_go", "Pod media/web-1-x")
    assert "free: " in finding.found
    assert "media/web in may_stop" in finding.fix
    (item,) = looked_at(SleepRequest(("sleeper",)), seen(NOWHERE[case], other=FREE, **LOCAL), [finding])
    assert (item.subject, item.facts, item.state, item.hosts) == ("node sleeper", "1 Pods to move", "error", ("sleeper",))


@pytest.mark.parametrize(
    ("other", "fits"),
    [
        (None, False),
        (node("free", ready=False), False),
        (node("free", unschedulable=True), False),
        (node("free", taints=[{"key": "mine", "effect": "NoExecute"}]), False),
        (node("free", taints=[{"key": "mine", "effect": "PreferNoSchedule"}]), True),
        (node("free"), True),
    ],
)
def test_only_nodes_that_take_pods_count(other: Any, fits: bool) -> None:
    assert (rules(seen(pod(), other=other)) == []) is fits


@pytest.mark.parametrize(
    ("toleration", "fits"),
    [
        ({"operator": "Exists"}, True),
        ({"key": TAINT["key"], "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": TAINT["key"], "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": TAINT["key"], "value": "other"}, False),
        ({"key": "another", "operator": "Exists"}, False),
    ],
)
def test_tolerations_open_the_control_plane(toleration: dict[str, str], fits: bool) -> None:
    assert (rules(seen(pod(tolerations=[toleration]))) == []) is fits


@pytest.mark.parametrize(
    "stays",
    [
        pod({"ownerReferences": [{"kind": "DaemonSet", "name": "calico-node", "controller": True}]}),
        pod({"annotations": {MIRROR: "x"}}),
        pod(nodeName="control"),
    ],
)
def test_pods_that_stay_are_not_judged(stays: dict[str, Any]) -> None:
    assert rules(seen(stays)) == []
    assert as_data(SleepRequest(("sleeper",)), seen(stays))["sleeper"]["pods"] == []


def test_a_pod_without_a_controller_would_be_lost() -> None:
    assert rules(seen(pod({}), other=FREE)) == ["pods_come_back"]
    assert rules(seen(pod({}), other=FREE), may_stop=("media/web-1-x",)) == []


def test_a_workload_that_may_stop_is_no_finding() -> None:
    assert rules(seen(pod()), may_stop=("media/web",)) == []
    assert rules(seen(pod({**DEPLOYED, "annotations": {MAY_STOP: "true"}}))) == []


def test_nodes_that_sleep_together_do_not_take_each_others_pods() -> None:
    assert rules(seen(pod(), other=node("second")), ("sleeper", "second")) == ["pods_have_somewhere_to_go"]


@pytest.mark.parametrize(("allowed", "selector", "found"), [(0, {"matchLabels": {"app": "web"}}, 1), (1, {}, 0), (0, {}, 1), (0, None, 0)])
def test_a_budget_that_allows_nothing_is_named(allowed: int, selector: Any, found: int) -> None:
    budget = {"metadata": {"namespace": "media", "name": "web"}, "spec": {"selector": selector}, "status": {"disruptionsAllowed": allowed}}
    assert rules(seen(pod(), other=FREE, budgets=[budget])) == ["disruption_budgets_allow_it"] * found


def test_control_planes_and_strangers_are_refused() -> None:
    assert rules(seen(), ("control", "nobody")) == ["nodes_are_workers", "nodes_are_members"]


def test_a_node_that_is_down_has_nothing_to_lose() -> None:
    sight = seen(pod({}, nodeName="down"), other=node("down", ready=False))
    assert rules(sight, ("down",)) == []
    assert as_data(SleepRequest(("down",)), sight) == {
        "down": {"exists": True, "ready": False, "schedulable": True, "pods": [], "volumes": []}
    }


DOWN = node("down", ready=False)
ANNOTATED = {**DEPLOYED, "annotations": {MAY_STOP: "true"}}
FOR_GOOD = {
    "fits elsewhere": (pod(), ("sleeper",), (), []),
    "may stop for a time only": (
        pod({**ANNOTATED}, **NOWHERE["an affinity to this node"]["spec"]),
        ("sleeper",),
        (),
        ["pods_have_somewhere_to_go"],
    ),
    "may stop": (pod(**NOWHERE["an affinity to this node"]["spec"]), ("sleeper",), ("media/web",), []),
    "on a node that is down": (pod({}, nodeName="down"), ("down",), (), ["pods_come_back"]),
    "a node that has left": (pod(), ("nobody",), (), []),
    "a control plane": (pod(), ("control",), (), ["nodes_are_workers"]),
}


@pytest.mark.parametrize("case", FOR_GOOD)
def test_a_node_that_leaves_for_good_takes_its_pods_with_it(case: str) -> None:
    standing, nodes, may_stop, wanted = FOR_GOOD[case]
    sight = seen(standing, other=FREE)
    sight = replace(sight, nodes={**sight.nodes, "down": DOWN})
    found = judge(SleepRequest(nodes, frozenset(may_stop), for_good=True), sight)
    assert [finding.rule for finding in found] == wanted
    assert all(MAY_STOP not in finding.fix for finding in found)


@pytest.mark.parametrize(
    ("affinity", "volumes"), [({"required": HERE}, ["disk"]), ({"required": {"nodeSelectorTerms": [{}]}}, []), (None, []), ({}, [])]
)
def test_volumes_that_no_other_node_can_use_are_told(affinity: Any, volumes: list[str]) -> None:
    sight = seen(other=FREE, volumes={"disk": {"metadata": {"name": "disk"}, "spec": {"nodeAffinity": affinity}}})
    told = as_data(SleepRequest(("sleeper", "free"), for_good=True), sight)
    assert {name: entry["volumes"] for name, entry in told.items()} == {"sleeper": volumes, "free": []}


@pytest.mark.parametrize(
    ("expression", "labels", "holds"),
    [
        ({"key": "a", "operator": "In", "values": ["1"]}, {"a": "1"}, True),
        ({"key": "a", "operator": "NotIn", "values": ["1"]}, {}, True),
        ({"key": "a", "operator": "Exists"}, {}, False),
        ({"key": "a", "operator": "DoesNotExist"}, {}, True),
        ({"key": "a", "operator": "Gt", "values": ["3"]}, {"a": "4"}, True),
        ({"key": "a", "operator": "Lt", "values": ["3"]}, {"a": "4"}, False),
        ({"key": "a", "operator": "Gt", "values": ["3"]}, {"a": "x"}, False),
    ],
)
def test_expressions(expression: dict[str, Any], labels: dict[str, str], holds: bool) -> None:
    assert label_selector_matches({"matchExpressions": [expression]}, labels) is holds
    assert node_selector_matches({"nodeSelectorTerms": [{}, {"matchExpressions": [expression]}]}, "n", labels) is holds


@pytest.mark.parametrize("name", ["jellyfin", "/jellyfin", "media/", "a/b/c"])
def test_a_workload_that_is_misspelt_is_refused(name: str) -> None:
    with pytest.raises(Refusal, match="namespace/name"):
        read_request({"nodes": ["homelab"], "may_stop": [name], "for_good": False})
