# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse single values as users write them in YAML. An invalid value raises `Misread`; nothing is guessed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from typing import Optional

from .._wake.wake import six_octets
from .model import TRANSPORTS, Address, AddressRange, DeclaredPort, Network, PortRange

LONGEST_SHOWN = 80
LAST_PORT = 65535

_IP_CHARACTERS = re.compile(r"[0-9a-fA-F:.]{2,45}")
_PREFIX = re.compile(r"[0-9]{1,3}")
_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_PORTS_LIKE = re.compile(r"\s*([0-9]{1,5})\s*(?:[-:,\s]|\.\.)\s*([0-9]{1,5})\s*")
_PROTOCOL_NUMBER = re.compile(r"protocol ([0-9]{1,3})")
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_LABEL = re.compile(_LABEL)
_DNS_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_VERSION = re.compile(r"1\.([0-9]{1,2})(?:\.[0-9]{1,3})?")


class Misread(Exception):
    """An invalid value. rule: a name in `reading.SYNTAX_RULES`; fix: "" for the rule's own."""

    def __init__(self, rule: str, found: str, expected: str, fix: str = "") -> None:
        super().__init__(rule, found, expected, fix)
        self.rule, self.found, self.expected, self.fix = rule, found, expected, fix


def shown(value: object) -> str:
    """Return a value for a message: shortened, in YAML's terms, with non-ASCII characters escaped."""
    if isinstance(value, str):
        head = ascii(str(value[:LONGEST_SHOWN]))
        return head if len(value) <= LONGEST_SHOWN else f"{head}... ({len(value)} characters)"
    if value is None or isinstance(value, bool):
        return {None: "nothing (null)", True: "true", False: "false"}[value]
    if isinstance(value, (int, float)):
        return f"the number {value}" if isinstance(value, float) or abs(value) < 10**20 else "a number of more than 20 digits"
    if isinstance(value, (Mapping, list, tuple)):
        return f"a mapping of {len(value)} keys" if isinstance(value, Mapping) else f"a list of {len(value)}"
    return f"a value of type {type(value).__name__}"


def nearest(word: object, known: tuple[str, ...]) -> Optional[str]:
    """Return the known word that was probably meant, or None."""
    if not isinstance(word, str) or len(word) > LONGEST_SHOWN:
        return None
    by_lower = {candidate.lower(): candidate for candidate in known}
    close = get_close_matches(word.lower().replace("-", "_"), list(by_lower), n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def text(value: object, rule: str, expected: str) -> str:
    if not isinstance(value, str):
        raise Misread(rule, shown(value), expected)
    return str(value)


def address(value: object) -> Address:
    """Parse an IPv4 or IPv6 address without prefix, zone or blanks."""
    rule, expected = "addresses_are_well_formed", "an IPv4 or IPv6 address, like 192.168.4.1"
    written = text(value, rule, expected)
    if "/" in written:
        raise Misread(rule, shown(value), expected, "Write only the address, without a prefix length.")
    if not _IP_CHARACTERS.fullmatch(written):
        raise Misread(rule, shown(value), expected)
    try:
        return ip_address(written)
    except ValueError:
        raise Misread(rule, shown(value), expected) from None


def address_range(value: object) -> AddressRange:
    """Parse ``192.168.4.100-192.168.4.199``, two addresses of one family in ascending order."""
    rule, expected = "address_ranges_are_well_formed", "a range of addresses like 192.168.4.100-192.168.4.199"
    first, dash, last = text(value, rule, expected).partition("-")
    try:
        found = AddressRange(address(first), address(last if dash else first))
    except Misread:
        raise Misread(rule, shown(value), expected) from None
    if found.first.version != found.last.version:
        raise Misread(rule, shown(value), "two addresses of the same family")
    if int(found.first) > int(found.last):
        raise Misread(rule, shown(value), expected, f"Write {found.last}-{found.first}.")
    return found


def network(value: object) -> Network:
    """Parse a network as address/prefix length, without host bits."""
    rule, expected = "networks_are_written_as_cidr", "a network like 10.244.0.0/16"
    written = text(value, rule, expected)
    if "," in written:
        raise Misread(rule, shown(value), expected, "Write two networks as a YAML list, not with a comma.")
    base, slash, prefix = written.partition("/")
    if not slash:
        raise Misread(rule, shown(value), expected, "Add the prefix length, like /16.")
    if not _IP_CHARACTERS.fullmatch(base) or not _PREFIX.fullmatch(prefix):
        raise Misread(rule, shown(value), expected, _prefix_of_netmask(written))
    try:
        start = ip_address(base)
        whole = _network_of(start, int(prefix))
    except ValueError:
        raise Misread(rule, shown(value), expected) from None
    if whole.network_address != start:
        raise Misread("networks_have_no_host_bits", shown(value), f"{whole}", f"Write {whole}, or correct the prefix length.")
    return whole


def _network_of(start: Address, prefix: int) -> Network:
    if isinstance(start, IPv4Address):
        return IPv4Network((start, prefix), strict=False)
    return IPv6Network((start, prefix), strict=False)


def _prefix_of_netmask(written: str) -> str:
    try:
        return f"Write {ip_network(written, strict=False)}." if written.isascii() else ""
    except ValueError:
        return ""


def whole_number(value: object, rule: str, first: int, last: int) -> int:
    expected = f"a whole number from {first} to {last}"
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,5}", value):
        raise Misread(rule, shown(value), expected, f"Write {int(value)} without quotes.")
    if isinstance(value, bool) or not isinstance(value, int) or not first <= value <= last:
        raise Misread(rule, shown(value), expected)
    return int(value)


def port_range(value: object) -> PortRange:
    """Parse ``30000-32767``, or a single port."""
    rule, expected = "port_ranges_are_well_formed", "a port range like 30000-32767"
    written = text(value, rule, expected)
    match = _PORTS.fullmatch(written)
    if not match:
        like = _PORTS_LIKE.fullmatch(written) if written.isascii() else None
        raise Misread(rule, shown(value), expected, f"Write {like.group(1)}-{like.group(2)}." if like else "")
    ports = PortRange(int(match.group(1)), int(match.group(2) or match.group(1)))
    if ports.first > ports.last:
        raise Misread(rule, shown(value), expected, f"Write {ports.last}-{ports.first}.")
    if not 1 <= ports.first <= ports.last <= LAST_PORT:
        raise Misread(rule, shown(value), f"ports from 1 to {LAST_PORT}")
    return ports


def ports(value: object) -> PortRange:
    """Parse the number of a port, or a range like ``7000-7010``."""
    if isinstance(value, str):
        return port_range(value)
    number = whole_number(value, "ports_are_numbers", 1, LAST_PORT)
    return PortRange(number, number)


def comment(value: object, longest: int) -> str:
    """Parse a text that a firewall rule can have as a comment."""
    rule, expected = "reasons_are_one_line", f"one line of at most {longest} ASCII characters without double quotes and backslashes"
    written = text(value, rule, expected).strip()
    if not written or len(written) > longest or not written.isascii() or not written.isprintable() or '"' in written or "\\" in written:
        raise Misread(rule, shown(value), expected)
    return written


def declared_port(value: object) -> DeclaredPort:
    """Parse ``6443/tcp``, ``2379-2380/tcp``, or ``protocol 4``."""
    rule, expected = (
        "declared_ports_are_well_formed",
        "ports and transport like 6443/tcp or 30000-32767/tcp, or an IP protocol like 'protocol 4'",
    )
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LAST_PORT:
        raise Misread(rule, shown(value), expected, f"Write {value}/tcp, or {value}/udp.")
    written = text(value, rule, expected)
    number = _PROTOCOL_NUMBER.fullmatch(written)
    if number and int(number.group(1)) <= 255:
        return DeclaredPort(str(int(number.group(1))))
    if written.lower() in ("ipip", "ip-in-ip", "ipencap", "protocol ipip", "4", "4/ip"):
        fix = "Write 'protocol 4': on Debian, ipip is the name of another protocol, 94."
        raise Misread(rule, shown(value), expected, fix)
    ports, slash, transport = written.partition("/")
    if slash and transport in TRANSPORTS:
        try:
            return DeclaredPort(transport, port_range(ports))
        except Misread as misread:
            fix = misread.fix.replace(".", f"/{transport}.") if misread.fix else ""
            raise Misread(rule, shown(value), expected, fix) from None
    known = nearest(transport, TRANSPORTS) or "tcp"
    fix = f"Write {ports}/{known}." if _PORTS.fullmatch(ports) else ""
    raise Misread(rule, shown(value), expected, fix)


def mac(value: object) -> str:
    """Parse a unicast MAC address; return it in lower case with colons."""
    rule, expected = "macs_are_well_formed", "six hexadecimal pairs like b8:ac:6f:7e:6c:9d, as for wake_on_lan"
    if isinstance(value, int) and not isinstance(value, bool):
        raise Misread(rule, shown(value), expected, "Put the MAC in quotes: YAML reads some of them as a number.")
    written = text(value, rule, expected)
    octets = six_octets(written)
    if not octets:
        raise Misread(rule, shown(value), expected)
    if not any(octets) or octets[0] & 1:
        raise Misread("macs_name_one_network_card", shown(value), "the unicast address of the host's network card")
    return octets.hex(":")


def dns_label(value: object) -> str:
    rule, expected = "names_are_dns_names", "at most 63 of a-z, 0-9 and -, starting and ending with a letter or digit"
    written = text(value, rule, expected)
    if not _DNS_LABEL.fullmatch(written):
        lower = written.lower().replace("_", "-").strip("-") if len(written) <= 63 else ""
        raise Misread(rule, shown(value), expected, f"Write {lower}." if _DNS_LABEL.fullmatch(lower) else "")
    return written


def dns_name(value: object) -> str:
    rule, expected = "names_are_dns_names", "a DNS name in lower case, at most 253 characters"
    written = text(value, rule, expected)
    if len(written) > 253 or not _DNS_NAME.fullmatch(written):
        lower = written.lower().replace("_", "-").strip(".-") if len(written) <= 253 else ""
        raise Misread(rule, shown(value), expected, f"Write {lower}." if _DNS_NAME.fullmatch(lower) else "")
    return written


def kubernetes_version(value: object) -> tuple[int, int]:
    """Parse ``"1.36"`` or ``"1.36.4"``, quoted."""
    rule, expected = "kubernetes_version_is_a_quoted_string", 'a version in quotes, like "1.36"'
    if isinstance(value, float):
        fix = 'Put it in quotes, like "1.30": without them YAML reads a number, and 1.30 becomes 1.3.'
        raise Misread(rule, shown(value), expected, fix)
    written = text(value, rule, expected)
    match = _VERSION.fullmatch(written)
    if not match:
        bare = written[1:] if written.startswith("v") else ""
        raise Misread(rule, shown(value), expected, f'Write "{bare}".' if _VERSION.fullmatch(bare) else "")
    return 1, int(match.group(1))


def choice(value: object, rule: str, known: tuple[str, ...]) -> str:
    """Accept one of the known words, spelled exactly."""
    written = text(value, rule, "one of " + ", ".join(known))
    if written not in known:
        meant = nearest(written, known)
        raise Misread(rule, shown(value), "one of " + ", ".join(known), f"Write {meant}." if meant else "")
    return written


# Ansible's own words of a boolean. An INI inventory has only texts, unless they are written like Python's: `sleeps=true` is one
_TRUTHS = {**dict.fromkeys(("true", "yes", "on"), True), **dict.fromkeys(("false", "no", "off"), False)}


def truth_of_text(value: object) -> object:
    """A boolean that is written as text; any other value as it is, for the check to report."""
    return _TRUTHS.get(value.lower(), value) if isinstance(value, str) else value


def truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Misread("yes_or_no_is_true_or_false", shown(value), "true or false")
    return value
