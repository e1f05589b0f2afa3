# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_check against a real API server; a node's port is a real server on loopback, as there are no nodes here."""

from __future__ import annotations

import http.server
import itertools
import threading
import uuid
from collections.abc import Iterator

import pytest

from tests.cluster.play import run_module
from tests.cluster.server import Cluster

pytest.importorskip("kubernetes")
from kubernetes import client

# the API server frees a NodePort some time after its Service has gone, so no test takes one that another had
PORTS = itertools.count(31900)
NODES = [{"name": "here", "address": "127.0.0.1"}, {"name": "nowhere", "address": "127.0.0.9"}]


class _Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/health" else 503)
        self.end_headers()

    def log_message(self, *_words: object) -> None:
        """Nothing to log."""


@pytest.fixture
def node_port() -> Iterator[int]:
    """A port of the range at which something answers at 127.0.0.1 only."""
    for port in itertools.islice(PORTS, 20):
        try:
            server = http.server.ThreadingHTTPServer(("127.0.0.1", port), _Health)
        except OSError:
            continue
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield port
        server.shutdown()
        server.server_close()
        return
    pytest.fail("none of 20 ports is free on loopback")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    core = client.CoreV1Api(cluster.client())
    name = core.create_namespace({"metadata": {"name": f"test-{uuid.uuid4().hex[:8]}"}}).metadata.name
    yield name
    core.delete_namespace(name)


def _create(cluster: Cluster, namespace: str, node_port: int, *, ready: bool = True, name: str = "web") -> None:
    ports = [{"port": 80, "nodePort": node_port}]
    client.CoreV1Api(cluster.client()).create_namespaced_service(
        namespace, {"metadata": {"name": name}, "spec": {"type": "NodePort", "ports": ports}}
    )
    client.DiscoveryV1Api(cluster.client()).create_namespaced_endpoint_slice(
        namespace,
        {
            "metadata": {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.244.0.7"], "conditions": {"ready": ready}}],
            "ports": [{"port": 8080}],
        },
    )


def _check(cluster: Cluster, services: list[dict], **options: object) -> dict:
    return run_module("service_check", cluster.kubeconfig, services=services, **{"nodes": NODES, "timeout": 2, **options})


def _planned(namespace: str, node_port: int, health: str = "/health", name: str = "web") -> dict:
    return {"name": name, "namespace": namespace, "port": 80, "node_port": node_port, "health": health}


def _rules(result: dict) -> list[str]:
    return [finding["rule"] for finding in result["findings"]]


def test_a_service_that_answers_is_well(cluster: Cluster, namespace: str, node_port: int) -> None:
    _create(cluster, namespace, node_port)
    result = _check(cluster, [_planned(namespace, node_port)], asleep=["nowhere"])
    assert not result.get("failed"), result
    assert result["findings"] == []
    assert result["services"][0]["answers"] == [
        {"node": "here", "url": f"http://127.0.0.1:{node_port}/health", "status": 200, "problem": ""}
    ]


def test_a_node_that_does_not_answer_is_named(cluster: Cluster, namespace: str, node_port: int) -> None:
    _create(cluster, namespace, node_port)
    result = _check(cluster, [_planned(namespace, node_port)])
    assert result["failed"]
    assert _rules(result) == ["node_ports_answer"]
    assert "nowhere" in result["findings"][0]["found"]
    assert "here (" not in result["findings"][0]["found"].replace("nowhere (", "")


def test_a_status_of_500_and_more_is_unwell(cluster: Cluster, namespace: str, node_port: int) -> None:
    _create(cluster, namespace, node_port)
    result = _check(cluster, [_planned(namespace, node_port, "/other")], asleep=["nowhere"])
    assert "HTTP status 503" in result["findings"][0]["found"]


def test_an_endpoint_that_is_not_ready(cluster: Cluster, namespace: str, node_port: int) -> None:
    _create(cluster, namespace, node_port, ready=False)
    result = _check(cluster, [_planned(namespace, node_port)])
    assert _rules(result) == ["services_have_ready_endpoints"]


def test_a_missing_service_whose_node_port_another_has(cluster: Cluster, namespace: str, node_port: int) -> None:
    _create(cluster, namespace, node_port, name="thief")
    result = _check(cluster, [_planned(namespace, node_port)], fail_on="never")
    assert not result.get("failed")
    assert _rules(result) == ["services_exist"]
    assert f"taken by Service {namespace}/thief" in result["findings"][0]["fix"]


def test_the_number_of_requests_does_not_grow(cluster: Cluster, namespace: str, node_port: int) -> None:
    _create(cluster, namespace, node_port)
    few = _check(cluster, [_planned(namespace, node_port)], fail_on="never")["api_calls"]
    planned = [_planned(namespace, node_port), *(_planned(namespace, next(PORTS), name=f"missing-{at}") for at in range(5))]
    assert _check(cluster, planned, fail_on="never", asleep=["nowhere"])["api_calls"] == few > 0
