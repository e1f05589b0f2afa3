# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Query the API server for its own health, for a metric, for certificates, and for what programs in the cluster answer, in parallel."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from typing import Any, Optional
from urllib.parse import urlencode, urlsplit

from .._cluster import api
from .._cluster.proxied import TextApi
from .._refusal import Refusal, Unavailable
from .._timing import ask_all
from .._x509 import first_certificate
from .judge import UNWELL

AT_ONCE, SECONDS = 8, 120.0


class HealthApi(TextApi):
    """A KubernetesApi that also reads health, metrics and certificates."""

    def now(self) -> datetime:
        with contextlib.suppress(TypeError, ValueError):
            return parsedate_to_datetime(self.answered_at)
        return datetime.now(timezone.utc)

    def at_once(self, questions: Sequence[Callable[[], Any]]) -> Sequence[Any]:
        silence = Unavailable(
            f"Kubernetes API {self.server}", f"no answer within {SECONDS:g} s", "an answer", "Check kube-apiserver's log."
        )
        answers = ask_all([(question,) for question in questions], lambda one: (one[0](),), SECONDS, AT_ONCE)
        return [silence if one is None else one if isinstance(one, Refusal) else one[0] for one in answers]

    def metric(self, name: str) -> Optional[float]:
        """Return the largest value over all label sets of a metric; other lines are not parsed."""
        question = api.Question("/metrics", "get", "/metrics")
        status, data = self._send("GET", "/metrics", question, retries=False, headers={"Accept": "text/plain"})
        if status != 200:
            self._refuse(status, api.decoded(data), question)
        start = b"\n" + name.encode()
        values, at = [], data.find(start)
        while at >= 0:
            line = data[at + 1 : data.find(b"\n", at + 1)]
            with contextlib.suppress(ValueError, IndexError):
                values.append(float(line.split()[-1]))
            at = data.find(start, at + 1)
        return max(values, default=None)

    def program(self, namespace: str, service: str, port: int, path: str, query: Mapping[str, str]) -> Optional[api.Object]:
        question = api.Question(f"Service {namespace}/{service}", "get", "services/proxy", namespace)
        through = f"{api.service_path(namespace, service, port, path)}?{urlencode(query)}"
        status, data = self._send("GET", through, question, retries=False)
        answer = api.decoded(data)
        if status == 200:
            return answer
        # the API server itself answers with a Status, the program with any other text
        if answer.get("kind") != "Status":
            return {UNWELL: f"HTTP status {status}: {answer.get('message') or answer.get('error') or 'no reason given'}"}
        return None if status == 404 else self._refuse(status, answer, question)

    def client_certificate(self) -> Optional[bytes]:
        # the first certificate in the file is the client's own
        return first_certificate(self._access.certificate.decode("ascii", "replace"))

    def serving_certificate(self) -> bytes:
        """Return the server's certificate from the TLS handshake. No request is sent, so it need not be trusted."""
        address = urlsplit(self.server)
        host, port = address.hostname or "", address.port or 443
        tls = ssl.create_default_context()
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
        try:
            with (
                socket.create_connection((host, port), api.CONNECT_SECONDS) as tcp,
                tls.wrap_socket(tcp, server_hostname=host) as shown,
            ):
                return shown.getpeercert(binary_form=True) or b""
        except OSError as error:
            look = "Check that the control plane host is on, and kube-apiserver on it."
            raise Unavailable(f"certificate of {self.server}", f"no TLS connection: {error}", "a TLS connection", look) from error
