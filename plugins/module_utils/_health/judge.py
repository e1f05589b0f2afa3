# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run all groups of checks: return their findings, and what was checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._findings import Finding, LookedAt, as_dicts, as_result, state_of
from .._refusal import Refusal
from . import api, certificates, control_plane, monitoring, storage, workloads
from .look import PATHS, HealthReader, look, more
from .model import KUBE_SYSTEM, LISTS, Sight, Wanted

_JUDGES: dict[str, Callable[[Wanted, Sight], Iterable[Finding]]] = {
    "control_plane": control_plane.findings,
    "workloads": workloads.findings,
    "storage": storage.findings,
    "api": api.findings,
    "certificates": certificates.findings,
    "monitoring": monitoring.findings,
}

_SUBJECTS = {"control_plane": "control plane", "api": "Kubernetes API"}


@dataclass(frozen=True)
class Outcome:
    """The findings of each group, and what was checked."""

    findings: Mapping[str, Sequence[Finding]]
    looked_at: Mapping[str, str]


def check(wanted: Wanted, cluster: HealthReader) -> Outcome:
    seen = look(wanted, cluster)
    if certificates.has_expired(seen):
        # nothing else could be read; these findings explain why
        return Outcome(
            {"certificates": list(certificates.findings(wanted, seen))}, {"certificates": _looked_at("certificates", seen, is_well=False)}
        )
    found = {group: list(_JUDGES[group](wanted, seen)) for group in wanted.groups}
    if "api" in found and api.needs_services(seen):
        seen = more(seen, cluster, api.BEHIND_WEBHOOKS)
        found["api"] = list(api.findings(wanted, seen))
    unwell = [group for group in ("workloads", "storage") if not workloads.is_calm(found.get(group, ()))]
    if unwell:
        seen = more(seen, cluster, workloads.EXPLAINING)
        found.update({group: list(_JUDGES[group](wanted, seen)) for group in unwell})
    if "monitoring" in found:
        found["monitoring"] = _unexplained(found["monitoring"], found.get("workloads", ()))
    told: set[str] = set()
    for group, findings in found.items():
        findings += [one for one in _unread(group, seen) if one.subject not in told]
        told |= {one.subject for one in findings}
    return Outcome(found, {group: _looked_at(group, seen, state_of(found[group]) == "ok") for group in found})


def _unexplained(of_monitoring: Iterable[Finding], of_workloads: Iterable[Finding]) -> list[Finding]:
    """Leave out programs that do not answer because their workload does not run."""
    ill = {one.subject.partition(" ")[2] for one in of_workloads}
    return [one for one in of_monitoring if not (one.rule.startswith("monitoring_") and one.subject.partition(" ")[2] in ill)]


def as_data(outcome: Outcome) -> dict[str, Any]:
    """Return the module's result."""
    findings = [{"group": group, **one} for group, several in outcome.findings.items() for one in as_dicts(several)]
    looked_at = [
        LookedAt(_SUBJECTS.get(group, group), facts, state_of(outcome.findings[group]), group=group)
        for group, facts in outcome.looked_at.items()
    ]
    return {**as_result((), looked_at), "findings": findings}


def _looked_at(group: str, seen: Sight, is_well: bool) -> str:
    """Return what was seen. What holds only without findings is left out if there are some."""
    counts = {kind: len(seen.all(kind)) for kind in LISTS[group]}
    if group == "control_plane":
        return _of_control_plane(seen, counts["Pod"], is_well)
    if group == "workloads":
        return f"{sum(counts[kind] for kind in (*workloads.KINDS, 'Job'))} workloads and {counts['Pod']} Pods"
    if group == "storage":
        return storage.looked_at(seen)
    if group == "api":
        hooks = sum(counts[kind] for kind in api.WEBHOOKS)
        return f"{hooks} webhook configurations, {counts['APIService']} API services and {counts['Namespace']} namespaces"
    if group == "monitoring":
        return monitoring.looked_at(seen) if is_well else "installed"
    return "valid until " + ", ".join(f"{end:%Y-%m-%d} ({name})" for name, end in seen.certificates.items() if not isinstance(end, Refusal))


def _of_control_plane(seen: Sight, pods: int, is_well: bool) -> str:
    size = [f"etcd {seen.storage_bytes / 1024**2:.0f} MiB"] if isinstance(seen.storage_bytes, float) else []
    if not is_well:
        return "; ".join([*size, f"{pods} Pods"])
    outside = control_plane.run_outside_pods(seen)
    renewed = all((KUBE_SYSTEM, one) in seen.leases for one in control_plane.LEADERS)
    parts = ["API server ready", *size, *(["scheduler and controller manager renew their Leases"] if renewed else [])]
    parts += [f"no Pods of {', '.join(outside)}, which run outside of Kubernetes and are not checked further"] if outside else []
    return "; ".join(parts)


def _unread(group: str, seen: Sight) -> Iterator[Finding]:
    for asked in (*(PATHS if group == "control_plane" else ()), *LISTS[group]):
        answer = seen.read.get(asked)
        if isinstance(answer, Refusal):
            yield Finding(f"{group}_can_be_read", "unknown", answer.subject, answer.found, answer.required, answer.next_step)
