# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which cluster a file on a host speaks of: a kubeconfig's server, and an authority by its public key."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
BOOTSTRAP_CONF = "/etc/kubernetes/bootstrap-kubelet.conf"
ADMIN_CONF = "/etc/kubernetes/admin.conf"
CA_CERTIFICATE = "/etc/kubernetes/pki/ca.crt"

SEQUENCE = 0x30
EXPLICIT_VERSION = 0xA0  # certificates of version 1 leave it out
FIELDS_BEFORE_KEY = 5  # of a certificate: serial number, algorithm, issuer, validity, subject
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_FIELD = re.compile(r"^[\s-]*(server|certificate-authority-data|client-certificate|client-key):[ \t]+['\"]?([^\s'\"]+)['\"]?[ \t]*$", re.M)


@dataclass(frozen=True)
class Kubeconfig:
    """What of a kubeconfig tells clusters apart. authority: certificates as PEM; client_certificate, client_key: paths. Empty: not said."""

    server: str
    authority: str = ""
    client_certificate: str = ""
    client_key: str = ""

    @property
    def endpoint(self) -> str:
        """Host and port, as kubeadm takes them."""
        return self.server.partition("://")[2].rstrip("/")


def read_kubeconfig(text: Optional[str]) -> Optional[Kubeconfig]:
    """A kubeconfig as kubeadm and kubelet write it, one cluster and one user in block style; None if there is no file.

    Managed hosts have no YAML reader. What is not understood is empty, so that it is nobody's member."""
    if text is None:
        return None
    fields = dict(reversed([(match[1], match[2]) for match in _FIELD.finditer(text)]))
    try:
        authority = base64.b64decode(fields.get("certificate-authority-data", ""), validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        authority = ""
    return Kubeconfig(
        fields.get("server", ""),
        authority,
        fields.get("client-certificate", ""),
        fields.get("client-key", fields.get("client-certificate", "")),
    )


def public_key_hashes(pem: str) -> tuple[str, ...]:
    """``sha256:`` and the digest of each certificate's public key, as kubeadm pins them. Text that holds no certificate gives none."""
    return tuple(f"sha256:{hashlib.sha256(_public_key(block)).hexdigest()}" for block in _PEM.findall(pem))


def _public_key(block: str) -> bytes:
    """The SubjectPublicKeyInfo of a certificate (RFC 5280, section 4.1), with its header."""
    try:
        der = base64.b64decode("".join(block.split()), validate=True)
        certificate, _end = _content(der, 0)
        position, _end = _content(der, certificate)
        if der[position] == EXPLICIT_VERSION:
            position = _content(der, position)[1]
        for _field in range(FIELDS_BEFORE_KEY):
            position = _content(der, position)[1]
        end = _content(der, position)[1]
    except (binascii.Error, IndexError):
        end = position = 0
        der = b""
    if end == position or end > len(der) or der[position] != SEQUENCE:
        raise Refusal(
            "certificate of the cluster's authority",
            "text that is no certificate",
            "an X.509 certificate in PEM form",
            "See `openssl x509 -noout -text -in /etc/kubernetes/pki/ca.crt` on the control plane.",
        )
    return der[position:end]


def _content(der: bytes, position: int) -> tuple[int, int]:
    """Where the content of a DER element begins, and where the element ends."""
    length, start = der[position + 1], position + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[start : start + octets], "big")
        start += octets
    return start, start + length
