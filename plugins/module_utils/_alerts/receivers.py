# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The receivers of alerts as an inventory names them, and Alertmanager's configuration for them.

Secrets, which URLs may be, are in files of their own, to which the configuration refers.
https://prometheus.io/docs/alerting/latest/configuration/
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional
from urllib.parse import urlsplit

from .._refusal import Refusal

RECEIVERS, HEARTBEAT = "monitoring_alert_receivers", "monitoring_alert_heartbeat"
SECRETS_DIRECTORY = "/etc/alertmanager-secrets"
# names that the configuration itself uses
NOBODY, HEART = "nobody", "heartbeat"
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
    taken = {NOBODY, HEART}
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
    routes.append({"receiver": NOBODY, "matchers": ['severity="none"']})
    for one in alerting.receivers:
        matchers = {"matchers": ['severity="critical"']} if one.critical_only else {}
        routes.append({"receiver": one.name, **matchers, "continue": True})
    return {
        "route": {
            "receiver": NOBODY,
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
            {"name": NOBODY},
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
