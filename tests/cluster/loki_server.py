# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loki from its image as the role monitoring runs it, as a user who may write to /loki and /tmp alone. To become that user takes root."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.configuration import ROLE, configuration
from tests.cluster.monitoring_images import REAL, real_image
from tests.cluster.unpack import unpack_layer
from tests.lab.say import LabError

LOOPBACK = "127.0.0.1"
PATIENCE = 60.0  # seconds until it is ready
VARIABLES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())
USER = VARIABLES["_monitoring_owners"]["loki"]


class Loki:
    """Its data stay when it is killed, for the next start."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root"
        unpack_layer(real_image("loki")[1], self.root)
        (self.root / "etc" / "loki").mkdir(parents=True)
        for name in ("loki", "tmp"):
            (self.root / name).mkdir()
            os.chown(self.root / name, USER, USER)
        self.log = directory / "loki.log"
        self.url = ""
        self._process: subprocess.Popen[bytes] | None = None

    def judge(self, text: str) -> subprocess.CompletedProcess[str]:
        """What it says of a configuration, asked as the role asks it."""
        self._configure(text)
        argv = self._argv(*VARIABLES["_monitoring_judgements"]["loki"])
        return subprocess.run(argv, cwd=self.root, capture_output=True, text=True, check=False, timeout=PATIENCE)

    def start(self) -> None:
        """With the role's configuration; back when it is ready."""
        self._configure(configuration("loki.yaml"))
        http, grpc = _two_free_ports()
        self.url = f"http://{LOOPBACK}:{http}"
        listening = [f"-server.{kind}-listen-address={LOOPBACK}" for kind in ("http", "grpc")]
        listening += [f"-server.http-listen-port={http}", f"-server.grpc-listen-port={grpc}"]
        with self.log.open("ab") as log:
            argv = self._argv("-config.file=/etc/loki/loki.yaml", "-target=all", *listening)
            self._process = subprocess.Popen(argv, cwd=self.root, stdout=log, stderr=log)
        deadline = time.monotonic() + PATIENCE
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise LabError(f"Loki did not become ready:\n{self.log.read_text()}")
            time.sleep(0.2)

    def kill(self) -> None:
        """As a host that loses its power does."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def push(self, labels: Mapping[str, str], line: str, age: float = 0) -> None:
        """A line that was written that many seconds ago; a refused one raises HTTPError."""
        stream = {"stream": labels, "values": [[str(int((time.time() - age) * 1e9)), line]]}
        body = json.dumps({"streams": [stream]}).encode()
        self._open(urllib.request.Request(f"{self.url}/loki/api/v1/push", body, {"Content-Type": "application/json"}))

    def ask(self, path: str, **parameters: str) -> Any:
        """The data that the API answers with at that path; a query that it cannot read raises HTTPError."""
        return json.loads(self._open(f"{self.url}/loki/api/v1/{path}?{urllib.parse.urlencode(parameters)}"))["data"]

    def metrics(self) -> str:
        return self._open(f"{self.url}/metrics")

    def _configure(self, text: str) -> None:
        (self.root / "etc" / "loki" / "loki.yaml").write_text(text)

    def _argv(self, *arguments: str) -> list[str]:
        """In the directory that is to be its root: only root may go the whole way there."""
        # not chroot's own --userspec: whoever changes user then outlives this process
        user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--inh-caps=+sys_chroot", "--ambient-caps=+sys_chroot"]
        return [*user, "--pdeathsig=KILL", "/usr/sbin/chroot", ".", next(iter(REAL["loki"].programs)), *arguments]

    def _is_ready(self) -> bool:
        try:
            return self._open(f"{self.url}/ready").strip() == "ready"
        except OSError:
            return False

    @staticmethod
    def _open(request: str | urllib.request.Request) -> str:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text: str = answer.read().decode()
        return text


def _two_free_ports() -> tuple[int, int]:
    with socket.create_server((LOOPBACK, 0)) as one, socket.create_server((LOOPBACK, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]
