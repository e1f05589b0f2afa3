# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of iptables: written as iptables-restore takes them, read as iptables-save shows them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import canonical_networks, networks
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import Rule

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
    """The same rules with one network in each, as iptables has no sets of its own."""
    return [
        replace(rule, sources=source, destinations=destination)
        for rule in rules
        for source in _each(rule.sources)
        for destination in _each(rule.destinations)
    ]


def _each(networks_of_rule: tuple[str, ...]) -> list[tuple[str, ...]]:
    return [(network,) for network in networks_of_rule] or [()]


def rule_text(chain: str, rule: Rule) -> str:
    """A rule as a line of iptables-restore, without its end."""
    parts = ["-A", chain]
    if rule.exemption:
        parts.append(EXEMPTION_TEXTS[rule.exemption])
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
    """Name to number, as this host's iptables-save writes names."""
    numbers = dict(BUILT_IN_NUMBERS)
    for line in etc_protocols.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2 and words[1].isdigit():
            numbers.update(dict.fromkeys([words[0], *words[2:]], words[1]))
    return numbers


def words_of(line: str) -> list[str]:
    """A line of iptables-save as words, comments in quotes whole."""
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def read_rule(line: str, numbers: Mapping[str, str]) -> Optional[Rule]:
    """The rule that ``rule_text`` wrote, as iptables-save shows it; None for a rule by another hand."""
    for exemption, text in EXEMPTION_TEXTS.items():
        if line.split()[2:] == [*text.split(), "-j", "RETURN"]:
            return Rule("return", exemption=exemption)
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
