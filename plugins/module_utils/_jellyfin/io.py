# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jellyfin through the API server's proxy for Services. From there to the Pod, requests are in clear text, like every login to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Optional

from .._cluster.api import KubernetesApi, Object, Question, service_path
from .._refusal import Refusal

_DENIED, _NOT_FOUND = (401, 403), 404


class JellyfinService(KubernetesApi):
    """A Jellyfin behind a Service of the cluster."""

    def __init__(self, kubeconfig: Optional[str], context: Optional[str], namespace: str, service: str) -> None:
        super().__init__(kubeconfig, context)
        self.namespace, self._service = namespace, service

    @property
    def subject(self) -> str:
        return f"Service {self.namespace}/{self._service}"

    def fetch(self, path: str) -> tuple[int, Object]:
        question = self._question("get")
        return self._judge(*self._ask(self._path(path), question), question)

    def submit(self, path: str, content: Mapping[str, str]) -> tuple[int, Object]:
        question = self._question("create")
        return self._judge(*self._write("POST", self._path(path), question, json.dumps(content)), question)

    def _question(self, verb: str) -> Question:
        return Question(self.subject, verb, "services/proxy", self.namespace)

    def _path(self, path: str) -> str:
        return service_path(self.namespace, self._service, "http", path)

    def _judge(self, status: int, answer: Object, question: Question) -> tuple[int, Object]:
        """Reject what is the answer of the API server, and not of Jellyfin, unless it may pass by itself."""
        if answer.get("kind") == "Status":
            if status in _DENIED:
                self._refuse(status, answer, question)
            if status == _NOT_FOUND:
                raise Refusal(self.subject, "no Service of this name", "the Service of Jellyfin", "Run the role jellyfin.")
        return status, answer
