# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask an Alertmanager over HTTP."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from .._refusal import Refusal, Unavailable

SECONDS = 10.0
_LARGEST = 16 << 20


class HttpAlertmanager:
    """From this host, without a proxy."""

    def __init__(self, address: str, port: int) -> None:
        self._address, self._port = address, port

    def metrics(self) -> str:
        return self._ask("GET", "/metrics").decode("utf-8", "replace")

    def send(self, alerts: Sequence[Mapping[str, Any]]) -> None:
        self._ask("POST", "/api/v2/alerts", json.dumps(alerts))

    def _ask(self, method: str, path: str, body: Optional[str] = None) -> bytes:
        subject = f"Alertmanager at {self._address} port {self._port}"
        connection = http.client.HTTPConnection(self._address, self._port, timeout=SECONDS)
        try:
            connection.request(method, path, body, {"User-Agent": "vmstation.cluster", "Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read(_LARGEST)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            fix = "See its Pod: `kubectl get pods --all-namespaces --selector app.kubernetes.io/name=alertmanager`."
            raise Unavailable(subject, f"no answer to {path}: {reason}", "an answer", fix) from None
        finally:
            connection.close()
        if answer.status != 200:
            found = f"HTTP status {answer.status} for {path}: {text[:200].decode('utf-8', 'replace').strip()}"
            raise Refusal(subject, found, "HTTP status 200", "Check that this is the address of an Alertmanager of release 0.22 or newer.")
        return text
