# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for Loki on loopback."""

from __future__ import annotations

import dataclasses
import json
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.cluster.build import build
from tests.cluster.monitoring_images import STAND_INS
from tests.lab.say import LabError, mortal

LOOPBACK = "127.0.0.1"
PATIENCE = 20.0  # seconds until it is ready, and for an answer


class LokiStandIn:
    """Its data stay when it is killed, for the next start."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Back when it is ready."""
        with socket.create_server((LOOPBACK, 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://{LOOPBACK}:{port}"
        facts = dataclasses.replace(STAND_INS["loki"], port=port, logs=str(self.directory))
        self._process = subprocess.Popen(mortal([str(build(["stand-in"])[0])]), env=facts.environment("loki"))
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LabError(f"the stand-in for Loki did not become ready within {PATIENCE:.0f} s")
            time.sleep(0.05)

    def kill(self) -> None:
        """As a host that loses its power does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def push(self, labels: Mapping[str, str], line: str, age: float = 0) -> None:
        """A line that was written that many seconds ago; a refused one raises HTTPError."""
        stream = {"stream": labels, "values": [[str(int((time.time() - age) * 1e9)), line]]}
        self.post(json.dumps({"streams": [stream]}).encode())

    def post(self, body: bytes, kind: str = "application/json") -> None:
        self._open(urllib.request.Request(f"{self.url}/loki/api/v1/push", body, {"Content-Type": kind}))

    def ask(self, path: str, **parameters: str) -> Any:
        """The data that the API answers with at that path; a query that it cannot read raises HTTPError."""
        return json.loads(self._open(f"{self.url}/loki/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def metrics(self) -> str:
        return self._open(f"{self.url}/metrics")

    def _is_ready(self) -> bool:
        try:
            self._open(f"{self.url}{STAND_INS['loki'].health}")
        except OSError:
            return False
        return True

    @staticmethod
    def _open(request: str | urllib.request.Request) -> str:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text
