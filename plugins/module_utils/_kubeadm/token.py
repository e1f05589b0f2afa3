# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap tokens that this collection creates for one run and removes afterwards."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .._host.commands import Commands, Completed
from .._host.files import HostFiles
from .._refusal import Refusal
from .._waiting import Clock
from .join import public_key_hashes, read_kubeconfig

DESCRIPTION = "vmstation.cluster: lets workers join during one run"
"""Identifies our tokens."""

_TOKEN = re.compile(r"^[a-z0-9]{6}\.[a-z0-9]{16}$", re.M)
_TTL = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
LONGEST_TTL = 24 * 3600

PATIENCE, PAUSE = 60.0, 2.0  # seconds for an API server that has just started or is busy
_MAY_PASS = (
    "Client.Timeout",
    "context deadline exceeded",
    "connection refused",
    "handshake timeout",
    "i/o timeout",
    "EOF",
    "etcdserver:",
    "unable to handle the request",
    "Too many requests",
)


@dataclass(frozen=True)
class Outcome:
    """token: empty unless one was created. removed: the IDs of our tokens that existed, without secrets."""

    changed: bool
    endpoint: str = ""
    ca_cert_hashes: Sequence[str] = ()
    token: str = field(default="", repr=False)
    removed: Sequence[str] = ()


@dataclass(frozen=True)
class Wish:
    """state: present leaves one new token of ours, absent none. kubeconfig: an administrator's."""

    state: Literal["present", "absent"]
    ttl: str
    kubeconfig: str


def refuse_ttl(text: str) -> None:
    """Reject a time that kubeadm does not understand, and zero, which means no expiry."""
    found = _TTL.fullmatch(text)
    seconds = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1))) if found else 0
    if not 0 < seconds <= LONGEST_TTL:
        raise Refusal("ttl", repr(text), "a time of up to 24h, such as 30m or 1h30m", "Pass 30m, for example.")


@dataclass(frozen=True)
class Host:
    """I/O of the control plane."""

    commands: Commands
    files: HostFiles
    clock: Clock


def ensure_tokens(host: Host, wish: Wish, predict: bool) -> Outcome:
    """Create or remove tokens, and return the cluster's endpoint and CA hashes."""
    refuse_ttl(wish.ttl)
    state, kubeconfig = wish.state, wish.kubeconfig
    conf = read_kubeconfig(host.files.read(kubeconfig))
    if conf is None and predict:
        return Outcome(changed=state == "present")
    hashes = public_key_hashes(conf.authority) if conf else ()
    if conf is None or not conf.endpoint or not hashes:
        raise Refusal(
            f"kubeconfig {kubeconfig}",
            "no such file" if conf is None else "no server, or no CA certificate",
            "an administrator's kubeconfig of the cluster",
            "Run this on the control plane, after `kubeadm init` (role control_plane).",
        )
    listed = _kubeadm(host, wish, "list", "--output", "json")
    ours = [name for name, description in read_tokens(listed.stdout) if description == DESCRIPTION]
    token = ""
    if not predict and ours:
        _kubeadm(host, wish, "delete", *ours)
    if not predict and state == "present":
        made = _kubeadm(host, wish, "create", "--ttl", wish.ttl, "--description", DESCRIPTION)
        found = _TOKEN.search(made.stdout)
        if found is None:
            raise Refusal("`kubeadm token create`", "no token in its output", "a token", "Run it manually on the control plane.")
        token = found[0]
    return Outcome(bool(ours) or state == "present", conf.endpoint, hashes, token, ours)


def _kubeadm(host: Host, wish: Wish, *words: str) -> Completed:
    """Run `kubeadm token` and retry while the API server cannot answer. A token created twice is removed with the other."""
    argv = ["kubeadm", "token", *words, "--kubeconfig", wish.kubeconfig]
    until = host.clock.now() + PATIENCE
    while True:
        may_try_again = host.clock.now() < until
        done = host.commands.run(argv, check=not may_try_again)
        if done.status == 0:
            return done
        if not any(sign in done.stderr for sign in _MAY_PASS):
            return host.commands.run(argv)
        host.clock.sleep(PAUSE)


def read_tokens(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and description of each token in the JSON output of `kubeadm token list`: objects that follow one another."""
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        try:
            entry, end = decoder.raw_decode(rest)
            yield _name(entry["token"]), str(entry.get("description", ""))
        except (ValueError, KeyError, TypeError):
            # show none of the text: it may contain a secret
            raise Refusal(
                "output of `kubeadm token list`",
                "text that is not a token in JSON",
                "an object for each token",
                "Run it on the control plane.",
            ) from None
        rest = rest[end:].lstrip()


def _name(token: object) -> str:
    return str(token["id"]) if isinstance(token, dict) else str(token).partition(".")[0]
