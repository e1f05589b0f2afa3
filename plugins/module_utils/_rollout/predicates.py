# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a workload is rolled out: what `kubectl rollout status` asks of each kind, as a table of functions.

https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#deployment-status
https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#rolling-updates
https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/
"""

from __future__ import annotations

from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.model import Object, Seen, Standing


def standing(kind: str, workload: Optional[Object], seen: Optional[Seen] = None) -> Standing:
    """How far the workload is; None: there is none of that name. seen: for a DaemonSet that has nodes which are asleep."""
    if workload is None:
        return Standing("its creation: there is none of this name")
    generation, observed = workload["metadata"].get("generation", 0), _status(workload, "observedGeneration")
    if generation > observed:
        return Standing(f"its controller, which has seen generation {observed} of {generation}")
    return _PREDICATES[kind](workload, seen)


def _deployment(workload: Object, _seen: Optional[Seen]) -> Standing:
    desired = _desired(workload)
    existing, updated, available = (_status(workload, name) for name in ("replicas", "updatedReplicas", "availableReplicas"))
    waiting = ""
    if updated < desired:
        waiting = f"{desired - updated} of {desired} Pods to be updated"
        if workload["spec"].get("paused"):
            waiting += ", while its rollout is paused (`kubectl rollout resume`)"
    elif existing > updated:
        waiting = f"{existing - updated} Pods of an older revision to end"
    elif available < updated:
        waiting = f"{updated - available} of {updated} Pods to be available"
    return Standing(_with_failure(waiting, workload), desired, updated, available)


def _daemon_set(workload: Object, seen: Optional[Seen]) -> Standing:
    desired = _status(workload, "desiredNumberScheduled")
    updated, available = _status(workload, "updatedNumberScheduled"), _status(workload, "numberAvailable")
    if seen:
        # The controller counts a node that is off as one that should have a Pod until it is tainted as unreachable. From then on it counts
        # its Pod as misscheduled, and in none of the other numbers.
        desired -= max(0, seen.asleep - _status(workload, "numberMisscheduled"))
        updated, available = seen.updated, seen.available
    waiting = ""
    if updated < desired and not _is_updated_by_hand(workload):
        waiting = f"{desired - updated} of {desired} Pods to be updated"
    elif available < desired:
        waiting = f"{desired - available} of {desired} Pods to be available"
    return Standing(waiting, desired, updated, available)


def _stateful_set(workload: Object, _seen: Optional[Seen]) -> Standing:
    desired = _desired(workload)
    updated, ready = _status(workload, "updatedReplicas"), _status(workload, "readyReplicas")
    # of API servers before 1.22 there is no availableReplicas
    available = _status(workload, "availableReplicas", ready)
    partition = ((workload["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition") or 0
    waiting = ""
    if available < desired:
        waiting = f"{desired - available} of {desired} Pods to be available"
    elif not _is_updated_by_hand(workload) and not _is_of_one_revision(workload) and updated < desired - partition:
        waiting = f"{desired - partition - updated} of {desired - partition} Pods to be updated"
    return Standing(waiting, desired, updated, available)


_PREDICATES: dict[str, Callable[[Object, Optional[Seen]], Standing]] = {
    "Deployment": _deployment,
    "DaemonSet": _daemon_set,
    "StatefulSet": _stateful_set,
}


def _status(workload: Object, name: str, default: int = 0) -> int:
    value = (workload.get("status") or {}).get(name)
    return default if value is None else int(value)


def _desired(workload: Object) -> int:
    replicas = workload["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def _is_updated_by_hand(workload: Object) -> bool:
    return (workload["spec"].get("updateStrategy") or {}).get("type") == "OnDelete"


def _is_of_one_revision(workload: Object) -> bool:
    status = workload.get("status") or {}
    return bool(status.get("updateRevision")) and status.get("updateRevision") == status.get("currentRevision")


def _with_failure(waiting: str, workload: Object) -> str:
    """What a Deployment says itself of Pods that cannot be made: a quota, an admission policy, a missing account."""
    conditions = (workload.get("status") or {}).get("conditions") or ()
    said = [str(one.get("message", "")) for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True"]
    return f"{waiting} ({said[0]})" if waiting and said else waiting
