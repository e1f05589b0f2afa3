# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only place that asks the Kubernetes API: plain dictionaries, lists in pages, each request bounded in time."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn, Optional, Protocol, Union
from urllib.parse import quote, urlencode

from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import read_access
from ansible_collections.vmstation.cluster.plugins.module_utils._io.lister import Lister
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

# _io.kubeconfig says what is missing
with contextlib.suppress(ImportError):
    import urllib3
    import yaml  # type: ignore[import-untyped]

Object = dict[str, Any]

# kubectl takes 500 at once; of 5000 nodes, decoding a quarter of that is as fast and holds two thirds of the memory
PAGE = 125
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
RETRIES, BUSY = 2, (429, 502, 503, 504)


class ClusterReader(Lister, Protocol):
    """What the core is given to read a cluster; tests pass a scripted fake.

    A kind is named as in a manifest: ``("apps/v1", "Deployment")``. An empty namespace means all of them, or none for kinds without.
    What cannot be had is a Refusal; an Unavailable one may pass by itself.
    """

    @property
    def server(self) -> str:
        """The URL of the API server."""

    def serves(self, api_version: str, kind: str) -> bool:
        """Whether the API server knows this kind."""

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Optional[Object]:
        """The object of this name, or None if there is none."""

    def read(self, path: str) -> Object:
        """What the API server answers at a path of its own, such as ``/version``."""


@dataclass(frozen=True)
class _Resource:
    """How a kind is called in paths."""

    plural: str
    namespaced: bool


@dataclass(frozen=True)
class _Question:
    """One thing that is asked for. what: in a user's words. verb, resource: as permissions are called."""

    what: str
    verb: str
    resource: str
    namespace: str = ""

    @property
    def permission(self) -> str:
        return f"{self.verb} {self.resource}" + (f" in namespace {self.namespace}" if self.namespace else "")


class KubernetesApi:
    """The API server of a kubeconfig's context, for any number of threads. kubeconfig: None means what kubectl would take."""

    def __init__(self, kubeconfig: Optional[str] = None, context: Optional[str] = None) -> None:
        self._origin = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        self._access = read_access(self._origin, context)
        self._resources: dict[str, dict[str, _Resource]] = {}
        self._asking_for_kinds, self._counting = threading.Lock(), threading.Lock()
        self.calls = 0

    @property
    def server(self) -> str:
        return self._access.server

    def serves(self, api_version: str, kind: str) -> bool:
        return kind in self._kinds(api_version)

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[Object]:
        resource = self._resource(api_version, kind)
        wanted = {"labelSelector": label_selector, "fieldSelector": field_selector}
        query = {"limit": str(PAGE), **{name: selector for name, selector in wanted.items() if selector}}
        path = _path(api_version, resource, namespace)
        within = f" in namespace {namespace}" if namespace else ""
        question = _Question(f"list of {resource.plural}{within}", "list", resource.plural, namespace)
        while True:
            status, answer = self._ask(f"{path}?{urlencode(query)}", question)
            following = answer.get("metadata", {}).get("continue", "")
            # a list that took too long goes on from the same place, as of now
            if status != 200 and not (status == 410 and following and "continue" in query):
                self._refuse(status, answer, question)
            with _without_garbage_collection():
                yield from answer.pop("items", ())
            if not following:
                return
            query["continue"] = following

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Optional[Object]:
        resource = self._resource(api_version, kind)
        question = _Question(f"{kind} {namespace + '/' if namespace else ''}{name}", "get", resource.plural, namespace)
        status, answer = self._ask(f"{_path(api_version, resource, namespace)}/{quote(name)}", question)
        if status == 404:
            return None
        if status != 200:
            self._refuse(status, answer, question)
        return answer

    def read(self, path: str) -> Object:
        question = _Question(path, "get", path)
        status, answer = self._ask(path, question)
        if status != 200:
            self._refuse(status, answer, question)
        return answer

    def _resource(self, api_version: str, kind: str) -> _Resource:
        try:
            return self._kinds(api_version)[kind]
        except KeyError:
            raise Refusal(
                f"Kubernetes API {self._access.server}, kind {kind} of {api_version}",
                "not served",
                "an API server that knows this kind",
                "Install what brings it, or correct the version (`kubectl api-resources` lists what there is).",
            ) from None

    def _kinds(self, api_version: str) -> Mapping[str, _Resource]:
        """The kinds of a version; none if it is not served. Asked once."""
        with self._asking_for_kinds:
            if api_version not in self._resources:
                question = _Question(f"kinds of {api_version}", "get", _root(api_version))
                status, answer = self._ask(_root(api_version), question)
                if status not in {200, 404}:
                    self._refuse(status, answer, question)
                self._resources[api_version] = {
                    one["kind"]: _Resource(one["name"], one["namespaced"]) for one in answer.get("resources", ()) if "/" not in one["name"]
                }
            return self._resources[api_version]

    def _ask(self, path: str, question: _Question) -> tuple[int, Object]:
        """Read: a busy server is asked again."""
        again = urllib3.Retry(
            total=RETRIES,
            redirect=0,
            status_forcelist=BUSY,
            backoff_factor=0.5,
            respect_retry_after_header=False,
            raise_on_status=False,
            raise_on_redirect=False,
        )
        return self._request("GET", path, question, retries=again)

    def _write(self, method: str, path: str, question: _Question, body: str, content_type: str = "application/json") -> tuple[int, Object]:
        """Write. Sent once: what became of a request without an answer nobody knows."""
        return self._request(method, path, question, retries=False, body=body.encode(), headers={"Content-Type": content_type})

    def _request(
        self,
        method: str,
        path: str,
        question: _Question,
        *,
        retries: Union[urllib3.Retry, bool],
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> tuple[int, Object]:
        """One request: its HTTP status and the JSON object of its answer; {} stands for any other answer."""
        status, data = self._send(method, path, question, retries=retries, body=body, headers=headers)
        return status, _decoded(data)

    def _send(
        self,
        method: str,
        path: str,
        question: _Question,
        *,
        retries: Union[urllib3.Retry, bool],
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> tuple[int, bytes]:
        """One request: its HTTP status and its answer."""
        with self._counting:
            self.calls += 1
        try:
            answer = self._access.pool.request(
                method,
                self._access.server + path,
                headers={"Accept": "application/json", "User-Agent": "vmstation.cluster", **(headers or {}), **self._access.headers},
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS),
                retries=retries,
                body=body,
            )
        except urllib3.exceptions.HTTPError as error:
            raise self._silence(error, question) from error
        return answer.status, answer.data

    def _silence(self, error: Exception, question: _Question) -> Refusal:
        """Why there was no answer at all."""
        subject = f"Kubernetes API {self._access.server}, {question.what}"
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, urllib3.exceptions.SSLError):
            cause = reason.args[0] if reason.args else reason
            text = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or str(cause)
            return Refusal(
                subject,
                f"a TLS connection that failed: {text}",
                f"a server certificate of the authority in {self._origin}",
                f"Fetch the kubeconfig of this cluster again, or correct the address of its server in {self._origin}.",
            )
        required = "an answer"
        look = f"Look whether the control plane host is on, and at kube-apiserver on it; the address is that of `server` in {self._origin}."
        if isinstance(reason, (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError)):
            return Unavailable(subject, f"no complete answer within {READ_SECONDS:g} s ({_last_words(reason)})", required, look)
        if isinstance(reason, urllib3.exceptions.NameResolutionError):
            return Unavailable(subject, "a name that cannot be resolved", "the address of the API server", look)
        if isinstance(reason, urllib3.exceptions.ConnectTimeoutError) and not isinstance(reason, urllib3.exceptions.NewConnectionError):
            return Unavailable(subject, f"no connection within {CONNECT_SECONDS:g} s", required, f"{look} A firewall may drop its port.")
        return Unavailable(subject, _last_words(reason), required, look)

    def _refuse(self, status: int, answer: Object, question: _Question) -> NoReturn:
        """An answer other than what was asked for."""
        subject = f"Kubernetes API {self._access.server}, {question.what}"
        message = str(answer.get("message") or "no reason given")
        if status == 401:
            raise Refusal(
                subject,
                f"HTTP status 401: {message}",
                f"credentials in {self._origin} that the API server knows",
                f"Fetch {self._origin} again. On the control plane, `kubeadm certs check-expiration` says which certificates have expired.",
            )
        if status == 403:
            raise Refusal(
                subject,
                f"HTTP status 403: {message}",
                f"the permission to {question.permission}",
                f"Let the user of {self._origin} {question.permission} (a Role or ClusterRole with that verb, and its binding).",
            )
        if status == 429 or status >= 500:
            raise Unavailable(
                subject,
                f"HTTP status {status}{f' after {RETRIES + 1} requests' if status in BUSY else ''}: {message}",
                "HTTP status 200",
                "Wait a moment and try again; if it stays, look at the logs of kube-apiserver and etcd.",
            )
        raise Refusal(
            subject, f"HTTP status {status}: {message}", "HTTP status 200", f"Check that {self._origin} leads to a Kubernetes API server."
        )


def _decoded(data: bytes) -> Object:
    try:
        with _without_garbage_collection():
            decoded = json.loads(data)
    except ValueError:
        decoded = {"message": data[:200].decode(errors="replace").strip()}
    return decoded if isinstance(decoded, dict) else {}


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """A page has no cycles to be collected, and looking for them takes longer than decoding it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def read_yaml(text: str) -> object:
    """A YAML document, as in some ConfigMaps; None for a text that is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _root(api_version: str) -> str:
    return f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"


def _path(api_version: str, resource: _Resource, namespace: str) -> str:
    within = f"/namespaces/{quote(namespace)}" if namespace and resource.namespaced else ""
    return f"{_root(api_version)}{within}/{resource.plural}"


def _last_words(error: BaseException) -> str:
    """The operating system's own words for what went wrong, without Python's wrapping."""
    cause: Optional[BaseException] = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.strerror:
            return cause.strerror.lower()
        nested = next((one for one in cause.args if isinstance(one, BaseException)), None)
        cause = nested or cause.__cause__ or cause.__context__
    return str(error)
