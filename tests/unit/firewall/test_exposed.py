# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which ports a host without a firewall shows to every device: the kernel's own tables, with real sockets."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import exposed_ports


def of_the_kernel(path: str) -> str:
    return Path(path).read_text()


@pytest.mark.parametrize(
    ("address", "kind", "is_exposed"),
    [
        ("0.0.0.0", socket.SOCK_STREAM, True),
        ("127.0.0.1", socket.SOCK_STREAM, False),
        ("127.0.0.53", socket.SOCK_STREAM, False),
        ("::", socket.SOCK_STREAM, True),
        ("::1", socket.SOCK_STREAM, False),
        ("::ffff:127.0.0.1", socket.SOCK_STREAM, False),
        ("0.0.0.0", socket.SOCK_DGRAM, True),
        ("127.0.0.1", socket.SOCK_DGRAM, False),
    ],
)
def test_what_listens_on_another_address_than_loopback(address, kind, is_exposed):
    with contextlib.closing(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)) as opened:
        if address == "::ffff:127.0.0.1":
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        port = next(port for port in range(20000, 32000) if _is_bound(opened, address, port))
        if kind == socket.SOCK_STREAM:
            opened.listen()
        shown = f"{port}/{'tcp' if kind == socket.SOCK_STREAM else 'udp'}"
        assert (shown in exposed_ports(of_the_kernel)) is is_exposed
    assert shown not in exposed_ports(of_the_kernel)


def test_a_connection_is_no_open_port():
    with contextlib.closing(socket.create_server(("0.0.0.0", 0))) as server:
        port = server.getsockname()[1]
        with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as client:
            found = exposed_ports(of_the_kernel)
            assert f"{port}/tcp" in found
            assert f"{client.getsockname()[1]}/tcp" not in found


def test_a_kernel_without_ipv6_has_no_table_of_it():
    assert exposed_ports(lambda path: None if path.endswith("6") else "  sl  local_address rem_address   st\n") == []


def _is_bound(opened: socket.socket, address: str, port: int) -> bool:
    try:
        opened.bind((address, port))
    except OSError:
        return False
    return True
