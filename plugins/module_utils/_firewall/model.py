# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of open ports, the same for every firewall, its validation from a module's options, and the port of the SSH connection in use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any, Callable, Optional, TypeVar, Union

from .._refusal import Refusal

# The set of open ports

Network = Union[IPv4Network, IPv6Network]

EVERYONE = {4: "0.0.0.0/0", 6: "::/0"}


@dataclass(frozen=True, order=True)
class Opening:
    """One open port range or protocol.

    protocol: ``tcp``, ``udp``, ``sctp``, or an IP protocol number as text (``4``), which has no ports.
    first, last: the port range, both ends included; 0 for an IP protocol.
    sources: networks in canonical CIDR form, sorted as ``canonical_networks`` does; empty: any source.
    """

    protocol: str
    first: int = 0
    last: int = 0
    sources: tuple[str, ...] = ()
    comment: str = field(default="", compare=False)

    @property
    def has_ports(self) -> bool:
        return self.first > 0

    @property
    def ports(self) -> str:
        """``10250`` or ``30000-32767``; empty for an IP protocol."""
        if not self.has_ports:
            return ""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __str__(self) -> str:
        what = f"{self.ports}/{self.protocol}" if self.has_ports else f"protocol {self.protocol}"
        return f"{what} from {', '.join(self.sources)}" if self.sources else what


# how a line of `as_lines` begins that restricts what is open
RESTRICTIONS = NODE_PORTS_LINE, NETWORK_LINE, CONFINED_LINE = "node ports ", "network ", "trusted networks reach only the listed ports"


@dataclass(frozen=True, order=True)
class Protected:
    """A network that only these sources, in canonical form, and the trusted networks may send packets to."""

    network: str
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{NETWORK_LINE}{self.network} only from {', '.join(self.sources) or 'trusted networks'}"


@dataclass(frozen=True)
class PortSet:
    """All that one owner opens: sorted, and disjoint per protocol, so that equal sets allow the same packets.

    trusted: networks accepted on input and, as source and destination, on forward; canonical CIDRs, sorted.
    guarded: node ports that only their ``sources`` (and ``trusted``, and the host itself) may reach. A node port is DNATed before input,
    so a backend drops other packets to the host's own addresses earlier, in prerouting at mangle priority. Each lies in the node port
    range, is disjoint per protocol and has sources; it is derived from ``openings``.
    protected: networks of the cluster behind this host, sorted. Packets from others are dropped in prerouting as well: a route to this
    host is enough to reach them otherwise.
    confined: trusted networks reach of this host itself only the ports open to them, NodePorts and ICMP. False without trusted networks.
    """

    openings: tuple[Opening, ...] = ()
    trusted: tuple[str, ...] = ()
    guarded: tuple[Opening, ...] = ()
    protected: tuple[Protected, ...] = ()
    confined: bool = False

    def __bool__(self) -> bool:
        return bool(self.openings or self.trusted or self.has_guard)

    @property
    def has_guard(self) -> bool:
        """Return whether packets are dropped before DNAT."""
        return bool(self.guarded or self.protected or self.confined)


NOTHING = PortSet()


def canonical_networks(networks: Iterable[Network]) -> tuple[str, ...]:
    """Collapse networks, IPv4 first, sorted by address. Empty (any source) if they cover both families completely."""
    found = list(networks)
    narrow = collapse_addresses(network for network in found if isinstance(network, IPv4Network))
    wide = collapse_addresses(network for network in found if isinstance(network, IPv6Network))
    texts = tuple(str(network) for network in (*narrow, *wide))
    return () if set(texts) == set(EVERYONE.values()) else texts


def of_family(sources: Iterable[str], family: int) -> tuple[str, ...]:
    """Return the sources of IP version 4 or 6."""
    return tuple(source for source in sources if (":" in source) == (family == 6))


def for_families(ports: PortSet, families: frozenset[int]) -> PortSet:
    """Return the part of a set that applies where only these IP versions are filtered."""

    def narrowed(openings: tuple[Opening, ...]) -> tuple[Opening, ...]:
        kept = []
        for opening in openings:
            sources = tuple(source for family in sorted(families) for source in of_family(opening.sources, family))
            if opening.sources and not sources:
                continue
            covers_all = set(sources) >= {EVERYONE[family] for family in families}
            kept.append(Opening(opening.protocol, opening.first, opening.last, () if covers_all else sources, opening.comment))
        return tuple(kept)

    trusted = tuple(network for family in sorted(families) for network in of_family(ports.trusted, family))
    protected = tuple(
        Protected(each.network, of_family(each.sources, family))
        for family in sorted(families)
        for each in ports.protected
        if of_family([each.network], family)
    )
    return PortSet(
        narrowed(ports.openings), trusted, narrowed(ports.guarded), protected, ports.confined and bool(trusted or not ports.trusted)
    )


def as_lines(ports: PortSet) -> list[str]:
    """Show a set as lines: ``10250/tcp from 192.168.4.0/24``, ``protocol 4``, ``trusted 10.244.0.0/16``."""
    return [
        *(str(opening) for opening in ports.openings),
        *(f"trusted {network}" for network in ports.trusted),
        *(f"{NODE_PORTS_LINE}{opening.ports}/{opening.protocol} only from {', '.join(opening.sources)}" for opening in ports.guarded),
        *map(str, ports.protected),
        *([CONFINED_LINE] if ports.confined else []),
    ]


def as_data(ports: PortSet) -> dict[str, Any]:
    """Return a set as JSON data."""
    return asdict(ports)


def from_data(data: Mapping[str, Any]) -> PortSet:
    """Read the set that ``as_data`` wrote. Release 0.1.0 knew no protected networks. Raises KeyError or TypeError for anything else."""

    def openings(entries: Iterable[Mapping[str, Any]]) -> tuple[Opening, ...]:
        return tuple(Opening(**{**entry, "sources": tuple(entry["sources"])}) for entry in entries)

    protected = tuple(Protected(entry["network"], tuple(entry["sources"])) for entry in data.get("protected", ()))
    return PortSet(openings(data["openings"]), tuple(data["trusted"]), openings(data["guarded"]), protected, data.get("confined", False))


def networks(texts: Iterable[str]) -> list[Network]:
    return [ip_network(text) for text in texts]


# Validate the options ``ports``, ``trusted`` and ``protected``: report every bad entry, merge the rest

Read = TypeVar("Read")

PROTOCOLS_WITH_PORTS = ("tcp", "udp", "sctp")
WITH_PORTS_BY_NUMBER = {6: "tcp", 17: "udp", 132: "sctp"}
# /etc/protocols is not used: Debian's lists 94 for ipip, but IP in IP of RFC 2003 is 4
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
    """Several errors at once, so that one run reports every problem."""

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


def parse(ports: object, trusted: object, protected: object = None, *, confined: bool = False) -> PortSet:
    """Return the canonical set. Raises Refusal, or BadEntries for more than one problem."""
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
        for network in [_some_network(f"trusted[{index}]", entry, problems)]
        if network is not None
    ]
    kept = [
        each
        for index, entry in enumerate(_list_of(protected, "protected", problems))
        for each in [_protected(f"protected[{index}]", entry, problems)]
        if each is not None
    ]
    if len(problems) > 1:
        raise BadEntries(problems)
    if problems:
        raise problems[0]
    return PortSet(merge(openings), canonical_networks(pod_networks), (), merge_protected(kept), confined and bool(pod_networks))


def parse_range(subject: str, value: object) -> tuple[int, int]:
    """Parse ``10250`` or ``30000-32767`` as (first, last). Raises Refusal."""
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
    """Make the ranges of open ports disjoint and sorted.

    The ranges of each protocol are cut where one begins or ends. A piece gets the sources of all ranges that cover it; adjacent
    pieces with the same sources are joined. firewalld rejects overlapping ranges, and two spellings of one set must not look like a
    change.
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


def merge_protected(entries: Iterable[Protected]) -> tuple[Protected, ...]:
    """Sort by address, IPv4 first. A network that is listed twice has the sources of both."""
    sources: dict[str, list[str]] = {}
    for entry in entries:
        sources.setdefault(entry.network, []).extend(entry.sources)
    order = sorted(sources, key=lambda network: (":" in network, ip_network(network)))
    return tuple(Protected(network, canonical_networks(networks(sources[network]))) for network in order)


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
    sources = _sources(subject, entry, problems)
    comment = _caught(problems, _comment, f"{subject}.comment", entry.get("comment"))
    if len(problems) > before or protocol is None:
        return None
    return Opening(protocol, first, last, canonical_networks(sources), comment or "")


def _protected(subject: str, entry: object, problems: list[Refusal]) -> Optional[Protected]:
    if not isinstance(entry, Mapping):
        problems.append(Refusal(subject, _shown(entry), "a dictionary like {network: 10.244.0.0/16, sources: [192.168.4.63]}", CORRECT))
        return None
    network = _some_network(f"{subject}.network", entry.get("network"), problems)
    sources = canonical_networks(_sources(subject, entry, problems))
    return None if network is None else Protected(str(network), sources)


def _sources(subject: str, entry: Mapping[str, Any], problems: list[Refusal]) -> list[Network]:
    given = enumerate(_list_of(entry.get("sources"), f"{subject}.sources", problems))
    read = [_caught(problems, _network, f"{subject}.sources[{index}]", source) for index, source in given]
    return [network for network in read if network is not None]


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


def _some_network(subject: str, value: object, problems: list[Refusal]) -> Optional[Network]:
    network = _caught(problems, _network, subject, value)
    if network is not None and network.prefixlen == 0:
        problems.append(
            Refusal(subject, _shown(value), "a network that does not cover all addresses, as that turns the firewall off", CORRECT)
        )
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
    """Suggest the range that ``30000:32767`` and the like mean, or nothing."""
    match = re.fullmatch(r"\s*([0-9]+)\s*(?::|-|\.\.|,|\u2013)\s*([0-9]+)\s*", value) if isinstance(value, str) else None
    return f"{match[1]}-{match[2]}" if match and _is_port(match[1]) and _is_port(match[2]) and int(match[1]) <= int(match[2]) else ""


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)


# The SSH connection that runs this: its port stays open, and only another connection made by Ansible confirms a change

SSH_VARIABLE = "SSH_CONNECTION"
SSH_COMMENT = "the SSH connection in use"


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
        connection = parse_connection(environment.get(SSH_VARIABLE, ""))
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
    added = Opening("tcp", connection.port, connection.port, sources, SSH_COMMENT)
    return replace(ports, openings=merge([*ports.openings, added]))
