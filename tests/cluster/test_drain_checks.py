# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before patch.yml and upgrade.yml drain a node, they wait for a PodDisruptionBudget that will allow it, as its Pods are starting."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

pytest.importorskip("kubernetes")

from tests.cluster.build import missing
from tests.cluster.hollow import hollow_nodes
from tests.cluster.play import ON_THIS_MACHINE, WORKERS, Played, run_plays
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.lab.cache import CHECKOUT

DRAINED = "homelab"
LABELS = {"app": "web"}
CONTAINER = {"name": "web", "image": "a"}
OBJECTS = [
    {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": LABELS},
            "template": {
                "metadata": {"labels": LABELS},
                "spec": {
                    "containers": [CONTAINER],
                    "topologySpreadConstraints": [
                        {
                            "maxSkew": 1,
                            "topologyKey": "kubernetes.io/hostname",
                            "whenUnsatisfiable": "DoNotSchedule",
                            "labelSelector": {"matchLabels": LABELS},
                        }
                    ],
                },
            },
        },
    },
    {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"minAvailable": 2, "selector": {"matchLabels": LABELS}},
    },
]
SITE = [{"name": name, "address": "192.168.4.60", "role": "worker"} for name in WORKERS]
UPDATES = {"updates": [{"name": "tool", "version": "2"}], "kept_back": [], "reboot": "not_required", "reboot_reasons": []}
# of each playbook, what its earlier tasks have set
BEFORE = {
    "patch_host": {"_patch_timeout": 30, "patch_packages": UPDATES, "site_hosts": SITE},
    "upgrade_node": {"upgrade_timeout": 30, "upgrade_role": "worker", "upgrade_plan": {"nodes": {DRAINED: {"takes_pods": True}}}},
}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One of its own, with two nodes and a Pod on each."""
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as made, hollow_nodes(made) as nodes:
        for name in WORKERS:
            nodes.add(name)
        for one in OBJECTS:
            made.kubectl("apply", "--filename=-", stdin=json.dumps(one))
        made.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        yield made


def check(cluster: Cluster, file: str, directory: Path, **variables: object) -> Played:
    """The task that checks whether the node can be drained, on its host."""
    tasks = yaml.safe_load((CHECKOUT / "playbooks" / "tasks" / f"{file}.yml").read_text())
    (task,) = [task for task in tasks if task["name"] == "Check that the node can be drained"]
    play = {"name": "Check", "hosts": DRAINED, "gather_facts": False, "tasks": [task]}
    given = {**ON_THIS_MACHINE, "cluster_kubeconfig": str(cluster.kubeconfig), **BEFORE[file], **variables}
    return run_plays([play], directory, given)


@pytest.mark.parametrize("file", BEFORE)
def test_a_budget_that_allows_it_soon_is_waited_for(cluster: Cluster, file: str, tmp_path: Path) -> None:
    cluster.kubectl("scale", "deployment/web", "--replicas=2")
    cluster.kubectl("wait", "pdb/web", "--for=jsonpath={.status.disruptionsAllowed}=0", "--timeout=30s")
    timer = threading.Timer(8, lambda: cluster.kubectl("scale", "deployment/web", "--replicas=3"))
    timer.start()
    played = check(cluster, file, tmp_path)
    timer.join()
    assert played.status == 0, played.text
    assert "FAILED - RETRYING" in played.text


@pytest.mark.parametrize("file", BEFORE)
def test_one_that_never_allows_it_is_named_after_the_time_limit(cluster: Cluster, file: str, tmp_path: Path) -> None:
    cluster.kubectl("scale", "deployment/web", "--replicas=2")
    cluster.kubectl("wait", "pdb/web", "--for=jsonpath={.status.disruptionsAllowed}=0", "--timeout=30s")
    limit = {name: 10 for name in BEFORE[file] if name.endswith("_timeout")}
    played = check(cluster, file, tmp_path, **limit)
    assert played.status == 2
    assert played.says("PodDisruptionBudget default/web: found no disruption allowed, and default/web-"), played.text
