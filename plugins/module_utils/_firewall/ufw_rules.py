# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw application profiles and the lines of its user.rules and user6.rules, byte for byte as ufw 0.36 writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import EVERYONE, Opening
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_iptables import Rule, parse_rule, port_groups, sources_in
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

PROFILE_PROTOCOLS = ("tcp", "udp")  # what ufw takes in a profile
FIELD_LENGTH = 1024  # ufw skips a profile that has a longer field
TUPLE = "### tuple ###"
RULES = "### RULES ###"


@dataclass(frozen=True)
class Profile:
    """One application profile. ports: protocol and ports of each of its rules, at most 15 ports a rule."""

    name: str
    sources: tuple[str, ...]
    ports: tuple[tuple[str, str], ...]


def profile_name(owner: str, number: int = 1) -> str:
    """A set needs more than one profile if it has several sets of sources. An owner's name has no ``+``, so that none is another's."""
    return f"vmstation-{owner}" if number == 1 else f"vmstation-{owner}+{number}"


def is_profile_of(owner: str, name: str) -> bool:
    return re.fullmatch(rf"vmstation-{re.escape(owner)}(\+[0-9]+)?", name) is not None


def profiles_of(owner: str, openings: Iterable[Opening]) -> list[Profile]:
    """The fewest profiles: one for each set of sources, more where a field would become too long for ufw."""
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
    """The file in applications.d. The comments of the openings are there for people."""
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
    """The entries of a rules file, each a blank line, the tuple that ufw reads, and the rule that the kernel gets."""
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
    """Of what comes in, and of what is passed on."""
    return user_chain(family), user_chain(family).replace("input", "forward")


def ufw_address(network: str) -> str:
    """ufw writes a single host without its length. Anywhere is an empty text."""
    if network in EVERYONE.values():
        return ""
    address, _slash, length = network.partition("/")
    return address if length == ("128" if ":" in address else "32") else network


def is_ours(owner: str, rule: Rule) -> bool:
    return rule.comment.startswith("dapp_") and is_profile_of(owner, rule.comment[len("dapp_") :])


def without_ours(owner: str, rules_file: str) -> str:
    """The file with every entry of ours taken out, and every other byte in its place."""
    kept: list[str] = []
    for line in rules_file.splitlines(keepends=True):
        if _tuple_is_ours(owner, line):
            if kept and kept[-1] == "\n":
                kept.pop()
        elif not (line.startswith("-A ") and is_ours(owner, parse_rule(line.rstrip("\n")))):
            kept.append(line)
    return "".join(kept)


def with_entries(path: str, rules_file: str, ours: Sequence[str]) -> str:
    """The file, free of ours, with our entries where they hold: last, but before the first rule that denies everyone what they allow.

    A denial of some sources (as fail2ban adds them) and a limit stay in front of ours, as in ufw itself.
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
    """Whether every tuple of ours stands before the one rule that it says, as `ufw status` shows the one and a reload loads the other."""
    lines = rules_file.splitlines()
    told = [line for line in lines if _tuple_is_ours(owner, line)]
    loaded = [rule for line in lines if line.startswith("-A ") for rule in [parse_rule(line)] if is_ours(owner, rule)]
    if len(told) != len(loaded):
        return False
    for line, rule in zip(told, loaded):
        words = line[len(TUPLE) :].split()
        action, protocol, ports, destination, source_port, source, name = words[:7]
        says = Rule("", "", protocol, "" if source in EVERYONE.values() else source, "", (), "", f"dapp_{name}")
        source_agrees = ufw_address(rule.source) == says.source
        rule_ports = port_groups([Opening(protocol, first, last) for first, last in rule.ports])
        if action != "allow" or destination not in EVERYONE.values() or source_port != "any" or not source_agrees:
            return False
        if (rule.protocol, rule_ports, rule.comment, rule.jump) != (protocol, [ports], says.comment, "ACCEPT"):
            return False
    return True


def _tuple_is_ours(owner: str, line: str) -> bool:
    if not line.startswith(TUPLE):
        return False
    words = line[len(TUPLE) :].split()
    return len(words) >= 8 and is_profile_of(owner, words[6].replace("%20", " "))
