# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP from a host that has only Python's standard library. No proxy is used."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Protocol
from urllib.parse import urlsplit

from .._json import read_json
from .._refusal import Refusal

# Asks an API server, or a kubelet, from a host that has nothing but Python's standard library. Nothing passes through a proxy.

SECONDS = 5.0
LONGEST_ANSWER = 8 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """An HTTP answer. status: 0 means that there was none, for the reason that ``problem`` names. body: its JSON object, else empty."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""


class WebClient(Protocol):
    """What the core is given to ask over HTTP; tests pass a scripted fake."""

    def get(self, url: str, *, authority: str = "", certificate: str = "", key: str = "", token: str = "") -> Answer:
        """One request. authority: certificates as PEM; without them the server is not verified. certificate, key: paths of files."""


class HostWebClient:
    """HTTP from this host."""

    def get(self, url: str, *, authority: str = "", certificate: str = "", key: str = "", token: str = "") -> Answer:
        where = urlsplit(url)
        headers = {"Accept": "application/json", "User-Agent": "vmstation.cluster"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        connection: Optional[http.client.HTTPConnection] = None
        try:
            if where.scheme == "https":
                context = _context(authority, certificate, key)
                connection = http.client.HTTPSConnection(where.hostname or "", where.port, timeout=SECONDS, context=context)
            else:
                connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=SECONDS)
            connection.request("GET", where.path or "/", headers=headers)
            answer = connection.getresponse()
            return Answer(answer.status, _object(answer.read(LONGEST_ANSWER)))
        except (OSError, http.client.HTTPException, ValueError) as error:
            return Answer(0, problem=_problem(error))
        finally:
            if connection is not None:
                connection.close()


def _context(authority: str, certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority or None)
    if not authority:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key or None)
    return context


def _object(text: bytes) -> Mapping[str, Any]:
    try:
        decoded = read_json(text)
    except ValueError:
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _problem(error: Exception) -> str:
    if isinstance(error, socket.timeout):
        return f"no answer within {SECONDS:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"an invalid server certificate: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS connection: {error.reason or error}"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


# Downloads small files.

LARGEST = 1 << 20


def fetch(url: str, timeout: float) -> bytes:
    """The content of a URL of http, https or file, through the proxy that the environment names. timeout: seconds without an answer."""
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "vmstation.cluster"})
        with urllib.request.build_opener().open(request, timeout=timeout) as answer:
            content: bytes = answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise Refusal(url, f"not available ({reason})", "an answer", "Check that this host can reach it, or set http_proxy.") from None
    if len(content) > LARGEST:
        raise Refusal(url, f"more than {LARGEST} bytes", "a small file", "Correct the URL.")
    return content
