# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to reach the API server of a kubeconfig: its address, a connection pool, and the headers that authenticate the client.

The Python client for Kubernetes takes longer to import than a question takes to answer. It is imported only for what this file does not
read: exec and auth plugins, several files, proxies, and anything else that kubeadm does not write.
"""

from __future__ import annotations

import base64
import os
import ssl
import sys
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from .._refusal import Refusal

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
AT_ONCE = 16  # connections that are kept


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
    return urllib3.PoolManager(maxsize=AT_ONCE, ssl_context=tls, **named)


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
