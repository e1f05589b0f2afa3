# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to the Kubernetes API: plain dictionaries, lists in pages, each request with a time limit; and its access from a kubeconfig.

The Python client for Kubernetes takes longer to import than a question takes to answer. It is imported only for what this file does not
read: exec and auth plugins, several files, proxies, and anything else that kubeadm does not write.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import ssl
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn, Optional, Protocol, Union
from urllib.parse import quote, urlencode

from .._json import read_json
from .._refusal import Refusal, Unavailable
from .._timing import ask_all

try:
    import urllib3
    import yaml  # type: ignore[import-untyped]
except ImportError:
    KUBERNETES_IMPORT_ERROR: Optional[str] = traceback.format_exc()
else:
    KUBERNETES_IMPORT_ERROR = None

# what every module with the documentation fragment `kubeconfig` takes
KUBECONFIG_ARGUMENTS = {"kubeconfig": {"type": "path"}, "context": {"type": "str"}}

CLUSTER_KEYS = frozenset({"server", "certificate-authority", "certificate-authority-data", "tls-server-name", "insecure-skip-tls-verify"})
USER_KEYS = frozenset({"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token"})
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
KEPT_CONNECTIONS = 16  # connections that are kept


@dataclass(frozen=True)
class Access:
    """server: the URL of the API server. headers: those of each request; they may hold a token. certificate: the client's, as PEM."""

    server: str
    pool: urllib3.PoolManager
    headers: Mapping[str, str] = field(repr=False)
    certificate: bytes = b""


def read_access(origin: str, context: Optional[str] = None) -> Access:
    """Of a kubeconfig: a path, or several as in KUBECONFIG. context: None means its current one."""
    files = [os.path.expanduser(part) for part in origin.split(os.pathsep)]
    if not any(os.access(file, os.R_OK) for file in files):
        raise Refusal(
            f"kubeconfig {origin}",
            "no file of this name that can be read",
            "a kubeconfig",
            "Set the right file; the role control_plane fetches it from the control plane.",
        )
    plain = _plain(files, context) if len(files) == 1 and not any(map(os.environ.get, PROXIES)) else None
    return plain or _by_the_client(origin, files, context)


def _plain(files: list[str], context: Optional[str]) -> Optional[Access]:
    """None for a kubeconfig with more in it than this file reads, or with a fault, which the client names."""
    try:
        with open(files[0], "rb") as file:
            content = yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        chosen = _named(content["contexts"], "context", context or content["current-context"])
        cluster = _named(content["clusters"], "cluster", chosen["cluster"])
        user = _named(content["users"], "user", chosen["user"])
        if cluster.keys() - CLUSTER_KEYS or user.keys() - USER_KEYS or not user:
            return None
        directory = os.path.dirname(os.path.abspath(files[0]))
        headers = {"authorization": f"Bearer {user['token']}"} if user.get("token") else {}
        return Access(cluster["server"].rstrip("/"), _pool(cluster, user, directory), headers, _pem(user, "client-certificate", directory))
    except (KeyError, TypeError, ValueError, AttributeError, OSError, yaml.YAMLError):
        return None


def _named(entries: list[Any], kind: str, name: str) -> dict[str, Any]:
    [entry] = [one[kind] for one in entries if one["name"] == name]
    return dict(entry)


def _pool(cluster: Mapping[str, Any], user: Mapping[str, Any], directory: str) -> urllib3.PoolManager:
    authority = _pem(cluster, "certificate-authority", directory)
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    # as kubectl: Python 3.13 rejects a CA without key identifiers, which kubeadm made for years
    tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    certificate, key = (_pem(user, name, directory) for name in ("client-certificate", "client-key"))
    if certificate and key:
        # ssl takes files only; this one is 0600, and gone at the end of the block
        with tempfile.NamedTemporaryFile(prefix="vmstation-", suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            tls.load_cert_chain(file.name)
    name = cluster.get("tls-server-name")
    named = {"server_hostname": name, "assert_hostname": name} if name else {}
    return urllib3.PoolManager(maxsize=KEPT_CONNECTIONS, ssl_context=tls, **named)


def _pem(entry: Mapping[str, Any], name: str, directory: str) -> bytes:
    """What is in the entry itself, or in the file that it names; empty if neither is there."""
    if entry.get(f"{name}-data"):
        return base64.b64decode(entry[f"{name}-data"], validate=True)
    if not entry.get(name):
        return b""
    with open(os.path.join(directory, entry[name]), "rb") as file:
        return file.read()


def _by_the_client(origin: str, files: list[str], context: Optional[str]) -> Access:
    subject = f"kubeconfig {origin}" + (f", context {context}" if context else "")
    try:
        from kubernetes import client, config  # noqa: PLC0415 - the file's first lines have the reason
    except ImportError as error:
        raise Refusal(
            subject,
            "what only the Python client for Kubernetes reads, and no such client",
            "one file with a server, its CA, and a user's certificate or token; or the Python package kubernetes",
            f"Install it for {sys.executable}: `pip install kubernetes`.",
        ) from error
    configuration = client.Configuration()
    load: Any = config.load_kube_config  # the library gives it no types
    try:
        load(config_file=os.pathsep.join(files), context=context or None, client_configuration=configuration, persist_config=False)
    except Exception as error:  # the library raises ConfigException, yaml's and binascii's errors, OSError, TypeError, KeyError
        raise Refusal(
            subject,
            f"{type(error).__name__}: {error}",
            "a kubeconfig with a server, its CA and a user's credentials",
            "Set the right file and context, or fetch it from the control plane again.",
        ) from error
    settings: Any = configuration.auth_settings().values()
    headers = {str(one["key"]): str(one["value"]) for one in settings if one["in"] == "header"}
    certificate = _pem({"of": configuration.cert_file}, "of", "")
    return Access(str(configuration.host), client.ApiClient(configuration).rest_client.pool_manager, headers, certificate)


# Requests: the only place that asks the Kubernetes API

Object = dict[str, Any]

# kubectl takes 500 at once; of 5000 nodes, decoding a quarter of that is as fast and holds two thirds of the memory
PAGE = 125
CONNECT_SECONDS, READ_SECONDS = 5.0, 30.0
RETRIES, BUSY = 2, (429, 502, 503, 504)
# texts of errors that do not pass by themselves, and the next step
_CAUSES = {
    "failed calling webhook": "See the Service of that webhook: `kubectl get validatingwebhookconfigurations,"
    "mutatingwebhookconfigurations --output=yaml`. Start its server, or delete the configuration if it was uninstalled.",
    "database space exceeded": "etcd has reached its quota: `ansible-playbook playbooks/check.yml -e check_only=control_plane` shows how "
    "to free space and to clear its alarm.",
}


class Lister(Protocol):
    """The part of a ClusterReader that reads whole lists. It can be implemented without the kubernetes library."""

    def items(
        self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = ""
    ) -> Iterator[dict[str, Any]]:
        """The objects of this kind, fetched in pages: no more than one page is held."""


class ClusterReader(Lister, Protocol):
    """What the core is given to read a cluster; tests pass a scripted fake.

    A kind is named as in a manifest: ``("apps/v1", "Deployment")``. An empty namespace means all of them, or none for kinds without.
    Raises Refusal if a read fails; an Unavailable may pass by itself.
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
class Question:
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
        # the Date of the last answer: the API server's time
        self.answered_at = ""

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
        path = api_path(api_version, resource, namespace)
        within = f" in namespace {namespace}" if namespace else ""
        question = Question(f"list of {resource.plural}{within}", "list", resource.plural, namespace)
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
        question = Question(f"{kind} {namespace + '/' if namespace else ''}{name}", "get", resource.plural, namespace)
        status, answer = self._ask(f"{api_path(api_version, resource, namespace)}/{quote(name)}", question)
        if status == 404:
            return None
        if status != 200:
            self._refuse(status, answer, question)
        return answer

    def read(self, path: str) -> Object:
        question = Question(path, "get", path)
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
                "Install what provides it, or correct the version (`kubectl api-resources` lists what there is).",
            ) from None

    def _kinds(self, api_version: str) -> Mapping[str, _Resource]:
        """The kinds of a version; none if it is not served. Asked once."""
        with self._asking_for_kinds:
            if api_version not in self._resources:
                question = Question(f"kinds of {api_version}", "get", _root(api_version))
                status, answer = self._ask(_root(api_version), question)
                if status not in {200, 404}:
                    self._refuse(status, answer, question)
                self._resources[api_version] = {
                    one["kind"]: _Resource(one["name"], one["namespaced"]) for one in answer.get("resources", ()) if "/" not in one["name"]
                }
            return self._resources[api_version]

    def _ask(self, path: str, question: Question) -> tuple[int, Object]:
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

    def _write(self, method: str, path: str, question: Question, body: str, content_type: str = "application/json") -> tuple[int, Object]:
        """Write. Sent once: what became of a request without an answer is not known."""
        return self._request(method, path, question, retries=False, body=body.encode(), headers={"Content-Type": content_type})

    def _request(
        self,
        method: str,
        path: str,
        question: Question,
        *,
        retries: Union[urllib3.Retry, bool],
        body: Optional[bytes] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> tuple[int, Object]:
        """One request: its HTTP status and the JSON object of its answer; {} for any other answer."""
        status, data = self._send(method, path, question, retries=retries, body=body, headers=headers)
        return status, decoded(data)

    def _send(
        self,
        method: str,
        path: str,
        question: Question,
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
        self.answered_at = answer.headers.get("Date", "")
        return answer.status, answer.data

    def _silence(self, error: Exception, question: Question) -> Refusal:
        """Why there was no answer at all."""
        subject = f"Kubernetes API {self._access.server}, {question.what}"
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, urllib3.exceptions.SSLError):
            cause = reason.args[0] if reason.args else reason
            text = getattr(cause, "verify_message", "") or getattr(cause, "reason", "") or str(cause)
            fix = f"Fetch the kubeconfig of this cluster again, or correct the address of its server in {self._origin}."
            if "expired" in text:
                fix = "`ansible-playbook site.yml` renews it, and restarts kube-apiserver."
            return Refusal(subject, f"a TLS connection that failed: {text}", f"a server certificate of the CA in {self._origin}", fix)
        required = "an answer"
        look = f"Check that the control plane host is on, and kube-apiserver on it; the address is that of `server` in {self._origin}."
        if isinstance(reason, (urllib3.exceptions.ReadTimeoutError, urllib3.exceptions.ProtocolError)):
            return Unavailable(subject, f"no complete answer within {READ_SECONDS:g} s ({_last_words(reason)})", required, look)
        if isinstance(reason, urllib3.exceptions.NameResolutionError):
            return Unavailable(subject, "a name that cannot be resolved", "the address of the API server", look)
        if isinstance(reason, urllib3.exceptions.ConnectTimeoutError) and not isinstance(reason, urllib3.exceptions.NewConnectionError):
            return Unavailable(subject, f"no connection within {CONNECT_SECONDS:g} s", required, f"{look} A firewall may drop its port.")
        return Unavailable(subject, _last_words(reason), required, look)

    def _refuse(self, status: int, answer: Object, question: Question) -> NoReturn:
        """An answer other than what was asked for."""
        subject = f"Kubernetes API {self._access.server}, {question.what}"
        message = str(answer.get("message") or "no reason given")
        if status == 401:
            raise Refusal(
                subject,
                f"HTTP status 401: {message}",
                f"credentials in {self._origin} that the API server accepts",
                f"Fetch {self._origin} again. On the control plane, `kubeadm certs check-expiration` shows which certificates expired.",
            )
        if status == 403:
            raise Refusal(
                subject,
                f"HTTP status 403: {message}",
                f"the permission to {question.permission}",
                f"Allow the user of {self._origin} to {question.permission} (a Role or ClusterRole with that verb, and its binding).",
            )
        for words, step in _CAUSES.items():
            if words in message:
                raise Unavailable(subject, f"HTTP status {status}: {message}", "HTTP status 200", step)
        if status == 429 or status >= 500:
            raise Unavailable(
                subject,
                f"HTTP status {status}{f' after {RETRIES + 1} requests' if status in BUSY else ''}: {message}",
                "HTTP status 200",
                "Wait a moment and try again; if it remains, check the logs of kube-apiserver and etcd.",
            )
        raise Refusal(
            subject, f"HTTP status {status}: {message}", "HTTP status 200", f"Check that {self._origin} points to a Kubernetes API server."
        )


def decoded(data: bytes) -> Object:
    try:
        with _without_garbage_collection():
            decoded = read_json(data)
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


def api_path(api_version: str, resource: _Resource, namespace: str) -> str:
    within = f"/namespaces/{quote(namespace)}" if namespace and resource.namespaced else ""
    return f"{_root(api_version)}{within}/{resource.plural}"


def service_path(namespace: str, service: str, port: Union[int, str], path: str) -> str:
    """The path by which the API server forwards a request to a Service over HTTP. port: its number or its name."""
    return f"/api/v1/namespaces/{quote(namespace)}/services/http:{quote(service)}:{port}/proxy{path}"


def _last_words(error: BaseException) -> str:
    """The operating system's own words for what went wrong, without Python's wrapping."""
    cause: Optional[BaseException] = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.strerror:
            return cause.strerror.lower()
        nested = next((one for one in cause.args if isinstance(one, BaseException)), None)
        cause = nested or cause.__cause__ or cause.__context__
    return str(error)


# Makes objects in the Kubernetes API, one request each.

_CONFLICT = 409


class Creator(Protocol):
    """What the core is given to make objects; tests pass a scripted fake."""

    def create(self, document: Object) -> bool:
        """Make an object that no namespace has. False: one of its name has come meanwhile. What is not permitted is a Refusal."""


class CreatingApi(KubernetesApi):
    """A KubernetesApi that also makes objects."""

    def create(self, document: Object) -> bool:
        api_version, kind, name = document["apiVersion"], document["kind"], document["metadata"]["name"]
        resource = self._resource(api_version, kind)
        question = Question(f"create {kind} {name}", "create", resource.plural)
        status, answer = self._write("POST", api_path(api_version, resource, ""), question, json.dumps(document))
        if status >= 300 and status != _CONFLICT:
            self._refuse(status, answer, question)
        return status != _CONFLICT


# Asks the API server what a server-side apply would leave of objects, without applying them.

AT_ONCE = 4
SECONDS = 60.0  # for all objects together


@dataclass(frozen=True)
class Preview:
    """One object. live: None if it does not exist. applied: as applying would leave it; None if it would be created, or rejected."""

    live: Optional[Object] = None
    applied: Optional[Object] = None


class Previewer(ClusterReader, Protocol):
    """What the core is given to compare objects with a cluster; tests pass a scripted fake."""

    def preview(self, documents: Sequence[Object], manager: str) -> list[Preview]:
        """One for each document, in their order."""


class PreviewingApi(KubernetesApi):
    """A KubernetesApi that also tries objects out."""

    def preview(self, documents: Sequence[Object], manager: str) -> list[Preview]:
        previews = []
        for document, answer in zip(documents, ask_all(documents, lambda one: self._preview(one, manager), SECONDS, AT_ONCE)):
            if isinstance(answer, Refusal):
                raise answer
            if answer is None:
                name = f"{document['kind']} {document['metadata']['name']}"
                step = "Wait until the API server is less busy, then run this again."
                raise Unavailable(f"Kubernetes API {self.server}, {name}", f"no answer within {SECONDS:g} s", "an answer", step)
            previews.append(answer)
        return previews

    def _preview(self, document: Object, manager: str) -> Preview:
        api_version, kind, metadata = document["apiVersion"], document["kind"], document["metadata"]
        if not self.serves(api_version, kind):
            return Preview()
        name, namespace = metadata["name"], metadata.get("namespace", "")
        live = self.get(api_version, kind, name, namespace)
        if live is None:
            return Preview()
        resource = self._resource(api_version, kind)
        question = Question(f"dry run of {kind} {name}", "patch", resource.plural, namespace)
        query = urlencode({"fieldManager": manager, "force": "true", "dryRun": "All"})
        path = f"{api_path(api_version, resource, namespace)}/{quote(name)}?{query}"
        status, answer = self._write("PATCH", path, question, json.dumps(document), "application/apply-patch+yaml")
        # the task that applies the object reports why it is rejected
        return Preview(live, answer if status == 200 else None)


# Changes objects in the Kubernetes API, one request each.


class Patcher(ClusterReader, Protocol):
    """What the core is given to change objects; tests pass a scripted fake."""

    def patch(self, api_version: str, kind: str, name: str, patch: Object) -> bool:
        """Merge a patch into an object that no namespace has. False: it has another resourceVersion than the patch names."""


class PatchingApi(KubernetesApi):
    """A KubernetesApi that also changes objects."""

    def patch(self, api_version: str, kind: str, name: str, patch: Object) -> bool:
        resource = self._resource(api_version, kind)
        question = Question(f"patch of {kind} {name}", "patch", resource.plural)
        path = f"{api_path(api_version, resource, '')}/{quote(name)}"
        status, answer = self._write("PATCH", path, question, json.dumps(patch), "application/merge-patch+json")
        if status >= 300 and status != _CONFLICT:
            self._refuse(status, answer, question)
        return status != _CONFLICT
