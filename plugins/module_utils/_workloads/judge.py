# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings about what workloads need of a cluster, and the result as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import Verdict
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import judge as judge_node
from ansible_collections.vmstation.cluster.plugins.module_utils._workloads.model import PlannedService, Request, Sight


def judge(request: Request, seen: Sight) -> list[Finding]:
    """Every finding: Services, nodes, StorageClasses, then what is unknown."""
    found = [*_of_services(request, seen), *_of_nodes(request, seen), *_of_storage_classes(request, seen)]
    for refusal in seen.unknown:
        found.append(Finding("cluster_can_be_read", "warning", refusal.subject, refusal.found, refusal.required, refusal.next_step))
    return found


def as_data(request: Request, seen: Sight) -> dict[str, Any]:
    return {
        "services": [
            {"namespace": one.namespace, "name": one.name, "node_port": one.node_port, "taken_by": _taken_by(one, seen)}
            for one in request.services
        ],
        "nodes": [
            {
                "name": one.name,
                "exists": one.name in seen.nodes,
                "ready": one.ready,
                "schedulable": one.schedulable,
                "asleep": one.is_asleep,
            }
            for one in _verdicts(request, seen)
        ],
    }


def _of_services(request: Request, seen: Sight) -> Iterator[Finding]:
    for planned in request.services:
        holder = _taken_by(planned, seen)
        if holder:
            namespace, _slash, name = holder.partition("/")
            yield Finding(
                "node_ports_are_free",
                "error",
                str(planned),
                f"NodePort {planned.node_port} is taken by Service {holder}",
                f"NodePort {planned.node_port} for itself",
                f"Give one of the two another NodePort: the planned one in network_plan.services, the other with "
                f"`kubectl edit service -n {namespace} {name}`.",
            )


def _of_nodes(request: Request, seen: Sight) -> Iterator[Finding]:
    if not seen.nodes_are_known:
        return
    there = ", ".join(sorted(seen.nodes)) or "none"
    for verdict in _verdicts(request, seen):
        subject = f"node {verdict.name}"
        if verdict.name not in seen.nodes:
            fix = "Correct the host's name, or let it join: the role worker does."
            yield Finding("nodes_exist", "error", subject, f"no node of this name; there are: {there}", "a node of the cluster", fix)
        elif not verdict.ready and not verdict.is_asleep:
            yield Finding("nodes_take_pods", "error", subject, verdict.reason, "ready, or known to be asleep", verdict.fix)
        elif not verdict.schedulable and not verdict.is_asleep:
            fix = f"Let it take Pods again: `kubectl uncordon {verdict.name}`."
            yield Finding("nodes_take_pods", "error", subject, "cordoned: it takes no new Pods", "a node that takes Pods", fix)


def _of_storage_classes(request: Request, seen: Sight) -> Iterator[Finding]:
    if not seen.storage_classes_are_known:
        return
    there = ", ".join(sorted(seen.storage_classes)) or "none"
    for name in sorted({*request.storage_classes} - {*seen.storage_classes}):
        fix = "Install what brings it, correct its name, or leave it empty for directories of the host."
        yield Finding("storage_classes_exist", "error", f"StorageClass {name}", f"none of this name; there are: {there}", "to exist", fix)


def _verdicts(request: Request, seen: Sight) -> list[Verdict]:
    return [judge_node(name, seen.nodes.get(name), name in request.asleep) for name in request.nodes]


def _taken_by(planned: PlannedService, seen: Sight) -> str:
    """The other Service that has the NodePort, as namespace/name; empty if none has."""
    holder = seen.holders.get(planned.node_port, (planned.namespace, planned.name))
    return "" if holder == (planned.namespace, planned.name) else "/".join(holder)
