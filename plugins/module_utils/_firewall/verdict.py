# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings about a host's firewall, from a result of firewall_ports."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv6Address, ip_address
from typing import Any

from .._findings import Finding, LookedAt, state_of
from .backend import ReadText
from .model import RESTRICTIONS

_START = {
    "firewalld": "systemctl enable --now firewalld",
    "ufw": "ufw enable",
    "nftables": "systemctl enable --now nftables",
    "iptables": "systemctl enable --now netfilter-persistent",
}


def findings(result: Mapping[str, Any], host: str, *, check: bool) -> list[Finding]:
    """What is wrong after the run. host: its name in the inventory, or empty. check: nothing was corrected."""
    return list(_findings(result, host, check))


def looked_at(result: Mapping[str, Any], host: str, found: Sequence[Finding]) -> list[LookedAt]:
    ports = f"{len(result['ports'])} open ports, as in the plan" if not found else "not as in the plan"
    return [LookedAt(_subject(result, host), ports if _is_active(result) else "not active", state_of(found))]


def _findings(result: Mapping[str, Any], host: str, check: bool) -> Iterator[Finding]:
    subject, of_host = _subject(result, host), f" on {host}" if host else ""
    site = f"`ansible-playbook site.yml{f' --limit {host}' if host else ''}`"
    if not _is_active(result):
        inactive = result.get("inactive")
        reached = f"every device reaches {', '.join(result.get('exposed') or ()) or 'every port'}"
        if inactive:
            found = f"not active, so {reached}; {inactive} has the rules of the plan"
            yield Finding("the_firewall_is_active", "error", subject, found, "active", f"Run `{_START[inactive]}`{of_host}.")
        else:
            fix = f"Set `node_firewall_install: nftables`, or enable firewalld or ufw{of_host}, then {site}."
            yield Finding("the_firewall_is_active", "warning", subject, f"none is active, so {reached}", "a firewall", fix)
        return
    if check:
        yield from _differences(result, subject, f"{site} corrects it.")
    if result.get("limits"):
        fix = "Correct the host's firewall: `systemctl enable UNIT` enables a unit that is named here."
        yield Finding("rules_come_back", "error", subject, "; ".join(result["limits"]), "rules that come back after a reboot", fix)


def _differences(result: Mapping[str, Any], subject: str, fix: str) -> Iterator[Finding]:
    missing, extra, unsaved, repaired = (result.get(key) or () for key in ("added", "removed", "unsaved", "repaired"))
    closed, superfluous = ([line for line in lines if not line.startswith(RESTRICTIONS)] for lines in (missing, extra))
    loose, tight = ([line for line in lines if line.startswith(RESTRICTIONS)] for lines in (missing, extra))
    if closed:
        yield Finding("planned_ports_are_open", "error", subject, f"closed: {', '.join(closed)}", "open, as the plan requires", fix)
    if superfluous:
        found = f"open, but not needed by the plan: {', '.join(superfluous)}"
        yield Finding("other_ports_are_closed", "warning", subject, found, "closed", fix)
    if loose:
        found = f"open to more than these: {', '.join(loose)}"
        yield Finding("sources_are_restricted", "warning", subject, found, "restricted, as the plan requires", fix)
    if tight and not loose:
        found = f"restricted, but not by the plan: {', '.join(tight)}"
        yield Finding("sources_are_restricted", "warning", subject, found, "as in the plan", fix)
    if unsaved:
        found = f"a reboot or reload would change {', '.join(unsaved)}"
        yield Finding("rules_are_saved", "error", subject, found, "the same rules after a reboot", fix)
    if repaired:
        yield Finding("rules_are_unaltered", "error", subject, f"altered: {'; '.join(repaired)}", "the rules of the plan, unaltered", fix)


def _is_active(result: Mapping[str, Any]) -> bool:
    """In check mode, a firewall that would be installed is not there yet."""
    return result["backend"] != "none" and not ("exposed" in result and result.get("installed"))


def _subject(result: Mapping[str, Any], host: str) -> str:
    backend = f" ({result['backend']})" if _is_active(result) else ""
    return f"firewall{f' of {host}' if host else ''}{backend}"


# The ports that every device reaches if no firewall is active: what listens on other addresses than loopback

# the state of a socket that waits for packets, in /proc/net: TCP_LISTEN and, of UDP, TCP_CLOSE (include/net/tcp_states.h)
WAITING = {"tcp": "0A", "udp": "07"}
# above it are the ports that clients, such as a DNS resolver, get for one question
FIRST_LOCAL_PORT = 32768


def exposed_ports(read_text: ReadText) -> list[str]:
    """Return ports such as ``22/tcp``, in order."""
    found = {
        (protocol, port)
        for protocol, waiting in WAITING.items()
        for version in ("", "6")
        for address, port, state in _sockets(read_text(f"/proc/net/{protocol}{version}") or "")
        if state == waiting and not _is_loopback(address) and (protocol == "tcp" or port < FIRST_LOCAL_PORT)
    }
    return [f"{port}/{protocol}" for protocol, port in sorted(found)]


def _sockets(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield address, port and state of each socket. The kernel writes an address as words of 32 bits in its own byte order."""
    for line in text.splitlines()[1:]:
        _number, local, _remote, state = line.split()[:4]
        address, _colon, port = local.partition(":")
        yield address, int(port, 16), state


def _is_loopback(shown: str) -> bool:
    words = [int(shown[at : at + 8], 16) for at in range(0, len(shown), 8)]
    address = ip_address(struct.pack(f"={len(words)}I", *words))
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return (mapped or address).is_loopback
