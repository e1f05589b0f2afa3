# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask DNS servers from this host, and from the network namespaces of its Pods."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import socket
import struct
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Optional, Protocol

from .._refusal import Refusal

PORT = 53
AT_ONCE = 16
LARGEST_DATAGRAM = 65535


@dataclass(frozen=True)
class Exchange:
    """A message for a server. transport: udp or tcp."""

    server: str
    transport: str
    payload: bytes


@dataclass(frozen=True)
class Reply:
    """The reply, or why there is none. seconds: the time until then."""

    payload: bytes = b""
    trouble: str = ""
    seconds: float = 0.0


class Resolvers(Protocol):
    """Access to DNS servers; tests pass a fake."""

    def identity(self) -> int:
        """Return a random number as the identity of a message."""

    def exchange(self, exchanges: Sequence[Exchange]) -> list[Reply]:
        """Send all, and wait for all; return one reply for each, in order."""


class Insiders(Protocol):
    """Access to DNS servers from inside Pods; tests pass a fake."""

    def exchange(self, exchange: Exchange) -> Mapping[str, Reply]:
        """Return the reply in each Pod of this host, by namespace and name."""


class HostResolvers:
    """Sends from this host. timeout: seconds for each try; attempts: tries over UDP, where a packet may be lost."""

    def __init__(self, timeout: float, attempts: int, port: int = PORT) -> None:
        self._timeout = timeout
        self._attempts = attempts
        self._port = port

    def identity(self) -> int:
        return int.from_bytes(os.urandom(2), "big")

    def exchange(self, exchanges: Sequence[Exchange]) -> list[Reply]:
        with ThreadPoolExecutor(max_workers=AT_ONCE) as workers:
            return list(workers.map(self._one, exchanges))

    def _one(self, exchange: Exchange) -> Reply:
        began = time.monotonic()
        try:
            payload = self._tcp(exchange) if exchange.transport == "tcp" else self._udp(exchange)
        except socket.timeout:  # TimeoutError only since Python 3.10
            tries = self._attempts if exchange.transport == "udp" else 1
            return Reply(trouble=f"no answer within {tries * self._timeout:g} s", seconds=time.monotonic() - began)
        except OSError as error:
            said = (error.strerror or str(error)).lower() if error.errno != errno.ECONNREFUSED else "connection refused"
            return Reply(trouble=said, seconds=time.monotonic() - began)
        return Reply(payload, seconds=time.monotonic() - began)

    def _udp(self, exchange: Exchange) -> bytes:
        for attempt in range(self._attempts):
            with _connection(exchange.server, self._port, socket.SOCK_DGRAM) as connection:
                deadline = time.monotonic() + self._timeout
                connection.send(exchange.payload)
                try:
                    return _datagram(connection, exchange.payload[:2], deadline)
                except socket.timeout:
                    if attempt == self._attempts - 1:
                        raise
        raise socket.timeout

    def _tcp(self, exchange: Exchange) -> bytes:
        deadline = time.monotonic() + self._timeout
        with _connection(exchange.server, self._port, socket.SOCK_STREAM, self._timeout) as connection:
            connection.sendall(struct.pack("!H", len(exchange.payload)) + exchange.payload)
            (length,) = struct.unpack("!H", _exactly(connection, 2, deadline))
            return _exactly(connection, length, deadline)


def _connection(server: str, port: int, kind: int, timeout: float = 5.0) -> socket.socket:
    family, kind, protocol, _name, endpoint = socket.getaddrinfo(
        server, port, type=kind, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )[0]
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(timeout)
        # also for datagrams: then the kernel reports a closed port, and accepts answers of this server only
        connection.connect(endpoint)
    except BaseException:
        connection.close()
        raise
    return connection


def _datagram(connection: socket.socket, identity: bytes, deadline: float) -> bytes:
    """Return the datagram with this identity; ignore late answers to earlier questions."""
    while True:
        _bound(connection, deadline)
        payload = connection.recv(LARGEST_DATAGRAM)
        if payload[:2] == identity:
            return payload


def _exactly(connection: socket.socket, length: int, deadline: float) -> bytes:
    received = b""
    while len(received) < length:
        _bound(connection, deadline)
        piece = connection.recv(length - len(received))
        if not piece:
            raise OSError(errno.ECONNRESET, "connection closed before the end of the answer")
        received += piece
    return received


def _bound(connection: socket.socket, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout
    connection.settimeout(left)


# From inside the network namespaces of the Pods that run on this host. No Pod is created, and no program starts.

PROC, LOGS = "/proc", "/var/log/pods"
MOST_NETWORKS = 32
_NETWORK = 0x40000000  # CLONE_NEWNET of <sched.h>
# the cgroup drivers cgroupfs and systemd write a Pod's UID with dashes and with underscores
_UID = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


class PodNetworks:
    """resolvers: sends from the network namespace of the thread that calls it."""

    def __init__(self, resolvers: Resolvers) -> None:
        self._resolvers = resolvers

    def exchange(self, exchange: Exchange) -> Mapping[str, Reply]:
        """Return the reply in each Pod, by namespace and name. At most MOST_NETWORKS Pods are asked, of as many namespaces as possible."""
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
    return {f"{namespace}/{name}": pid for _turn, namespace, name, pid in turns[:MOST_NETWORKS]}


def _entries(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except OSError:
        return []
