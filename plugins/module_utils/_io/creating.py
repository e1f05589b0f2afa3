# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes objects in the Kubernetes API, one request each."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io import cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi, Object

with suppress(ImportError):  # cluster.py says so
    import urllib3

_EXISTS = 409


class Creator(Protocol):
    """What the core is given to make objects; tests pass a scripted fake."""

    def create(self, document: Object) -> bool:
        """Make an object that no namespace has. False: one of its name has come meanwhile. What is not permitted is a Refusal."""


class CreatingApi(KubernetesApi):
    """A KubernetesApi that also makes objects. Sent once: what became of a request without an answer nobody knows."""

    def create(self, document: Object) -> bool:
        api_version, kind, name = document["apiVersion"], document["kind"], document["metadata"]["name"]
        resource = self._resource(api_version, kind)
        question = cluster._Question(f"create {kind} {name}", "create", resource.plural)
        self.calls += 1
        try:
            answer = self._pool.request(
                "POST",
                self._server + cluster._path(api_version, resource, ""),
                body=json.dumps(document).encode(),
                headers={
                    "Accept": "application/json",
                    "Content-Type": "application/json",
                    "User-Agent": "vmstation.cluster",
                    **self._headers,
                },
                timeout=urllib3.Timeout(connect=cluster.CONNECT_SECONDS, read=cluster.READ_SECONDS),
                retries=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._silence(error, question) from error
        if answer.status >= 300 and answer.status != _EXISTS:
            try:
                decoded = json.loads(answer.data)
            except ValueError:
                decoded = {"message": answer.data[:200].decode(errors="replace").strip()}
            self._refuse(answer.status, decoded, question)
        return bool(answer.status != _EXISTS)
