# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw's rules: the iptables rules in its files, its application profiles, and its user rules as ufw 0.36 writes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from .._refusal import Refusal
from .model import EVERYONE, Opening, of_family

# Parsing of the iptables rules in ufw's files and in `iptables-save`

PORTS = re.compile(r"[0-9]{1,5}(:[0-9]{1,5})?(,[0-9]{1,5}(:[0-9]{1,5})?)*")
PORTS_PER_RULE = 15  # the limit of one multiport match; a range counts as two
DENIALS = frozenset({"DROP", "REJECT"})
IMPLIED_MATCHES = frozenset({"tcp", "udp", "sctp", "multiport", "comment"})


@dataclass(frozen=True)
class Rule:
    """One `-A CHAIN ...` line.

    source, destination: a network; empty: any. ports: ranges, both ends included. jump: its target.
    conditions: the words of every other option; our rules have none.
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
        """Return whether it denies some sources, source ports, addresses or interfaces, or rate-limits.

        `ufw limit` rate-limits from its first rule on.
        """
        limits = self.jump.endswith("-user-limit") or (not self.jump and "--set" in self.conditions)
        return limits or (self.jump in DENIALS and self._is_narrow)

    def denies_everyone(self, ours: Iterable[Rule]) -> bool:
        """Return whether it denies everyone what one of our rules allows, so that ours would have no effect after it."""
        return self.jump in DENIALS and not self._is_narrow and any(self.meets(rule) for rule in ours)

    def meets(self, other: Rule) -> bool:
        """Return whether some packets match both rules, by protocol and ports."""
        if self.protocol and other.protocol and self.protocol != other.protocol:
            return False
        pairs = ((mine, theirs) for mine in self.ports for theirs in other.ports)
        return not (self.ports and other.ports) or any(mine[0] <= theirs[1] and theirs[0] <= mine[1] for mine, theirs in pairs)

    @property
    def _is_narrow(self) -> bool:
        return bool(self.source or self.destination or {"-i", "--sport", "--sports"}.intersection(self.conditions))

    def openings(self, family: int, protocol: str = "") -> Iterable[Opening]:
        """Return what an accepting rule opens. protocol: its canonical name, if the rule has another one."""
        for first, last in self.ports or ((0, 0),):
            yield Opening(protocol or self.protocol, first, last, (self.source or EVERYONE[family],))


def rules_of(text: str, *chains: str, table: str = "filter", mentioning: str = "") -> list[Rule]:
    """Return the rules of a table, or of some of its chains, or that contain a text, in order.

    Only those are parsed: there may be thousands of others, from kube-proxy and Calico.
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
    except ValueError:  # an unclosed quote: none of our rules
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
            # after loading, ufw's own quotes are part of the comment, and iptables-save escapes them
            found[option] = value.replace("\\", "").strip("'")
        elif option in ("--dport", "--dports") and PORTS.fullmatch(value):
            ports = parse_ports(value)
        elif option != "-m" or value not in IMPLIED_MATCHES:
            conditions.append(option)
            if value.startswith("-"):
                position -= 1
            else:
                conditions.append(value)
    return Rule(
        line,
        "".join(words[1:2]),
        found.get("-p", ""),
        _network(found.get("-s", "")),
        _network(found.get("-d", "")),
        ports,
        found.get("-j", ""),
        found.get("--comment", ""),
        tuple(conditions),
    )


def protocol_names(etc_protocols: str) -> Mapping[str, str]:
    """Map the names that iptables prints to IP protocol numbers: `-p 4` is shown as `-p ipencap`."""
    numbers = {}
    for line in etc_protocols.splitlines():
        words = line.split("#")[0].split()
        if len(words) >= 2 and words[1].isdigit():
            numbers[words[0]] = words[1]
    return numbers


def parse_ports(text: str) -> tuple[tuple[int, int], ...]:
    """Parse ``22,30000:32767`` into ranges."""
    ranges = []
    for item in text.split(","):
        first, _colon, last = item.partition(":")
        ranges.append((int(first), int(last or first)))
    return tuple(ranges)


def format_ports(ranges: Iterable[tuple[int, int]]) -> str:
    return ",".join(str(first) if first == last else f"{first}:{last}" for first, last in ranges)


def port_groups(openings: Iterable[Opening]) -> list[str]:
    """Group ports into as few multiport texts as possible."""
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
    """Return the networks of a family, one per rule; an empty text: any source."""
    return of_family(sources, family) if sources else ("",)


def _network(text: str) -> str:
    """Return the canonical CIDR of a network that ufw and iptables may write without a length; empty: any."""
    if not text or text in EVERYONE.values():
        return ""
    if "/" in text:
        return text
    return f"{text}/{128 if ':' in text else 32}"


def overruled(foreign: Sequence[Rule], ours: Sequence[Rule]) -> list[Rule]:
    """Return rules for some sources after a denial for everyone, which our rules have to precede."""
    denial = next((index for index, rule in enumerate(foreign) if rule.denies_everyone(ours)), len(foreign))
    return [rule for rule in foreign[denial:] if rule.restricts and any(rule.meets(each) for each in ours)]


# Application profiles and lines of user.rules and user6.rules, byte for byte as ufw 0.36 writes them

PROFILE_PROTOCOLS = ("tcp", "udp")  # ufw accepts only these in a profile
FIELD_LENGTH = 1024  # ufw ignores a profile with a longer field
TUPLE = "### tuple ###"
RULES = "### RULES ###"


@dataclass(frozen=True)
class Profile:
    """One application profile. ports: protocol and ports of each of its rules, at most 15 ports per rule."""

    name: str
    sources: tuple[str, ...]
    ports: tuple[tuple[str, str], ...]


def profile_name(owner: str, number: int = 1) -> str:
    """Return a profile's name. An owner name has no ``+``, so no two owners share a name.

    A set with several lists of sources needs several profiles.
    """
    return f"vmstation-{owner}" if number == 1 else f"vmstation-{owner}+{number}"


def is_profile_of(owner: str, name: str) -> bool:
    return re.fullmatch(rf"vmstation-{re.escape(owner)}(\+[0-9]+)?", name) is not None


def profiles_of(owner: str, openings: Iterable[Opening]) -> list[Profile]:
    """Return the fewest profiles: one per list of sources, more if a field would be too long for ufw."""
    found: list[Profile] = []
    wanted = sorted((opening for opening in openings if opening.protocol in PROFILE_PROTOCOLS), key=lambda opening: opening.sources)
    for sources, alike in groupby(wanted, key=lambda opening: opening.sources):
        rest: list[tuple[str, str]] = [
            (protocol, ports)
            for protocol, same in groupby(sorted(alike), key=lambda opening: opening.protocol)
            for ports in port_groups(same)
        ]
        while rest:
            taken = 1
            while taken < len(rest) and len(ports_field(rest[: taken + 1])) <= FIELD_LENGTH:
                taken += 1
            found.append(Profile(profile_name(owner, len(found) + 1), sources, tuple(rest[:taken])))
            rest = rest[taken:]
    return found


def ports_field(ports: Sequence[tuple[str, str]]) -> str:
    return "|".join(f"{text}/{protocol}" for protocol, text in ports)


def profile_file(owner: str, profiles: Sequence[Profile], openings: Iterable[Opening]) -> str:
    """Return the file in applications.d. The comments of the open ports are for readers of the file."""
    lines = [f"# vmstation.cluster.firewall_ports, name {owner}: written whole, changes are lost"]
    lines += [f"# {opening}: {opening.comment}" for opening in openings if opening.comment]
    for profile in profiles:
        sources = ", ".join(profile.sources) or "anyone"
        lines += [
            "",
            f"[{profile.name}]",
            f"title=vmstation.cluster {owner}",
            f"description=ports of {owner} for {sources}"[:FIELD_LENGTH],
            f"ports={ports_field(profile.ports)}",
        ]
    return "\n".join(lines) + "\n"


def entries(family: int, profiles: Iterable[Profile]) -> list[str]:
    """Return rules file entries: a blank line, the tuple that ufw reads, and the rule for the kernel."""
    anyone = EVERYONE[family]
    found = []
    for profile in profiles:
        for source in sources_in(family, profile.sources):
            address = ufw_address(source)
            for protocol, ports in profile.ports:
                match = f"-m multiport --dports {ports}" if "," in ports or ":" in ports else f"--dport {ports}"
                origin = f" -s {address}" if address else ""
                found.append(
                    f"\n{TUPLE} allow {protocol} {ports} {anyone} any {address or anyone} {profile.name} - in\n"
                    f"-A {user_chain(family)} -p {protocol} {match}{origin} -j ACCEPT -m comment --comment 'dapp_{profile.name}'\n"
                )
    return found


def user_chain(family: int) -> str:
    return "ufw-user-input" if family == 4 else "ufw6-user-input"


def user_chains(family: int) -> tuple[str, str]:
    """Return the user chains for incoming and for forwarded packets."""
    return user_chain(family), user_chain(family).replace("input", "forward")


def ufw_address(network: str) -> str:
    """Return a network as ufw writes it: a single host without a length; empty: any."""
    if network in EVERYONE.values():
        return ""
    address, _slash, length = network.partition("/")
    return address if length == ("128" if ":" in address else "32") else network


def is_ours(owner: str, rule: Rule) -> bool:
    return rule.comment.startswith("dapp_") and is_profile_of(owner, rule.comment[len("dapp_") :])


def without_ours(owner: str, rules_file: str) -> str:
    """Remove all our entries from the file; all other bytes stay."""
    kept: list[str] = []
    for line in rules_file.splitlines(keepends=True):
        if _tuple_is_ours(owner, line):
            if kept and kept[-1] == "\n":
                kept.pop()
        elif not (line.startswith("-A ") and is_ours(owner, parse_rule(line.rstrip("\n")))):
            kept.append(line)
    return "".join(kept)


def with_entries(path: str, rules_file: str, ours: Sequence[str]) -> str:
    """Insert our entries: at the end, but before the first rule that denies everyone what they allow.

    The file must be free of ours. Rate limits and denials of some sources (as fail2ban adds them) stay before ours, as in ufw itself.
    """
    if not ours:
        return rules_file
    lines = rules_file.splitlines(keepends=True)
    start = next((index + 1 for index, line in enumerate(lines) if line.rstrip() == RULES), None)
    if start is None:
        raise Refusal(path, f"no line `{RULES}`", "a rules file as ufw writes it", "Run `ufw reset` or restore the file, then run again.")
    allowed = [parse_rule(ours_entry.splitlines()[-1]) for ours_entry in ours]
    place = entry = start
    for index in range(start, len(lines)):
        rule = parse_rule(lines[index].rstrip("\n")) if lines[index].startswith("-A ") else None
        if rule is None and lines[index] != "\n" and not lines[index].startswith(TUPLE):
            break
        if rule is None:
            entry = index if lines[index] == "\n" else entry
        elif not rule.chain.startswith(("ufw-user-", "ufw6-user-")) or "-user-limit" in rule.chain:
            break
        elif rule.denies_everyone(allowed) and rule.chain.endswith("-user-input"):
            place = entry
            break
        else:
            place = index + 1
    return "".join([*lines[:place], *ours, *lines[place:]])


def tuples_agree(owner: str, rules_file: str) -> bool:
    """Return whether each tuple of ours matches the rule after it: `ufw status` shows the tuple, a reload loads the rule."""
    lines = rules_file.splitlines()
    tuples = [line for line in lines if _tuple_is_ours(owner, line)]
    loaded = [rule for line in lines if line.startswith("-A ") for rule in [parse_rule(line)] if is_ours(owner, rule)]
    if len(tuples) != len(loaded):
        return False
    for line, rule in zip(tuples, loaded):
        words = line[len(TUPLE) :].split()
        action, protocol, ports, destination, source_port, source, name = words[:7]
        shown = Rule("", "", protocol, "" if source in EVERYONE.values() else source, "", (), "", f"dapp_{name}")
        source_agrees = ufw_address(rule.source) == shown.source
        rule_ports = port_groups([Opening(protocol, first, last) for first, last in rule.ports])
        if action != "allow" or destination not in EVERYONE.values() or source_port != "any" or not source_agrees:
            return False
        if (rule.protocol, rule_ports, rule.comment, rule.jump) != (protocol, [ports], shown.comment, "ACCEPT"):
            return False
    return True


def _tuple_is_ours(owner: str, line: str) -> bool:
    if not line.startswith(TUPLE):
        return False
    words = line[len(TUPLE) :].split()
    return len(words) >= 8 and is_profile_of(owner, words[6].replace("%20", " "))
