# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Alerts arrive: a real Prometheus with the role's rules, a real Alertmanager with the role's configuration, and receivers on loopback."""

from __future__ import annotations

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.io import HttpAlertmanager
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import configuration, deliver, findings, read
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

from tests.cluster.alertmanager_server import LOOPBACK, Alertmanager, MailReceiver, WebReceiver, alerting, wait_for
from tests.cluster.build import build
from tests.cluster.play import run_plays
from tests.lab.cache import CHECKOUT
from tests.lab.say import mortal
from tests.unit.alerts.samples import HEARTBEAT, RECEIVERS

RULES = CHECKOUT / "roles" / "monitoring" / "files"
PORT = 9198
NOTHING_LISTENS = 1
# a minute is the limit for an alert of the role, which waits up to 30 s for an evaluation
LIMIT = 30.0
# as a user writes it, who knows nothing of hosts that sleep
MINE = {"alert": "Mine", "expr": 'up{job="mine"} == 0', "labels": {"severity": "warning"}, "annotations": {"summary": "mine is down"}}


def vars_of_the_role() -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / "roles" / "monitoring" / "vars" / "main.yml").read_text())  # type: ignore[no-any-return]


class Prometheus:
    """It asks two hosts that do not answer, one of which may be put to sleep, and sends alerts to Alertmanager."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.answering = directory / "targets.json"
        self.set_up(["masternode", "homelab"])
        own = {"groups": [{"name": "mine", "rules": [MINE]}, vars_of_the_role()["_monitoring_watchdog"]]}
        (directory / "own.yml").write_text(yaml.safe_dump(own))
        wanted = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES / "rules" / "nodes.yml"), str(RULES / "alerting" / "alertmanager.yml"), str(directory / "own.yml")],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{LOOPBACK}:9093"]}]}]},
            "scrape_configs": [
                {"job_name": "mine", "file_sd_configs": [{"files": [str(self.answering)], "refresh_interval": "1s"}]},
                {"job_name": "prometheus", "static_configs": [{"targets": [f"{LOOPBACK}:{PORT}"]}]},
                {"job_name": "alertmanager", "static_configs": [{"targets": [f"{LOOPBACK}:9093"]}]},
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(wanted))
        argv = [str(build(["prometheus"])[0]), f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data"]
        with (directory / "log").open("wb") as log:
            self._process = subprocess.Popen(mortal([*argv, f"--web.listen-address={LOOPBACK}:{PORT}"]), stdout=log, stderr=log)

    def set_up(self, down: list[str]) -> None:
        """Which hosts do not answer. A host that answers is Prometheus itself."""
        targets = [
            {
                "targets": [f"{LOOPBACK}:{NOTHING_LISTENS if node in down else PORT}"],
                "labels": {"node": node, **({"sleeps": "true"} if node == "homelab" else {})},
            }
            for node in ("masternode", "homelab")
        ]
        part = self.answering.with_suffix(".part")
        part.write_text(json.dumps(targets))
        part.rename(self.answering)

    def firing(self) -> set[tuple[str, str]]:
        try:
            with urllib.request.urlopen(f"http://{LOOPBACK}:{PORT}/api/v1/alerts", timeout=5) as answer:
                alerts = json.load(answer)["data"]["alerts"]
        except OSError:
            return set()
        return {(one["labels"]["alertname"], one["labels"].get("node", "")) for one in alerts if one["state"] == "firing"}

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def opened(stack: ExitStack, made: Any) -> Any:
    stack.callback(made.close)
    return made


def test_amtool_accepts_what_the_role_makes_of_receivers_of_each_kind(tmp_path: Path) -> None:
    path = tmp_path / "alertmanager.yml"
    path.write_text(yaml.safe_dump(configuration(read(RECEIVERS, HEARTBEAT))))
    answer = subprocess.run([build(["amtool"])[0], "check-config", path], capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert " - 6 receivers" in answer.stdout


def test_an_alert_arrives_and_its_end_too_and_none_of_a_host_that_is_asleep(tmp_path: Path, stack: ExitStack) -> None:
    hook, mail = opened(stack, WebReceiver()), opened(stack, MailReceiver())
    receivers: list[dict[str, Any]] = [
        {"name": "hook", "webhook": {"url": f"{hook.url}/hook", "token": "t0ken"}},
        {"name": "phone", "ntfy": {"url": f"{hook.url}/topic"}},
        {"name": "critical", "critical_only": True, "webhook": {"url": f"{hook.url}/critical"}},
        {"name": "mail", "email": {"to": ["me@example.org"], "from": "it@example.org", "smarthost": mail.smarthost, "require_tls": False}},
        {"name": "chat", "telegram": {"chat_id": -7, "token": "b0t"}},
    ]
    opened(stack, Alertmanager(tmp_path / "alertmanager", alerting(receivers, {"url": f"{hook.url}/beat", "interval": "1m"})))
    prometheus = opened(stack, Prometheus(tmp_path))
    mine = ("Mine", "masternode")
    wait_for("both alerts and the host's sleep", lambda: prometheus.firing() >= {mine, ("Mine", "homelab"), ("HostAsleep", "homelab")})
    took = wait_for("the alert to arrive", lambda: mine in hook.alerts("firing"), LIMIT)
    print(f"it arrived {took:.1f} s after it fired")
    wait_for("the mail", lambda: mail.letters, LIMIT)
    assert "mine is down" in mail.letters[0] and "masternode" in mail.letters[0]
    # each receiver has its own group, which is sent by itself
    awaited = {"/hook", "/topic?template=alertmanager", "/botb0t/sendMessage", "/beat"}
    wait_for("the other receivers", lambda: awaited <= {path for path, _token, _body in hook.got}, LIMIT)
    by_path = {path: (token, body) for path, token, body in hook.got}
    assert by_path["/hook"][0] == "Bearer t0ken"
    # the dead man's switch, and nobody else, gets the alert that fires always
    assert [one["labels"]["alertname"] for one in by_path["/beat"][1]["alerts"]] == ["Watchdog"]
    # that alert is no critical one
    assert "/critical" not in by_path
    prometheus.set_up(down=["homelab"])
    wait_for("its end to arrive", lambda: mine in hook.alerts("resolved"), LIMIT)
    # what was to come has come
    time.sleep(5)
    others = [body for path, _token, body in hook.got if path not in {"/beat", "/botb0t/sendMessage"}]
    assert {(one["labels"]["alertname"], one["labels"]["node"]) for body in others for one in body["alerts"]} == {mine}
    assert ("Mine", "homelab") in prometheus.firing()
    # awake and still without an answer: something of the host answers
    assert not any("homelab" in letter for letter in mail.letters)


def test_a_test_alert_tells_which_receivers_have_it(tmp_path: Path, stack: ExitStack) -> None:
    well, ill = opened(stack, WebReceiver()), opened(stack, WebReceiver())
    ill.status = 404
    receivers = [
        {"name": "well", "critical_only": True, "webhook": {"url": f"{well.url}/"}},
        {"name": "ill", "webhook": {"url": f"{ill.url}/"}},
        {"name": "away", "webhook": {"url": f"http://{LOOPBACK}:{NOTHING_LISTENS}/"}},
    ]
    opened(stack, Alertmanager(tmp_path, alerting(receivers, {"url": f"{well.url}/beat"})))
    began = time.monotonic()
    told = deliver(HttpAlertmanager(LOOPBACK, 9093), datetime.now(timezone.utc), SystemClock(), 8)
    assert time.monotonic() - began < 20
    assert {one.receiver: one.delivered for one in told} == {"well": True, "ill": False, "away": False}
    assert well.alerts("firing") == {("TestAlert", "")}
    found = {one.subject: one.found for one in findings(told, "monitoring", 8)}
    # it is tried again with each interval of its group
    assert re.match(r"\d+ failed attempts?: the receiver rejected it \(HTTP status 4xx\)", found["receiver ill (webhook)"])
    assert re.match(r"\d+ failed attempts?: the receiver cannot be reached", found["receiver away (webhook)"])
    wait_for("the end of the test", lambda: well.alerts("resolved") == {("TestAlert", "")}, LIMIT)
    # once more, at once, with a receiver that is well again
    ill.status = 200
    again = deliver(HttpAlertmanager(LOOPBACK, 9093), datetime.now(timezone.utc), SystemClock(), 8)
    assert {one.receiver: one.delivered for one in again} == {"well": True, "ill": True, "away": False}
    # as a playbook does it
    task = {"name": "Send a test alert", "vmstation.cluster.alert_delivery_check": {"address": LOOPBACK, "timeout": 8}}
    run = run_plays([{"name": "Send a test alert", "hosts": "localhost", "gather_facts": False, "tasks": [task]}], tmp_path, {})
    assert run.status == 2, run.text
    assert run.says("1 finding must be fixed first:") and run.says("error: receiver away (webhook): found"), run.text


def test_an_alertmanager_that_does_not_run_is_named() -> None:
    with pytest.raises(Unavailable, match=r"Alertmanager at 127\.0\.0\.1 port 1: found no answer to /metrics: Connection refused"):
        HttpAlertmanager(LOOPBACK, NOTHING_LISTENS).metrics()
