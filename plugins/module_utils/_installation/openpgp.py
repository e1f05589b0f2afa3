# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads OpenPGP public keys as far as it takes to tell them apart and to see when they end.

Facts (RFC 9580): packet headers, section 4.2; the fingerprint of a version 4 key is the SHA-1 of its packet, that of version 6 the SHA-256
(5.5.4); a key ends so many seconds after its creation as its newest signature upon itself says (5.2.3.13); armor, section 6.
A minimal host has no gpg, and apt and rpm verify signatures by themselves once they are given the right key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Optional

BEGIN, END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
PUBLIC_KEY, SIGNATURE, SECRET_KEYS = 6, 2, (5, 7)
# certifications of a user id, and a signature directly on the key
SELF_SIGNATURES = (0x10, 0x11, 0x12, 0x13, 0x1F)
CREATED, KEY_ENDS, ISSUER, ISSUER_FINGERPRINT = 2, 9, 16, 33
CRC_START, CRC_POLYNOMIAL = 0xB704CE, 0x1864CFB


class MalformedKey(Exception):
    """What is no public key; the text says what was found."""


@dataclass(frozen=True)
class Key:
    """A primary key. fingerprint: in capitals. ends: Unix time; None: never."""

    fingerprint: str
    ends: Optional[int] = None

    def ends_before(self, other: Key) -> bool:
        return self.ends is not None and (other.ends is None or self.ends < other.ends)


def read_keys(content: bytes) -> tuple[list[Key], bytes]:
    """The primary keys of a file, armored or not, and its packets without armor."""
    packets = _without_armor(content)
    keys: list[Key] = []
    created = newest = 0
    try:
        for tag, body in _packets(packets):
            if tag in SECRET_KEYS:
                raise MalformedKey("a secret key")
            if tag == PUBLIC_KEY:
                keys.append(Key(_fingerprint(body)))
                created, newest = struct.unpack(">I", body[1:5])[0], 0
            elif tag == SIGNATURE and keys:
                when, seconds = _own_statement(body, keys[-1].fingerprint)
                if when >= max(newest, 1):
                    newest = when
                    keys[-1] = Key(keys[-1].fingerprint, created + seconds if seconds else None)
    except (IndexError, struct.error):
        raise MalformedKey("a key that is cut off") from None
    if not keys:
        raise MalformedKey("no OpenPGP public key")
    return keys, packets


def armored(packets: bytes) -> str:
    """Packets as text, for apt and rpm alike."""
    text = base64.b64encode(packets).decode("ascii")
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    check = base64.b64encode(_crc24(packets).to_bytes(3, "big")).decode("ascii")
    return "\n".join([BEGIN, "", *lines, f"={check}", END, ""])


def _without_armor(content: bytes) -> bytes:
    text = content.decode("ascii", "replace")
    if BEGIN not in text:
        return content
    packets = b""
    for block in text.split(BEGIN)[1:]:
        inside, end, _rest = block.partition(END)
        if not end:
            raise MalformedKey("a key block without its end")
        # headers, an empty line, the data, and a checksum behind an equals sign
        lines = [line.strip() for line in inside.splitlines()]
        body = lines[lines.index("", 1) :] if "" in lines[1:] else lines
        try:
            packets += base64.b64decode("".join(line for line in body if not line.startswith("=")), validate=True)
        except binascii.Error:
            raise MalformedKey("a key block that is no base64") from None
    return packets


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        head = data[at]
        if not head & 0x80:
            raise MalformedKey("no OpenPGP public key")
        if head & 0x40:
            tag = head & 0x3F
            length, start = _length(data, at + 1)
        else:
            tag = head >> 2 & 0x0F
            size = (1, 2, 4, 0)[head & 0x03]
            start = at + 1 + size
            length = int.from_bytes(data[at + 1 : start], "big") if size else len(data) - start
        body = data[start : start + length]
        if len(body) != length:
            raise MalformedKey("a key that is cut off")
        yield tag, body
        at = start + length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A length as packets and subpackets write it, and where what follows begins."""
    first = data[at]
    if first < 192:
        return first, at + 1
    if first == 255:
        return struct.unpack(">I", data[at + 1 : at + 5])[0], at + 5
    if first >= 224:
        raise MalformedKey("a key in parts, which no key is")
    return (first - 192 << 8) + data[at + 1] + 192, at + 2


def _fingerprint(body: bytes) -> str:
    if body[0] == 4:
        # the format's own choice; it is not what signatures rest on
        return hashlib.sha1(b"\x99" + struct.pack(">H", len(body)) + body, usedforsecurity=False).hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + struct.pack(">I", len(body)) + body).hexdigest().upper()
    raise MalformedKey(f"a key of version {body[0]}, whose fingerprint can be forged")


def _own_statement(body: bytes, fingerprint: str) -> tuple[int, int]:
    """(when it was made, seconds until the key ends) of a key's signature upon itself; (0, 0) of any other one."""
    version, kind = body[0], body[1]
    if version not in (4, 6) or kind not in SELF_SIGNATURES:
        return 0, 0
    width = 2 if version == 4 else 4
    hashed_end = 4 + width + int.from_bytes(body[4 : 4 + width], "big")
    hashed = dict(_subpackets(body[4 + width : hashed_end]))
    unhashed_end = hashed_end + width + int.from_bytes(body[hashed_end : hashed_end + width], "big")
    every = {**dict(_subpackets(body[hashed_end + width : unhashed_end])), **hashed}
    issuers = (every.get(ISSUER_FINGERPRINT, b"")[1:].hex().upper(), every.get(ISSUER, b"").hex().upper())
    if not any(issuer and fingerprint in (issuer, f"{fingerprint[:24]}{issuer}") for issuer in issuers):
        return 0, 0
    return int.from_bytes(hashed.get(CREATED, b""), "big"), int.from_bytes(hashed.get(KEY_ENDS, b""), "big")


def _subpackets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        length, start = _length(data, at) if data[at] < 224 or data[at] == 255 else (_long(data, at), at + 2)
        yield data[start] & 0x7F, data[start + 1 : start + length]
        at = start + length


def _long(data: bytes, at: int) -> int:
    """Subpackets have two-byte lengths up to 254, where packets begin partial lengths."""
    return (data[at] - 192 << 8) + data[at + 1] + 192


def _crc24(data: bytes) -> int:
    crc = CRC_START
    for byte in data:
        crc ^= byte << 16
        for _bit in range(8):
            crc <<= 1
            if crc & 0x1000000:
                crc ^= CRC_POLYNOMIAL
    return crc & 0xFFFFFF
