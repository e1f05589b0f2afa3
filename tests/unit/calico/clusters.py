# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster with Calico on the hosts of the specification, as the Kubernetes API shows it, and what can happen to it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import API_VERSION
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.network_plan.plans import HOSTS

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
ADDRESSES = {str(host["name"]): str(host["address"]) for host in HOSTS}
PLANNED = [{"name": name, "address": address} for name, address in ADDRESSES.items()]
CALICO = ("IPPool", "BlockAffinity", "FelixConfiguration", "BGPConfiguration", "BGPPeer", "CalicoNodeStatus")
VERSIONS = {"Node": "v1", "Pod": "v1", "DaemonSet": "apps/v1", **dict.fromkeys(CALICO, API_VERSION)}


def stamp(minutes: float) -> str:
    """So many minutes before now."""
    return (NOW - timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")


def node(name: str, address: str, tunnel: str) -> dict[str, Any]:
    notes = {"projectcalico.org/IPv4Address": f"{address}/24", "projectcalico.org/IPv4IPIPTunnelAddr": tunnel}
    conditions = [
        {"type": "NetworkUnavailable", "status": "False", "reason": "CalicoIsUp", "message": "Calico is running on this node"},
        {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"},
    ]
    return {"metadata": {"name": name, "annotations": notes}, "status": {"conditions": conditions}}


def pod(name: str) -> dict[str, Any]:
    container = {"name": "calico-node", "image": "quay.io/calico/node:v3.32.1", "imageID": "", "ready": True, "started": True}
    container |= {"restartCount": 0, "state": {"running": {"startedAt": stamp(600)}}, "lastState": {}}
    return {
        "metadata": {"name": f"calico-node-{name}", "namespace": "kube-system", "labels": {"k8s-app": "calico-node"}},
        "spec": {"nodeName": name, "containers": [{"name": "calico-node", "image": container["image"]}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [container]},
    }


def daemon_set() -> dict[str, Any]:
    probe = {"exec": {"command": ["/bin/calico-node", "-felix-ready", "-bird-ready"]}}
    container = {"name": "calico-node", "image": "quay.io/calico/node:v3.32.1", "readinessProbe": probe}
    # selects nothing: on a real API server the Pods are the test's own
    labels = {"calico": "template"}
    template = {"metadata": {"labels": labels}, "spec": {"nodeSelector": {"calico": "nowhere"}, "containers": [container]}}
    return {
        "metadata": {"name": "calico-node", "namespace": "kube-system"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def pool(name: str = "default-ipv4-ippool", **changes: Any) -> dict[str, Any]:
    spec = {"cidr": "10.244.0.0/16", "blockSize": 26, "ipipMode": "Always", "vxlanMode": "Never", "natOutgoing": True}
    return {"metadata": {"name": name}, "spec": {**spec, "nodeSelector": "all()", "allowedUses": ["Workload", "Tunnel"], **changes}}


def block(name: str, cidr: str, **changes: Any) -> dict[str, Any]:
    spec = {"cidr": cidr, "node": name, "state": "confirmed", "deleted": "false", **changes}
    return {"metadata": {"name": f"{name}-{cidr.replace('.', '-').replace('/', '-')}"}, "spec": spec}


def status(name: str, peers: dict[str, str], **changes: Any) -> dict[str, Any]:
    """peers: the state of the session with each address."""
    up = sum(state == "Established" for state in peers.values())
    listed = [{"peerIP": ip, "type": "nodeMesh", "state": state, "since": "02:00:00"} for ip, state in peers.items()]
    counts = {"numberEstablishedV4": up, "numberNotEstablishedV4": len(peers) - up, "numberEstablishedV6": 0, "numberNotEstablishedV6": 0}
    return {
        "metadata": {"name": name},
        "spec": {"node": name, "classes": ["Agent", "BGP", "Routes"], "updatePeriodSeconds": 10},
        "status": {
            "lastUpdated": stamp(590),
            "agent": {"birdV4": {"state": "Ready"}, "birdV6": {"state": "NotReady"}},
            "bgp": {**counts, "peersV4": listed},
            **changes,
        },
    }


class World:
    """The objects of a cluster by kind and name. A test changes them; a reader reads them."""

    def __init__(self, addresses: dict[str, str] | None = None) -> None:
        self.addresses = addresses or ADDRESSES
        self.objects: dict[str, dict[str, dict[str, Any]]] = {kind: {} for kind in VERSIONS}
        self.put("DaemonSet", daemon_set())
        self.put("IPPool", pool())
        self.put("FelixConfiguration", {"metadata": {"name": "default"}, "spec": {"prometheusMetricsEnabled": True}})
        self.put("BGPConfiguration", {"metadata": {"name": "default"}, "spec": {"nodeToNodeMeshEnabled": True}})
        for number, (name, address) in enumerate(self.addresses.items()):
            blocks = f"10.244.{number >> 2}.{number % 4 * 64}"
            self.put("Node", node(name, address, blocks))
            self.put("Pod", pod(name))
            self.put("BlockAffinity", block(name, f"{blocks}/26"))
            self.put("CalicoNodeStatus", status(name, dict.fromkeys(self.others(address), "Established")))

    def others(self, address: str) -> list[str]:
        return [one for one in self.addresses.values() if one != address]

    def put(self, kind: str, one: dict[str, Any]) -> None:
        self.objects[kind][one["metadata"]["name"]] = one

    def drop(self, kind: str, name: str) -> None:
        del self.objects[kind][name]

    # what can happen

    def condition(self, name: str, kind: str, state: str, message: str = "") -> None:
        for one in self.objects["Node"][name]["status"]["conditions"]:
            if one["type"] == kind:
                one.update(status=state, message=message)

    def annotate(self, name: str, key: str, value: str | None) -> None:
        notes = self.objects["Node"][name]["metadata"]["annotations"]
        notes.pop(f"projectcalico.org/{key}")
        if value is not None:
            notes[f"projectcalico.org/{key}"] = value

    def session(self, one: str, other: str, state: str) -> None:
        """Both ends report it."""
        for here, there in ((one, other), (other, one)):
            self.report(here, there, state)

    def report(self, reporter: str, of: str, state: str | None) -> None:
        """None: the peer is not in the report."""
        bgp = self.objects["CalicoNodeStatus"][reporter]["status"]["bgp"]
        kept = [peer for peer in bgp["peersV4"] if peer["peerIP"] != self.addresses[of]]
        new = [{"peerIP": self.addresses[of], "type": "nodeMesh", "state": state, "since": "11:00:00"}] if state else []
        bgp["peersV4"] = kept + new

    def unready(self, name: str, **state: Any) -> None:
        """Its calico-node Pod."""
        there = self.objects["Pod"][f"calico-node-{name}"]["status"]
        there["conditions"][0]["status"] = "False"
        there["containerStatuses"][0].update(ready=False, **state)

    def restarted(self, name: str, minutes: float, lived: float, reason: str, code: int) -> None:
        ended = {"startedAt": stamp(minutes + lived), "finishedAt": stamp(minutes), "reason": reason, "exitCode": code}
        container = self.objects["Pod"][f"calico-node-{name}"]["status"]["containerStatuses"][0]
        container.update(restartCount=4, lastState={"terminated": ended}, state={"running": {"startedAt": stamp(minutes)}})
        self.objects["CalicoNodeStatus"][name]["status"]["lastUpdated"] = stamp(0)

    def switch_off(self, name: str) -> None:
        """As after a minute of silence: its Pod is no longer ready, and the others have lost it."""
        self.condition(name, "Ready", "Unknown", "Kubelet stopped posting node status.")
        self.unready(name)
        for other in self.addresses:
            if other != name:
                self.report(other, name, "Active")


class WorldReader:
    """A ClusterReader of a World. forbidden: kinds that may not be listed. version: in which Calico's kinds are served, empty for none."""

    server = "https://192.168.4.63:6443"

    def __init__(self, world: World, forbidden: str = "", version: str = API_VERSION) -> None:
        self._world, self._forbidden, self._version = world, forbidden, version
        self.listed: list[str] = []

    def serves(self, api_version: str, kind: str) -> bool:
        return kind in CALICO and api_version == self._version

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[dict[str, Any]]:
        self.listed.append(f"{api_version} {kind}")
        if kind == self._forbidden:
            raise Refusal(f"list of {kind}", "HTTP status 403", f"the permission to list {kind}", f"Let the user list {kind}.")
        for one in self._world.objects.get(kind, {}).values():
            labels = one["metadata"].get("labels") or {}
            # of the Pods of a test, only some have a label
            if not label_selector or (labels.get("k8s-app", "calico-node") == label_selector.partition("=")[2]):
                yield one

    def get(self, *_wanted: str) -> None:
        raise AssertionError("calico_check reads lists only")

    def read(self, _path: str) -> dict[str, Any]:
        raise AssertionError("calico_check reads lists only")
