# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Alertmanager with the configuration that the role monitoring makes, and receivers of alerts, on this machine."""

from __future__ import annotations

import base64
import json
import socketserver
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._alerts.receivers import (
    SECRETS_DIRECTORY,
    Alerting,
    configuration,
    read,
    secrets,
)

from tests.cluster.build import build
from tests.cluster.configuration import manifests
from tests.lab.say import LabError, mortal

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0  # seconds
# the role's times, but for tests: a notification that fails is given up after 10 s at the earliest
TIMES = {"group_wait": "2s", "group_interval": "2s"}


class WebReceiver:
    """A webhook. It answers with `status`, and keeps what it gets: the path, the token, and the body."""

    def __init__(self) -> None:
        self.status = 200
        self.got: list[tuple[str, str, dict[str, Any]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if receiver.status == 200:
                    receiver.got.append((self.path, self.headers.get("Authorization", ""), body))
                self.send_response(receiver.status)
                self.end_headers()
                # what Telegram answers
                self.wfile.write(json.dumps({"ok": True, "result": {"message_id": 1, "date": 0, "chat": {"id": 1}}}).encode())

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def alerts(self, status: str) -> set[tuple[str, str]]:
        """The alerts of this status that it was told of: their names and nodes."""
        several = [alert for _path, _token, body in list(self.got) for alert in body.get("alerts", ())]
        return {(one["labels"]["alertname"], one["labels"].get("node", "")) for one in several if one["status"] == status}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class MailReceiver(socketserver.ThreadingTCPServer):
    """A mail server that takes every letter."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        self.letters: list[str] = []
        super().__init__((LOOPBACK, 0), _MailHandler)
        self.smarthost = f"{LOOPBACK}:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.shutdown()
        self.server_close()


class _MailHandler(socketserver.StreamRequestHandler):
    server: MailReceiver

    def handle(self) -> None:
        self._say("220 mail")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self._say("354 go on")
                letter = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    letter.append(line.decode())
                self.server.letters.append("".join(letter))
            if verb == b"QUIT":
                self._say("221 bye")
                return
            self._say("250 ok")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())


class Alertmanager:
    """With the arguments of the role's Deployment, but for where its files and its port are."""

    def __init__(self, directory: Path, alerting: Alerting, address: str = LOOPBACK) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.address, self.url = address, f"http://{address}:9093"
        self._directory = directory
        self.configure(alerting)
        # the files that a Secret has
        for name, value in secrets(alerting).items():
            (directory / name).write_bytes(base64.b64decode(value))
        [container] = workload("alertmanager")["spec"]["template"]["spec"]["containers"]
        arguments = [one for one in container["args"] if not one.startswith(("--config.file=", "--storage.path="))]
        ours = [f"--config.file={directory}/alertmanager.yml", f"--storage.path={directory}/data", f"--web.listen-address={address}:9093"]
        with (directory / "log").open("wb") as log:
            argv = mortal([str(build(["alertmanager"])[0]), *arguments, *ours])
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        self._wait()

    def configure(self, alerting: Alerting) -> None:
        wanted = configuration(alerting)
        wanted["route"] |= TIMES
        for one in wanted["receivers"]:
            for chat in one.get("telegram_configs", ()):
                # the role leaves out where Telegram is
                chat["api_url"] = next(
                    made.values["url"].rpartition("/")[0] for made in alerting.receivers if made.kind == "webhook"
                )  # fmt: skip
        text = yaml.safe_dump(wanted).replace(SECRETS_DIRECTORY, str(self._directory))
        (self._directory / "alertmanager.yml").write_text(text)

    def _wait(self) -> None:
        def ready() -> bool:
            if self._process.poll() is not None:
                raise LabError(f"Alertmanager ended: {(self._directory / 'log').read_text()}")
            try:
                with urllib.request.urlopen(f"{self.url}/-/ready", timeout=5) as answer:
                    return answer.status == 200
            except OSError:
                return False

        wait_for("Alertmanager to be ready", ready)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def alerting(receivers: Sequence[Mapping[str, Any]], heartbeat: Mapping[str, Any] | None = None) -> Alerting:
    made = read(receivers, heartbeat or {})
    assert not made.errors
    return made


def workload(name: str) -> dict[str, Any]:
    """The Deployment that the role makes of a program."""
    return next(one for one in yaml.safe_load_all(manifests(f"{name}.yaml")) if one["kind"] == "Deployment")  # type: ignore[no-any-return]


def wait_for(what: str, condition: Any, seconds: float = PATIENCE) -> float:
    """The seconds that it took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() > began + seconds:
            raise LabError(f"waited {seconds:.0f} s in vain for {what}")
        time.sleep(0.1)
    return time.monotonic() - began
