# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server tells a host that has a token and no membership yet, and what speaks against a join.

Facts: kubeadm's discovery (``cmd/kubeadm/app/discovery/token`` of 1.36) reads the ConfigMap kube-public/cluster-info, which a controller
signs with every token that lives, and waits minutes for a signature that never comes; the version skew policy since Kubernetes 1.28.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_identity import public_key_hashes, read_kubeconfig
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CLUSTER_INFO = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
OLDEST_KUBELET = 3  # minor versions behind the API server

_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_VERSION = re.compile(r"v?(\d+)\.(\d+)")


@dataclass(frozen=True)
class Token:
    """A bootstrap token. Its text never leaves this object in a message."""

    name: str
    secret: str

    @property
    def text(self) -> str:
        return f"{self.name}.{self.secret}"

    def __repr__(self) -> str:
        return f"Token({self.name})"


def read_token(text: str) -> Token:
    if not _TOKEN.fullmatch(text):
        raise Refusal(
            "token",
            "text of another form",
            "6 characters, a dot and 16 characters out of a-z and 0-9",
            "Pass `token` of what vmstation.cluster.kubeadm_join_token returned.",
        )
    name, _dot, secret = text.partition(".")
    return Token(name, secret)


@dataclass(frozen=True)
class ClusterInfo:
    """The ConfigMap cluster-info. signatures: by token, that is by the half of it that is no secret."""

    kubeconfig: str
    signatures: Mapping[str, str]

    @property
    def authority(self) -> str:
        found = read_kubeconfig(self.kubeconfig)
        return found.authority if found else ""


def read_cluster_info(body: Mapping[str, Any]) -> Optional[ClusterInfo]:
    """The ConfigMap as the API gives it; None if it says nothing."""
    data = body.get("data")
    if not isinstance(data, Mapping) or not isinstance(data.get("kubeconfig"), str):
        return None
    prefix = "jws-kubeconfig-"
    return ClusterInfo(data["kubeconfig"], {key[len(prefix) :]: str(data[key]) for key in data if key.startswith(prefix)})


def refuse_other_authority(info: ClusterInfo, endpoint: str, ca_cert_hashes: Sequence[str]) -> None:
    """Refuses an API server that is not the one whose authority was pinned."""
    found = public_key_hashes(info.authority)
    if not set(found) & set(ca_cert_hashes):
        raise Refusal(
            f"authority of the API server https://{endpoint}",
            ", ".join(found) or "none",
            f"one of {', '.join(ca_cert_hashes)}",
            "Another cluster answers at that address, or ca_cert_hashes is that of another one. Look which host has the address, then take "
            "ca_cert_hashes from vmstation.cluster.kubeadm_join_token on this cluster's control plane.",
        )


def refuse_bad_token(info: Optional[ClusterInfo], token: Token, endpoint: str, waited: float) -> None:
    """Refuses a token that the cluster does not know or no longer knows, and one whose secret is another."""
    signature = info.signatures.get(token.name) if info else None
    if info is None or not signature:
        raise Refusal(
            f"token {token.name}",
            f"no signature of it at https://{endpoint} for {waited:g} s: it has expired, was removed, or is another cluster's",
            "a token that the cluster knows",
            "Run again: the role makes a new one for each run (vmstation.cluster.kubeadm_join_token).",
        )
    header, _payload, digest = [*signature.split("."), "", ""][:3]
    signed = f"{header}.{_unpadded(info.kubeconfig.encode())}".encode()
    if not hmac.compare_digest(_unpadded(hmac.new(token.secret.encode(), signed, hashlib.sha256).digest()), digest):
        raise Refusal(
            f"token {token.name}",
            f"another secret than the one that https://{endpoint} has signed with",
            "the whole token",
            "Pass `token` of what vmstation.cluster.kubeadm_join_token returned.",
        )


def refuse_version_skew(api_server: str, kubelet: str, kubeadm: str, name: str) -> None:
    """Refuses a kubelet that the API server does not support, and a kubeadm of another minor version than the cluster's."""
    server, own = _minor(api_server, "API server"), _minor(kubelet, "kubelet")
    install = f"Install the kubelet and kubeadm of {api_server} on {name}"
    if own[0] != server[0] or not server[1] - OLDEST_KUBELET <= own[1] <= server[1]:
        raise Refusal(
            f"kubelet of {name}",
            kubelet,
            f"a kubelet that is not newer than the API server ({api_server}) and at most {OLDEST_KUBELET} minor versions older",
            f"{install}" + (", or upgrade the control plane first." if own > server else "."),
        )
    if _minor(kubeadm, "kubeadm") != server:
        raise Refusal(
            f"kubeadm of {name}", kubeadm, f"kubeadm of the minor version of the API server ({api_server}), to join", f"{install}."
        )


def _minor(version: str, what: str) -> tuple[int, int]:
    found = _VERSION.search(version)
    if found is None:
        raise Refusal(f"version of {what}", repr(version), "a version such as v1.36.4", f"See what {what} prints as its version.")
    return int(found[1]), int(found[2])


def _unpadded(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode().rstrip("=")
