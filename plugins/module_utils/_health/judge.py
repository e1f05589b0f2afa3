# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of a cluster once, in parallel, and run all groups of checks; and check monitoring.

Lists that only explain problems are read if there are any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, Optional, Protocol

from .._alerts.receivers import HEART, REASONS, log_of, subject
from .._cluster.api import ClusterReader
from .._findings import Finding, LookedAt, Verdict, as_result_of_groups, state_of
from .._refusal import Refusal, Unavailable
from . import control_plane, workloads
from .control_plane import CLIENT, SERVER, end_of, has_expired
from .model import KUBE_SYSTEM, LISTS, PATHS, Object, Seen, Sight, Wanted, seconds

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


def first_look(groups: Collection[str], cluster: HealthReader) -> Sight:
    """Read whether the API server is healthy. Raises Refusal if it or etcd does not answer, unless a certificate has expired."""
    questions: dict[str, Callable[[], Any]] = {path: partial(cluster.health, path) for path in PATHS}
    if "certificates" in groups:
        questions |= {SERVER: cluster.serving_certificate, CLIENT: cluster.client_certificate}
    first = _answers(cluster, questions)
    ends = {name: end_of(first[name]) for name in (SERVER, CLIENT) if first.get(name) is not None}
    seen = Sight(cluster.now(), first, None, ends)
    if not has_expired(seen):
        for path in PATHS:
            _require_an_answer(first[path])
    return seen


def look(wanted: Wanted, cluster: HealthReader, first: Sight) -> Sight:
    """Read the lists of all groups. Not before the first look: without etcd each list takes a minute to fail."""
    kinds = {kind: named for group in wanted.groups for kind, named in LISTS[group].items()}
    questions: dict[str, Callable[[], Any]] = {kind: partial(_listed, cluster, named) for kind, named in kinds.items()}
    if "control_plane" in wanted.groups:
        questions[STORAGE] = partial(cluster.metric, STORAGE)
    if "monitoring" in wanted.groups:
        questions |= {key: partial(cluster.program, wanted.monitoring, *where) for key, where in QUESTIONS.items()}
    answers = _answers(cluster, questions)
    return replace(first, read={**first.read, **answers}, storage_bytes=answers.get(STORAGE))


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


# Monitoring: Prometheus stores samples, reaches its targets and evaluates rules, alerts arrive, and Loki and Grafana are ready

PROMETHEUS, LOKI, GRAFANA = "prometheus", "loki", "grafana"
# Prometheus scrapes every 30 s; a query sees samples of the last 5 minutes
OLDEST_SAMPLE = 150.0
_DOWN = "max_over_time(up[2m]) == 0 and count_over_time(up[2m]) > 2"
_AGE = "time() - max(timestamp(up))"
# The last evaluation that sees the event in the counters, which begin at 0 when Alertmanager starts. With a sample every 30 s, both see it
# as long.
_REQUESTS, _FAILED = "alertmanager_notification_requests_total", "alertmanager_notification_requests_failed_total"
_RECEIVERS = f"count by (receiver_name, integration) ({_REQUESTS})"
_GIVEN_UP = (
    "max by (receiver_name, integration, reason) "
    "(max_over_time(timestamp(increase(alertmanager_notifications_failed_total[2m]) > 0)[1d:30s]))"
)
_ARRIVED = (
    "max by (receiver_name, integration) "
    f"(max_over_time(timestamp({_REQUESTS} - {_FAILED} > {_REQUESTS} offset 90s - {_FAILED} offset 90s)[1d:30s]))"
)
# what is asked of each program, by its key in Sight.read. https://prometheus.io/docs/prometheus/latest/querying/api/
DOWN, AGE, RULES = "targets of Prometheus", "samples of Prometheus", "rules of Prometheus"
RECEIVERS, GIVEN_UP, ARRIVED = "receivers of alerts", "failed notifications", "delivered notifications"
QUESTIONS: dict[str, tuple[str, int, str, Mapping[str, str]]] = {
    DOWN: (PROMETHEUS, 9090, "/api/v1/query", {"query": _DOWN}),
    AGE: (PROMETHEUS, 9090, "/api/v1/query", {"query": _AGE}),
    RULES: (PROMETHEUS, 9090, "/api/v1/rules", {}),
    RECEIVERS: (PROMETHEUS, 9090, "/api/v1/query", {"query": _RECEIVERS}),
    GIVEN_UP: (PROMETHEUS, 9090, "/api/v1/query", {"query": _GIVEN_UP}),
    ARRIVED: (PROMETHEUS, 9090, "/api/v1/query", {"query": _ARRIVED}),
    LOKI: (LOKI, 3100, "/ready", {}),
    GRAFANA: (GRAFANA, 3000, "/api/health", {}),
}
UNWELL = "unwell"  # the key of an answer that is an error of the program
_SHOWN = 4


def monitoring_findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    answers: dict[str, Seen[Object]] = {key: seen.read[key] for key in QUESTIONS if seen.read.get(key)}
    known = {key: answer for key, answer in answers.items() if not isinstance(answer, Refusal) and UNWELL not in answer}
    ill = {QUESTIONS[key][0]: answer for key, answer in reversed(answers.items()) if key not in known}
    for program, answer in ill.items():
        yield _unanswered(wanted, program, answer)
    if AGE in known:
        yield from _samples(wanted, known[AGE])
    absent = wanted.asleep | frozenset(seen.silent_nodes(wanted.awake))
    down = _down(known.get(DOWN), absent)
    for job, targets in down.items():
        found, expected = f"{_some(targets)} did not answer for 2 minutes", "an answer from each target on a host that is awake"
        fix = "Prometheus' page /targets shows the error: no connection (the program, a firewall, a NetworkPolicy), or a denied request."
        yield Finding("targets_answer", "warning", f"Prometheus job {job}", found, expected, fix)
    for name, rule in _rules(known.get(RULES)):
        if rule.get("health") == "err":
            fix = "Correct its expression: Prometheus' page /rules shows it. Rules of your own are in monitoring_extra_rules."
            found = f"cannot be evaluated: {rule.get('lastError')}"
            yield Finding("rules_are_evaluated", "warning", f"Prometheus rule {name}", found, "a rule without an error", fix)
        # these targets are reported above
        firing = [one for one in rule.get("alerts") or () if one.get("state") == "firing" and _is_awake(one.get("labels"), absent)]
        is_reported = down if name == "TargetDown" else name == "AlertsNotDelivered"
        if firing and not is_reported and not _is_a_fact(rule):
            yield _of_alert(name, firing)
    yield from _deliveries(wanted, known)


def _monitoring_looked_at(seen: Sight) -> str:
    if not seen.read.get(AGE):
        return "not installed"
    answer: Seen[Object] = seen.read.get(RULES) or {}
    rules = 0 if isinstance(answer, Refusal) else sum(1 for _rule in _rules(answer))
    receivers = sorted({name for name, _integration in _latest(seen.read.get(RECEIVERS))} - {HEART})
    alerts = f"; alerts go to {', '.join(receivers)}" if receivers else ""
    return f"Prometheus stores samples and evaluates {rules} rules; Loki and Grafana are ready{alerts}"


def _unanswered(wanted: Wanted, program: str, answer: Seen[Object]) -> Finding:
    subject = f"Service {wanted.monitoring}/{program}"
    if isinstance(answer, Refusal):
        look = f"See its Pods: `kubectl --namespace {wanted.monitoring} get pods --selector app.kubernetes.io/name={program}`."
        fix = look if isinstance(answer, Unavailable) else answer.next_step
        return Finding("monitoring_is_known", "unknown", subject, answer.found, answer.required, fix)
    fix = f"See its log: `kubectl --namespace {wanted.monitoring} logs --selector app.kubernetes.io/name={program}`."
    return Finding("monitoring_works", "error", subject, answer[UNWELL], "HTTP status 200", fix)


def _samples(wanted: Wanted, answer: Mapping[str, Any]) -> Iterator[Finding]:
    age = max((float(one["value"][1]) for one in _result(answer)), default=float("inf"))
    if age > OLDEST_SAMPLE:
        found = "no sample of the last 5 minutes" if age == float("inf") else f"the last sample is {seconds(age)} old"
        fix = (
            f"See its log: `kubectl --namespace {wanted.monitoring} logs --selector app.kubernetes.io/name=prometheus`. "
            "If its volume is full or read-only, correct that: `df` and `mount` on its host show it."
        )
        yield Finding("samples_are_stored", "error", "Prometheus", found, "a sample every 30 s", fix)


def _down(answer: Optional[Mapping[str, Any]], absent: frozenset[str]) -> dict[str, list[str]]:
    """Return the targets that are down, by job. Those of hosts that are asleep, or silent as a whole, are left out."""
    found: dict[str, list[str]] = defaultdict(list)
    for one in _result(answer or {}):
        labels = one["metric"]
        if _is_awake(labels, absent):
            found[labels.get("job", "")].append(labels.get("node") or labels.get("instance", ""))
    return dict(sorted(found.items()))


def _is_awake(labels: Optional[Mapping[str, str]], absent: frozenset[str]) -> bool:
    return str((labels or {}).get("node", "")).lower() not in absent


def _rules(answer: Optional[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for group in ((answer or {}).get("data") or {}).get("groups") or ():
        yield from ((str(rule.get("name")), rule) for rule in group.get("rules") or ())


def _of_alert(name: str, firing: Sequence[Mapping[str, Any]]) -> Finding:
    summaries = list(dict.fromkeys(str((one.get("annotations") or {}).get("summary") or one.get("labels")) for one in firing))
    fix = str((firing[0].get("annotations") or {}).get("description") or "See Prometheus' page /alerts.")
    return Finding("no_alert_fires", "warning", f"alert {name}", _some(summaries), "no alert", " ".join(fix.split()))


def _is_a_fact(rule: Mapping[str, Any]) -> bool:
    """Return whether an alert is no problem, such as Watchdog and HostAsleep."""
    return (rule.get("labels") or {}).get("severity") == "none"


def _deliveries(wanted: Wanted, known: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    """Report each receiver whose last notification failed."""
    failed, arrived, receivers = (_latest(known.get(key)) for key in (GIVEN_UP, ARRIVED, RECEIVERS))
    for key, (failed_at, reason) in sorted(failed.items()):
        if key in receivers and failed_at > arrived.get(key, (0.0, ""))[0]:
            found = f"the last notification failed: {REASONS.get(reason, REASONS['other'])}"
            expected = "a notification that arrives"
            yield Finding("last_alert_was_delivered", "warning", subject(*key), found, expected, log_of(wanted.monitoring))


def _latest(answer: object) -> dict[tuple[str, str], tuple[float, str]]:
    """Return the last time of each receiver, and the reason then."""
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for one in _result(answer) if isinstance(answer, Mapping) else ():
        labels = one["metric"]
        key = (str(labels.get("receiver_name", "")), str(labels.get("integration", "")))
        found[key] = max((float(one["value"][1]), str(labels.get("reason", ""))), found.get(key, (0.0, "")))
    return found


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


def _result(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (answer.get("data") or {}).get("result") or ()


# The checks

_JUDGES: dict[str, Callable[[Wanted, Sight], Iterable[Finding]]] = {
    "control_plane": control_plane.control_plane_findings,
    "workloads": workloads.workload_findings,
    "storage": workloads.volume_findings,
    "api": control_plane.api_findings,
    "certificates": control_plane.certificate_findings,
    "monitoring": monitoring_findings,
}

_SUBJECTS = {"control_plane": "control plane", "api": "Kubernetes API"}


@dataclass(frozen=True)
class Outcome:
    """The findings of each group, and what was checked."""

    findings: Mapping[str, Sequence[Finding]]
    looked_at: Mapping[str, str]


def check(wanted: Wanted, cluster: HealthReader, first: Optional[Sight] = None) -> Outcome:
    """first: the first look, if there was one."""
    seen = first or first_look(wanted.groups, cluster)
    if has_expired(seen):
        # nothing else could be read; these findings explain why
        return Outcome(
            {"certificates": list(control_plane.certificate_findings(wanted, seen))},
            {"certificates": _looked_at("certificates", seen, is_well=False)},
        )
    seen = look(wanted, cluster, seen)
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
    reported: set[str] = set()
    for group, findings in found.items():
        findings += [one for one in _unread(group, seen) if one.subject not in reported]
        reported |= {one.subject for one in findings}
    return Outcome(found, {group: _looked_at(group, seen, state_of(found[group]) == "ok") for group in found})


def _unexplained(of_monitoring: Iterable[Finding], of_workloads: Iterable[Finding]) -> list[Finding]:
    """Leave out programs that do not answer because their workload does not run."""
    ill = {one.subject.partition(" ")[2] for one in of_workloads}
    return [one for one in of_monitoring if not (one.rule.startswith("monitoring_") and one.subject.partition(" ")[2] in ill)]


def verdicts(outcome: Outcome) -> dict[str, Verdict]:
    """Return the verdict of each group that was checked."""
    return {
        group: Verdict(found, [LookedAt(_SUBJECTS.get(group, group), outcome.looked_at[group], state_of(found))])
        for group, found in outcome.findings.items()
    }


def as_data(outcome: Outcome) -> dict[str, Any]:
    """Return the module's result."""
    return as_result_of_groups(verdicts(outcome))


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
        return _monitoring_looked_at(seen) if is_well else "installed"
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
