# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receivers of alerts as an inventory names them, Alertmanager's configuration for them, and a test of delivery to each.

Secrets, which URLs may be, are in files of their own, to which the configuration refers.
https://prometheus.io/docs/alerting/latest/configuration/

The test sends an alert, and reads from Alertmanager's counters whether each receiver got it.
https://prometheus.io/docs/alerting/latest/management_api/ and Alertmanager's own metrics.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, Optional, Protocol
from urllib.parse import urlsplit

from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal
from .._waiting import Clock, look_until

RECEIVERS, HEARTBEAT = "monitoring_alert_receivers", "monitoring_alert_heartbeat"
SECRETS_DIRECTORY = "/etc/alertmanager-secrets"
# names that the configuration itself uses
NO_RECEIVER, HEART = "nobody", "heartbeat"
# An alert that fires arrives within 30 s of evaluation and this wait. A change of its group, such as its end, arrives at the next interval.
GROUP_WAIT, GROUP_INTERVAL, REPEAT_INTERVAL = "10s", "2m", "12h"
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_INTERVAL = re.compile(r"[1-9][0-9]{0,3}[mh]")


def _text(value: object) -> Optional[str]:
    """Return a non-empty text; a value of a vault may be no str."""
    found = "" if value is None or isinstance(value, (bool, Mapping, list, tuple)) else str(value).strip()
    return found if found and found.isprintable() else None


def _url(value: object) -> Optional[str]:
    try:
        parts = urlsplit(_text(value) or "")
        good = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        return None
    return _text(value) if good else None


def _host_and_port(value: object) -> Optional[str]:
    text = _text(value) or ""
    host, _colon, port = text.rpartition(":")
    return text if host and " " not in text and port.isdecimal() and 0 < int(port) < 65536 else None


def _chat(value: object) -> Optional[int]:
    text = _text(value) or ""
    return int(text) if re.fullmatch(r"-?[1-9][0-9]{0,18}", text) else None


def _flag(value: object) -> Optional[bool]:
    return value if isinstance(value, bool) else None


def _addresses(value: object) -> Optional[str]:
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, Sequence) or not several or not all("@" in (_text(one) or "") for one in several):
        return None
    return ", ".join(str(_text(one)) for one in several)


def _interval(value: object) -> Optional[str]:
    text = _text(value) or ""
    return text if _INTERVAL.fullmatch(text) else None


@dataclass(frozen=True)
class _Key:
    """A key of a receiver: what it must be, in words and as a function that returns the value, or None."""

    read: Callable[[object], Any]
    words: str
    required: bool = False


_URL = _Key(_url, "a URL with http or https", required=True)
_TOKEN = _Key(_text, "a text")
KINDS: dict[str, dict[str, _Key]] = {
    "email": {
        "to": _Key(_addresses, "a list of e-mail addresses", required=True),
        "from": _Key(_addresses, "an e-mail address", required=True),
        "smarthost": _Key(_host_and_port, "the name and port of a mail server, like smtp.example.org:587", required=True),
        "username": _TOKEN,
        "password": _TOKEN,
        "require_tls": _Key(_flag, "true or false"),
    },
    "ntfy": {"url": _URL, "token": _TOKEN},
    "telegram": {
        "chat_id": _Key(_chat, "the number of a chat", required=True),
        "token": _Key(_text, "the token of a bot", required=True),
    },
    "webhook": {"url": _URL, "token": _TOKEN},
}
_HEARTBEAT = {"url": _URL, "interval": _Key(_interval, "a number of minutes or hours, like 5m")}
_OWN_KEYS = ("name", "critical_only")


@dataclass(frozen=True)
class Receiver:
    """Where alerts go. kind: one of KINDS. values: those of its keys, as read."""

    name: str
    kind: str
    values: Mapping[str, Any]
    critical_only: bool = False


@dataclass(frozen=True)
class Alerting:
    """The alert settings of the inventory. heartbeat: the values of the dead man's switch; None without one."""

    receivers: tuple[Receiver, ...] = ()
    heartbeat: Optional[Mapping[str, Any]] = None
    errors: tuple[Refusal, ...] = ()

    @property
    def is_wanted(self) -> bool:
        return bool(self.receivers or self.heartbeat)


def read(receivers: object, heartbeat: object) -> Alerting:
    """Read both variables. Errors name no value, because it may be a secret."""
    errors: list[Refusal] = []
    found = list(_receivers(receivers, errors))
    beat = _values(heartbeat, HEARTBEAT, _HEARTBEAT, errors) if heartbeat or not isinstance(heartbeat, Mapping) else None
    return Alerting(tuple(found), beat or None, tuple(errors))


def _receivers(receivers: object, errors: list[Refusal]) -> Iterator[Receiver]:
    if not isinstance(receivers, (list, tuple)):
        errors.append(Refusal(RECEIVERS, f"a {_kind(receivers)}", "a list of receivers", "Write one `- name:` for each."))
        return
    taken = {NO_RECEIVER, HEART}
    for index, one in enumerate(receivers):
        at = f"{RECEIVERS}[{index}]"
        if not isinstance(one, Mapping):
            errors.append(Refusal(at, f"a {_kind(one)}", "a name and a kind", "Write `name:`, and below it one of the kinds."))
            continue
        name = _text(one.get("name")) or ""
        if not NAME.fullmatch(name) or name in taken:
            found = f"{name!r}, which is taken" if name in taken else repr(name) if name else "nothing"
            required = "a name of its own, of up to 40 lower case letters, digits and dashes"
            errors.append(Refusal(f"{at}.name", found, required, "Set another name."))
        taken.add(name)
        kinds = [kind for kind in KINDS if one.get(kind) is not None]
        unknown = sorted(str(key) for key in one if key not in KINDS and key not in _OWN_KEYS)
        if len(kinds) != 1 or unknown:
            found = f"the key {unknown[0]}" if unknown else " and ".join(kinds) or "none of them"
            errors.append(
                Refusal(at, found, f"exactly one of {', '.join(KINDS)}", "Write each receiver as an entry with a name of its own.")
            )
            continue
        critical = _flag(one.get("critical_only", False))
        if critical is None:
            errors.append(Refusal(f"{at}.critical_only", f"a {_kind(one['critical_only'])}", "true or false", "Correct it."))
        values = _values(one[kinds[0]], f"{at}.{kinds[0]}", KINDS[kinds[0]], errors)
        yield Receiver(name, kinds[0], values, bool(critical))


def _values(given: object, at: str, keys: Mapping[str, _Key], errors: list[Refusal]) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        required = [name for name, key in keys.items() if key.required]
        errors.append(Refusal(at, f"a {_kind(given)}", f"the keys {', '.join(required)}", "Write them below it."))
        return {}
    errors += [
        Refusal(f"{at}.{name}", "an unknown key", f"keys among {', '.join(keys)}", "Correct its name, or remove it.")
        for name in sorted(map(str, given))
        if name not in keys
    ]
    values: dict[str, Any] = {}
    for name, key in keys.items():
        # an empty text means the same as no key
        if given.get(name) in (None, ""):
            if key.required:
                errors.append(Refusal(f"{at}.{name}", "nothing", key.words, "Set it."))
            continue
        values[name] = key.read(given[name])
        if values[name] is None:
            errors.append(Refusal(f"{at}.{name}", "another value", key.words, "Correct it."))
    if ("username" in values) != ("password" in values):
        errors.append(Refusal(at, "one of username and password", "both or none", "Set the other one, too."))
    return values


def _kind(value: object) -> str:
    names = ((bool, "boolean"), (Mapping, "dictionary"), ((list, tuple), "list"), ((int, float), "number"), (type(None), "null"))
    return next((name for kind, name in names if isinstance(value, kind)), "text")


# Alertmanager's configuration


def configuration(alerting: Alerting) -> dict[str, Any]:
    """Return the configuration without secrets; empty without receivers."""
    if not alerting.is_wanted:
        return {}
    routes: list[dict[str, Any]] = []
    if alerting.heartbeat:
        # repeated at each flush of its group
        beat = {"group_wait": "0s", "group_interval": alerting.heartbeat.get("interval", "5m"), "repeat_interval": "1s"}
        routes.append({"receiver": HEART, "matchers": ['alertname="Watchdog"'], **beat})
    # alerts that only carry a fact, such as HostAsleep
    routes.append({"receiver": NO_RECEIVER, "matchers": ['severity="none"']})
    for one in alerting.receivers:
        matchers = {"matchers": ['severity="critical"']} if one.critical_only else {}
        routes.append({"receiver": one.name, **matchers, "continue": True})
    return {
        "route": {
            "receiver": NO_RECEIVER,
            # the label `test` makes a group of its own of each test
            "group_by": ["alertname", "test"],
            "group_wait": GROUP_WAIT,
            "group_interval": GROUP_INTERVAL,
            "repeat_interval": REPEAT_INTERVAL,
            "routes": routes,
        },
        "inhibit_rules": [
            {"source_matchers": ['alertname="HostAsleep"'], "target_matchers": ['severity!="none"'], "equal": ["node"]},
        ],
        "receivers": [
            {"name": NO_RECEIVER},
            *([{"name": HEART, "webhook_configs": [{**_web(HEART, {}), "send_resolved": False}]}] if alerting.heartbeat else []),
            *(_of_receiver(one) for one in alerting.receivers),
        ],
    }


def secrets(alerting: Alerting) -> dict[str, str]:
    """Return the content of each file in SECRETS_DIRECTORY, in Base64, as in a Secret."""
    found: dict[str, str] = {}
    for one in alerting.receivers:
        for key in ("url", "token", "password"):
            if one.values.get(key):
                found[f"{one.name}-{key}"] = _with_template(one.values[key]) if (one.kind, key) == ("ntfy", "url") else one.values[key]
    if alerting.heartbeat:
        found[f"{HEART}-url"] = alerting.heartbeat["url"]
    return {name: base64.b64encode(value.encode()).decode() for name, value in found.items()}


def _of_receiver(one: Receiver) -> dict[str, Any]:
    values, always = one.values, {"send_resolved": True}
    if one.kind == "email":
        login = {"auth_username": values["username"], "auth_password_file": _file(one.name, "password")} if "username" in values else {}
        mail = {"to": values["to"], "from": values["from"], "smarthost": values["smarthost"], **login}
        return {"name": one.name, "email_configs": [{**mail, "require_tls": values.get("require_tls", True), **always}]}
    if one.kind == "telegram":
        chat = {"chat_id": values["chat_id"], "bot_token_file": _file(one.name, "token")}
        return {"name": one.name, "telegram_configs": [{**chat, **always}]}
    return {"name": one.name, "webhook_configs": [{**_web(one.name, values), **always}]}


def _web(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    token = {"http_config": {"authorization": {"credentials_file": _file(name, "token")}}} if "token" in values else {}
    return {"url_file": _file(name, "url"), **token}


def _file(name: str, key: str) -> str:
    return f"{SECRETS_DIRECTORY}/{name}-{key}"


def _with_template(url: str) -> str:
    """Return the URL with which ntfy makes a message of Alertmanager's JSON. https://docs.ntfy.sh/publish/#message-templating."""
    return f"{url}{'&' if '?' in url else '?'}template=alertmanager"


# Delivery

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
    annotations = {"summary": "This is a test. Alerts of the cluster arrive here.", "description": "There is nothing to do."}
    return {"labels": labels, "annotations": annotations, "startsAt": _moment(now), "endsAt": _moment(now + LONGEST)}


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
            tested := subject(one.receiver, one.integration),
            "has the test alert" if one.delivered else "does not have the test alert",
            state_of(finding for finding in found if finding.subject == tested),
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
