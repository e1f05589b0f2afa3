# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a user writes in ``ports`` and ``trusted`` to a PortSet: every bad entry named, the rest merged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv6Address, ip_network
from typing import Any, Callable, Optional, TypeVar

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import (
    Network,
    Opening,
    PortSet,
    canonical_networks,
    networks,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Read = TypeVar("Read")

PROTOCOLS_WITH_PORTS = ("tcp", "udp", "sctp")
WITH_PORTS_BY_NUMBER = {6: "tcp", 17: "udp", 132: "sctp"}
# /etc/protocols is not asked: Debian's says 94 for ipip, and RFC 2003's IP in IP is 4
NUMBER_OF_NAME = {
    "ipip": 4, "ipencap": 4, "ip-in-ip": 4, "ipv4": 4, "icmp": 1, "igmp": 2, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51,
    "icmpv6": 58, "ipv6-icmp": 58, "ospf": 89, "vrrp": 112,
}  # fmt: skip
OWNER = re.compile(r"[a-z][a-z0-9-]{0,15}")
COMMENT_BYTES = 100
PREFIX = re.compile(r"/(0|[1-9][0-9]{0,2})")
NUMBER = re.compile(r"[0-9]+")
RANGE = re.compile(r"([0-9]+)-([0-9]+)")
PORT_FORM = "a port from 1 to 65535, or a range like 30000-32767"
CORRECT = "Correct it and run again."


class BadEntries(Refusal):
    """Several refusals at once, so that one run names every problem."""

    def __init__(self, problems: list[Refusal]) -> None:
        super().__init__("ports", f"{len(problems)} entries that cannot be used", "none", "Correct them and run again.")
        self.problems = problems

    def __str__(self) -> str:
        lines = [f"- {problem.subject}: found {problem.found}; required: {problem.required}." for problem in self.problems]
        return "\n".join([f"{self.found}:", *lines, self.next_step])


def check_owner(name: object) -> str:
    if not isinstance(name, str) or not OWNER.fullmatch(name):
        raise Refusal("name", repr(name), "a letter, then up to 15 of a-z, 0-9 and -", "Choose a name like `worker`.")
    return name


def parse(ports: object, trusted: object) -> PortSet:
    """The canonical set. Raises Refusal, or BadEntries for more than one problem."""
    problems: list[Refusal] = []
    openings = [
        opening
        for index, entry in enumerate(_list_of(ports, "ports", problems))
        for opening in [_opening(f"ports[{index}]", entry, problems)]
        if opening is not None
    ]
    pod_networks = [
        network
        for index, entry in enumerate(_list_of(trusted, "trusted", problems))
        for network in [_trusted(f"trusted[{index}]", entry, problems)]
        if network is not None
    ]
    if len(problems) > 1:
        raise BadEntries(problems)
    if problems:
        raise problems[0]
    return PortSet(merge(openings), canonical_networks(pod_networks))


def parse_range(subject: str, value: object) -> tuple[int, int]:
    """``10250`` or ``30000-32767`` as (first, last). Raises Refusal."""
    if isinstance(value, str) and RANGE.fullmatch(value):
        first, last = value.split("-")
    elif isinstance(value, str) and NUMBER.fullmatch(value):
        first = last = value
    elif isinstance(value, int) and not isinstance(value, bool):
        first = last = str(value)
    else:
        required = _with_a_hyphen(value) or PORT_FORM
        raise Refusal(subject, _shown(value), required, CORRECT)
    if any(not _is_port(number) for number in (first, last)):
        raise Refusal(subject, _shown(value), PORT_FORM, CORRECT)
    if int(first) > int(last):
        raise Refusal(subject, _shown(value), f"the lower port first, {last}-{first}", CORRECT)
    return int(first), int(last)


def merge(openings: Iterable[Opening]) -> tuple[Opening, ...]:
    """The same openings, disjoint and sorted.

    Each protocol is cut where an opening begins or ends; a piece has the sources of all that cover it, and neighbours of the same
    sources are joined. Overlapping ranges would stop firewalld, and two spellings of one set would look like a change.
    """
    found = list(openings)
    merged: list[Opening] = []
    for protocol in sorted(
        {opening.protocol for opening in found}, key=lambda name: (name.isdigit(), int(name) if name.isdigit() else 0, name)
    ):
        alike = [opening for opening in found if opening.protocol == protocol]
        for opening in _pieces(alike):
            before = merged[-1] if merged else None
            if before and before.protocol == protocol and before.last + 1 == opening.first and before.sources == opening.sources:
                comment = _joined([before.comment, opening.comment])
                merged[-1] = Opening(protocol, before.first, opening.last, opening.sources, comment)
            else:
                merged.append(opening)
    return tuple(merged)


def _pieces(alike: list[Opening]) -> Iterable[Opening]:
    cuts = sorted({opening.first for opening in alike} | {opening.last + 1 for opening in alike})
    for first, after in zip(cuts, cuts[1:]):
        covering = [opening for opening in alike if opening.first <= first and after - 1 <= opening.last]
        if not covering:
            continue
        anyone = [opening for opening in covering if not opening.sources]
        sources = () if anyone else canonical_networks(networks(source for opening in covering for source in opening.sources))
        comment = _joined([opening.comment for opening in anyone or covering])
        yield Opening(alike[0].protocol, first, after - 1, sources, comment)


def _joined(comments: Iterable[str]) -> str:
    joined = ""
    known: list[str] = [part for comment in comments for part in comment.split("; ") if part]
    for comment in dict.fromkeys(known):
        longer = f"{joined}; {comment}" if joined else comment
        if len(longer.encode()) > COMMENT_BYTES:
            break
        joined = longer
    return joined


def _list_of(value: object, subject: str, problems: list[Refusal]) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    problems.append(Refusal(subject, _shown(value), "a list", CORRECT))
    return []


def _opening(subject: str, entry: object, problems: list[Refusal]) -> Optional[Opening]:
    if not isinstance(entry, Mapping):
        problems.append(Refusal(subject, _shown(entry), "a dictionary like {port: 10250, protocol: tcp}", CORRECT))
        return None
    before = len(problems)
    unknown = sorted(str(key) for key in entry if key not in ("port", "protocol", "sources", "comment"))
    if unknown:
        problems.append(Refusal(subject, f"the key {', '.join(unknown)}", "only port, protocol, sources and comment", CORRECT))
    protocol = _caught(problems, _protocol, f"{subject}.protocol", entry.get("protocol"))
    first, last = _ports_of(subject, protocol, entry.get("port"), problems)
    sources = [
        network
        for index, source in enumerate(_list_of(entry.get("sources"), f"{subject}.sources", problems))
        for network in [_caught(problems, _network, f"{subject}.sources[{index}]", source)]
        if network is not None
    ]
    comment = _caught(problems, _comment, f"{subject}.comment", entry.get("comment"))
    if len(problems) > before or protocol is None:
        return None
    return Opening(protocol, first, last, canonical_networks(sources), comment or "")


def _ports_of(subject: str, protocol: Optional[str], value: object, problems: list[Refusal]) -> tuple[int, int]:
    if protocol is not None and protocol.isdigit():
        if value is not None:
            required = f"no port: IP protocol {protocol} has none"
            problems.append(Refusal(f"{subject}.port", _shown(value), required, CORRECT))
        return 0, 0
    if value is None:
        problems.append(Refusal(f"{subject}.port", "nothing", f"{PORT_FORM}, as {protocol or 'this protocol'} has ports", CORRECT))
        return 0, 0
    return _caught(problems, parse_range, f"{subject}.port", value) or (0, 0)


def _protocol(subject: str, value: object) -> str:
    number: Optional[int] = None
    if value is None:
        return "tcp"
    if isinstance(value, str) and value in PROTOCOLS_WITH_PORTS:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and NUMBER.fullmatch(value) and value == value.lstrip("0"):
        number = int(value)
    if number is None:
        raise Refusal(subject, _shown(value), _protocol_hint(value), CORRECT)
    if number in WITH_PORTS_BY_NUMBER:
        name = WITH_PORTS_BY_NUMBER[number]
        raise Refusal(subject, _shown(value), f"{name} with a port: a bare {number} would open every port of {name}", CORRECT)
    if not 1 <= number <= 255:
        raise Refusal(subject, _shown(value), "tcp, udp, sctp or an IP protocol number from 1 to 255", CORRECT)
    return str(number)


def _protocol_hint(value: object) -> str:
    if isinstance(value, str) and value.strip().lower() in PROTOCOLS_WITH_PORTS:
        return f"write {value.strip().lower()}"
    if isinstance(value, str) and value.strip().lower() in NUMBER_OF_NAME:
        return f"write {NUMBER_OF_NAME[value.strip().lower()]}: the number is the same on every host, the name is not"
    return "tcp, udp, sctp or an IP protocol number from 1 to 255"


def _network(subject: str, value: object) -> Network:
    required = "a network like 192.168.4.0/24 or fd00::/8"
    if not isinstance(value, str) or not value.isascii() or "%" in value:
        raise Refusal(subject, _shown(value), required, CORRECT)
    slash = value.find("/")
    if slash >= 0 and not PREFIX.fullmatch(value[slash:]):
        raise Refusal(subject, _shown(value), required, CORRECT)
    try:
        network = ip_network(value, strict=False)
    except ValueError:
        raise Refusal(subject, _shown(value), required, CORRECT) from None
    if slash >= 0 and str(network.network_address) != str(ip_network(value[:slash]).network_address):
        raise Refusal(subject, _shown(value), f"no host bits, {network}", CORRECT)
    mapped = network.network_address.ipv4_mapped if isinstance(network.network_address, IPv6Address) else None
    if mapped is not None:
        raise Refusal(subject, _shown(value), f"the IPv4 form, {mapped}", CORRECT)
    return network


def _trusted(subject: str, value: object, problems: list[Refusal]) -> Optional[Network]:
    network = _caught(problems, _network, subject, value)
    if network is not None and network.prefixlen == 0:
        problems.append(Refusal(subject, _shown(value), "a network narrower than everyone, or the firewall would be off", CORRECT))
        return None
    return network


def _comment(subject: str, value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refusal(subject, _shown(value), "a text", CORRECT)
    if not value.isprintable() or any(mark in value for mark in '"\\'):
        raise Refusal(subject, _shown(value), "printable characters on one line, without double quotes and backslashes", CORRECT)
    if len(value.encode("utf-8", "replace")) > COMMENT_BYTES:
        raise Refusal(subject, f"{len(value.encode('utf-8', 'replace'))} bytes", f"at most {COMMENT_BYTES} bytes", CORRECT)
    return value.strip()


def _caught(problems: list[Refusal], read: Callable[[str, object], Read], subject: str, value: object) -> Optional[Read]:
    try:
        return read(subject, value)
    except Refusal as refusal:
        problems.append(refusal)
        return None


def _is_port(number: str) -> bool:
    return len(number) <= 5 and number == number.lstrip("0") and 1 <= int(number) <= 65535


def _with_a_hyphen(value: object) -> str:
    """The range that was meant by ``30000:32767`` and the like, or nothing."""
    match = re.fullmatch(r"\s*([0-9]+)\s*(?::|-|\.\.|,|\u2013)\s*([0-9]+)\s*", value) if isinstance(value, str) else None
    return f"{match[1]}-{match[2]}" if match and _is_port(match[1]) and _is_port(match[2]) and int(match[1]) <= int(match[2]) else ""


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
