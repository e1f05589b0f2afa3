# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A test alert: what Alertmanager's counters say about its delivery. The counters are those that release 0.35 serves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import Delivery, deliver, findings, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.clock import Clock

NOW = datetime(2026, 11, 30, 10, 0, tzinfo=timezone.utc)


def metrics(**receivers: tuple[int, int, int]) -> str:
    """By receiver: its requests, how many of them failed, and how many notifications were given up because the client was at fault."""
    lines = ["# HELP alertmanager_notifications_total The total number of attempted notifications.", "go_goroutines 40"]
    for name, (requests, failed, given_up) in receivers.items():
        labels = f'integration="webhook",receiver_name="{name}"'
        lines += [
            f"alertmanager_notification_requests_total{{{labels}}} {requests}",
            f"alertmanager_notification_requests_failed_total{{{labels}}} {failed}",
            f'alertmanager_notifications_failed_total{{{labels},reason="clientError"}} {given_up}',
            f'alertmanager_notifications_failed_total{{{labels},reason="other"}} 0',
        ]
    return "\n".join(lines) + "\n"


class Alertmanager:
    """Serves one text after the other, and the last one from then on."""

    def __init__(self, *texts: str) -> None:
        self.texts = list(texts)
        self.sent: list[Mapping[str, Any]] = []

    def metrics(self) -> str:
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]

    def send(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        self.sent += alerts


def test_a_delivered_alert_ends_the_wait_and_is_ended() -> None:
    alertmanager = Alertmanager(*[metrics(phone=(4, 1, 1))] * 3, metrics(phone=(5, 1, 1)))
    clock = Clock()
    assert deliver(alertmanager, NOW, clock, 60) == [Delivery("phone", "webhook", True)]
    assert clock.time < 110
    began, ended = alertmanager.sent
    assert began["labels"] == ended["labels"] == {"alertname": "TestAlert", "severity": "critical", "test": "2026-11-30T10:00:00Z"}
    assert began["endsAt"] > began["startsAt"] == ended["endsAt"]


def test_a_receiver_that_rejects_it_is_not_waited_for() -> None:
    alertmanager = Alertmanager(metrics(mail=(0, 0, 0), phone=(0, 0, 0)), metrics(mail=(1, 0, 0), phone=(1, 1, 1)))
    clock = Clock()
    told = deliver(alertmanager, NOW, clock, 60)
    assert told == [Delivery("mail", "webhook", True), Delivery("phone", "webhook", False, 1, "clientError")]
    assert clock.time == 100
    [finding] = findings(told, "watch", 60)
    assert (finding.severity, finding.subject) == ("error", "receiver phone (webhook)")
    assert finding.found.startswith("1 failed attempt: the receiver rejected it (HTTP status 4xx)")
    assert "`kubectl --namespace watch logs deployment/alertmanager`" in finding.fix
    assert "run the role monitoring, wait two minutes, and run `playbooks/test_alert.yml`." in finding.fix
    assert [(one.subject, one.state) for one in looked_at(told, [finding])] == [
        ("receiver mail (webhook)", "ok"),
        ("receiver phone (webhook)", "error"),
    ]


def test_a_receiver_that_is_tried_again_is_waited_for_and_then_named() -> None:
    alertmanager = Alertmanager(metrics(phone=(0, 0, 0)), metrics(phone=(3, 3, 0)))
    clock = Clock()
    told = deliver(alertmanager, NOW, clock, 60)
    assert clock.time >= 160
    [finding] = findings(told, "monitoring", 60)
    assert finding.found.startswith("3 failed attempts: the receiver cannot be reached")
    assert len(alertmanager.sent) == 2


def test_a_later_attempt_may_arrive() -> None:
    alertmanager = Alertmanager(metrics(phone=(0, 0, 0)), metrics(phone=(2, 2, 0)), metrics(phone=(3, 2, 0)))
    assert deliver(alertmanager, NOW, Clock(), 60) == [Delivery("phone", "webhook", True, 2)]


def test_an_alert_that_is_held_back_is_named_with_what_may_hold_it() -> None:
    [finding] = findings(deliver(Alertmanager(metrics(phone=(7, 0, 0))), NOW, Clock(), 60), "monitoring", 60)
    assert finding.found == "no attempt within 60 s"
    assert "silence query`" in finding.fix


@pytest.mark.parametrize(
    "text",
    [
        metrics(),
        metrics(heartbeat=(9, 0, 0)),
        # without the feature receiver-name-in-metrics
        'alertmanager_notification_requests_total{integration="webhook"} 0\n',
    ],
)
def test_without_a_receiver_nothing_is_sent(text: str) -> None:
    alertmanager = Alertmanager(text)
    with pytest.raises(Refusal, match="no receiver of alerts"):
        deliver(alertmanager, NOW, Clock(), 60)
    assert alertmanager.sent == []
