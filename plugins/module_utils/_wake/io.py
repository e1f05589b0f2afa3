# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets: probes of TCP ports, all in parallel in one thread, and UDP broadcasts."""

from __future__ import annotations

import errno
import os
import resource
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Optional

from .._host.commands import Commands
from .._refusal import Refusal
from .wake import Heard, LocalNetwork, Target, local_networks

SPARE_DESCRIPTORS = 64  # for other file descriptors of this process
TIMED_OUT = "timed out"


def local_networks_of(commands: Commands) -> tuple[LocalNetwork, ...]:
    """Return the IPv4 networks on which this host can broadcast."""
    return local_networks(commands.run(["ip", "-json", "-4", "address", "show"]).stdout)


class HostNetwork:
    """The network of this host.

    broadcast, port: destination of the datagrams. interface: the outgoing one; empty: the route decides.
    """

    def __init__(self, broadcast: str, port: int, interface: str = "") -> None:
        self._broadcast = broadcast
        self._port = port
        self._interface = interface

    def probe(self, targets: Sequence[Target], seconds: float) -> Mapping[str, Heard]:
        """Connect to all targets in parallel. Ends when all have answered, after ``seconds`` at the latest.

        A host is silent unless it accepts or refuses the connection: "No route to host" comes from this host itself if no host answers
        its ARP or neighbour solicitations.
        """
        heard: dict[str, Heard] = {}
        batch = _descriptors_for(len(targets))
        for first in range(0, len(targets), batch):
            heard.update(_probe_at_once(targets[first : first + batch], seconds))
        return heard

    def send(self, payloads: Sequence[bytes]) -> None:
        destination = f"{self._broadcast}:{self._port}"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if self._interface:
                _bind_to_interface(sender, self._interface)
            for payload in payloads:
                try:
                    sender.sendto(payload, (self._broadcast, self._port))
                except OSError as error:
                    raise Refusal(
                        f"broadcast to {destination}",
                        f"the kernel rejected it: {error.strerror}",
                        "a network that allows broadcasts",
                        "Check the interface, its address and this host's own outgoing firewall rules.",
                    ) from error


def _bind_to_interface(sender: socket.socket, interface: str) -> None:
    try:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
    except OSError as error:
        next_step = "Run the task with `become: true`." if error.errno == errno.EPERM else "See `ip link` for the interfaces."
        raise Refusal(
            f"interface {interface}", f"cannot send through it: {error.strerror}", "an interface to bind to", next_step
        ) from error


def _descriptors_for(wanted: int) -> int:
    """Return how many sockets may be open at once, after raising the limit if needed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return max(1, wanted)
    needed = wanted + SPARE_DESCRIPTORS
    if soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, soft - SPARE_DESCRIPTORS)


def _probe_at_once(targets: Sequence[Target], seconds: float) -> dict[str, Heard]:
    began = time.monotonic()
    heard: dict[str, Heard] = {}
    with selectors.DefaultSelector() as selector:
        try:
            for target in targets:
                answer = _begin_connecting(selector, target)
                if answer is not None:
                    heard[target.name] = answer
            while selector.get_map() and (left := began + seconds - time.monotonic()) > 0:
                for key, _events in selector.select(left):
                    connection: socket.socket = key.fileobj  # type: ignore[assignment]
                    status = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    heard[key.data.name] = _heard(status, time.monotonic() - began)
                    selector.unregister(connection)
                    connection.close()
        finally:
            for key in list((selector.get_map() or {}).values()):
                heard[key.data.name] = Heard("silent", time.monotonic() - began, TIMED_OUT)
                key.fileobj.close()  # type: ignore[union-attr]
    return heard


def _begin_connecting(selector: selectors.BaseSelector, target: Target) -> Optional[Heard]:
    """Start a connection. Return its result if it is known at once, otherwise None and a registered socket."""
    try:
        family, kind, protocol, _name, endpoint = socket.getaddrinfo(
            target.address, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )[0]
        connection = socket.socket(family, kind, protocol)
    except OSError as error:  # a scope that is not an interface here, or a kernel without IPv6
        return Heard("silent", 0.0, error.strerror or str(error))
    connection.setblocking(False)
    status = connection.connect_ex(endpoint)
    if status == errno.EINPROGRESS:
        selector.register(connection, selectors.EVENT_WRITE, target)
        return None
    connection.close()
    return _heard(status, 0.0)


def _heard(status: int, after: float) -> Heard:
    if status == 0:
        return Heard("accepted", after)
    if status == errno.ECONNREFUSED:
        return Heard("refused", after)
    return Heard("silent", after, TIMED_OUT if status == errno.ETIMEDOUT else os.strerror(status))
