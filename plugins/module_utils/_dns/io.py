# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Send DNS messages over UDP and TCP, several in parallel, each with a timeout."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

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
