# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this project believes of Kubernetes' Services, asked of a real API server."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator

import pytest

from tests.cluster.programs import PROGRAMS, version
from tests.cluster.server import Cluster

pytest.importorskip("kubernetes")
from kubernetes import client
from kubernetes.client.exceptions import ApiException

EXTRA_RANGE = "10.233.0.0/24"
DNS_ADDRESS = "10.233.0.3"


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:8]}"
    core = client.CoreV1Api(cluster.client())
    core.create_namespace({"metadata": {"name": name}})
    yield name
    core.delete_namespace(name)


def _service(name: str, **spec: object) -> dict[str, object]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 53, "protocol": "UDP"}], **spec}}


def _eventually(condition: Callable[[], bool], what: str, patience: float = 30) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{patience:.0f} s and {what} still is not so"
        time.sleep(0.05)


def _message(refusal: ApiException) -> str:
    return json.loads(refusal.body)["message"]


def test_the_api_server_is_the_pinned_one(cluster: Cluster) -> None:
    pinned = version(PROGRAMS["kube-apiserver"])
    told = json.loads(cluster.kubectl("version", "--output=json").stdout)
    assert (told["serverVersion"]["gitVersion"], told["clientVersion"]["gitVersion"]) == (pinned, pinned)


def test_a_service_has_an_address_outside_the_service_range_only_after_a_service_cidr(cluster: Cluster, namespace: str) -> None:
    api = cluster.client()
    core, networking = client.CoreV1Api(api), client.NetworkingV1Api(api)
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_service(namespace, _service("dns", clusterIP=DNS_ADDRESS))
    assert refused.value.status == 422
    assert f"failed to allocate IP {DNS_ADDRESS}: the provided network does not match the current range" in _message(refused.value)

    networking.create_service_cidr({"metadata": {"name": "dns"}, "spec": {"cidrs": [EXTRA_RANGE]}})
    try:

        def ready() -> bool:
            conditions = networking.read_service_cidr("dns").status.conditions or []
            return any(condition.type == "Ready" and condition.status == "True" for condition in conditions)

        _eventually(ready, f"the ServiceCIDR {EXTRA_RANGE} Ready")
        made = core.create_namespaced_service(namespace, _service("dns", clusterIP=DNS_ADDRESS))
        assert made.spec.cluster_ip == DNS_ADDRESS
        core.delete_namespaced_service("dns", namespace)
    finally:
        networking.delete_service_cidr("dns")


@pytest.mark.parametrize("port", [29999, 32768])
def test_a_node_port_out_of_range_is_refused(cluster: Cluster, namespace: str, port: int) -> None:
    core = client.CoreV1Api(cluster.client())
    with pytest.raises(ApiException) as refused:
        core.create_namespaced_service(namespace, _service("web", type="NodePort", ports=[{"port": 80, "nodePort": port}]))
    assert refused.value.status == 422
    assert f"provided port is not in the valid range. The range of valid ports is {cluster.ranges.node_port_range}" in _message(
        refused.value
    )


def test_controllers_and_scheduler_work(cluster: Cluster, namespace: str) -> None:
    """A Deployment's pod is made, and judged by the scheduler: there is no node for it."""
    api = cluster.client()
    core = client.CoreV1Api(api)
    labels = {"app": "web"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "registry.k8s.io/pause:3.10.2"}]}}
    client.AppsV1Api(api).create_namespaced_deployment(
        namespace, {"metadata": {"name": "web"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}
    )

    def judged() -> bool:
        conditions = [condition for pod in core.list_namespaced_pod(namespace).items for condition in pod.status.conditions or []]
        return any(condition.reason == "Unschedulable" and "no nodes available" in condition.message for condition in conditions)

    _eventually(judged, "a pod of the Deployment found unschedulable")
