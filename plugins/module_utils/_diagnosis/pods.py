# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is remembered of a Pod while the list of them passes by, and whose logs are worth reading."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.cluster_questions import (
    LOG_LINES,
    LOG_ROOM,
    MOST_LOGS,
    SYSTEM_NAMESPACES,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import Object
from ansible_collections.vmstation.cluster.plugins.module_utils._io.texts import Log
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import container_statuses


@dataclass(frozen=True)
class Container:
    """state: why it waits or ended, or ``running``. is_done: it ended well, and is not to run again."""

    name: str
    ready: bool
    restarts: int
    state: str
    is_done: bool


@dataclass(frozen=True)
class Pod:
    """A Pod with its containers, those that run before the others first."""

    namespace: str
    name: str
    node: str
    address: str
    phase: str
    created: str
    containers: tuple[Container, ...]

    def is_troubled(self, one: Container) -> bool:
        return one.restarts > 0 or not (one.ready or one.is_done)


def pod_of(document: Object) -> Pod:
    metadata, spec, status = document["metadata"], document.get("spec") or {}, document.get("status") or {}
    return Pod(
        metadata.get("namespace", ""),
        metadata["name"],
        spec.get("nodeName") or "",
        status.get("podIP") or "",
        status.get("reason") or status.get("phase") or "",
        metadata.get("creationTimestamp") or "",
        tuple(map(_container, container_statuses(document))),
    )


def _container(status: Object) -> Container:
    states: Object = status.get("state") or {}
    kind = next(iter(states), "unknown")
    state: Object = states.get(kind) or {}
    done = kind == "terminated" and state.get("exitCode") == 0
    return Container(
        str(status.get("name")),
        bool(status.get("ready")),
        int(status.get("restartCount") or 0),
        str(state.get("reason") or kind),
        done,
    )


def logs_of(pods: Iterable[Pod], silent_nodes: Collection[str]) -> list[Log]:
    """The logs worth reading: of what is not well first, then of the system. A node that does not answer has none to give."""
    troubled: list[Log] = []
    others: list[Log] = []
    for pod in pods:
        if not pod.node or pod.node in silent_nodes:
            continue
        for one in pod.containers:
            chosen = troubled if pod.is_troubled(one) else others
            if pod.is_troubled(one) or pod.namespace in SYSTEM_NAMESPACES:
                chosen.append(Log(pod.namespace, pod.name, one.name, False, LOG_LINES, LOG_ROOM))
            if one.restarts > 0:
                troubled.append(Log(pod.namespace, pod.name, one.name, True, LOG_LINES, LOG_ROOM))
    return [*troubled, *others][:MOST_LOGS]
