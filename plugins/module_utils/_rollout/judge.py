# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings of a wait, and its result as plain data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.model import Report

RULE = "workloads_are_rolled_out"
SHOWN_PODS = 5


def findings(reports: Iterable[Report], seconds: float) -> list[Finding]:
    """One for each workload that is not rolled out."""
    return [_finding(report, seconds) for report in reports if not report.standing.is_rolled_out]


def as_data(reports: Iterable[Report]) -> list[dict[str, Any]]:
    return [
        {
            **asdict(report.workload),
            "rolled_out": report.standing.is_rolled_out,
            "waiting_for": report.standing.waiting_for,
            "desired": report.standing.desired,
            "updated": report.standing.updated,
            "available": report.standing.available,
            "pods": [asdict(one) for one in report.stuck],
            "events": list(report.events),
        }
        for report in reports
    ]


def _finding(report: Report, seconds: float) -> Finding:
    waited = f"after {seconds:.0f} s still waiting for" if seconds >= 1 else "waiting for"
    parts = [f"{waited} {report.standing.waiting_for}"]
    for one in report.stuck[:SHOWN_PODS]:
        parts.append(f"Pod {one.name} on {one.node or 'no node'}: {one.state}")
    if len(report.stuck) > SHOWN_PODS:
        parts.append(f"and {len(report.stuck) - SHOWN_PODS} Pods more")
    if report.events:
        parts.append(f"last events: {' | '.join(report.events)}")
    workload = report.workload
    fallback = f"See `kubectl --namespace {workload.namespace} describe {workload.kind.lower()} {workload.name}`."
    if not report.exists:
        fallback = f"Create it, or correct its name: `kubectl get {workload.kind.lower()} --all-namespaces` lists what there is."
    return Finding(
        rule=RULE,
        severity="error",
        subject=str(workload),
        found="; ".join(parts),
        expected="rolled out" + (f", {report.standing.desired} Pods available" if report.standing.desired else ""),
        fix=report.stuck[0].next_step if report.stuck else fallback,
    )
