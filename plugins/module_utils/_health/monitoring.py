# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check monitoring: Prometheus stores samples, reaches its targets and evaluates rules, alerts arrive, and Loki and Grafana are ready."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from .._alerts.receivers import HEART, REASONS, log_of, subject
from .._findings import Finding
from .._refusal import Refusal, Unavailable
from .model import Object, Seen, Sight, Wanted, seconds

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


def findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
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
        told = down if name == "TargetDown" else name == "AlertsNotDelivered"
        if firing and not told and not _is_a_fact(rule):
            yield _of_alert(name, firing)
    yield from _deliveries(wanted, known)


def looked_at(seen: Sight) -> str:
    if not seen.read.get(AGE):
        return "not installed"
    told: Seen[Object] = seen.read.get(RULES) or {}
    rules = 0 if isinstance(told, Refusal) else sum(1 for _rule in _rules(told))
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
    told = list(dict.fromkeys(str((one.get("annotations") or {}).get("summary") or one.get("labels")) for one in firing))
    fix = str((firing[0].get("annotations") or {}).get("description") or "See Prometheus' page /alerts.")
    return Finding("no_alert_fires", "warning", f"alert {name}", _some(told), "no alert", " ".join(fix.split()))


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
