# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The SSH connection that runs this: its port stays open, and only another connection made by Ansible confirms a change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Optional

from .model import Opening, PortSet, merge

VARIABLE = "SSH_CONNECTION"
COMMENT = "the SSH connection in use"


@dataclass(frozen=True)
class SshConnection:
    """One TCP connection to this host's SSH server, as the server sees it; ``port`` is the server's."""

    client: str
    client_port: int
    port: int

    def __str__(self) -> str:
        return f"{self.client} {self.client_port}"


def parse_connection(text: str) -> Optional[SshConnection]:
    """Parse SSH_CONNECTION as sshd writes it: client address, client port, server address, server port. None otherwise."""
    words = text.split()
    if len(words) != 4 or not words[1].isdigit() or not words[3].isdigit():
        return None
    client = words[0].split("%")[0]
    try:
        ip_address(client)
    except ValueError:
        return None
    return SshConnection(client, int(words[1]), int(words[3]))


def running_connection(environments: Iterable[Mapping[str, str]]) -> Optional[SshConnection]:
    """Return the connection of our environment or the nearest ancestor's (sudo drops it). None: not over SSH."""
    for environment in environments:
        connection = parse_connection(environment.get(VARIABLE, ""))
        if connection is not None:
            return connection
    return None


def made_by_ansible(found: Optional[SshConnection], *, is_local: bool, operator: str) -> Optional[SshConnection]:
    """Return the connection if Ansible made it; None if it did not, as no other connection can then confirm a change.

    is_local: whether Ansible's connection is ``local``. operator: the SSH connection of the user who runs Ansible, as SshConnection
    prints it. A process that Ansible starts beside the user's shell finds that one: in a chroot, or in a container with the user's
    environment.
    """
    return None if is_local or str(found) == operator else found


def admit(ports: PortSet, connection: Optional[SshConnection]) -> PortSet:
    """Add the port of the running connection to the set.

    Nothing is added if the set already lets this client in. If the user restricts the port to others, it is added for this client only;
    if the user does not mention it, for everyone.
    """
    if connection is None or not 1 <= connection.port <= 65535:
        return ports
    client = ip_network(connection.client)
    covering = [opening for opening in ports.openings if opening.protocol == "tcp" and opening.first <= connection.port <= opening.last]
    for source in (source for opening in covering for source in opening.sources):
        network = ip_network(source)
        if network.version == client.version and network.supernet_of(client):  # type: ignore[arg-type]
            return ports
    if any(not opening.sources for opening in covering):
        return ports
    sources = (str(client),) if covering else ()
    added = Opening("tcp", connection.port, connection.port, sources, COMMENT)
    return replace(ports, openings=merge([*ports.openings, added]))
