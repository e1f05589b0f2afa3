# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The iptables rules that ufw's files and `iptables-save` show, read back into what they open."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import EVERYONE, Opening, of_family

PORTS_PER_RULE = 15  # what one multiport match holds; a range counts two
DENIALS = frozenset({"DROP", "REJECT"})
IMPLIED_MATCHES = frozenset({"tcp", "udp", "sctp", "multiport", "comment"})


@dataclass(frozen=True)
class Rule:
    """One `-A CHAIN ...` line.

    source, destination: a network; empty: anywhere. ports: ranges, both ends included. jump: its target.
    conditions: the words of every other option; a rule of ours has none.
    """

    line: str
    chain: str
    protocol: str = ""
    source: str = ""
    destination: str = ""
    ports: tuple[tuple[int, int], ...] = ()
    jump: str = ""
    comment: str = ""
    conditions: tuple[str, ...] = ()

    @property
    def restricts(self) -> bool:
        """Whether it denies a source, a source's port, an address or an interface, or limits: `ufw limit` does from its first rule on."""
        limits = self.jump.endswith("-user-limit") or (not self.jump and "--set" in self.conditions)
        return limits or (self.jump in DENIALS and self._is_narrow)

    def denies_everyone(self, ours: Iterable[Rule]) -> bool:
        """Whether one of our rules that stood behind it would be dead for all."""
        return self.jump in DENIALS and not self._is_narrow and any(self.meets(rule) for rule in ours)

    def meets(self, other: Rule) -> bool:
        """Whether there are packets that both are for, by protocol and ports."""
        if self.protocol and other.protocol and self.protocol != other.protocol:
            return False
        pairs = ((mine, theirs) for mine in self.ports for theirs in other.ports)
        return not (self.ports and other.ports) or any(mine[0] <= theirs[1] and theirs[0] <= mine[1] for mine, theirs in pairs)

    @property
    def _is_narrow(self) -> bool:
        return bool(self.source or self.destination or {"-i", "--sport", "--sports"}.intersection(self.conditions))

    def openings(self, family: int, protocol: str = "") -> Iterable[Opening]:
        """What an accepting rule lets in. protocol: its canonical name, where the rule has another one."""
        for first, last in self.ports or ((0, 0),):
            yield Opening(protocol or self.protocol, first, last, (self.source or EVERYONE[family],))


def rules_of(text: str, *chains: str, table: str = "filter", mentioning: str = "") -> list[Rule]:
    """The rules of a table, or of some chains of it, or with some text in them, in their order.

    Only those are parsed: beside ours there may be thousands, of kube-proxy and Calico.
    """
    found = []
    current = ""
    for line in text.splitlines():
        if line.startswith("*"):
            current = line[1:].strip()
        elif current == table and line.startswith("-A ") and (not chains or line.split(" ", 2)[1] in chains) and mentioning in line:
            found.append(parse_rule(line))
    return found


def parse_rule(line: str) -> Rule:
    try:
        words = shlex.split(line)
    except ValueError:  # a quote without its end: nobody's rule that we could know
        words = line.split()
    found: dict[str, str] = {}
    ports: tuple[tuple[int, int], ...] = ()
    conditions: list[str] = []
    position = 2
    while position < len(words):
        option, value = words[position], words[position + 1] if position + 1 < len(words) else ""
        position += 2
        if option in ("-p", "-s", "-d", "-j"):
            found[option] = value
        elif option == "--comment":
            # ufw's own quotes are part of the comment once it is loaded, and iptables-save escapes them
            found[option] = value.replace("\\", "").strip("'")
        elif option in ("--dport", "--dports") and value.replace(",", "").replace(":", "").isdigit():
            ports = parse_ports(value)
        elif option != "-m" or value not in IMPLIED_MATCHES:
            conditions.append(option)
            if value.startswith("-"):
                position -= 1
            else:
                conditions.append(value)
    return Rule(
        line,
        words[1],
        found.get("-p", ""),
        _network(found.get("-s", "")),
        _network(found.get("-d", "")),
        ports,
        found.get("-j", ""),
        found.get("--comment", ""),
        tuple(conditions),
    )


def protocol_names(etc_protocols: str) -> Mapping[str, str]:
    """IP protocol numbers by the names that iptables prints: `-p 4` comes back as `-p ipencap`."""
    numbers = {}
    for line in etc_protocols.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2 and words[1].isdigit():
            numbers[words[0]] = words[1]
    return numbers


def parse_ports(text: str) -> tuple[tuple[int, int], ...]:
    """``22,30000:32767`` as ranges."""
    ranges = []
    for item in text.split(","):
        first, _colon, last = item.partition(":")
        ranges.append((int(first), int(last or first)))
    return tuple(ranges)


def format_ports(ranges: Iterable[tuple[int, int]]) -> str:
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)


def port_groups(openings: Iterable[Opening]) -> list[str]:
    """The openings' ports in as few texts as multiport matches can hold."""
    groups: list[list[tuple[int, int]]] = []
    room = 0
    for opening in openings:
        cost = 1 if opening.first == opening.last else 2
        if cost > room:
            groups.append([])
            room = PORTS_PER_RULE
        groups[-1].append((opening.first, opening.last))
        room -= cost
    return [format_ports(group) for group in groups]


def sources_in(family: int, sources: Sequence[str]) -> tuple[str, ...]:
    """The networks that a family's rules name, one a rule; an empty text: anyone."""
    return of_family(sources, family) if sources else ("",)


def _network(text: str) -> str:
    """The canonical CIDR of a network that ufw and iptables may write without a length; anywhere is empty."""
    if not text or text in EVERYONE.values():
        return ""
    if "/" in text:
        return text
    return f"{text}/{128 if ':' in text else 32}"


def overruled(foreign: Sequence[Rule], ours: Sequence[Rule]) -> list[Rule]:
    """Those rules for some sources that stand behind a denial of everyone, which ours have to be in front of."""
    denial = next((index for index, rule in enumerate(foreign) if rule.denies_everyone(ours)), len(foreign))
    return [rule for rule in foreign[denial:] if rule.restricts and any(rule.meets(each) for each in ours)]
