# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send a DNS message from inside the network namespaces of the Pods that run on this host. No Pod is created, and no program starts."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Optional

from .._refusal import Refusal
from .io import Exchange, Reply, Resolvers

PROC, LOGS = "/proc", "/var/log/pods"
MOST, AT_ONCE = 32, 16
_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
# the cgroup drivers cgroupfs and systemd write a Pod's UID with dashes and with underscores
_UID = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


class PodNetworks:
    """resolvers: sends from the network namespace of the thread that calls it."""

    def __init__(self, resolvers: Resolvers) -> None:
        self._resolvers = resolvers

    def exchange(self, exchange: Exchange) -> Mapping[str, Reply]:
        """Return the reply in each Pod, by namespace and name. At most MOST Pods are asked, of as many namespaces as possible."""
        if os.geteuid() != 0:
            raise Refusal("pods", "not root", "root, which may enter the network namespaces of Pods", "Set `become: true`.")
        found = _in_turns(_pods())
        with ThreadPoolExecutor(AT_ONCE) as threads:
            replies = list(threads.map(lambda pid: self._inside(pid, exchange), found.values()))
        return {name: reply for name, reply in zip(found, replies) if reply}

    def _inside(self, pid: str, exchange: Exchange) -> Optional[Reply]:
        """Return None if the Pod ended meanwhile. Only this thread enters the namespace, and those that it starts."""
        try:
            with open(f"{PROC}/{pid}/ns/net", "rb") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NETWORK):
                    return None
        except OSError:
            return None
        return self._resolvers.exchange([exchange])[0]


def _pods() -> Iterator[tuple[str, str, str]]:
    """Yield namespace, name and a process of each Pod with a network of its own."""
    names = {entry.rpartition("_")[2]: entry.split("_") for entry in _entries(LOGS)}
    seen = {os.readlink(f"{PROC}/self/ns/net")}
    for pid in sorted(filter(str.isdigit, _entries(PROC)), key=int):
        with contextlib.suppress(OSError):  # it ended meanwhile
            network = os.readlink(f"{PROC}/{pid}/ns/net")
            if network in seen:
                continue
            with open(f"{PROC}/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                uid = _UID.search(file.read())
            if uid:
                seen.add(network)
                namespace, name, *_uid = names.get(uid[1].replace("_", "-"), ("", f"Pod {uid[1]}"))
                yield namespace, name, pid


def _in_turns(pods: Iterator[tuple[str, str, str]]) -> dict[str, str]:
    by_namespace: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for namespace, name, pid in pods:
        by_namespace[namespace].append((name, pid))
    turns = sorted((turn, namespace, *one) for namespace, several in by_namespace.items() for turn, one in enumerate(several))
    return {f"{namespace}/{name}": pid for _turn, namespace, name, pid in turns[:MOST]}


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
