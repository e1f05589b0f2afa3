# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's signing key on a host: the one with the fingerprint that is asked for, alone in its file, renewed before it expires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.openpgp import Key, MalformedKey, armored, read_keys
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.packages import HEXADECIMAL, fingerprint_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Fetch = Callable[[str], bytes]
# Publishers prolong a key before it expires. A host that gets it by then never has a package manager that rejects the repository.
RENEW_BEFORE = 30 * 86400


@dataclass(frozen=True)
class WantedKey:
    """path: the file on the host. url: where the key is published."""

    path: str
    url: str
    fingerprint: str


@dataclass(frozen=True)
class Plan:
    """content: what the file has after the run; None: it is gone. warning: why a key that expires was not renewed, or empty."""

    content: Optional[bytes]
    fingerprint: str = ""
    warning: str = ""

    @property
    def text(self) -> Optional[str]:
        return None if self.content is None else self.content.decode("utf-8", "surrogateescape")


def wanted_key(path: str, url: str, fingerprint: str) -> WantedKey:
    """Refuses what is no whole fingerprint: a short key id fits forged keys too."""
    canonical = fingerprint_of(fingerprint)
    if not HEXADECIMAL.fullmatch(canonical):
        raise Refusal("fingerprint", repr(fingerprint), "40 hexadecimal digits, or 64 of a version 6 key", "Pass the whole fingerprint.")
    return WantedKey(path, url, canonical)


def plan(wanted: WantedKey, present: Optional[bytes], fetch: Fetch, now: float) -> Plan:
    """Fetch the key where the file does not have it, or has one that expires soon. Every other key that is published is an error.

    The right key stays where no better one can be had: packages that are installed need no key, and the package manager verifies
    the others.
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
    not_yet = f"Run again before that day: {wanted.url} has the same key still."
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
            "Do not trust it before its publisher has confirmed the new fingerprint; then set key_fingerprint.",
        )
    if _has_ended(keys[0], now):
        raise Refusal(
            wanted.url,
            "the right key, which has expired",
            "one that has been prolonged",
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
    return str(Refusal(wanted.path, found, "one that is valid for longer", next_step))


def _has_ended(key: Key, now: float) -> bool:
    return key.ends is not None and key.ends <= now
