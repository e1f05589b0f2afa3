# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web client of managed hosts against a real server on loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host import web
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import Answer, HostWebClient

from tests.unit.kubeadm.authority import AUTHORITY

BODIES = {"/object": b'{"a": 1}', "/list": b"[1]", "/text": b"ok"}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/authorized":
            self.answer(200 if self.headers["Authorization"] == "Bearer abc" else 401, b"{}")
        elif self.path in BODIES:
            self.answer(200, BODIES[self.path])
        else:
            self.answer(404, b"{}")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"127.0.0.1:{made.server_port}"
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.parametrize(("path", "body"), [("/object", {"a": 1}), ("/list", {}), ("/text", {})])
def test_an_answer_is_its_status_and_its_object(server: str, path: str, body: dict[str, int]) -> None:
    assert HostWebClient().get(f"http://{server}{path}") == Answer(200, body)


def test_a_token_is_sent_as_a_bearer(server: str) -> None:
    assert HostWebClient().get(f"http://{server}/authorized", token="abc").status == 200
    assert HostWebClient().get(f"http://{server}/authorized").status == 401


def test_no_proxy_is_asked(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert HostWebClient().get(f"http://{server}/object").status == 200


def test_a_closed_port_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        answer = HostWebClient().get(f"https://127.0.0.1:{taken.getsockname()[1]}/version")
    assert answer == Answer(0, problem="connection refused")


def test_silence_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        assert HostWebClient().get(f"http://127.0.0.1:{silent.getsockname()[1]}/").problem == "no answer within 0.2 s"


def test_a_server_without_tls_is_told(server: str) -> None:
    answer = HostWebClient().get(f"https://{server}/object", authority=AUTHORITY)
    assert (answer.status, answer.problem.startswith("no TLS connection")) == (0, True)


@pytest.mark.parametrize("options", [{"authority": "no certificate"}, {"certificate": "/nonexistent"}])
def test_credentials_that_cannot_be_read_are_told(server: str, options: dict[str, str]) -> None:
    answer = HostWebClient().get(f"https://{server}/object", **options)
    assert answer.status == 0
    assert answer.problem
