# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts about Calico from Kubernetes objects, reduced to what the rules check."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Optional

from .._conditions import condition
from .._refusal import Refusal
from .._rollout.pods import is_ready, stuck
from .documents import LivePool
from .typha import SERVICE_NAME, Running

Object = dict[str, Any]

NODE = "calico-node"
ESTABLISHED = "Established"
# annotations of the Node object with the node's addresses, by IP version
ADDRESSES = {4: "projectcalico.org/IPv4Address", 6: "projectcalico.org/IPv6Address"}
# and with its tunnel addresses, by overlay and IP version
TUNNELS = {
    ("IPIP", 4): "projectcalico.org/IPv4IPIPTunnelAddr",
    ("VXLAN", 4): "projectcalico.org/IPv4VXLANTunnelAddr",
    ("VXLAN", 6): "projectcalico.org/IPv6VXLANTunnelAddr",
}
REFLECTOR = "projectcalico.org/RouteReflectorClusterID"
# of a node with Flannel, which k3s runs without a DaemonSet
FLANNEL = "flannel.alpha.coreos.com/backend-type"


@dataclass(frozen=True)
class Node:
    """A Node object. addresses: used by Calico, by IP version. tunnels: by overlay and IP version.

    is_reflector: a route reflector, which is not in the mesh. has_flannel: Flannel is its pod network.
    """

    name: str
    ready: Object = field(default_factory=dict)
    network_unavailable: Object = field(default_factory=dict)
    addresses: Mapping[int, str] = field(default_factory=dict)
    tunnels: Mapping[tuple[str, int], str] = field(default_factory=dict)
    is_reflector: bool = False
    has_flannel: bool = False


@dataclass(frozen=True)
class Ending:
    """How a container ended before its last restart."""

    at: datetime
    lasted: timedelta
    reason: str


@dataclass(frozen=True)
class Pod:
    """The Pod of calico-node on a node.

    trouble: why it is not ready, empty if it is; next_step: what to do about it.
    """

    name: str
    namespace: str
    node: str
    ready: bool
    is_ending: bool = False
    trouble: str = ""
    next_step: str = ""
    restarts: int = 0
    started: Optional[datetime] = None
    last_ending: Optional[Ending] = None


@dataclass(frozen=True)
class DaemonSet:
    """image: of the container calico-node, empty without one. readiness: the command of its readiness probe.

    uses_typha: whether calico-node connects to Typha instead of the API server.
    """

    namespace: str
    name: str
    image: str
    readiness: tuple[str, ...]
    desired: int
    ready: int
    uses_typha: bool = False


@dataclass(frozen=True)
class Block:
    """A BlockAffinity: a block of addresses assigned to a node."""

    cidr: str
    node: str
    state: str


@dataclass(frozen=True)
class BgpPeer:
    """A BGPPeer. address: empty if a selector selects the peer. node: empty for all nodes.

    is_derivable: no selector hides which nodes it connects.
    """

    name: str
    node: str
    address: str
    is_derivable: bool


@dataclass(frozen=True)
class Session:
    """A BGP session that is not established."""

    state: str
    since: str


@dataclass(frozen=True)
class NodeStatus:
    """A CalicoNodeStatus. bird: the state of each daemon by IP version. established: peers' addresses. others: other sessions."""

    name: str
    node: str
    has_bgp: bool
    period: int
    updated: Optional[datetime]
    bird: Mapping[int, str] = field(default_factory=dict)
    established: frozenset[str] = frozenset()
    others: Mapping[str, Session] = field(default_factory=dict)


@dataclass
class Facts:
    """All that was read. None: the list could not be read; ``unknown`` contains the reasons.

    api_version: the served version of Calico's kinds, empty without Calico. status_version: that of CalicoNodeStatus.
    status_names: names of all CalicoNodeStatus objects. typha: also None if calico-node does not use it.
    """

    api_version: str = ""
    nodes: Optional[Mapping[str, Node]] = None
    pods: Optional[Mapping[str, Pod]] = None
    daemon_sets: Optional[tuple[DaemonSet, ...]] = None
    pools: Optional[tuple[LivePool, ...]] = None
    blocks: Optional[tuple[Block, ...]] = None
    felix: Optional[Object] = None
    bgp: Optional[Object] = None
    peers: Optional[tuple[BgpPeer, ...]] = None
    statuses: Optional[Mapping[str, NodeStatus]] = None
    status_names: frozenset[str] = frozenset()
    status_version: str = ""
    typha: Optional[Running] = None
    unknown: list[Refusal] = field(default_factory=list)

    @property
    def daemon_set(self) -> Optional[DaemonSet]:
        return next((one for one in self.daemon_sets or () if one.name == NODE), None)

    @property
    def has_mesh(self) -> bool:
        """Whether every node has a session with every other node, which is the default."""
        return (self.bgp or {}).get("nodeToNodeMeshEnabled") is not False


def node_of(one: Object) -> Node:
    annotations: Mapping[str, str] = one["metadata"].get("annotations") or {}
    return Node(
        name=one["metadata"]["name"],
        ready=condition(one, "Ready"),
        network_unavailable=condition(one, "NetworkUnavailable"),
        addresses={version: plain(annotations[key]) for version, key in ADDRESSES.items() if annotations.get(key)},
        tunnels={which: plain(annotations[key]) for which, key in TUNNELS.items() if annotations.get(key)},
        is_reflector=bool(annotations.get(REFLECTOR)),
        has_flannel=FLANNEL in annotations,
    )


def pod_of(one: Object) -> Pod:
    trouble = stuck(one)
    statuses = (one.get("status") or {}).get("containerStatuses") or ()
    container: Object = next((status for status in statuses if status.get("name") == NODE), {})
    return Pod(
        name=one["metadata"]["name"],
        namespace=one["metadata"]["namespace"],
        node=(one.get("spec") or {}).get("nodeName") or "",
        ready=is_ready(one),
        is_ending=bool(one["metadata"].get("deletionTimestamp")),
        trouble=trouble.state if trouble else "",
        next_step=trouble.next_step if trouble else "",
        restarts=int(container.get("restartCount") or 0),
        started=moment(((container.get("state") or {}).get("running") or {}).get("startedAt")),
        last_ending=_ending((container.get("lastState") or {}).get("terminated") or {}),
    )


def pods_by_node(pods: Iterable[Pod]) -> dict[str, Pod]:
    """Return one Pod per node; if one replaces another, the one that is not terminating."""
    found: dict[str, Pod] = {}
    for pod in pods:
        if pod.node and (pod.node not in found or found[pod.node].is_ending):
            found[pod.node] = pod
    return found


def daemon_set_of(one: Object) -> DaemonSet:
    containers = one["spec"]["template"]["spec"].get("containers") or ()
    node: Object = next((container for container in containers if container.get("name") == NODE), {})
    command = ((node.get("readinessProbe") or {}).get("exec") or {}).get("command") or ()
    status = one.get("status") or {}
    return DaemonSet(
        one["metadata"]["namespace"],
        one["metadata"]["name"],
        str(node.get("image") or ""),
        tuple(map(str, command)),
        int(status.get("desiredNumberScheduled") or 0),
        int(status.get("numberReady") or 0),
        any(entry.get("name") == SERVICE_NAME for entry in node.get("env") or ()),
    )


def block_of(one: Object) -> Optional[Block]:
    """Return None for a released block, and for blocks of LoadBalancers, which belong to no node."""
    spec = one.get("spec") or {}
    # a string in crd.projectcalico.org/v1, a boolean in projectcalico.org/v3
    if str(spec.get("deleted") or "").lower() == "true" or (spec.get("type") or "host") != "host":
        return None
    return Block(str(spec.get("cidr") or ""), str(spec.get("node") or ""), str(spec.get("state") or ""))


def bgp_peer_of(one: Object) -> BgpPeer:
    spec = one.get("spec") or {}
    everywhere = spec.get("nodeSelector") in {None, "", "all()"}
    address = plain(str(spec.get("peerIP") or ""))
    return BgpPeer(one["metadata"]["name"], str(spec.get("node") or ""), address, bool(address) and everywhere)


def status_of(one: Object) -> NodeStatus:
    spec, status = one.get("spec") or {}, one.get("status") or {}
    bgp, agent = status.get("bgp") or {}, status.get("agent") or {}
    peers = [*(bgp.get("peersV4") or ()), *(bgp.get("peersV6") or ())]
    # all nodes list the same peers: keep one copy of each address
    named = [(sys.intern(plain(str(peer.get("peerIP") or ""))), peer) for peer in peers]
    return NodeStatus(
        name=one["metadata"]["name"],
        node=str(spec.get("node") or ""),
        has_bgp="BGP" in (spec.get("classes") or ()),
        period=int(spec.get("updatePeriodSeconds") or 0),
        updated=moment(status.get("lastUpdated")),
        bird={version: str((agent.get(f"birdV{version}") or {}).get("state") or "") for version in (4, 6)},
        established=frozenset(address for address, peer in named if peer.get("state") == ESTABLISHED),
        others={
            address: Session(str(peer.get("state") or "no state"), str(peer.get("since") or ""))
            for address, peer in named
            if peer.get("state") != ESTABLISHED
        },
    )


@lru_cache(maxsize=1024)
def plain(address: str) -> str:
    """Return an address in canonical form, without prefix length or port; unchanged if it cannot be parsed."""
    text = address.partition("/")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ip_address(text))
    except ValueError:
        return address


def moment(text: object) -> Optional[datetime]:
    """Parse a time as the API writes it."""
    if not isinstance(text, str) or not text:
        return None
    try:
        read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return read if read.tzinfo else None


def _ending(terminated: Object) -> Optional[Ending]:
    began, ended = moment(terminated.get("startedAt")), moment(terminated.get("finishedAt"))
    if began is None or ended is None:
        return None
    return Ending(ended, ended - began, str(terminated.get("reason") or ""))
