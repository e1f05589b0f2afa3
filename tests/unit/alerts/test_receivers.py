# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receivers of alerts: what is an error, and what Alertmanager gets; and what its counters say about the delivery of a test alert.

The counters are those that release 0.35 serves."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import (
    Delivery,
    configuration,
    deliver,
    findings,
    looked_at,
    read,
    secrets,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.alerts.samples import HEARTBEAT, RECEIVERS, SECRET
from tests.unit.clock import Clock


def errors(receivers: object, heartbeat: object = None) -> list[str]:
    return [str(one) for one in read(receivers, heartbeat or {}).errors]


def hook(**differing: Any) -> list[dict[str, Any]]:
    return [{"name": "hook", "webhook": {"url": "http://192.168.4.20/x", **differing}}]


def test_receivers_of_each_kind_are_right() -> None:
    assert errors(RECEIVERS, HEARTBEAT) == []


def test_an_empty_optional_key_is_not_given() -> None:
    mail = {"to": "me@example.org", "from": "c@example.org", "smarthost": "smtp.example.org:587", "username": "", "password": ""}
    alerting = read([{"name": "mail", "email": mail}, *hook(token="")], {})
    assert alerting.errors == ()
    assert "auth_username" not in json.dumps(configuration(alerting))
    assert "token" not in json.dumps(configuration(alerting))
    assert secrets(alerting).keys() == {"hook-url"}


@pytest.mark.parametrize(
    ("receivers", "found"),
    [
        ("phone", ["monitoring_alert_receivers: found a text; required: a list of receivers."]),
        ({"name": "phone"}, ["monitoring_alert_receivers: found a dictionary; required: a list of receivers."]),
        (["phone"], ["monitoring_alert_receivers[0]: found a text; required: a name and a kind."]),
        ([{"webhook": {"url": "http://a"}}], ["monitoring_alert_receivers[0].name: found nothing;"]),
        ([{"name": "My phone", "webhook": {"url": "http://a"}}], ["monitoring_alert_receivers[0].name: found 'My phone';"]),
        ([*hook(), *hook()], ["monitoring_alert_receivers[1].name: found 'hook', which is taken;"]),
        (
            [{"name": "heartbeat", "webhook": {"url": "http://a"}}],
            ["monitoring_alert_receivers[0].name: found 'heartbeat', which is taken;"],
        ),
        (
            [{"name": "phone"}],
            ["monitoring_alert_receivers[0]: found none of them; required: exactly one of email, ntfy, telegram, webhook."],
        ),
        ([{**hook()[0], "ntfy": {"url": "http://a"}}], ["monitoring_alert_receivers[0]: found ntfy and webhook;"]),
        ([{"name": "phone", "pager": {}}], ["monitoring_alert_receivers[0]: found the key pager;"]),
        ([{"name": "phone", "ntfy": {}}], ["monitoring_alert_receivers[0].ntfy.url: found nothing; required: a URL with http or https."]),
        ([{"name": "phone", "ntfy": "https://ntfy.sh/x"}], ["monitoring_alert_receivers[0].ntfy: found a text; required: the keys url."]),
        (hook(url=f"ftp://{SECRET}"), ["monitoring_alert_receivers[0].webhook.url: found another value;"]),
        (hook(url=f"http://{SECRET}:none/"), ["monitoring_alert_receivers[0].webhook.url: found another value;"]),
        (hook(url="https://"), ["monitoring_alert_receivers[0].webhook.url: found another value;"]),
        (hook(tokn=SECRET), ["monitoring_alert_receivers[0].webhook.tokn: found an unknown key; required: keys among url, token."]),
        (hook(token=[SECRET]), ["monitoring_alert_receivers[0].webhook.token: found another value; required: a text."]),
        ([{**hook()[0], "critical_only": "yes"}], ["monitoring_alert_receivers[0].critical_only: found a text; required: true or false."]),
        (
            [{"name": "mail", "email": {"to": [], "from": "a", "smarthost": "smtp.example.org", "password": SECRET}}],
            [
                "monitoring_alert_receivers[0].email.to: found another value; required: a list of e-mail addresses.",
                "monitoring_alert_receivers[0].email.from: found another value;",
                "monitoring_alert_receivers[0].email.smarthost: found another value; required: the name and port of a mail server",
                "monitoring_alert_receivers[0].email: found one of username and password; required: both or none.",
            ],
        ),
        (
            [{"name": "chat", "telegram": {"chat_id": "@me", "token": SECRET}}],
            ["monitoring_alert_receivers[0].telegram.chat_id: found another value; required: the number of a chat."],
        ),
    ],
)
def test_all_errors_are_told_in_one_run_and_no_value(receivers: object, found: list[str]) -> None:
    told = errors(receivers)
    assert len(told) == len(found), told
    assert all(line.startswith(words) for line, words in zip(told, found)), told
    assert SECRET not in "".join(told)


@pytest.mark.parametrize(
    ("heartbeat", "found"),
    [
        ({"interval": "5m"}, "monitoring_alert_heartbeat.url: found nothing;"),
        ({"url": "http://a", "interval": "5"}, "monitoring_alert_heartbeat.interval: found another value; required: a number of minutes"),
        ("http://a", "monitoring_alert_heartbeat: found a text; required: the keys url."),
    ],
)
def test_errors_of_the_dead_mans_switch(heartbeat: object, found: str) -> None:
    [told] = errors([], heartbeat)
    assert told.startswith(found)


def test_without_receivers_nothing_is_configured() -> None:
    alerting = read([], {})
    assert (alerting.is_wanted, configuration(alerting), secrets(alerting)) == (False, {}, {})


def test_the_configuration_has_no_secret_and_names_a_file_for_each() -> None:
    alerting = read(RECEIVERS, HEARTBEAT)
    text = json.dumps(configuration(alerting))
    assert SECRET not in text
    stored = secrets(alerting)
    assert sorted(stored) == ["chat-token", "heartbeat-url", "hook-url", "mail-password", "phone-token", "phone-url"]
    assert all(f"/etc/alertmanager-secrets/{name}" in text for name in stored)
    assert base64.b64decode(stored["phone-url"]).decode() == f"https://ntfy.example.org/{SECRET}-topic?template=alertmanager"


def routes(receivers: object, heartbeat: object = None) -> list[dict[str, Any]]:
    return configuration(read(receivers, heartbeat or {}))["route"]["routes"]  # type: ignore[no-any-return]


def test_each_receiver_gets_each_alert_that_it_wants() -> None:
    assert routes(RECEIVERS, HEARTBEAT)[2:] == [
        {"receiver": "mail", "continue": True},
        {"receiver": "phone", "matchers": ['severity="critical"'], "continue": True},
        {"receiver": "chat", "continue": True},
        {"receiver": "hook", "continue": True},
    ]


def test_the_dead_mans_switch_gets_one_alert_at_its_interval() -> None:
    beat = routes([], HEARTBEAT)[0]
    assert (beat["receiver"], beat["matchers"], beat["group_interval"]) == ("heartbeat", ['alertname="Watchdog"'], "10m")
    assert routes(hook())[0] == {"receiver": "nobody", "matchers": ['severity="none"']}


def test_a_login_is_left_out_of_mail_without_a_user() -> None:
    mail = {"name": "mail", "email": {"to": "a@b.c", "from": "d@b.c", "smarthost": "mail:25", "require_tls": False}}
    [found] = configuration(read([mail], {}))["receivers"][1]["email_configs"]
    assert found == {"to": "a@b.c", "from": "d@b.c", "smarthost": "mail:25", "require_tls": False, "send_resolved": True}


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
