# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects that belong to one node, and who takes each of them away.

Facts: the controller manager's collector of garbage deletes Pods of a node that is no more after 40 seconds; the node's Lease and CSINode
belong to the Node. Calico's kube-controllers gives back the addresses of a node that is no more, then its blocks: when the Node goes, or,
if a Pod of it was there still, at the next change of a node or a block, at the latest after half of its leakGracePeriod, whose default is
15 minutes (KubeControllersConfiguration). In Calico's own datastore of Kubernetes, a node is the Node, without an object of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding

Object = Mapping[str, Any]

RULE = "nothing_of_the_node_is_left"
CALICO = ("BlockAffinity", "IPAMBlock", "IPAMHandle", "CalicoNodeStatus", "FelixConfiguration", "BGPConfiguration", "BGPPeer")
# an owner's own settings for a node, which nobody makes or takes away by himself
SETTINGS = frozenset({"FelixConfiguration", "BGPConfiguration", "BGPPeer"})
TUNNELS = ("ipip", "vxlan", "vxlan-v6", "wireguard", "wireguard-v6")

_POD_COLLECTOR = "kube-controller-manager, which collects Pods of nodes that are no more"
_OWNER = "the Node's end; an object that stays may be deleted"
_CALICO = "Calico's kube-controllers, which give back the addresses of nodes that are no more, some minutes after their Pods have gone"
_KEEPERS = {
    "Node": "`kubectl delete node`",
    "Pod": _POD_COLLECTOR,
    "Lease": _OWNER,
    "CSINode": _OWNER,
    "VolumeAttachment": "the driver of the volume, once no Pod uses it",
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
    """One for each object. Settings that somebody made are his: a warning."""
    waited = f", after {seconds:.0f} s" if seconds >= 1 else ""
    for one in left:
        what = f"kubectl delete {one.kind.lower()} {one.name}" + (f" --namespace {one.namespace}" if one.namespace else "")
        if one.is_a_setting:
            fix = f"If nobody wants it for another host of this name, `{what}`."
        elif one.kind in _KEEPERS:
            fix = f"It goes with {_KEEPERS[one.kind]}: see what keeps that, then run again."
        else:
            fix = f"`{what}`."
        yield Finding(
            RULE,
            "warning" if one.is_a_setting else "error",
            str(one),
            f"of the node {node}, and still there{waited}",
            "nothing of a node that has left",
            fix,
        )
