# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks once at what workloads need: one list of Services, of Nodes, of StorageClasses, each only if something is asked of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._workloads.model import Object, Request, Sight

SERVICES, NODES, STORAGE_CLASSES = ("v1", "Service"), ("v1", "Node"), ("storage.k8s.io/v1", "StorageClass")


def look(request: Request, cluster: ClusterReader) -> Sight:
    """What stands. A list that the API server refuses is noted as unknown; one that does not answer at all ends the look."""
    seen = Sight()
    if request.services:
        seen.holders = holders(_listed(cluster, SERVICES, seen.unknown) or ())
    if request.nodes:
        nodes = _listed(cluster, NODES, seen.unknown)
        seen.nodes, seen.nodes_are_known = {name_of(one): one for one in nodes or ()}, nodes is not None
    if request.storage_classes:
        classes = _listed(cluster, STORAGE_CLASSES, seen.unknown)
        seen.storage_classes, seen.storage_classes_are_known = [name_of(one) for one in classes or ()], classes is not None
    return seen


def name_of(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def holders(services: Iterable[Object]) -> dict[int, tuple[str, str]]:
    """Namespace and name by NodePort, for whatever it serves: Services never share one."""
    found: dict[int, tuple[str, str]] = {}
    for one in services:
        spec = one["spec"]
        ports = [port.get("nodePort") for port in spec.get("ports") or ()]
        for port in (*ports, spec.get("healthCheckNodePort")):
            if port:
                found[port] = (one["metadata"]["namespace"], name_of(one))
    return found


def _listed(cluster: ClusterReader, kind: tuple[str, str], unknown: list[Refusal]) -> Optional[list[Object]]:
    """All of a kind; None if the API server refuses to tell."""
    try:
        return list(cluster.items(*kind))
    except Unavailable:
        raise
    except Refusal as refusal:
        unknown.append(refusal)
        return None
