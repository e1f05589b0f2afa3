# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_preflight_check against a real API server."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.play import run_module
from tests.cluster.server import Cluster

pytest.importorskip("kubernetes")
from kubernetes import client

NODE_PORT = 32096


@pytest.fixture
def name(cluster: Cluster) -> Iterator[str]:
    """What the namespace, the node and the StorageClass of this test are called."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    core, storage = client.CoreV1Api(cluster.client()), client.StorageV1Api(cluster.client())
    core.create_namespace({"metadata": {"name": name}})
    core.create_namespaced_service(
        name, {"metadata": {"name": "thief"}, "spec": {"type": "NodePort", "ports": [{"port": 80, "nodePort": NODE_PORT}]}}
    )
    core.create_node({"metadata": {"name": name}})
    core.patch_node_status(
        name, {"status": {"conditions": [{"type": "Ready", "status": "True", "lastHeartbeatTime": "2026-11-24T00:00:00Z"}]}}
    )
    storage.create_storage_class({"metadata": {"name": name}, "provisioner": "kubernetes.io/no-provisioner"})
    yield name
    storage.delete_storage_class(name)
    core.delete_node(name)
    # with its namespace it would keep its port for a while
    core.delete_namespaced_service("thief", name)
    core.delete_namespace(name)


def _rules(result: dict) -> list[str]:
    return [finding["rule"] for finding in result["findings"]]


def test_what_is_there_is_found(cluster: Cluster, name: str) -> None:
    planned = {"namespace": name, "name": "thief", "node_port": NODE_PORT, "port": 80, "health": "/health"}
    result = run_module(
        "workload_preflight_check", cluster.kubeconfig, services=[planned], asleep=[name], nodes=[name.upper()], storage_classes=[name]
    )
    assert not result.get("failed"), result
    assert (result["changed"], result["findings"]) == (False, [])
    assert result["services"] == [{"namespace": name, "name": "thief", "node_port": NODE_PORT, "taken_by": ""}]
    assert result["nodes"][0]["exists"]


def test_what_exists_is_returned_without_the_values_of_secrets(cluster: Cluster, name: str) -> None:
    core = client.CoreV1Api(cluster.client())
    core.patch_node(name, {"metadata": {"labels": {"vmstation.cluster/test": "true"}}})
    core.create_namespaced_secret(name, {"metadata": {"name": "same"}, "data": {"password": "c2FtZS1wYXNzd29yZA=="}})
    wanted = [{"name": one, "data": {"password": "c2FtZS1wYXNzd29yZA=="}} for one in ("same", "missing")]
    result = run_module("workload_preflight_check", cluster.kubeconfig, namespace=name, node_label="vmstation.cluster/test", secrets=wanted)
    assert not result.get("failed"), result
    assert result["existing"] == {
        "anything": True,
        "namespace": True,
        "deployments": [],
        "jobs": [],
        "asleep_pods": [],
        "matching_secrets": ["same"],
        "cluster_objects": [],
        "released_volumes": [],
        "labelled_nodes": [name],
        "access": [],
        "certificates": [],
    }
    assert "c2FtZS1wYXNzd29yZA" not in json.dumps(result)


def test_all_that_is_in_the_way_is_named_in_one_run(cluster: Cluster, name: str) -> None:
    client.CoreV1Api(cluster.client()).patch_node(name, {"spec": {"unschedulable": True}})
    result = run_module(
        "workload_preflight_check",
        cluster.kubeconfig,
        services=[{"namespace": "jellyfin", "name": "jellyfin", "node_port": NODE_PORT}],
        nodes=[name, "nowhere"],
        storage_classes=["nothing"],
    )
    assert result["failed"]
    assert _rules(result) == ["node_ports_are_free", "nodes_take_pods", "nodes_exist", "storage_classes_exist"]
    assert f"is taken by Service {name}/thief" in result["msg"]
    assert result["services"][0]["taken_by"] == f"{name}/thief"
