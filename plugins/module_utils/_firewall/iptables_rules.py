# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iptables rules: written for iptables-restore, read from iptables-save, and the effects of other rules on packets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from typing import Optional

from .._refusal import Refusal
from .model import EVERYONE, Opening, canonical_networks, networks
from .packets import ACCEPTS, DENIES, EVERY_PORT, LIMITS, RESTRICTS, Chains, Effect, Rule, Ways, can_deny, with_limits

# Rules as text: written for iptables-restore, read from iptables-save

# the names that iptables knows without /etc/protocols
BUILT_IN_NUMBERS = {
    "icmp": "1",
    "esp": "50",
    "ah": "51",
    "icmpv6": "58",
    "ipv6-icmp": "58",
    "mh": "135",
    "ipv6-mh": "135",
    "udplite": "136",
}
VERDICTS = {"accept": "ACCEPT", "return": "RETURN", "drop": "DROP"}
EXEMPTION_TEXTS = {
    "loopback": "-i lo",
    "known": "-m conntrack --ctstate RELATED,ESTABLISHED",
    "elsewhere": "-m addrtype ! --dst-type LOCAL",
}


def single(rules: Iterable[Rule]) -> list[Rule]:
    """Split rules into one per network, as iptables has no sets of its own."""
    return [
        replace(rule, sources=source, destinations=destination)
        for rule in rules
        for source in _each(rule.sources)
        for destination in _each(rule.destinations)
    ]


def _each(networks_of_rule: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(network,) for network in networks_of_rule] or [()]


def rule_text(chain: str, rule: Rule) -> str:
    """Return a rule as a line for iptables-restore, without the newline."""
    parts = ["-A", chain]
    if rule.exemption:
        parts.extend([*(f"-s {network}" for network in rule.sources), EXEMPTION_TEXTS[rule.exemption], "-j", VERDICTS[rule.verdict]])
        return " ".join(parts)
    for option, named in (("-s", rule.sources), ("-d", rule.destinations)):
        parts.extend(f"{option} {network}" for network in named)
    if rule.protocol:
        parts.append(f"-p {rule.protocol}")
    if rule.first:
        parts.append(f"-m {rule.protocol} --dport {rule.first if rule.first == rule.last else f'{rule.first}:{rule.last}'}")
    if rule.comment:
        parts.append(f'-m comment --comment "{rule.comment}"')
    return " ".join([*parts, "-j", VERDICTS[rule.verdict]])


def protocol_numbers(etc_protocols: str) -> dict[str, str]:
    """Map protocol names to numbers, as this host's iptables-save writes names."""
    numbers = dict(BUILT_IN_NUMBERS)
    for line in etc_protocols.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2 and words[1].isdigit():
            numbers.update(dict.fromkeys([words[0], *words[2:]], words[1]))
    return numbers


def words_of(line: str) -> list[str]:
    """Split a line of iptables-save into words; a quoted comment is one word."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def read_rule(line: str, numbers: Mapping[str, str]) -> Optional[Rule]:
    """Read the rule that ``rule_text`` wrote, as iptables-save shows it; None for any other rule."""
    for exemption, text in EXEMPTION_TEXTS.items():
        match = re.fullmatch(rf"-A \S+ (?:-s (\S+) )?{re.escape(text)} -j RETURN", line)
        if match:
            source = match[1] or ""
            family = (6 if ":" in source else 4) if source else 0
            return Rule("return", sources=(source,) if source else (), family=family, exemption=exemption)
    words = words_of(line)[2:]
    if len(words) % 2:
        return None
    options = dict(zip(words[::2], words[1::2]))
    verdict = {target: name for name, target in VERDICTS.items()}.get(options.pop("-j", ""))
    modules = {value for name, value in zip(words[::2], words[1::2]) if name == "-m"}
    options.pop("-m", None)
    if verdict is None or modules - {"tcp", "udp", "sctp", "comment"}:
        return None
    comment = options.pop("--comment", "")
    try:
        sources, destinations = (canonical_networks(networks(options.pop(side, "").split())) for side in ("-s", "-d"))
        protocol = options.pop("-p", "")
        first, _colon, last = options.pop("--dport", "0").partition(":")
        if options:
            return None
        family = next((6 if ":" in network else 4 for network in (*sources, *destinations)), 0)
        number = numbers.get(protocol, protocol) if first == "0" else protocol
        return Rule(verdict, number, int(first), int(last or first), sources, destinations, family, "", comment)
    except ValueError:
        return None


# Saved rules (iptables-save, iptables-restore): reading them, and inserting and removing our lines

# marks a table that was not in the saved text, so that it is removed with our last line in it
ADDED = "# this table was added by vmstation.cluster.firewall_ports\n"

ChainKey = tuple[str, str]


class Tables:
    """One family's tables. policies: of each chain, ``-`` for a user chain; rules: the lines of each chain, in order."""

    def __init__(self, text: str) -> None:
        self.policies: dict[ChainKey, str] = {}
        self.rules: dict[ChainKey, list[str]] = {}
        table = ""
        for line in map(without_counters, text.splitlines()):
            words = line.split()
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith((":", "-A ", "-I ")) and len(words) < 2:
                raise Refusal("rules of iptables", repr(line), "lines as iptables-save writes them", "Correct the rule, then run again.")
            elif line.startswith(":"):
                self.policies[table, words[0][1:]] = words[1]
            elif line.startswith("-A "):
                self.rules.setdefault((table, words[1]), []).append(line)
            elif line.startswith("-I "):
                place = [word for word in words[2:3] if word.isdigit()]
                rule = " ".join(["-A", words[1], *words[2 + len(place) :]])
                self.rules.setdefault((table, words[1]), []).insert(0, rule)

    def jumps(self, table: str, chain: str) -> list[tuple[str, int]]:
        """Return each jump to ``chain``: the chain it is in, and how many rules of others precede it."""
        found: list[tuple[str, int]] = []
        for (of, name), lines in self.rules.items():
            if of == table:
                places = [place for place, line in enumerate(lines) if line == f"-A {name} -j {chain}"]
                found.extend((name, sum(not is_our_jump(line) for line in lines[:place])) for place in places)
        return found


def is_our_jump(line: str) -> bool:
    """Return whether a rule is only a jump to a chain of one of our sets."""
    words = line.split()
    return len(words) == 4 and words[2] == "-j" and words[3].startswith("vmstation-")


def without_counters(line: str) -> str:
    """Return a line as ``iptables-save`` writes it without ``-c``."""
    return line.partition("] ")[2] if line.startswith("[") else line


def without(text: str, chains: frozenset[str]) -> str:
    """Remove all lines of these chains and all jumps to them from a saved text; the other bytes stay."""
    kept = [line for line in text.splitlines(keepends=True) if not _is_of(line, chains)]
    whole = "".join(kept)
    for table in ("mangle", "filter"):
        whole = whole.replace(f"{ADDED}*{table}\nCOMMIT\n", "")
    return whole


def within(text: str, lines: Mapping[str, list[str]], jumps: Mapping[str, list[tuple[str, int, str]]]) -> str:
    """Insert these lines of each table into a saved text, before its other rules; a missing table is added in front.

    jumps: per table, a chain, how many rules of others stay before our jump in it, and our chain.
    """
    for table, ours in lines.items():
        if ours:
            in_front = [f"-A {chain} -j {target}" for chain, number, target in jumps.get(table, []) if not number]
            text = _put(text, table, [*ours, *in_front])
            for chain, number, target in jumps.get(table, []):
                text = _put_behind(text, table, chain, number, target) if number else text
    return text


def _put(text: str, table: str, ours: list[str]) -> str:
    block = "".join(f"{line}\n" for line in ours)
    found = text.splitlines(keepends=True)
    try:
        start = next(index for index, line in enumerate(found) if line.strip() == f"*{table}")
    except StopIteration:
        return f"{ADDED}*{table}\n{block}COMMIT\n{text}"
    place = start + 1
    while place < len(found) and (found[place].startswith((":", "#")) or not found[place].strip()):
        place += 1
    return "".join([*found[:place], block, *found[place:]])


def _put_behind(text: str, table: str, chain: str, number: int, target: str) -> str:
    """Insert our jump after ``number`` rules of others in a chain."""
    found = text.splitlines(keepends=True)
    current, seen = "", 0
    for index, line in enumerate(found):
        plain = without_counters(line.rstrip("\n"))
        current = plain[1:].strip() if plain.startswith("*") else current
        if current == table and plain.startswith(f"-A {chain} ") and not is_our_jump(plain):
            seen += 1
            if seen == number:
                return "".join([*found[: index + 1], f"-A {chain} -j {target}\n", *found[index + 1 :]])
    return text


def _is_of(line: str, chains: frozenset[str]) -> bool:
    line = without_counters(line)
    if line.startswith(":"):
        return line[1:].split(" ", 1)[0] in chains
    if not line.startswith(("-A ", "-I ")) or not any(chain in line for chain in chains):
        return False
    words = words_of(line)
    return words[1] in chains or any(option in {"-j", "-g"} and target in chains for option, target in zip(words, words[1:]))


# Effects of iptables rules on packets, derived from their conditions, not from their author

# A program writes each of these chains and puts it back in place: it may be before or after our jump, and its drops are not the host's
# firewall. DOCKER-USER belongs to the user, not to Docker.
CHAINS_OF_PROGRAMS = ("KUBE-", "cali-", "DOCKER", "CNI-", "LIBVIRT_", "vmstation-")
CHAINS_OF_THE_OWNER = ("DOCKER-USER",)
ANY_WAY = Ways()
DENIALS = frozenset({"DROP", "REJECT", "TARPIT"})
PORTS = frozenset({"--dport", "--dports", "--destination-port", "--destination-ports"})
# options that leave a rule for everyone, with the number of their values; all others make it narrower
FOR_EVERYONE = {
    "-m": 1, "--match": 1, "--comment": 1, "-c": 2, "--set": 0, "--name": 1, "--mask": 1, "--rsource": 0, "--rdest": 0, "--limit": 1,
    "--limit-burst": 1, "--icmp-type": 1, "--icmpv6-type": 1, "--reject-with": 1, "--syn": 0,
}  # fmt: skip
RATES = ("--limit", "--hashlimit", "--connlimit", "--hitcount")
WHERE = frozenset({"-i", "--in-interface", "-o", "--out-interface"})
SOURCES = frozenset({"-s", "--source", "--match-set", "--src-range", "--source-country"})
NEW_CONNECTIONS = ("FIN,SYN,RST,ACK", "SYN")


@dataclass
class Conditions:
    """The conditions of a rule.

    narrow: only some sources, states, interfaces or addresses. sources: only some sources. rated: a rate per source. limited: a rate, per
    source or in total.
    where: interfaces and destinations. beside: packets for none of our ports. some: any other condition.
    remembers: it adds to a list of sources.
    """

    target: str = ""
    narrow: bool = False
    sources: bool = False
    rated: bool = False
    beside: bool = False
    some: bool = False
    remembers: bool = False
    limited: bool = False
    protocol: str = ""
    ports: list[tuple[int, int]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)


def effects(
    tables: Tables, openings: Optional[Iterable[Opening]] = None, numbers: Optional[Mapping[str, str]] = None, ways: Ways = ANY_WAY
) -> Chains:
    """Return the effects of the rules of each chain of ``filter``, without our own jumps.

    openings: a denial of other ports does not matter; None: every port matters. ways: the interfaces of their packets.
    """
    needed = None if openings is None else list(openings)
    found: dict[Hashable, list[list[Effect]]] = {}
    for (table, chain), lines in tables.rules.items():
        if table == "filter" and not _is_programs(chain):
            asked = [(line, _conditions(words_of(line)[2:], ways)) for line in lines if not is_our_jump(line)]
            rules = [[_effect(tables, line, conditions, needed, numbers or {})] for line, conditions in asked]
            found[chain] = with_limits(rules, is_base=tables.policies.get((table, chain), "-") != "-")
    return found


def can_refuse(tables: Tables, chain: str) -> bool:
    """Return whether a chain of ``filter`` can drop or reject packets from any source, not counting programs' own chains."""
    return tables.policies.get(("filter", chain)) in {"DROP", "REJECT"} or can_deny(effects(tables), chain)


def _effect(tables: Tables, line: str, asked: Conditions, needed: Optional[list[Opening]], numbers: Mapping[str, str]) -> Effect:
    narrow = asked.narrow or asked.rated
    everything = not (asked.some or narrow or asked.protocol or asked.ports)
    ports = (asked.protocol, tuple(asked.ports), tuple(sorted(asked.where))) if asked.protocol or asked.ports or asked.where else EVERY_PORT
    matters = _matters(asked, needed, numbers)
    what = line if matters else ""
    if asked.target in DENIALS:
        if narrow:
            return Effect(RESTRICTS, what=what)
        return Effect(DENIES, everything=everything, what=what, ports=ports) if matters else Effect()
    if ("filter", asked.target) in tables.policies and not _is_programs(asked.target):
        return Effect(target=asked.target, narrow=narrow or not matters, everything=everything, what=what)
    # it counts a rate, fills a list, or asks another program, which works only if the packets reach it
    if asked.remembers or asked.target in {"SET", "NFQUEUE"}:
        return Effect(RESTRICTS, what=what)
    accepts = asked.target == "ACCEPT"
    at_a_rate = asked.limited and not asked.narrow and (accepts or asked.target == "RETURN")
    if at_a_rate or (asked.target == "RETURN" and asked.sources and not asked.some):
        return Effect(LIMITS if accepts else "", what=what, ports=None if accepts and not asked.ports else ports)
    return Effect(ACCEPTS if accepts else "")


def _is_programs(chain: str) -> bool:
    return chain.startswith(CHAINS_OF_PROGRAMS) and chain not in CHAINS_OF_THE_OWNER


def _conditions(words: list[str], ways: Ways) -> Conditions:
    found = Conditions()
    position = 0
    while position < len(words):
        negated = words[position] == "!"
        position += negated
        option = words[position] if position < len(words) else ""
        values = words[position + 1 : position + 2]
        value = values[0] if values else ""
        position += 2
        found.limited = found.limited or option.startswith(RATES)
        found.where.extend([f"{negated} {option} {value}"] if option in {*WHERE, "-d", "--destination"} else [])
        if option in {"-j", "-g", "--jump", "--goto"}:
            found.target = value
        elif option in {"-p", "--protocol"} and not negated:
            found.protocol = "" if value in {"all", "0"} else value
        elif option in PORTS and not negated:
            found.ports.extend(_ranges(value))
        elif option in WHERE or option in PORTS or option in {"-p", "--protocol"}:
            found.some = True
            found.narrow = found.narrow or (option in {"-i", "--in-interface"} and not negated and ways.miss_interfaces([value]))
        elif option in {"-s", "-d", "--source", "--destination"} and not negated and value in EVERYONE.values():
            continue
        elif option in {"-d", "--destination"}:
            found.some = True
            found.beside = found.beside or (not negated and _is_nobodys(value))
            found.narrow = found.narrow or (not negated and ways.miss_addresses([value]))
        elif option in {"--ctstate", "--state"}:
            found.some = True
            found.narrow = found.narrow or ("NEW" in value.split(",")) is negated
        elif option == "--tcp-flags":
            found.some = True
            found.narrow = found.narrow or negated or (value, "".join(words[position : position + 1])) != NEW_CONNECTIONS
            position += 1
        elif option == "--dst-type":
            found.some = True
            found.narrow = found.narrow or negated or value != "LOCAL"
        elif option in FOR_EVERYONE and not negated:
            found.remembers = found.remembers or option == "--set"
            found.some = found.some or option in {"--syn", "--limit", "--icmp-type", "--icmpv6-type"}
            position += FOR_EVERYONE[option] - 1
        else:
            found.rated = found.rated or option.startswith(RATES)
            found.narrow = found.narrow or not option.startswith(RATES)
            found.sources = found.sources or (option in SOURCES and not negated)
            position -= value.startswith("-") or value == "!"
    return found


def _matters(found: Conditions, needed: Optional[list[Opening]], numbers: Mapping[str, str]) -> bool:
    """Return whether the rule matches packets that we accept."""
    if found.beside:
        return False
    if needed is None or not (found.protocol or found.ports):
        return True
    protocol = numbers.get(found.protocol, found.protocol)
    return any(
        opening.protocol == protocol
        and (not found.ports or any(first <= opening.last and opening.first <= last for first, last in found.ports))
        for opening in needed
    )


def _ranges(text: str) -> list[tuple[int, int]]:
    """Parse ports; a service name means any port, as only the host's own files define it."""
    found = []
    for item in text.split(","):
        first, _colon, last = item.partition(":")
        ends = (first or "0", last or ("65535" if _colon else first))
        found.append((int(ends[0]), int(ends[1])) if all(re.fullmatch("[0-9]{1,5}", end) for end in ends) else (0, 65535))
    return found


def _is_nobodys(text: str) -> bool:
    """Return whether no other host can reach this one by the address: loopback, multicast or broadcast."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return network.is_loopback or network.is_multicast or str(network) == "255.255.255.255/32"
