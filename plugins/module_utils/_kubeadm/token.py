# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bootstrap tokens that this collection makes for one run and removes after it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands, Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_identity import public_key_hashes, read_kubeconfig
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

DESCRIPTION = "vmstation.cluster: lets workers join during one run"
"""What our tokens are told by from others."""

_TOKEN = re.compile(r"^[a-z0-9]{6}\.[a-z0-9]{16}$", re.M)
_TTL = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
LONGEST_TTL = 24 * 3600

PATIENCE, PAUSE = 60.0, 2.0  # seconds for an API server that has just started, or has much to do
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
    """token: empty unless one was made. removed: the names of tokens of ours that were there, no secrets."""

    changed: bool
    endpoint: str = ""
    ca_cert_hashes: Sequence[str] = ()
    token: str = field(default="", repr=False)
    removed: Sequence[str] = ()


@dataclass(frozen=True)
class Wish:
    """state: present is a new token of ours and no other one of ours, absent is no token of ours. kubeconfig: an administrator's."""

    state: Literal["present", "absent"]
    ttl: str
    kubeconfig: str


def refuse_ttl(text: str) -> None:
    """Refuses a time that kubeadm would not understand, and none, which kubeadm takes for eternity."""
    found = _TTL.fullmatch(text)
    seconds = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (3600, 60, 1))) if found else 0
    if not 0 < seconds <= LONGEST_TTL:
        raise Refusal("ttl", repr(text), "a time of up to 24h, such as 30m or 1h30m", "Pass 30m, for example.")


@dataclass(frozen=True)
class Host:
    """What the control plane is reached through."""

    commands: Commands
    files: HostFiles
    clock: Clock


def ensure_tokens(host: Host, wish: Wish, predict: bool) -> Outcome:
    """What is wished, and which cluster this is."""
    refuse_ttl(wish.ttl)
    state, kubeconfig = wish.state, wish.kubeconfig
    conf = read_kubeconfig(host.files.read(kubeconfig))
    if conf is None and predict:
        return Outcome(changed=state == "present")
    hashes = public_key_hashes(conf.authority) if conf else ()
    if conf is None or not conf.endpoint or not hashes:
        raise Refusal(
            f"kubeconfig {kubeconfig}",
            "no such file" if conf is None else "no server, or no certificate authority",
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
            raise Refusal("`kubeadm token create`", "no token in its output", "a token", "Run it by hand on the control plane.")
        token = found[0]
    return Outcome(bool(ours) or state == "present", conf.endpoint, hashes, token, ours)


def _kubeadm(host: Host, wish: Wish, *words: str) -> Completed:
    """`kubeadm token`, again and again while the API server cannot answer. A token made twice is removed with the other."""
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
    """Name and description of each token in what `kubeadm token list` prints as JSON: one object after the other."""
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        try:
            entry, end = decoder.raw_decode(rest)
            yield _name(entry["token"]), str(entry.get("description", ""))
        except (ValueError, KeyError, TypeError):
            # not a word of it: it may hold a secret
            raise Refusal(
                "output of `kubeadm token list`",
                "text that is no token in JSON",
                "an object for each token",
                "Run it on the control plane.",
            ) from None
        rest = rest[end:].lstrip()


def _name(token: object) -> str:
    return str(token["id"]) if isinstance(token, dict) else str(token).partition(".")[0]
