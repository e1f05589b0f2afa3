# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads what a host's own tools say of those who use it. Addresses are canonical, IPv4 in IPv6's notation as IPv4."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# A flow with data that nobody has acknowledged, and one that is sent again, has this many seconds left, whatever it had before
# (net.netfilter.nf_conntrack_tcp_timeout_unacknowledged, ..._max_retrans): it may have moved just now.
UNACKNOWLEDGED = 300

# Calico gives the interface of each Pod on a node a name that begins so, and a route of its own
POD_INTERFACE = "cali"

# who's `(host)` of a session that came over the network; a display, a tmux or a mosh looks otherwise
_REMOTE = re.compile(r"\([0-9A-Za-z][0-9A-Za-z_.:%@-]*\)$")
_SSHD = re.compile(r'"sshd')


@dataclass(frozen=True)
class Flow:
    """A TCP connection as conntrack knows it: who began it, and whom it reaches, behind any translation of addresses.

    left: seconds until conntrack forgets it.
    """

    source: str
    source_port: int
    destination: str
    port: int
    left: int

    def is_silent(self, quiet: float, longest: int) -> bool:
        """Whether no packet has passed for ``quiet`` seconds. longest: the seconds that a packet gives a flow."""
        return self.left > UNACKNOWLEDGED and longest - self.left >= quiet


def address(text: str) -> str:
    """An address without brackets and zone."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        raise Refusal("an address", repr(text), "an IPv4 or IPv6 address", "Report this to the authors of vmstation.cluster.") from None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped or found)


def flows(conntrack: str) -> Iterator[Flow]:
    """Lines of ``conntrack -L -p tcp --state ESTABLISHED -o extended``: what began, then how it is answered."""
    for line in conntrack.splitlines():
        words = line.split()
        pairs = [word.partition("=")[::2] for word in words if "=" in word]
        sources = [value for name, value in pairs if name == "src"]
        ports = [int(value) for name, value in pairs if name == "sport"]
        if "ESTABLISHED" not in words or len(sources) != 2 or len(ports) != 2:
            raise _unread("conntrack", line)
        left = words[words.index("ESTABLISHED") - 1]
        yield Flow(address(sources[0]), ports[0], address(sources[1]), ports[1], int(left))


def ssh_peers(ss: str) -> list[tuple[str, int]]:
    """The other ends of connections that an SSH server holds: lines of ``ss -Htnp state established``."""
    peers = []
    for line in ss.splitlines():
        if not _SSHD.search(line):
            continue
        words = line.split()
        host, _colon, port = words[3].rpartition(":")
        peers.append((address(host), int(port)))
    return peers


def local_sessions(who: str) -> list[str]:
    """Logins at the host itself, in a tmux or over mosh. Those over SSH are told by their connections."""
    return [" on ".join(line.split()[:2]) for line in who.splitlines() if line.strip() and not _REMOTE.search(line.strip())]


def own_addresses(ip_json_address: str) -> frozenset[str]:
    return frozenset(address(entry["local"]) for link in _json(ip_json_address) for entry in link.get("addr_info", ()) if "local" in entry)


def own_pods(*ip_json_routes: str) -> frozenset[str]:
    """The addresses of this node's Pods: those with a route to an interface of theirs."""
    return frozenset(
        address(route["dst"].partition("/")[0])
        for routes in ip_json_routes
        for route in _json(routes)
        if route.get("dev", "").startswith(POD_INTERFACE)
    )


def _json(text: str) -> list[dict[str, Any]]:
    return list(json.loads(text or "[]"))


def _unread(tool: str, line: str) -> Refusal:
    return Refusal(f"output of {tool}", repr(line), "a line that can be read", "Report this to the authors of vmstation.cluster.")
