# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is read first, as tables: nodes, Pods, events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import Object
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.pods import Pod


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as what stands in them; the last one as it comes."""
    lines = [[str(cell).replace("\n", " ") or "-" for cell in row] for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) - 1)]
    return "".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]) + "\n" for line in lines)


def pods_table(pods: Iterable[Pod]) -> str:
    rows = [
        (
            pod.namespace,
            pod.name,
            f"{sum(one.ready for one in pod.containers)}/{sum(one.ready or not one.is_done for one in pod.containers)}",
            pod.phase,
            sum(one.restarts for one in pod.containers),
            pod.node,
            pod.address,
            pod.created,
            ", ".join(f"{one.name}: {one.state}" for one in pod.containers if pod.is_troubled(one)),
        )
        for pod in pods
    ]
    return table(("namespace", "pod", "ready", "phase", "restarts", "node", "address", "created", "containers that are not well"), rows)


NODE_HEADS = ("node", "ready", "since", "schedulable", "version", "addresses", "conditions and taints")


def ready_condition(node: Object) -> Object:
    conditions = (node.get("status") or {}).get("conditions") or ()
    found: Object = next((one for one in conditions if one.get("type") == "Ready"), {})
    return found


def node_row(node: Object) -> tuple[object, ...]:
    spec, status, ready = node.get("spec") or {}, node.get("status") or {}, ready_condition(node)
    # of the other conditions False is the good news
    against = [
        f"{one.get('type')}: {one.get('status')}"
        for one in status.get("conditions") or ()
        if one.get("type") != "Ready" and one.get("status") != "False"
    ]
    taints = [f"{taint.get('key')}:{taint.get('effect')}" for taint in spec.get("taints") or ()]
    return (
        node["metadata"]["name"],
        f"{ready.get('status', 'Unknown')} ({ready.get('reason', '')})",
        ready.get("lastTransitionTime", ""),
        "no" if spec.get("unschedulable") else "yes",
        (status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        " ".join(one.get("address", "") for one in status.get("addresses") or ()),
        ", ".join([*against, *taints]),
    )


def event_time(event: Object) -> str:
    """When it was last seen. As text it sorts as it does as time."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def events_table(events: Iterable[Object]) -> str:
    rows = [
        (
            event_time(event),
            event.get("type") or "",
            (event.get("series") or {}).get("count") or event.get("count") or 1,
            event.get("reason") or "",
            _object(event.get("involvedObject") or {}),
            event.get("message") or "",
        )
        for event in events
    ]
    return table(("last seen", "type", "times", "reason", "object", "message"), rows)


def _object(reference: Object) -> str:
    within = f"{reference['namespace']}/" if reference.get("namespace") else ""
    return f"{reference.get('kind', '')} {within}{reference.get('name', '')}"
