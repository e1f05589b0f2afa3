# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Places a made-up cluster with Calico in a real API server, with the definitions of Calico's own manifest."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

import yaml

from tests.cluster.calico_images import calico_manifest
from tests.cluster.server import Cluster
from tests.unit.calico.clusters import CALICO, VERSIONS, World

PATIENCE = 60.0
PLURALS = {
    "IPPool": "ippools", "BlockAffinity": "blockaffinities", "FelixConfiguration": "felixconfigurations",
    "BGPConfiguration": "bgpconfigurations", "BGPPeer": "bgppeers", "CalicoNodeStatus": "caliconodestatuses",
}  # fmt: skip
PATHS = {
    "Node": "/api/v1/nodes",
    "Pod": "/api/v1/namespaces/kube-system/pods",
    "DaemonSet": "/apis/apps/v1/namespaces/kube-system/daemonsets",
    **{kind: f"/apis/{VERSIONS[kind]}/{PLURALS[kind]}" for kind in CALICO},
}


class Placing:
    """Writes to an API server: Calico's definitions once, then one world after the other."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._pool = cluster.client().rest_client.pool_manager

    def define(self) -> None:
        """As soon as this is back, all kinds are served, and Pods may be made."""
        self._cluster.kubectl("apply", "--server-side", "--filename=-", stdin=self._definitions(), timeout=120)
        self._cluster.kubectl(
            "wait", "--for=condition=Established", "--timeout=110s", "--filename=-", stdin=self._definitions(), timeout=120
        )
        account = "/api/v1/namespaces/kube-system/serviceaccounts/default"
        self.wait("the service account of kube-system", lambda: self._request("GET", account)[0] == 200)

    def remove(self) -> None:
        self.clear()
        self._cluster.kubectl("delete", "--ignore-not-found", "--filename=-", stdin=self._definitions(), timeout=120)

    def clear(self) -> None:
        """Of all kinds; of DaemonSets ours, and none is left when this is back."""
        for kind, path in PATHS.items():
            if kind == "DaemonSet":
                self._request("DELETE", f"{path}/calico-node")
            else:
                self._request("DELETE", path, {"gracePeriodSeconds": 0})
        for path in PATHS.values():
            self.wait(f"an empty {path}", lambda path=path: not self._ask("GET", path).get("items"))

    def place(self, world: World) -> None:
        for kind, objects in world.objects.items():
            self.make(kind, objects.values())

    def make(self, kind: str, objects: Iterable[Mapping[str, Any]]) -> None:
        for one in objects:
            document = {**_as_made(kind, one), "apiVersion": VERSIONS[kind], "kind": kind}
            self._ask("POST", PATHS[kind], document)
            if kind in {"Node", "Pod"}:
                self._ask("PATCH", f"{PATHS[kind]}/{one['metadata']['name']}/status", {"status": document["status"]})

    def _definitions(self) -> str:
        documents = yaml.safe_load_all(calico_manifest().read_text())
        return yaml.safe_dump_all(one for one in documents if one and one["kind"] == "CustomResourceDefinition")

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        status, answer = self._request(method, path, body)
        assert status < 300, f"{method} {path}: {answer.get('message', status)}"
        return answer

    def _request(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        form = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": form, "Accept": "application/json"}
        answer = self._pool.request(method, self._cluster.url + path, body=json.dumps(body).encode() if body else None, headers=headers)
        return answer.status, json.loads(answer.data)

    def wait(self, what: str, condition: Any) -> None:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < PATIENCE, f"waited {PATIENCE:.0f} s in vain for {what}"
            time.sleep(0.1)


def _as_made(kind: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """With what the API server wants besides, and a heartbeat of now: the controllers take a node without one for dead."""
    made: dict[str, Any] = copy.deepcopy(dict(one))
    if kind == "Node":
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        for condition in made["status"]["conditions"]:
            condition.update(lastHeartbeatTime=now, lastTransitionTime=now)
    if kind == "Pod":
        made["spec"]["tolerations"] = [{"operator": "Exists"}]
    if kind == "DaemonSet":
        made["spec"]["template"]["spec"]["containers"][0].setdefault("command", ["calico-node"])
    return made
