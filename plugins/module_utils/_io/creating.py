# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes objects in the Kubernetes API, one request each."""

from __future__ import annotations

import json
from typing import Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io import cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi, Object

_EXISTS = 409


class Creator(Protocol):
    """What the core is given to make objects; tests pass a scripted fake."""

    def create(self, document: Object) -> bool:
        """Make an object that no namespace has. False: one of its name has come meanwhile. What is not permitted is a Refusal."""


class CreatingApi(KubernetesApi):
    """A KubernetesApi that also makes objects."""

    def create(self, document: Object) -> bool:
        api_version, kind, name = document["apiVersion"], document["kind"], document["metadata"]["name"]
        resource = self._resource(api_version, kind)
        question = cluster._Question(f"create {kind} {name}", "create", resource.plural)
        status, answer = self._write("POST", cluster._path(api_version, resource, ""), question, json.dumps(document))
        if status >= 300 and status != _EXISTS:
            self._refuse(status, answer, question)
        return status != _EXISTS
