# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The signing key of a package repository on a host: identified by fingerprint, renewed before it expires."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable, Optional

from .._host.commands import Commands
from .._host.files import HostFiles, Trees
from .._refusal import Refusal
from .check import HEXADECIMAL, fingerprint_of

# OpenPGP public keys: fingerprint and expiration
#
# RFC 9580: packet headers, section 4.2; the fingerprint of a version 4 key is the SHA-1 of its packet, of version 6 the SHA-256 (5.5.4);
# a key expires as many seconds after its creation as its newest self-signature sets (5.2.3.13); armor, section 6. A minimal host has no
# gpg, and apt and rpm verify signatures themselves with the key that they are given.

BEGIN, END = "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----END PGP PUBLIC KEY BLOCK-----"
PUBLIC_KEY, SIGNATURE, SECRET_KEYS = 6, 2, (5, 7)
# certifications of a user ID, and a direct key signature
SELF_SIGNATURES = (0x10, 0x11, 0x12, 0x13, 0x1F)
CREATED, KEY_ENDS, ISSUER, ISSUER_FINGERPRINT = 2, 9, 16, 33
CRC_START, CRC_POLYNOMIAL = 0xB704CE, 0x1864CFB


class MalformedKey(Exception):
    """The content is not a public key; the message is what was found."""


@dataclass(frozen=True)
class Key:
    """A primary key. fingerprint: in capitals. ends: Unix time; None: never."""

    fingerprint: str
    ends: Optional[int] = None

    def ends_before(self, other: Key) -> bool:
        return self.ends is not None and (other.ends is None or self.ends < other.ends)


def read_keys(content: bytes) -> tuple[list[Key], bytes]:
    """Return the primary keys of a file, armored or not, and its packets without armor."""
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
        raise MalformedKey("a truncated key") from None
    if not keys:
        raise MalformedKey("no OpenPGP public key")
    return keys, packets


def armored(packets: bytes) -> str:
    """Return packets as armored text, for apt and rpm."""
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
            raise MalformedKey("a key block without an end")
        # headers, an empty line, the data, and a checksum after an equals sign
        lines = [line.strip() for line in inside.splitlines()]
        body = lines[lines.index("", 1) :] if "" in lines[1:] else lines
        try:
            packets += base64.b64decode("".join(line for line in body if not line.startswith("=")), validate=True)
        except ValueError:  # of base64, or for a character that is not ASCII
            raise MalformedKey("a key block that is not base64") from None
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
            raise MalformedKey("a truncated key")
        yield tag, body
        at = start + length


def _length(data: bytes, at: int) -> tuple[int, int]:
    """Return the length of a packet or subpacket, and where its content begins."""
    first = data[at]
    if first < 192:
        return first, at + 1
    if first == 255:
        return struct.unpack(">I", data[at + 1 : at + 5])[0], at + 5
    if first >= 224:
        raise MalformedKey("a key with partial packet lengths, which keys never have")
    return (first - 192 << 8) + data[at + 1] + 192, at + 2


def _fingerprint(body: bytes) -> str:
    if body[0] == 4:
        # the format requires SHA-1 here; no signature depends on it
        return hashlib.sha1(b"\x99" + struct.pack(">H", len(body)) + body, usedforsecurity=False).hexdigest().upper()
    if body[0] == 6:
        return hashlib.sha256(b"\x9b" + struct.pack(">I", len(body)) + body).hexdigest().upper()
    raise MalformedKey(f"a key of version {body[0]}, whose fingerprint can be forged")


def _own_statement(body: bytes, fingerprint: str) -> tuple[int, int]:
    """Return (creation time, seconds until the key expires) of a key's self-signature; (0, 0) of any other one."""
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
    """Subpackets have two-byte lengths up to 254, packets only below the partial lengths."""
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


# Copies of a repository's signing key in dnf and rpm
#
# dnf 4.14 to 4.23, rpm 4.18 to 4.20: dnf imports the key's file into ``pubring`` in the cache of a repository with ``repo_gpgcheck``, and
# into rpm's database when it first installs a package of it. Neither reads the file again, and rpm does not replace a key by the same key
# with a later expiration. Without its copy, dnf imports the file again.

CACHE = "/var/cache/dnf"
# between two keys in rpm's output; no key contains it
SEPARATOR = "\x1e"
QUERY = ("rpm", "--query", "gpg-pubkey", "--queryformat", "%{NAME}-%{VERSION}-%{RELEASE}\n%{DESCRIPTION}" + SEPARATOR)


@dataclass(frozen=True)
class KeyCopies:
    """The copies of a dnf repository's key on the host. A copy is named by its rpm package, or by its path.

    repository: its ID in dnf's configuration. modified: when a file was written; None: it does not exist.
    """

    repository: str
    commands: Commands
    files: HostFiles
    trees: Trees
    modified: Callable[[str], Optional[float]]

    def outdated(self, path: str, present: Optional[bytes], content: Optional[bytes]) -> list[str]:
        """Return the copies that prevent the use of the new key. present: the current content of the file."""
        key = read_keys(content or b"")[0][0]
        written = self.modified(path) if present == content else None
        imported = [name for name, copy in self._of_rpm() if copy.fingerprint == key.fingerprint and copy.ends_before(key)]
        return imported + [ring for ring in self._rings() if written is None or self._is_older(ring, written)]

    def every(self, present: Optional[bytes]) -> list[str]:
        """Return all that dnf keeps of the repository, and the file's keys in rpm's database."""
        try:
            fingerprints = {key.fingerprint for key in read_keys(present or b"")[0]}
        except MalformedKey:
            fingerprints = set()
        cache = re.compile(rf"{re.escape(self.repository)}(-[0-9a-f]{{16}}|(-\w+)?\.solvx?)")
        imported = [name for name, copy in self._of_rpm() if copy.fingerprint in fingerprints]
        return imported + [f"{CACHE}/{name}" for name in self.files.entries(CACHE) if cache.fullmatch(name)]

    def remove(self, copies: list[str]) -> None:
        for copy in copies:
            if copy.startswith("/"):
                self.trees.remove(copy)
            else:
                self.commands.run(["rpm", "--erase", "--allmatches", copy])

    def _rings(self) -> list[str]:
        own = re.compile(rf"{re.escape(self.repository)}-[0-9a-f]{{16}}")
        rings = [f"{CACHE}/{name}/pubring" for name in self.files.entries(CACHE) if own.fullmatch(name)]
        return [ring for ring in rings if self.files.exists(ring)]

    def _is_older(self, ring: str, written: float) -> bool:
        return any((self.modified(f"{ring}/{name}") or written) < written for name in self.files.entries(ring))

    def _of_rpm(self) -> list[tuple[str, Key]]:
        """Return the keys in rpm's database with the names of their packages."""
        completed = self.commands.run(QUERY, check=False)
        if completed.status and "is not installed" not in completed.stdout:
            raise Refusal(
                "rpm's database",
                completed.stderr.strip() or f"exit status {completed.status}",
                "a list of its keys",
                "Run `rpm --query gpg-pubkey` on the host, and correct the error that it reports.",
            )
        found = []
        for entry in completed.stdout.split(SEPARATOR)[:-1]:
            name, _newline, description = entry.partition("\n")
            try:
                found += [(name, key) for key in read_keys(description.encode())[0]]
            except MalformedKey:  # not one of our keys
                continue
        return found


# The signing key on a host: only the key with the wanted fingerprint in its file, renewed before it expires

Fetch = Callable[[str], bytes]
# Publishers extend a key before it expires. If a host gets the extended key in time, its package manager never rejects the repository.
RENEW_BEFORE = 30 * 86400


@dataclass(frozen=True)
class WantedKey:
    """path: the file on the host. url: where the key is published."""

    path: str
    url: str
    fingerprint: str


@dataclass(frozen=True)
class Plan:
    """content: of the file after the run; None: the file is removed. warning: why an expiring key was not renewed, or empty."""

    content: Optional[bytes]
    fingerprint: str = ""
    warning: str = ""

    @property
    def text(self) -> Optional[str]:
        return None if self.content is None else self.content.decode("utf-8", "surrogateescape")


def wanted_key(path: str, url: str, fingerprint: str) -> WantedKey:
    """Validate the fingerprint. A short key ID is rejected, as it can be forged."""
    canonical = fingerprint_of(fingerprint)
    if not HEXADECIMAL.fullmatch(canonical):
        raise Refusal("fingerprint", repr(fingerprint), "40 hexadecimal digits, or 64 of a version 6 key", "Pass the whole fingerprint.")
    return WantedKey(path, url, canonical)


def plan(wanted: WantedKey, present: Optional[bytes], fetch: Fetch, now: float) -> Plan:
    """Fetch the key if the file lacks it or it expires soon. Any other published key is an error.

    An expiring key stays if no better one is available: installed packages need no key, and the package manager verifies others.
    """
    key = None if present is None else _right_key(wanted, present)
    if key is not None and not _has_ended(key, now + RENEW_BEFORE):
        return Plan(present, wanted.fingerprint)
    try:
        published, packets = _published(wanted, fetch, now)
    except Refusal as refusal:
        if key is None:
            raise
        return Plan(present, wanted.fingerprint, _warning(wanted, key, now, str(refusal)))
    if key is None or key.ends_before(published):
        return Plan(armored(packets).encode("ascii"), wanted.fingerprint)
    not_yet = f"Run again before that day: {wanted.url} still has the same key."
    return Plan(present, wanted.fingerprint, _warning(wanted, key, now, not_yet))


def _published(wanted: WantedKey, fetch: Fetch, now: float) -> tuple[Key, bytes]:
    content = fetch(wanted.url)
    try:
        keys, packets = read_keys(content)
    except MalformedKey as error:
        next_step = "Correct key_url; it must be that of the repository's public key."
        raise Refusal(wanted.url, str(error), f"the key {wanted.fingerprint}", next_step) from None
    found = ", ".join(key.fingerprint for key in keys)
    if found != wanted.fingerprint:
        raise Refusal(
            wanted.url,
            f"the key{'s' if len(keys) > 1 else ''} {found}",
            f"the key {wanted.fingerprint}, alone",
            "Do not trust it until its publisher has confirmed the new fingerprint; then set key_fingerprint.",
        )
    if _has_ended(keys[0], now):
        raise Refusal(
            wanted.url,
            "the right key, which has expired",
            "the same key with a later expiration",
            "Set key_url to that of a newer minor version; the community's repositories share one key, and old ones are not renewed.",
        )
    return keys[0], packets


def _right_key(wanted: WantedKey, content: bytes) -> Optional[Key]:
    try:
        keys, _packets = read_keys(content)
    except MalformedKey:
        return None
    return keys[0] if [key.fingerprint for key in keys] == [wanted.fingerprint] else None


def _warning(wanted: WantedKey, key: Key, now: float, next_step: str) -> str:
    day = datetime.fromtimestamp(key.ends or 0, timezone.utc).strftime("%Y-%m-%d")
    found = f"a key that {'expired' if _has_ended(key, now) else 'expires'} on {day}"
    return str(Refusal(wanted.path, found, "a key that is valid for longer", next_step))


def _has_ended(key: Key, now: float) -> bool:
    return key.ends is not None and key.ends <= now
