# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of a cluster once, in parallel, and run all groups of checks.

Lists that only explain problems are read if there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Optional, Protocol

from .._cluster.api import ClusterReader
from .._findings import Finding, LookedAt, as_dicts, as_result, state_of
from .._refusal import Refusal, Unavailable
from . import control_plane, monitoring, workloads
from .control_plane import CLIENT, SERVER, end_of, has_expired
from .model import KUBE_SYSTEM, LISTS, PATHS, Object, Seen, Sight, Wanted

STORAGE = "apiserver_storage_size_bytes"
_MIRRORED = "tier"  # the label of the control plane's static Pods, whose commands are read


class HealthReader(ClusterReader, Protocol):
    """Access to the cluster; tests pass a fake."""

    def health(self, path: str) -> str:
        """The API server's health report, also if it is not healthy."""

    def metric(self, name: str) -> Optional[float]:
        """The largest value of a metric of the API server; None without one."""

    def program(self, namespace: str, service: str, port: int, path: str, query: Mapping[str, str]) -> Optional[Object]:
        """The answer of the program behind a Service, through the API server; None if there is no such Service."""

    def serving_certificate(self) -> bytes:
        """The API server's certificate as DER, even if it has expired."""

    def client_certificate(self) -> Optional[bytes]:
        """The kubeconfig's client certificate as DER; None without one."""

    def at_once(self, questions: Sequence[Callable[[], Any]]) -> Sequence[Any]:
        """The answers to all questions, or a Refusal for each failed one."""

    def now(self) -> datetime:
        """The API server's time."""


def look(wanted: Wanted, cluster: HealthReader) -> Sight:
    """Read the state of the cluster. Raises Refusal if the API server or etcd does not answer, unless a certificate has expired."""
    questions: dict[str, Callable[[], Any]] = {path: partial(cluster.health, path) for path in PATHS}
    if "certificates" in wanted.groups:
        questions |= {SERVER: cluster.serving_certificate, CLIENT: cluster.client_certificate}
    first = _answers(cluster, questions)
    ends = {name: end_of(first[name]) for name in (SERVER, CLIENT) if first.get(name) is not None}
    seen = Sight(cluster.now(), first, None, ends)
    if has_expired(seen):
        return seen
    for path in PATHS:
        _require_an_answer(first[path])
    # read nothing else before: without etcd each list takes a minute to fail
    kinds = {kind: named for group in wanted.groups for kind, named in LISTS[group].items()}
    questions = {kind: partial(_listed, cluster, named) for kind, named in kinds.items()}
    if "control_plane" in wanted.groups:
        questions[STORAGE] = partial(cluster.metric, STORAGE)
    if "monitoring" in wanted.groups:
        questions |= {key: partial(cluster.program, wanted.monitoring, *where) for key, where in monitoring.QUESTIONS.items()}
    answers = _answers(cluster, questions)
    return replace(seen, read={**first, **answers}, storage_bytes=answers.get(STORAGE))


def _require_an_answer(health: Seen[str]) -> None:
    if isinstance(health, Refusal):
        # without permission for the health report, lists may still be readable
        if "HTTP status 403" not in health.found:
            raise health
    elif "[-]etcd" in health:
        fix = "On the control plane, see `crictl logs` of etcd's container, and whether its disk is full: `df /var/lib/etcd`."
        raise Unavailable("etcd", "the API server's check `etcd` fails, so it cannot read or write", "an etcd that answers", fix)


def more(seen: Sight, cluster: HealthReader, kinds: Mapping[str, tuple[str, str]]) -> Sight:
    """Read further lists."""
    asked = _answers(cluster, {kind: partial(_listed, cluster, named) for kind, named in kinds.items()})
    return replace(seen, read={**seen.read, **asked})


def _answers(cluster: HealthReader, questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    return dict(zip(questions, cluster.at_once(list(questions.values()))))


def _listed(cluster: HealthReader, kind: tuple[str, str]) -> Sequence[Object]:
    # a warning event explains what is stuck
    selector = "type=Warning" if kind[1] == "Event" else ""
    found = cluster.items(*kind, field_selector=selector)
    return [_of_interest(one) for one in found] if kind[1] == "Pod" else list(found)


def _of_interest(pod: Object) -> Object:
    """Return a Pod without its large, unused parts."""
    spec = pod["spec"]
    kept = {"nodeName": spec.get("nodeName"), "volumes": [one for one in spec.get("volumes") or () if "persistentVolumeClaim" in one]}
    if _MIRRORED in (pod["metadata"].get("labels") or {}):
        kept["containers"] = [{key: one.get(key) for key in ("command", "args")} for one in spec.get("containers") or ()]
    metadata = {key: value for key, value in pod["metadata"].items() if key not in {"managedFields", "annotations"}}
    return {"metadata": metadata, "spec": kept, "status": pod.get("status") or {}}


# The checks

_JUDGES: dict[str, Callable[[Wanted, Sight], Iterable[Finding]]] = {
    "control_plane": control_plane.control_plane_findings,
    "workloads": workloads.workload_findings,
    "storage": workloads.volume_findings,
    "api": control_plane.api_findings,
    "certificates": control_plane.certificate_findings,
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
    if has_expired(seen):
        # nothing else could be read; these findings explain why
        return Outcome(
            {"certificates": list(control_plane.certificate_findings(wanted, seen))},
            {"certificates": _looked_at("certificates", seen, is_well=False)},
        )
    found = {group: list(_JUDGES[group](wanted, seen)) for group in wanted.groups}
    if "api" in found and control_plane.needs_services(seen):
        seen = more(seen, cluster, control_plane.BEHIND_WEBHOOKS)
        found["api"] = list(control_plane.api_findings(wanted, seen))
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
        return workloads.volumes_looked_at(seen)
    if group == "api":
        hooks = sum(counts[kind] for kind in control_plane.WEBHOOKS)
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
