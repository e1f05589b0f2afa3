# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes without machines: the real scheduler gives them Pods, and a thread answers for their kubelets that the Pods run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timezone
from typing import Any

from tests.cluster.server import Cluster

HEARTBEAT = 8.0
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


class HollowNodes:
    """Add nodes, and switch them off and on. While on, a node's Pods are Running and Ready at once."""

    def __init__(self, cluster: Cluster) -> None:
        from kubernetes import client  # noqa: PLC0415 - all but this works without the package

        self._core = client.CoreV1Api(cluster.client())
        self._awake: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._answer, daemon=True)

    def add(self, name: str, *, control_plane: bool = False) -> None:
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **({CONTROL_PLANE: ""} if control_plane else {})}
        taints = [{"key": CONTROL_PLANE, "effect": "NoSchedule"}] if control_plane else []
        self._core.create_node({"metadata": {"name": name, "labels": labels}, "spec": {"taints": taints}})
        self._awake.add(name)
        self._beat(name)

    def switch_off(self, name: str) -> None:
        """At once, as after the 40 seconds in which nobody hears of it."""
        self._awake.discard(name)
        self._core.patch_node_status(name, _status("Unknown"))

    def switch_on(self, name: str) -> None:
        self._awake.add(name)
        self._beat(name)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join(30)
        for node in self._core.list_node().items:
            self._core.delete_node(node.metadata.name)

    def _beat(self, name: str) -> None:
        self._core.patch_node_status(name, _status("True"))

    def _answer(self) -> None:
        from kubernetes.client.exceptions import ApiException  # noqa: PLC0415 - as above

        beaten = 0.0
        while not self._ended.wait(0.1):
            # a Pod or node that went meanwhile
            with suppress(ApiException):
                # as they are: the client's objects of a dozen Pods take most of a tenth of a second
                listed = self._core.list_pod_for_all_namespaces(_preload_content=False).data
                for pod in json.loads(listed)["items"]:
                    if pod["spec"].get("nodeName") in self._awake:
                        self._keep(pod)
                if time.monotonic() - beaten > HEARTBEAT:
                    beaten = time.monotonic()
                    for name in list(self._awake):
                        self._beat(name)

    def _keep(self, pod: dict[str, Any]) -> None:
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        if "deletionTimestamp" in pod["metadata"]:
            self._core.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
        elif not any((one["type"], one["status"]) == ("Ready", "True") for one in pod["status"].get("conditions", ())):
            running = {"running": {"startedAt": _now()}}
            told = {"imageID": "", "ready": True, "started": True, "restartCount": 0}
            status = [{**told, "name": one["name"], "image": one["image"], "state": running} for one in pod["spec"]["containers"]]
            conditions = [
                {"type": kind, "status": "True", "lastTransitionTime": _now()} for kind in ("Initialized", "ContainersReady", "Ready")
            ]
            self._core.patch_namespaced_pod_status(
                name,
                namespace,
                {"status": {"phase": "Running", "conditions": conditions, "containerStatuses": status, "podIP": "10.244.0.9"}},
            )


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _status(ready: str) -> dict[str, Any]:
    size = {"cpu": "2", "memory": "4Gi", "pods": "110", "ephemeral-storage": "20Gi"}
    condition = {"type": "Ready", "status": ready, "lastHeartbeatTime": _now(), "lastTransitionTime": _now(), "reason": "Hollow"}
    return {"status": {"capacity": size, "allocatable": size, "conditions": [condition]}}


@contextmanager
def hollow_nodes(cluster: Cluster) -> Iterator[HollowNodes]:
    nodes = HollowNodes(cluster)
    nodes.start()
    try:
        yield nodes
    finally:
        nodes.end()
