# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that belong to one node, and the wait until the cluster has none left."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._calico.survey import VERSIONS
from .._cluster.api import ClusterReader
from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal, Unavailable
from .._waiting import Clock

# Objects that belong to one node, and who takes each of them away.
#
# Facts: the controller manager's garbage collector deletes the Pods of a deleted node after 40 seconds; the node's Lease and CSINode
# belong to the Node. Calico's kube-controllers release the addresses of a deleted node, then its blocks: when the Node is deleted, or, if
# a Pod of it still existed, at the next change of a node or a block, at the latest after half of their leakGracePeriod, whose default is
# 15 minutes (KubeControllersConfiguration). With the Kubernetes datastore, Calico has no object of its own for a node.

Object = Mapping[str, Any]

RULE = "nothing_of_the_node_is_left"
CALICO = ("BlockAffinity", "IPAMBlock", "IPAMHandle", "CalicoNodeStatus", "FelixConfiguration", "BGPConfiguration", "BGPPeer")
# a user's settings for a node, which no program makes or removes by itself
SETTINGS = frozenset({"FelixConfiguration", "BGPConfiguration", "BGPPeer"})
TUNNELS = ("ipip", "vxlan", "vxlan-v6", "wireguard", "wireguard-v6")

_POD_COLLECTOR = "kube-controller-manager, which deletes Pods of deleted nodes"
_OWNER = "the Node; an object that remains may be deleted"
_CALICO = "Calico's kube-controllers, which release the addresses of deleted nodes, some minutes after their Pods"
_KEEPERS = {
    "Node": "`kubectl delete node`",
    "Pod": _POD_COLLECTOR,
    "Lease": _OWNER,
    "CSINode": _OWNER,
    "VolumeAttachment": "the driver of the volume, as soon as no Pod uses it",
    "BlockAffinity": _CALICO,
    "IPAMBlock": _CALICO,
    "IPAMHandle": _CALICO,
}


@dataclass(frozen=True)
class Leftover:
    """An object of the node. namespace: empty for kinds without."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    @property
    def is_a_setting(self) -> bool:
        return self.kind in SETTINGS

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace + '/' if self.namespace else ''}{self.name}"


def of_node(node: str, objects: Mapping[tuple[str, str], Iterable[Object]]) -> list[Leftover]:
    """Of all objects, by API version and kind, those of the node."""
    held = {kind: list(found) for (_version, kind), found in objects.items()}
    blocks = {str(one["spec"].get("cidr")) for one in held.get("IPAMBlock", ()) if _belongs("IPAMBlock", one, node, frozenset())}
    return [
        Leftover(version, kind, str(one["metadata"]["name"]), str(one["metadata"].get("namespace") or ""))
        for version, kind in objects
        for one in held[kind]
        if _belongs(kind, one, node, blocks)
    ]


def _belongs(kind: str, one: Object, node: str, blocks: Iterable[str]) -> bool:
    """blocks: those of the node."""
    name, spec = str(one["metadata"]["name"]), one.get("spec") or {}
    if kind in ("Node", "Lease", "CSINode"):
        return name == node
    if kind in ("Pod", "VolumeAttachment"):
        return bool(spec.get("nodeName") == node)
    if kind in ("BlockAffinity", "CalicoNodeStatus", "BGPPeer"):
        return bool(spec.get("node") == node)
    if kind == "IPAMBlock":
        return bool(spec.get("affinity") == f"host:{node}")
    if kind == "IPAMHandle":
        return name in {f"{tunnel}-tunnel-addr-{node}" for tunnel in TUNNELS} or not set(blocks).isdisjoint(spec.get("block") or ())
    return name == f"node.{node}"


def findings(node: str, left: Iterable[Leftover], seconds: float) -> Iterator[Finding]:
    """One for each object. Settings of a user stay: a warning."""
    waited = f", after {seconds:.0f} s" if seconds >= 1 else ""
    for one in left:
        what = f"kubectl delete {one.kind.lower()} {one.name}" + (f" --namespace {one.namespace}" if one.namespace else "")
        if one.is_a_setting:
            fix = f"If it is not needed for another host of this name, `{what}`."
        elif one.kind in _KEEPERS:
            fix = f"It is removed by {_KEEPERS[one.kind]}: check that, then run again."
        else:
            fix = f"`{what}`."
        yield Finding(
            RULE,
            "warning" if one.is_a_setting else "error",
            str(one),
            f"of the node {node}, and still there{waited}",
            "no objects of a removed node",
            fix,
            (node,),
        )


def looked_at(node: str, left: Sequence[Leftover], found: Iterable[Finding]) -> list[LookedAt]:
    return [LookedAt(f"node {node}", f"{len(left)} objects left", state_of(found), (node,))]


# Waits, in bounded time, until the cluster has nothing left of a node.

INTERVAL = 3.0
LEASES = "kube-node-lease"


@dataclass(frozen=True)
class Request:
    """timeout: seconds; 0 checks what is now."""

    node: str
    timeout: float


@dataclass(frozen=True)
class Outcome:
    """seconds: how long it took."""

    left: Sequence[Leftover]
    seconds: float


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    if params["timeout"] < 0:
        raise Refusal("timeout", f"{params['timeout']:g}", "a number of seconds, 0 or more", "Use 0 to check without waiting.")
    return Request(params["node"].lower(), float(params["timeout"]))


def wait_until_gone(wanted: Request, cluster: ClusterReader, clock: Clock) -> Outcome:
    """Back as soon as nothing but a user's settings is left. An API server that is busy is asked again."""
    began = clock.now()
    while True:
        try:
            left = look(wanted.node, cluster)
        except Unavailable:
            if clock.now() - began >= wanted.timeout:
                raise
        else:
            waited = clock.now() - began
            if waited >= wanted.timeout or all(one.is_a_setting for one in left):
                return Outcome(left, waited)
        clock.sleep(INTERVAL)


def look(node: str, cluster: ClusterReader) -> list[Leftover]:
    """Calico's kinds in the first version that serves each; none of a cluster without Calico."""
    objects: dict[tuple[str, str], list[Object]] = {
        ("v1", "Node"): _if_there(cluster, "v1", "Node", node),
        ("v1", "Pod"): list(cluster.items("v1", "Pod", field_selector=f"spec.nodeName={node}")),
        ("coordination.k8s.io/v1", "Lease"): _if_there(cluster, "coordination.k8s.io/v1", "Lease", node, LEASES),
        ("storage.k8s.io/v1", "CSINode"): _if_there(cluster, "storage.k8s.io/v1", "CSINode", node),
        ("storage.k8s.io/v1", "VolumeAttachment"): list(cluster.items("storage.k8s.io/v1", "VolumeAttachment")),
    }
    for kind in CALICO:
        version = next((one for one in VERSIONS if cluster.serves(one, kind)), None)
        if version:
            objects[version, kind] = list(cluster.items(version, kind))
    return of_node(node, objects)


def _if_there(cluster: ClusterReader, api_version: str, kind: str, name: str, namespace: str = "") -> list[Object]:
    found = cluster.get(api_version, kind, name, namespace)
    return [] if found is None else [found]
