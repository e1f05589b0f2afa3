# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster_diagnosis_info against a real API server: what is there is read, and secrets that were planted in it do not come back."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.play import run_module
from tests.cluster.server import Cluster

BOOTSTRAP, PASSWORD = "qwerty.0123456789abcdef", "correct-horse-battery"
TOKEN = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJub2JvZHkifQ.bm8tc2lnbmF0dXJl"
SECRETS = (BOOTSTRAP, PASSWORD, TOKEN, *(base64.b64encode(text.encode()).decode() for text in (BOOTSTRAP, PASSWORD, TOKEN)))


def planted(namespace: str) -> list[dict[str, Any]]:
    """A Secret, and what people write into other objects."""
    environment = [{"name": "DB_PASSWORD", "value": PASSWORD}, {"name": "LEVEL", "value": "debug"}]
    container = {"name": "web", "image": "web:1", "env": environment, "args": ["--admin-token", TOKEN, f"--password={PASSWORD}"]}
    return [
        {
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "account", "namespace": namespace},
            "stringData": {"token": TOKEN, "other": PASSWORD},
        },
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kube-proxy", "namespace": "kube-system"},
            "data": {
                "token": TOKEN,
                "kubeconfig.conf": f"server: https://192.168.4.63:6443\nuser:\n  token: {TOKEN}\n",
                "notes": f"kubeadm join --token {BOOTSTRAP}\npassword: {PASSWORD}\n",
            },
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
            },
        },
    ]  # fmt: skip


@pytest.fixture(scope="module")
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    # as people do it: kubectl writes all of it into an annotation besides
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": planted(name)}))
    cluster.kubectl("wait", "--for=create", "pod", "--selector=app=web", "--namespace", name, "--timeout=30s")
    yield name
    cluster.kubectl("delete", "configmap", "kube-proxy", "--namespace=kube-system", "--wait=false")
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="module")
def result(cluster: Cluster, namespace: str) -> dict[str, Any]:
    return run_module("cluster_diagnosis_info", cluster.kubeconfig)


def entry(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in result["entries"] if one["name"] == name)


def test_no_secret_comes_back(result: dict[str, Any]) -> None:
    written = json.dumps(result)
    for secret in SECRETS:
        assert secret not in written


def test_what_stands_comes_back(result: dict[str, Any], namespace: str) -> None:
    assert not result.get("failed")
    assert result["changed"] is False
    assert "name: web\n" in entry(result, "deployments.yaml")["text"]
    assert "env:\n    - DB_PASSWORD\n    - LEVEL\n" in entry(result, "pods.yaml")["text"]
    assert "args:" not in entry(result, "pods.yaml")["text"]
    assert namespace in entry(result, "pods.txt")["text"]
    assert "FailedScheduling" in entry(result, "events.txt")["text"]
    assert "- kubeconfig.conf\n" in entry(result, "config-maps.yaml")["text"]
    assert "readyz check passed" in entry(result, "health/readyz.txt")["text"]
    assert "gitVersion: v1." in entry(result, "version.yaml")["text"]


def test_what_is_not_in_this_cluster_is_absent(result: dict[str, Any]) -> None:
    assert entry(result, "calico/ip-pools.yaml")["status"] == "absent"
    assert {one["status"] for one in result["entries"]} <= {"complete", "cut", "absent"}


def test_a_list_that_rbac_forbids_is_named_with_the_permission(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    cluster.kubectl("create", "serviceaccount", "nobody", "--namespace", namespace)
    token = cluster.kubectl("create", "token", "nobody", "--namespace", namespace).stdout.strip()
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--output=json").stdout)
    config["users"][0]["user"] = {"token": token}
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    result = run_module("cluster_diagnosis_info", tmp_path / "kubeconfig")
    assert not result.get("failed")
    assert entry(result, "nodes.yaml")["status"] == "failed"
    assert "list nodes" in entry(result, "nodes.yaml")["note"]
    assert entry(result, "health/livez.txt")["status"] == "complete"
    assert token not in json.dumps(result["entries"])


def test_an_api_server_that_is_gone_is_named(cluster: Cluster, tmp_path: Path) -> None:
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--output=json").stdout)
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    result = run_module("cluster_diagnosis_info", tmp_path / "kubeconfig")
    assert not result.get("failed")
    assert {one["status"] for one in result["entries"]} == {"failed"}
    assert "connection refused" in entry(result, "nodes.yaml")["note"]
