# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits, in bounded time, until the cluster has nothing left of a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.survey import VERSIONS
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._removal.leftovers import CALICO, Leftover, Object, of_node

INTERVAL = 3.0
LEASES = "kube-node-lease"


@dataclass(frozen=True)
class Request:
    """timeout: seconds; 0 judges what is now."""

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
        raise Refusal("timeout", f"{params['timeout']:g}", "a number of seconds, 0 or more", "Use 0 to judge without waiting.")
    return Request(params["node"].lower(), float(params["timeout"]))


def wait_until_gone(wanted: Request, cluster: ClusterReader, clock: Clock) -> Outcome:
    """Back as soon as nothing but somebody's settings is left. An API server that is busy is asked again."""
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
