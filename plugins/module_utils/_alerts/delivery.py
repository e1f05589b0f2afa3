# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a test alert through Alertmanager, and read from its counters whether each receiver got it.

https://prometheus.io/docs/alerting/latest/management_api/ and Alertmanager's own metrics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, Protocol

from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal
from .._waiting import Clock, look_until
from .receivers import HEART

ALERT = "TestAlert"
PAUSE = 2.0
# it ends by itself if nothing ends it
LONGEST = timedelta(minutes=10)
# what Alertmanager's label `reason` means
REASONS = {
    "clientError": "the receiver rejected it (HTTP status 4xx): its URL, topic or chat may be wrong",
    "authError": "the receiver rejected the token, or the user name and password",
    "rateLimited": "the receiver takes no more messages for now (HTTP status 429)",
    "serverError": "the receiver failed (HTTP status 5xx)",
    "contextDeadlineExceeded": "the receiver did not answer in time",
    "contextCanceled": "Alertmanager was restarted meanwhile",
    "fileReadError": "Alertmanager cannot read the file of a secret",
    "other": "the receiver cannot be reached, or did not accept it: its name, port or certificate may be wrong",
}
_LINE = re.compile(r"^(alertmanager_notification\w+_total)\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Key = tuple[str, str]  # receiver, integration


class Alertmanager(Protocol):
    """Access to an Alertmanager; tests pass a fake."""

    def metrics(self) -> str:
        """Its metrics, as text."""

    def send(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        """Alerts, as Prometheus sends them."""


@dataclass(frozen=True)
class Count:
    """Requests to a receiver, and how many of them failed. given_up: notifications that it retries no more, by reason."""

    requests: float = 0
    failed: float = 0
    given_up: Mapping[str, float] = field(default_factory=dict)

    @property
    def delivered(self) -> float:
        return self.requests - self.failed


@dataclass(frozen=True)
class Delivery:
    """The test alert at one receiver. reason: Alertmanager's, if it no longer tries to send it."""

    receiver: str
    integration: str
    delivered: bool
    failed: int = 0
    reason: str = ""

    @property
    def is_decided(self) -> bool:
        return self.delivered or bool(self.reason)


def counts(metrics: str) -> dict[Key, Count]:
    """Return the counters of each receiver, without the dead man's switch, which gets no other alert."""
    numbers: dict[Key, dict[str, float]] = {}
    reasons: dict[Key, dict[str, float]] = {}
    for name, text, value in _LINE.findall(metrics):
        labels = dict(_LABEL.findall(text))
        key = (labels.get("receiver_name", ""), labels.get("integration", ""))
        if not all(key) or key[0] == HEART:
            continue
        if name == "alertmanager_notifications_failed_total":
            reasons.setdefault(key, {})[labels.get("reason", "")] = float(value)
        else:
            numbers.setdefault(key, {})[name] = float(value)
    total, failed = "alertmanager_notification_requests_total", "alertmanager_notification_requests_failed_total"
    return {key: Count(found.get(total, 0), found.get(failed, 0), reasons.get(key, {})) for key, found in sorted(numbers.items())}


def deliver(alertmanager: Alertmanager, now: datetime, clock: Clock, seconds: float) -> list[Delivery]:
    """Send a test alert, and wait until each receiver has it or has rejected it. It ends with the wait."""
    before = counts(alertmanager.metrics())
    if not before:
        raise Refusal(
            "Alertmanager", "no receiver of alerts", "one or more", "Set monitoring_alert_receivers, and run the role monitoring."
        )
    alert = _alert(now)
    alertmanager.send([alert])
    try:
        return look_until(
            lambda: _since(before, counts(alertmanager.metrics())),
            lambda seen: all(one.is_decided for one in seen),
            clock,
            seconds,
            PAUSE,
        )
    finally:
        alertmanager.send([{**alert, "endsAt": alert["startsAt"]}])


def _alert(now: datetime) -> dict[str, Any]:
    # in a group of its own: for 12 hours, Alertmanager does not repeat the notification of a group
    labels = {"alertname": ALERT, "severity": "critical", "test": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    told = {"summary": "This is a test. Alerts of the cluster arrive here.", "description": "There is nothing to do."}
    return {"labels": labels, "annotations": told, "startsAt": _moment(now), "endsAt": _moment(now + LONGEST)}


def _moment(when: datetime) -> str:
    return f"{when.astimezone(timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


def _since(before: Mapping[Key, Count], after: Mapping[Key, Count]) -> list[Delivery]:
    return [
        Delivery(
            *key,
            after.get(key, was).delivered > was.delivered,
            max(0, round(after.get(key, was).failed - was.failed)),
            _more(was.given_up, after.get(key, was).given_up) or "",
        )
        for key, was in before.items()
    ]


def _more(before: Mapping[str, float], after: Mapping[str, float]) -> Optional[str]:
    return next((reason for reason, value in sorted(after.items()) if value > before.get(reason, 0)), None)


# Findings


def findings(deliveries: Iterable[Delivery], namespace: str, seconds: float) -> Iterator[Finding]:
    for one in deliveries:
        if one.delivered:
            continue
        if one.failed or one.reason:
            attempts = f"{one.failed} failed attempt{'s' if one.failed != 1 else ''}"
            found = f"{attempts}: {REASONS.get(one.reason, REASONS['other'])}"
            fix = log_of(namespace)
        else:
            found = f"no attempt within {seconds:g} s"
            query = "amtool --alertmanager.url=http://127.0.0.1:9093 silence query"
            fix = f"A silence may hold it back: `kubectl --namespace {namespace} exec deployment/alertmanager -- {query}`."
        expected = "the test alert is delivered"
        yield Finding("alerts_are_delivered", "error", subject(one.receiver, one.integration), found, expected, fix)


def looked_at(deliveries: Iterable[Delivery], found: Sequence[Finding]) -> list[LookedAt]:
    return [
        LookedAt(
            told := subject(one.receiver, one.integration),
            "has the test alert" if one.delivered else "does not have the test alert",
            state_of(finding for finding in found if finding.subject == told),
        )
        for one in deliveries
    ]


def subject(receiver: str, integration: str) -> str:
    return f"receiver {receiver} ({integration})"


def log_of(namespace: str) -> str:
    """Return the next step that shows the error itself."""
    look = f"`kubectl --namespace {namespace} logs deployment/alertmanager` shows the error."
    again = "run the role monitoring, wait two minutes, and run `playbooks/test_alert.yml`"
    # kubelet refreshes the files of a Secret after a minute or two
    return f"{look} Correct the receiver in monitoring_alert_receivers, {again}."
