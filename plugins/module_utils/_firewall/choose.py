# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which firewall of a host is asked."""

from __future__ import annotations

from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, ReadText
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Make = Callable[[Commands, ReadText, str, str], Backend]

# in the order of asking: firewalld and ufw make rules for nftables and iptables, so whoever manages comes first
# Each backend is loaded when it is asked: Ansible brings the sources alone, and a host compiles what it loads at every run.
# ruff: noqa: PLC0415


def _firewalld(commands: Commands, read_text: ReadText, zone: str, client: str) -> Backend:
    from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.firewalld import Firewalld

    return Firewalld(commands, read_text, zone, lambda: client)


def _ufw(commands: Commands, read_text: ReadText, _zone: str, _client: str) -> Backend:
    from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw import Ufw

    return Ufw(commands, read_text)


def _nftables(commands: Commands, read_text: ReadText, _zone: str, _client: str) -> Backend:
    from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables import Nftables

    return Nftables(commands, read_text)


def _iptables(commands: Commands, read_text: ReadText, _zone: str, _client: str) -> Backend:
    from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables import Iptables

    return Iptables(commands, read_text)


BACKENDS: dict[str, Make] = {"firewalld": _firewalld, "ufw": _ufw, "nftables": _nftables, "iptables": _iptables}


def choose(name: str, commands: Commands, read_text: ReadText, zone: str, client: str) -> Optional[Backend]:
    """The backend in force: the first of all for ``auto``, the named one otherwise; None if no firewall is in force.

    client: the address at the other end of the SSH connection that runs us; empty if it is not SSH.
    Raises Refusal if another one than the named one is in force.
    """
    if name != "auto":
        named = BACKENDS[name](commands, read_text, zone, client)
        if named.is_in_force():
            return named
    for other, make in BACKENDS.items():
        backend = make(commands, read_text, zone, client)
        if other == name or not backend.is_in_force():
            continue
        if name == "auto":
            return backend
        raise Refusal("backend", f"{name}, and {other} in force", f"{other} or auto", f"Name {other}, or switch it off and {name} on.")
    return None
