# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The only sockets: probes of TCP ports, all at once in one thread, and UDP broadcasts."""

from __future__ import annotations

import errno
import os
import resource
import selectors
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.broadcast import LocalNetwork, local_networks
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import Target
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.vigil import Heard

SPARE_DESCRIPTORS = 64  # for everything of this process that is no probe
TIMED_OUT = "timed out"


def local_networks_of(commands: Commands) -> tuple[LocalNetwork, ...]:
    """The IPv4 networks that this host can broadcast on."""
    return local_networks(commands.run(["ip", "-json", "-4", "address", "show"]).stdout)


class HostNetwork:
    """The network of this host.

    broadcast, port: where datagrams go. interface: the one they must leave through; empty: the route decides.
    """

    def __init__(self, broadcast: str, port: int, interface: str = "") -> None:
        self._broadcast = broadcast
        self._port = port
        self._interface = interface

    def probe(self, targets: Sequence[Target], seconds: float) -> Mapping[str, Heard]:
        """Connect to all targets at once. Ends when the last has answered, after ``seconds`` at the latest.

        A host that fails the connection in any other way than by refusing it is silent: "No route to host" comes from this host itself
        when nobody answers its ARP or neighbour solicitations.
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
                        f"the kernel refused to send: {error.strerror}",
                        "a network that takes broadcasts",
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
    """How many sockets may be open at once, after asking for as many as wanted."""
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
    """Start a connection; its outcome if the kernel knows it at once, otherwise None and a registered socket."""
    try:
        family, kind, protocol, _name, endpoint = socket.getaddrinfo(
            target.address, target.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
        )[0]
        connection = socket.socket(family, kind, protocol)
    except OSError as error:  # a zone that is no interface here, a kernel without IPv6
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
