# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The labels and taints of nodes: what the inventory may name, what is ours of a Node, and how it is changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.node_labels import (
    REMEMBERED,
    TRIES,
    Taint,
    Wish,
    as_data,
    change_of,
    ensure,
    inventory_errors,
    warnings,
    wishes,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
GPU = {"key": "gpu", "value": "intel", "effect": "NoSchedule"}
LONGEST = "a" * 63


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"disk": "ssd", "Rack_1.a": "", "example.com/disk": LONGEST, f"{'a.' * 126}a/{LONGEST}": "x"},
        {"node-role.kubernetes.io/storage": "", "topology.kubernetes.io/zone": "attic", "node-restriction.kubernetes.io/x": "y"},
        {"node.kubernetes.io/exclude-from-external-load-balancers": "", "mykubernetes.io/a": "b"},
    ],
)
def test_labels_that_fit(labels: dict[str, str]) -> None:
    assert inventory_errors(labels, []) == []


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (["disk"], ": found ['disk']; required: a dictionary."),
        ({"-disk": "a"}, ", key -disk: found '-disk'; required: a name of at most 63 letters"),
        ({"disk\n": "a"}, ", key disk\n: found 'disk\\n'; required: a name"),
        ({LONGEST + "a": "a"}, f", key {LONGEST}a: found '{LONGEST}a'; required: a name"),
        ({"Example.com/disk": "a"}, ", key Example.com/disk: found 'Example.com/disk'; required: a name"),
        ({"/disk": "a"}, ", key /disk: found '/disk'; required: a name"),
        ({"a/b/c": "a"}, ", key a/b/c: found 'a/b/c'; required: a name"),
        ({f"{'a.' * 126}aa/b": "a"}, f", key {'a.' * 126}aa/b: found "),
        ({1: "a"}, ", key 1: found 1; required: a name"),
        ({"disk": True}, ", value of disk: found True; required: a string. Put it in quotes."),
        ({"disk": "a b"}, ", value of disk: found 'a b'; required: at most 63 letters"),
        ({"disk": LONGEST + "a"}, f", value of disk: found '{LONGEST}a'; required: at most 63 letters"),
        ({"kubernetes.io/os": "linux"}, ", key kubernetes.io/os: found kubernetes.io/os; required: a key outside kubernetes.io"),
        ({"kubelet.kubernetes.io/a": ""}, ", key kubelet.kubernetes.io/a: found kubelet.kubernetes.io/a; required: a key outside"),
        ({"k8s.io/a": ""}, ", key k8s.io/a: found k8s.io/a; required: a key outside"),
        ({CONTROL_PLANE: ""}, f", key {CONTROL_PLANE}: found {CONTROL_PLANE}: kubeadm and the variable control_plane_"),
        ({"node-role.kubernetes.io/worker": "a"}, ", key node-role.kubernetes.io/worker: found node-role.kubernetes.io/worker: "),
        ({"vmstation.cluster/x": ""}, ", key vmstation.cluster/x: found vmstation.cluster/x, of the collection itself; required:"),
    ],
)  # fmt: skip
def test_labels_that_do_not_fit(labels: object, found: str) -> None:
    (error,) = inventory_errors(labels, [])
    assert str(error).startswith(f"node_labels{found}")


@pytest.mark.parametrize(
    ("taints", "found"),
    [
        ({"key": "gpu"}, ": found {'key': 'gpu'}; required: a list."),
        (["gpu"], "[0]: found 'gpu'; required: a dictionary of key, effect"),
        ([{"key": "gpu"}], "[0]: found {'key': 'gpu'}; required: a dictionary of key, effect"),
        ([{**GPU, "operator": "Exists"}], "[0]: found {'key': 'gpu', "),
        ([GPU, {**GPU, "effect": "noExecute"}], "[1].effect: found 'noExecute'; required: one of NoSchedule, Prefer"),
        ([{**GPU, "value": 1}], "[0].value: found 1; required: a string."),
        ([{**GPU, "key": CONTROL_PLANE}], f"[0].key: found {CONTROL_PLANE}: kubeadm and the variable control_plane_"),
        ([{**GPU, "key": "node.kubernetes.io/unschedulable"}], "[0].key: found node.kubernetes.io/unschedulable; "),
        ([GPU, {**GPU, "value": "amd"}], "[1]: found a second taint gpu:NoSchedule; required: one taint of a key and an effect."),
    ],
)  # fmt: skip
def test_taints_that_do_not_fit(taints: object, found: str) -> None:
    (error,) = inventory_errors({}, taints, "worker_")
    assert str(error).startswith(f"worker_taints{found}")


def test_taints_that_fit() -> None:
    assert inventory_errors({}, [GPU, {"key": "gpu", "effect": "NoExecute"}, {**GPU, "key": "node-role.kubernetes.io/storage"}]) == []


def test_all_errors_are_named_at_once() -> None:
    assert len(inventory_errors({"a b": 1, "k8s.io/a": ""}, ["x", {**GPU, "effect": "x"}])) == 5


def test_the_module_takes_what_the_roles_set() -> None:
    labels = {"node-role.kubernetes.io/worker": "", "vmstation.cluster/sleeps": "true"}
    assert wishes([{"name": "Homelab", "labels": labels, "taints": [GPU]}]) == [
        Wish("homelab", labels, (Taint("gpu", "NoSchedule", "intel"),))
    ]
    with pytest.raises(Refusal, match=r"nodes\[0\].labels, value of a: found 1; required: a string"):
        wishes([{"name": "homelab", "labels": {"a": 1}, "taints": []}])


THEIRS = [{"key": "theirs", "effect": "NoExecute", "timeAdded": "2026-11-23T06:41:00Z"}]


def node(labels: dict[str, str] | None = None, taints: list[dict[str, str]] | None = None, memory: str | None = None) -> dict[str, Any]:
    annotations = {"slept": "yes", **({REMEMBERED: memory} if memory is not None else {})}
    metadata = {"name": "homelab", "resourceVersion": "7", "labels": {"zone": "attic", **(labels or {})}, "annotations": annotations}
    return {"metadata": metadata, "spec": {"taints": [*THEIRS, *(taints or [])]}}


def wish(labels: dict[str, str] | None = None, *taints: Taint) -> Wish:
    return Wish("homelab", labels or {}, taints)


def memory(labels: list[str], taints: list[str]) -> str:
    return json.dumps({"labels": labels, "taints": taints})


OURS = Taint("gpu", "NoSchedule", "intel")
CHANGES = {
    "nothing wanted": (node(), wish(), None),
    "all is there": (node({"disk": "ssd"}, [GPU], memory(["disk"], ["gpu:NoSchedule"])), wish({"disk": "ssd"}, OURS), None),
    "a label is new": (
        node(), wish({"disk": "ssd"}),
        {"metadata": {"labels": {"disk": "ssd"}, "annotations": {REMEMBERED: memory(["disk"], [])}}},
    ),
    "a label has another value": (
        node({"disk": "ssd"}, memory=memory(["disk"], [])), wish({"disk": "hdd"}), {"metadata": {"labels": {"disk": "hdd"}}},
    ),
    "a label is no more wanted": (
        node({"disk": "ssd"}, memory=memory(["disk"], [])), wish(),
        {"metadata": {"labels": {"disk": None}, "annotations": {REMEMBERED: None}}},
    ),
    "a label that others removed": (
        node(memory=memory(["disk"], [])), wish(), {"metadata": {"annotations": {REMEMBERED: None}}},
    ),
    "a label of others is named": (
        node(), wish({"zone": "attic"}), {"metadata": {"annotations": {REMEMBERED: memory(["zone"], [])}}},
    ),
    "a taint is new": (
        node(), wish(None, OURS),
        {
            "metadata": {"annotations": {REMEMBERED: memory([], ["gpu:NoSchedule"])}, "resourceVersion": "7"},
            "spec": {"taints": [*THEIRS, GPU]},
        },
    ),
    "a taint has another value": (
        node(taints=[{**GPU, "value": "amd"}], memory=memory([], ["gpu:NoSchedule"])), wish(None, OURS),
        {"metadata": {"resourceVersion": "7"}, "spec": {"taints": [*THEIRS, GPU]}},
    ),
    "a taint has another effect": (
        node(taints=[GPU], memory=memory([], ["gpu:NoSchedule"])), wish(None, Taint("gpu", "NoExecute")),
        {
            "metadata": {"annotations": {REMEMBERED: memory([], ["gpu:NoExecute"])}, "resourceVersion": "7"},
            "spec": {"taints": [*THEIRS, {"key": "gpu", "effect": "NoExecute"}]},
        },
    ),
    "a taint is no more wanted": (
        node(taints=[GPU], memory=memory([], ["gpu:NoSchedule"])), wish(),
        {"metadata": {"annotations": {REMEMBERED: None}, "resourceVersion": "7"}, "spec": {"taints": THEIRS}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHANGES)
def test_only_what_is_ours_is_changed(case: str) -> None:
    there, wanted, patch = CHANGES[case]
    change = change_of(there, wanted)
    assert (change.patch if change else None) == patch


def test_a_new_node_has_neither_labels_nor_taints() -> None:
    change = change_of({"metadata": {"name": "homelab", "resourceVersion": "1"}, "spec": {}}, wish({"a": ""}, OURS))
    assert change
    assert change.patch["spec"] == {"taints": [GPU]}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"labels": 1}'])
def test_a_damaged_memory_is_no_empty_memory(text: str) -> None:
    with pytest.raises(Refusal, match=r"node homelab, annotation vmstation\.cluster/inventory: found "):
        change_of(node(memory=text), wish({"disk": "ssd"}))


class Cluster:
    """Has one node, which others change before each of the first ``conflicts`` patches."""

    def __init__(self, there: dict[str, Any], conflicts: int = 0) -> None:
        self.there, self.conflicts, self.patches = there, conflicts, []

    def items(self, api_version: str, kind: str, *_selectors: str) -> Iterator[dict[str, Any]]:
        yield self.there

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        return self.there

    def patch(self, api_version: str, kind: str, name: str, patch: dict[str, Any]) -> bool:
        self.patches.append(patch)
        if self.conflicts < len(self.patches):
            return True
        self.there["metadata"]["resourceVersion"] = str(7 + len(self.patches))
        return False


def test_a_node_that_others_change_meanwhile_is_read_again() -> None:
    cluster = Cluster(node(), conflicts=2)
    outcomes = ensure([wish(None, OURS)], cluster, check_mode=False)
    assert [patch["metadata"]["resourceVersion"] for patch in cluster.patches] == ["7", "8", "9"]
    assert as_data(outcomes)["nodes"] == {"homelab": {"changed": True, "error": ""}}
    cluster = Cluster(node(), conflicts=TRIES)
    data = as_data(ensure([wish(None, OURS)], cluster, check_mode=False))
    assert not data["changed"]
    assert data["nodes"]["homelab"]["error"].startswith("node homelab: found changed by others at each of 5 tries")


def test_one_without_a_node_object_does_not_keep_the_others_from_theirs() -> None:
    cluster = Cluster(node())
    data = as_data(ensure([Wish("gone", {}, ()), wish({"disk": "ssd"})], cluster, check_mode=False))
    assert len(cluster.patches) == 1
    assert data["changed"]
    assert data["nodes"]["gone"]["error"].startswith("node gone: found no Node object; required: a Node object. The host has not joined")


def test_check_mode_predicts_and_shows_the_change() -> None:
    cluster = Cluster(node({"disk": "ssd"}, memory=memory(["disk"], [])))
    outcomes = ensure([wish({"rack": "a"}, Taint("gpu", "NoExecute"))], cluster, check_mode=True)
    assert cluster.patches == []
    assert as_data(outcomes) == {
        "changed": True,
        "nodes": {"homelab": {"changed": True, "error": ""}},
        "diff": {
            "before": {"homelab": {"labels": {"disk": "ssd"}, "taints": [], REMEMBERED: memory(["disk"], [])}},
            "after": {"homelab": {"labels": {"rack": "a"}, "taints": ["gpu:NoExecute"], REMEMBERED: memory(["rack"], ["gpu:NoExecute"])}},
        },
    }
    assert warnings(outcomes) == ["node homelab: the new taint gpu:NoExecute evicts Pods that do not tolerate it"]


def test_an_evicting_taint_is_named_once() -> None:
    there = node(taints=[{"key": "gpu", "effect": "NoExecute"}], memory=memory([], ["gpu:NoExecute"]))
    outcomes = ensure([wish({"rack": "a"}, Taint("gpu", "NoExecute"))], Cluster(there), check_mode=False)
    assert outcomes["homelab"].change
    assert warnings(outcomes) == []
