# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read all facts about Calico: one list per kind, however many nodes there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict
from typing import Any, Optional, TypeVar

from .._cluster.api import ClusterReader
from .._refusal import Refusal, Unavailable
from .documents import API_VERSION, LivePool, read_pools
from .facts import (
    NODE,
    Facts,
    Node,
    NodeStatus,
    Object,
    Pod,
    bgp_peer_of,
    block_of,
    daemon_set_of,
    node_of,
    pod_of,
    pods_by_node,
    status_of,
)
from .typha import TYPHA, Running, running

# that of the aggregated API server, which newer releases serve without one, and that of the definitions
VERSIONS = ("projectcalico.org/v3", API_VERSION)

AT_ONCE = 3

T = TypeVar("T")


def look(cluster: ClusterReader) -> Facts:
    """Read all lists. A list that the API server rejects is recorded as unknown; an unavailable API server is an error."""
    facts = Facts()
    calico = _Calico(cluster, facts)
    facts.api_version, facts.status_version = calico.version_of("IPPool"), calico.version_of("CalicoNodeStatus")
    at_once = ThreadPoolExecutor(AT_ONCE)

    def unless_refused(answer: Future[T]) -> Optional[T]:
        try:
            return answer.result()
        except Unavailable:
            raise
        except Refusal as refusal:
            facts.unknown.append(refusal)
            return None

    try:
        # the longest lists first; while the API server prepares one, another is decoded
        pods = at_once.submit(lambda: pods_by_node(map(pod_of, cluster.items("v1", "Pod", label_selector=f"k8s-app={NODE}"))))
        nodes = at_once.submit(lambda: {one.name: one for one in map(node_of, cluster.items("v1", "Node"))})
        statuses = at_once.submit(lambda: tuple(map(status_of, calico.items("CalicoNodeStatus"))))
        blocks = at_once.submit(lambda: tuple(filter(None, map(block_of, calico.items("BlockAffinity")))))
        daemon_sets = at_once.submit(lambda: tuple(map(daemon_set_of, cluster.items("apps/v1", "DaemonSet"))))
        pools = at_once.submit(lambda: read_pools(list(calico.items("IPPool"))))
        felix = at_once.submit(lambda: _default(calico.items("FelixConfiguration")))
        bgp = at_once.submit(lambda: _default(calico.items("BGPConfiguration")))
        peers = at_once.submit(lambda: tuple(map(bgp_peer_of, calico.items("BGPPeer"))))
        facts.daemon_sets = unless_refused(daemon_sets)
        at = facts.daemon_set
        if at and at.uses_typha:
            facts.typha = unless_refused(at_once.submit(_typha, cluster, at.namespace))
        facts.nodes, facts.pods = unless_refused(nodes), unless_refused(pods)
        if facts.api_version:
            facts.pools, facts.blocks, facts.felix = unless_refused(pools), unless_refused(blocks), unless_refused(felix)
            facts.bgp, facts.peers = unless_refused(bgp), unless_refused(peers)
            told = unless_refused(statuses)
            facts.statuses = None if told is None else _best(told)
            facts.status_names = frozenset(one.name for one in told or ())
    finally:
        at_once.shutdown(cancel_futures=True)
    return facts


def _typha(cluster: ClusterReader, namespace: str) -> Running:
    label = f"k8s-app={TYPHA}"
    deployments = list(cluster.items("apps/v1", "Deployment", namespace, label_selector=label))
    return running(deployments, cluster.items("v1", "Pod", namespace, label_selector=label))


class _Calico:
    """Calico's kinds, each in the first version that serves it. If an aggregated API server is down, the definitions' version remains."""

    def __init__(self, cluster: ClusterReader, facts: Facts) -> None:
        self._cluster = cluster
        self._versions = []
        for version in VERSIONS:
            try:
                if cluster.serves(version, "IPPool"):
                    self._versions.append(version)
            except Unavailable as refusal:
                if version == API_VERSION:
                    raise
                facts.unknown.append(refusal)

    def version_of(self, kind: str) -> str:
        """Return the version that serves the kind; empty if none does."""
        return next((version for version in self._versions if self._cluster.serves(version, kind)), "")

    def items(self, kind: str) -> Iterator[Object]:
        version = self.version_of(kind)
        return self._cluster.items(version, kind) if version else iter(())


def _default(configurations: Iterable[Object]) -> Object:
    """Return the configuration for all nodes."""
    return next((one.get("spec") or {} for one in configurations if one["metadata"]["name"] == "default"), {})


def _best(statuses: Iterable[NodeStatus]) -> dict[str, NodeStatus]:
    """Return one status per node: prefer one with BGP, then the latest."""
    found: dict[str, NodeStatus] = {}
    for one in statuses:
        if one.node and (one.node not in found or _rank(one) > _rank(found[one.node])):
            found[one.node] = one
    return found


def _rank(one: NodeStatus) -> tuple[bool, float]:
    return one.has_bgp, one.updated.timestamp() if one.updated else 0.0


def as_data(facts: Facts) -> dict[str, Any]:
    """Return the facts as calico_info returns them; null: could not be read."""
    return {
        "api_version": facts.api_version,
        "daemon_set": asdict(facts.daemon_set) if facts.daemon_set else None,
        "nodes": None if facts.nodes is None else [_node_as_data(facts, one) for one in facts.nodes.values()],
        "pools": pools_as_data(facts.pools),
        "blocks": None if facts.blocks is None else [asdict(one) for one in facts.blocks],
        "felix": facts.felix,
        "bgp": facts.bgp,
        "bgp_peers": None if facts.peers is None else [asdict(one) for one in facts.peers],
        "unknown": [str(refusal) for refusal in facts.unknown],
    }


def pools_as_data(pools: Optional[Iterable[LivePool]]) -> Optional[list[dict[str, Any]]]:
    if pools is None:
        return None
    return [
        {
            "name": one.name,
            "cidr": str(one.cidr or ""),
            "block_size": one.block_size,
            "ipip_mode": one.ipip,
            "vxlan_mode": one.vxlan,
            "nat_outgoing": one.nat_outgoing,
            "disabled": one.disabled,
            "node_selector": one.node_selector,
            "allowed_uses": list(one.allowed_uses),
        }
        for one in pools
    ]


def _node_as_data(facts: Facts, one: Node) -> dict[str, Any]:
    pod, status = (facts.pods or {}).get(one.name), (facts.statuses or {}).get(one.name)
    return {
        "name": one.name,
        "ready": str(one.ready.get("status") or "Unknown"),
        "network_unavailable": str(one.network_unavailable.get("status") or "Unknown"),
        "addresses": list(one.addresses.values()),
        "tunnels": {f"{overlay}v{version}": address for (overlay, version), address in one.tunnels.items()},
        "is_route_reflector": one.is_reflector,
        "calico_node": _pod_as_data(pod) if pod else None,
        "bgp": _status_as_data(status) if status else None,
    }


def _pod_as_data(pod: Pod) -> Mapping[str, Any]:
    return {"name": pod.name, "namespace": pod.namespace, "ready": pod.ready, "trouble": pod.trouble, "restarts": pod.restarts}


def _status_as_data(status: NodeStatus) -> Mapping[str, Any]:
    return {
        "updated": status.updated.isoformat() if status.updated else "",
        "bird": {f"v{version}": state for version, state in status.bird.items()},
        "established": sorted(status.established),
        "not_established": [{"peer": peer, "state": one.state, "since": one.since} for peer, one in sorted(status.others.items())],
    }
