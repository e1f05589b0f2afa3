# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes to the Kubernetes API what the check of the pod network places, and removes it again."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NoReturn

from .._cluster import api
from .._cluster.api import KubernetesApi, Object

AT_ONCE = 16
_GONE = 404


class ProbePods(KubernetesApi):
    """A KubernetesApi that also writes."""

    def create(self, documents: Sequence[Object], namespace: str = "") -> list[Object]:
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            return list(pool.map(lambda document: self._create(document, namespace), documents))

    def patch_pods(self, namespace: str, patches: Mapping[str, str]) -> None:
        with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
            list(pool.map(lambda item: self._change("PATCH", "Pod", name=item[0], namespace=namespace, body=item[1]), patches.items()))

    def delete_namespace(self, name: str) -> None:
        self._change("DELETE", "Namespace", name=name)

    def end_pods(self, namespace: str) -> None:
        self._change("DELETE", "Pod", namespace=namespace, body=json.dumps({"gracePeriodSeconds": 0}))

    def _create(self, document: Object, namespace: str) -> Object:
        body, called = json.dumps(document), document["metadata"]["name"]
        return self._change("POST", document["kind"], namespace=namespace, body=body, called=called)

    def _change(self, method: str, kind: str, *, name: str = "", namespace: str = "", body: str = "", called: str = "") -> Object:
        """One request. name: the object's, empty for all of its kind in the namespace. called: an object's that is to be made."""
        resource = self._resource("v1", kind)
        verb = {"POST": "create", "PATCH": "patch", "DELETE": "delete" if name else "deletecollection"}[method]
        question = api.Question(f"{verb} {kind} {name or called}".strip(), verb, resource.plural, namespace)
        path = api.api_path("v1", resource, namespace) + (f"/{name}" if name else "")
        kind_of_body = "application/merge-patch+json" if method == "PATCH" else "application/json"
        status, answer = self._write(method, path, question, body, kind_of_body)
        # a namespace that is on its way out answers a second deletion with a conflict
        is_going = method == "DELETE" and status in {_GONE, 409}
        if status >= 300 and not is_going:
            self._refuse(status, answer, question)
        return answer


def fresh_name(prefix: str) -> str:
    """A name that no object has. Chosen here and not by the API server, whose answer may get lost after it has made the object."""
    return prefix + secrets.token_hex(5)


@contextmanager
def ending_in_order() -> Iterator[None]:
    """A signal that ends this process is an exception, so that what was placed goes; a second one does not disturb that."""
    caught = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

    def end(number: int, _frame: object) -> NoReturn:
        for one in caught:
            signal.signal(one, signal.SIG_IGN)
        raise SystemExit(128 + number)

    before = {one: signal.signal(one, end) for one in caught}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
