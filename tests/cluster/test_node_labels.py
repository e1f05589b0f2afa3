# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Labels and taints of nodes in a real API server: by the module, and by the role worker for hosts with different ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")
from tests.cluster.build import missing
from tests.cluster.hollow import CONTROL_PLANE, hollow_nodes
from tests.cluster.play import ON_THIS_MACHINE, Played, run_module, run_plays
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running

NODE, FIRST, SECOND = "masternode", "storagenodet3500", "homelab"
REMEMBERED = "vmstation.cluster/inventory"
GPU = {"key": "gpu", "value": "intel", "effect": "NoSchedule"}
OWNER = {"key": "example.com/owner", "effect": "PreferNoSchedule"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One of its own: nodes would be in the way of other tests."""
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as made, hollow_nodes(made) as nodes:
        nodes.add(NODE, control_plane=True)
        nodes.add(FIRST)
        nodes.add(SECOND)
        yield made


def of_node(cluster: Cluster, name: str) -> dict[str, Any]:
    """Its labels, taints and the annotation of this collection."""
    node = json.loads(cluster.kubectl("get", "node", name, "--output=json").stdout)
    taints = [f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in node["spec"].get("taints", ())]
    memory = node["metadata"].get("annotations", {}).get(REMEMBERED)
    return {"labels": node["metadata"]["labels"], "taints": sorted(taints), "memory": json.loads(memory) if memory else None}


def test_what_the_inventory_names_is_set_changed_and_removed_and_what_others_set_stays(cluster: Cluster) -> None:
    def run(*, labels: dict[str, str], taints: list[dict[str, str]], check_mode: bool = False) -> dict[str, Any]:
        return run_module(
            "node_labels", cluster.kubeconfig, check_mode=check_mode, nodes=[{"name": NODE, "labels": labels, "taints": taints}]
        )

    cluster.kubectl("label", "node", NODE, "theirs=kept", "zone=cellar")
    cluster.kubectl("taint", "node", NODE, "theirs=kept:PreferNoSchedule", "gpu=kept:PreferNoSchedule")
    before = of_node(cluster, NODE)
    assert f"{CONTROL_PLANE}=:NoSchedule" in before["taints"]

    wanted: dict[str, Any] = {"labels": {"disk": "ssd", "zone": "attic"}, "taints": [GPU, OWNER]}
    predicted = run(check_mode=True, **wanted)
    assert predicted["changed"], predicted
    assert of_node(cluster, NODE) == before
    made = run(**wanted)
    assert (made["changed"], made["diff"]) == (True, predicted["diff"])
    assert of_node(cluster, NODE) == {
        "labels": {**before["labels"], "disk": "ssd", "zone": "attic"},
        "taints": sorted([*before["taints"], "gpu=intel:NoSchedule", "example.com/owner=:PreferNoSchedule"]),
        "memory": {"labels": ["disk", "zone"], "taints": ["example.com/owner:PreferNoSchedule", "gpu:NoSchedule"]},
    }
    for check_mode in (False, True):
        again = run(check_mode=check_mode, **wanted)
        # the list of nodes, and which kinds there are
        assert (again["changed"], again["api_calls"]) == (False, 2)

    changed = run(labels={"disk": "hdd"}, taints=[{**GPU, "value": "amd"}])
    assert changed["changed"]
    assert of_node(cluster, NODE) == {
        "labels": {**{key: value for key, value in before["labels"].items() if key != "zone"}, "disk": "hdd"},
        "taints": sorted([*before["taints"], "gpu=amd:NoSchedule"]),
        "memory": {"labels": ["disk"], "taints": ["gpu:NoSchedule"]},
    }
    assert run(labels={}, taints=[])["changed"]
    assert of_node(cluster, NODE) == {
        "labels": {key: value for key, value in before["labels"].items() if key != "zone"},
        "taints": before["taints"],
        "memory": None,
    }
    assert not run(labels={}, taints=[])["changed"]

    evicting = run(check_mode=True, labels={}, taints=[{"key": "gpu", "effect": "NoExecute"}])
    assert evicting["warnings"] == [f"node {NODE}: the new taint gpu:NoExecute evicts Pods that do not tolerate it"]
    missing_node = run_module("node_labels", cluster.kubeconfig, nodes=[{"name": "gone"}])
    assert missing_node["msg"].startswith("node gone: found no Node object; required: a Node object.")


def test_the_role_sets_those_of_each_host_in_one_task(cluster: Cluster, tmp_path: Path) -> None:
    own = {"node-role.kubernetes.io/worker": "", "vmstation.cluster/sleeps": "true"}
    standing = {"action": "none", "needs_token": False, "node": "{{ inventory_hostname }}"}
    tasks = [
        {"name": "Have joined", "ansible.builtin.set_fact": {"_worker_standing": standing}},
        {"name": "Verify", "ansible.builtin.import_role": {"name": "vmstation.cluster.worker", "tasks_from": "verify"}},
    ]
    play = {"name": "Verify", "hosts": "workers", "gather_facts": False, "vars": ON_THIS_MACHINE, "tasks": tasks}

    def run(labels: dict[str, dict[str, str]], *arguments: str) -> Played:
        variables = {
            "worker_kubeconfig": str(cluster.kubeconfig),
            "node_labels": "{{ " + json.dumps(labels) + "[inventory_hostname] | default({}) }}",
            "node_taints": [GPU],
        }
        return run_plays([play], tmp_path, variables, *arguments)

    before = {name: of_node(cluster, name)["labels"] for name in (FIRST, SECOND)}
    wanted = {FIRST: {"disk": "ssd"}, SECOND: {"rack": "attic"}}
    for arguments in (("--check",), ()):
        played = run(wanted, *arguments)
        assert played.status == 0, played.text
        assert played.tasks_changed == ["Set the labels and taints of the nodes"], played.text
    for name in (FIRST, SECOND):
        now = of_node(cluster, name)
        assert now["labels"] == {**before[name], **own, **wanted[name]}
        assert "gpu=intel:NoSchedule" in now["taints"]
    assert run(wanted).tasks_changed == []
    assert run({}).status == 0
    assert of_node(cluster, SECOND)["labels"] == {**before[SECOND], **own}


def test_the_control_plane_gets_its_own_beside_its_taint(cluster: Cluster, tmp_path: Path) -> None:
    tasks = [
        {"name": "Have a control plane", "ansible.builtin.set_fact": {"_control_plane_made": {"situation": "complete", "changed": False}}},
        {"name": "Verify", "ansible.builtin.import_role": {"name": "vmstation.cluster.control_plane", "tasks_from": "verify"}},
    ]
    play = {"name": "Verify", "hosts": "control_plane", "gather_facts": False, "vars": ON_THIS_MACHINE, "tasks": tasks}
    variables = {"control_plane_kubeconfig": str(cluster.kubeconfig), "node_labels": {"rack": "attic"}, "node_taints": [OWNER]}
    before = of_node(cluster, NODE)
    for arguments in (("--check",), ()):
        assert run_plays([play], tmp_path, variables, *arguments).tasks_changed == ["Set the labels and taints of the node"]
    now = of_node(cluster, NODE)
    assert now["labels"] == {**before["labels"], "rack": "attic"}
    assert now["taints"] == sorted([*before["taints"], "example.com/owner=:PreferNoSchedule"])
    assert run_plays([play], tmp_path, variables).changed == 0
    run_plays([play], tmp_path, {"control_plane_kubeconfig": str(cluster.kubeconfig)})
    assert of_node(cluster, NODE) == before


@pytest.mark.parametrize(("role", "group"), [("worker", "workers"), ("control_plane", "control_plane")])
def test_a_role_validates_them_before_it_looks_at_the_host(role: str, group: str, tmp_path: Path) -> None:
    task = {"name": "Check", "ansible.builtin.import_role": {"name": f"vmstation.cluster.{role}", "tasks_from": "preflight"}}
    play = {"name": "Check", "hosts": group, "gather_facts": False, "vars": ON_THIS_MACHINE, "tasks": [task]}
    variables = {
        "control_plane_kubeconfig": str(tmp_path / "config"),
        f"{role}_labels": {"disk": True},
        f"{role}_taints": [{**GPU, "key": CONTROL_PLANE}],
    }
    played = run_plays([play], tmp_path, variables)
    assert played.says(f"{role}_labels, value of disk: found True; required: a string. Put it in quotes. {role}_taints[0].key: found")
    assert (played.status, played.changed) == (2, 0)
    assert "Identify the cluster" not in played.text
