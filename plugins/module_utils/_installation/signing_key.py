# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository's signing key on a host: the one of the fingerprint that is asked for, alone in its file, renewed when it has ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._installation.openpgp import Key, MalformedKey, armored, read_keys
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.packages import HEXADECIMAL, fingerprint_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Fetch = Callable[[str], bytes]


@dataclass(frozen=True)
class WantedKey:
    """path: the file on the host. url: where the key is published."""

    path: str
    url: str
    fingerprint: str


def wanted_key(path: str, url: str, fingerprint: str) -> WantedKey:
    """Refuses what is no whole fingerprint: a short key id fits forged keys too."""
    canonical = fingerprint_of(fingerprint)
    if not HEXADECIMAL.fullmatch(canonical):
        raise Refusal("fingerprint", repr(fingerprint), "40 hexadecimal digits, or 64 of a version 6 key", "Pass the whole fingerprint.")
    return WantedKey(path, url, canonical)


def plan(wanted: WantedKey, present: Optional[bytes], fetch: Fetch, now: float) -> Optional[str]:
    """The text to write, or None where the right key is there and has not ended. Refuses every other key that is published."""
    if present is not None and _is_right(wanted, present, now):
        return None
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
    return armored(packets)


def _is_right(wanted: WantedKey, content: bytes, now: float) -> bool:
    try:
        keys, _packets = read_keys(content)
    except MalformedKey:
        return False
    return [key.fingerprint for key in keys] == [wanted.fingerprint] and not _has_ended(keys[0], now)


def _has_ended(key: Key, now: float) -> bool:
    return key.ends is not None and key.ends <= now
