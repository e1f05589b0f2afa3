# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receivers of alerts: what is an error, and what Alertmanager gets."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import configuration, read, secrets

from tests.unit.alerts.samples import HEARTBEAT, RECEIVERS, SECRET


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
