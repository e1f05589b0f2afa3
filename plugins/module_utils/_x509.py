# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of an X.509 certificate that checks need (RFC 5280, section 4.1). Managed hosts have no library for certificates."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timezone
from typing import Optional

KUBELET_PKI = "/var/lib/kubelet/pki"
"""Where kubelet keeps its own certificates, whose current files are links."""
KUBELET_CERTIFICATE = f"{KUBELET_PKI}/kubelet-client-current.pem"

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
_OF_KUBECONFIG = re.compile(r"client-certificate-data: *(\S+)")
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_VALIDITY, _PUBLIC_KEY = 3, 5  # places after the optional version: serial number, algorithm, issuer, validity, subject, public key


def certificates_in(pem: str) -> list[bytes]:
    """Return the DER form of each certificate in a text. Raises ValueError for a block that is not base64."""
    return [_decoded(block) for block in _PEM.findall(pem)]


def first_certificate(text: str) -> Optional[bytes]:
    """Return the first certificate of a PEM file, or the client's of a kubeconfig, in DER form; None without one. Raises ValueError."""
    embedded = _OF_KUBECONFIG.search(text)
    found = _PEM.search(base64.b64decode(embedded[1], validate=True).decode("ascii") if embedded else text)
    return _decoded(found[1]) if found else None


def not_after(der: bytes) -> datetime:
    """Return the end of a certificate's validity. Raises ValueError for anything but a certificate."""
    validity = _field(der, _VALIDITY)
    start, _end = _content(validity, 0)
    tag_at = _content(validity, start)[1]
    begin, end = _content(validity, tag_at)
    text = validity[begin:end].decode("ascii")
    if validity[tag_at] == _UTC_TIME:
        text = ("20" if text[:2] < "50" else "19") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc)


def public_key(der: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo with its header. Raises ValueError for anything but a certificate."""
    return _field(der, _PUBLIC_KEY)


def elements(der: bytes) -> list[tuple[int, bytes]]:
    """Return the tag and the content of each DER element, one after another. Raises ValueError for anything else."""
    found, position = [], 0
    while position < len(der):
        start, end = _content(der, position)
        found.append((der[position], der[start:end]))
        position = end
    return found


def _decoded(block: str) -> bytes:
    return base64.b64decode("".join(block.split()), validate=True)


def _field(der: bytes, place: int) -> bytes:
    """Return a field of a certificate that is a sequence, with its header."""
    certificate, _end = _content(der, 0)
    position, _end = _content(der, certificate)
    if der[position] == _VERSION:
        position = _content(der, position)[1]
    for _skipped in range(place):
        position = _content(der, position)[1]
    end = _content(der, position)[1]
    if der[position] != _SEQUENCE:
        raise ValueError("no sequence")
    return der[position:end]


def _content(der: bytes, position: int) -> tuple[int, int]:
    """Return where the content of a DER element begins, and where the element ends."""
    if position + 2 > len(der):
        raise ValueError("truncated")
    length, start = der[position + 1], position + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[start : start + octets], "big")
        start += octets
    if start + length > len(der):
        raise ValueError("truncated")
    return start, start + length
