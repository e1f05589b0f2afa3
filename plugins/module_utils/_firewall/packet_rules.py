# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a set is as single packet rules, and back: the ground that nftables and iptables share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import (
    EVERYONE,
    NOTHING,
    Opening,
    PortSet,
    canonical_networks,
    for_families,
    networks,
    of_family,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ports import merge

BOTH = frozenset({4, 6})
# packets that a guard of node ports never drops: the host's own, those of known connections, and those that are only passed on
EXEMPTIONS = ("loopback", "known", "elsewhere")


@dataclass(frozen=True)
class Rule:
    """One rule of a chain of ours.

    verdict: ``accept``, ``return`` or ``drop``. protocol, first, last: as in Opening; no protocol: every one.
    sources, destinations: networks of one IP version; both empty: anyone. family: the IP version that the rule is limited to, 0: none.
    exemption: one of EXEMPTIONS instead of all that.
    """

    verdict: str
    protocol: str = ""
    first: int = 0
    last: int = 0
    sources: tuple[str, ...] = ()
    destinations: tuple[str, ...] = ()
    family: int = 0
    exemption: str = ""
    comment: str = field(default="", compare=False)


def input_rules(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """What the chain on input holds, for a chain that sees these IP versions."""
    rules = [
        Rule("accept", opening.protocol, opening.first, opening.last, sources, (), family, "", opening.comment)
        for opening in ports.openings
        for family, sources in _by_family(opening.sources, families)
    ]
    return [*rules, *_trusted(ports, families, "accept")]


def forward_rules(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """What the chain on forward holds: trusted networks, in both directions."""
    from_them = _trusted(ports, families, "accept")
    to_them = [Rule("accept", destinations=rule.sources, family=rule.family) for rule in from_them]
    return [*from_them, *to_them]


def guard_rules(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """What the chain before DNAT holds: who may pass, then a drop for the rest of each guarded range."""
    if not ports.guarded:
        return []
    allowed = [
        Rule("return", opening.protocol, opening.first, opening.last, sources, (), family)
        for opening in ports.guarded
        for family, sources in _by_family(opening.sources, families)
    ]
    exempt = [Rule("return", exemption=exemption) for exemption in EXEMPTIONS]
    drops = [Rule("drop", opening.protocol, opening.first, opening.last) for opening in ports.guarded]
    return [*exempt, *_trusted(ports, families, "return"), *allowed, *drops]


def ports_of(chains: Mapping[int, tuple[Iterable[Rule], Iterable[Rule]]]) -> PortSet:
    """The set that chains on input and before DNAT amount to: per IP version that is judged, the rules of the two."""
    openings: list[Opening] = []
    guarded: list[Opening] = []
    trusted: list[str] = []
    for family, (on_input, before_dnat) in chains.items():
        everyone = (EVERYONE[family],)
        for rule in on_input:
            if rule.verdict == "accept" and rule.protocol and not rule.destinations:
                openings.append(Opening(rule.protocol, rule.first, rule.last, rule.sources or everyone, rule.comment))
            elif rule.verdict == "accept" and rule.sources:
                trusted.extend(rule.sources)
        guards = list(before_dnat)
        dropped = {(rule.protocol, rule.first, rule.last) for rule in guards if rule.verdict == "drop"}
        guarded.extend(
            Opening(rule.protocol, rule.first, rule.last, rule.sources or everyone)
            for rule in guards
            if rule.verdict == "return" and (rule.protocol, rule.first, rule.last) in dropped
        )
    if not chains:
        return NOTHING
    found = PortSet(merge(openings), canonical_networks(networks(trusted)), merge(guarded))
    return for_families(found, frozenset(chains))


def _trusted(ports: PortSet, families: frozenset[int], verdict: str) -> list[Rule]:
    if not ports.trusted:
        return []
    return [Rule(verdict, sources=sources, family=family) for family, sources in _by_family(ports.trusted, families)]


def _by_family(sources: tuple[str, ...], families: frozenset[int]) -> list[tuple[int, tuple[str, ...]]]:
    """The IP versions a rule must be written for, each with its sources; one that everybody may use is written once."""
    if not sources:
        return [(0, ())]
    found = [(family, of_family(sources, family)) for family in sorted(families)]
    # a chain that sees one IP version alone does not name it
    unnamed = len(families) == 1
    return [((0 if unnamed else family), ()) if named == (EVERYONE[family],) else (family, named) for family, named in found if named]
