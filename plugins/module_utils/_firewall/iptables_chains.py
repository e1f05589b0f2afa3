# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains that we own in iptables: read, judged, and changed by one text per family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_effects import effects
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import read_rule, rule_text, single
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_text import Tables, is_our_jump
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, PortSet, for_families
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import Rule, forward_rules, guard_rules, input_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import (
    WRONG_PLACE,
    Place,
    below,
    overruled,
    places,
    unlimited,
)

# others' denials of some sources must stay in front of our jump, and those of everyone behind it
BASES = ("INPUT", "FORWARD", "OUTPUT")


@dataclass(frozen=True)
class Wanted:
    """A set as one family's chains hold it. forwards: whether the family's forward chain refuses, so that trusted networks need ours."""

    owner: str
    ports: PortSet
    version: int
    forwards: bool

    def chains(self) -> list[tuple[str, str, str, list[Rule]]]:
        """Table, base chain, our chain, and its rules; only those that are needed. The guard comes first, so that nothing is open early."""
        if not self.ports:
            return []
        families = frozenset({self.version})
        ports = for_families(self.ports, families)
        found = [("filter", "INPUT", input_chain(self.owner), single(input_rules(ports, families)))]
        if ports.trusted and self.forwards:
            found.append(("filter", "FORWARD", forward_chain(self.owner), single(forward_rules(ports, families))))
        if ports.guarded:
            found.insert(0, ("mangle", "PREROUTING", input_chain(self.owner), single(guard_rules(ports, families))))
        return found


def input_chain(owner: str) -> str:
    """At most 26 characters of the kernel's 28. The guard has the same name in another table."""
    return f"vmstation-{owner}"


def forward_chain(owner: str) -> str:
    """An owner has no dot, so that no two owners share a name."""
    return f"vmstation-{owner}.f"


def all_chains(owner: str) -> list[tuple[str, str, str]]:
    """Table, base chain and name of all that an owner may have."""
    return [
        ("mangle", "PREROUTING", input_chain(owner)),
        ("filter", "INPUT", input_chain(owner)),
        ("filter", "FORWARD", forward_chain(owner)),
    ]


def rules_on(tables: Tables, owner: str, numbers: Mapping[str, str]) -> tuple[list[Rule], list[Rule]]:
    """Our rules on input, and those before DNAT; the lines of another hand left out."""
    on_input, before_dnat = (
        [rule for rule in _read(tables, table, input_chain(owner), numbers) if rule is not None] for table in ("filter", "mangle")
    )
    return on_input, before_dnat


def damage(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> list[str]:
    """What in our chains is not as ``change`` would write it for this set."""
    found: list[str] = []
    needed = {(table, base, chain): rules for table, base, chain, rules in wanted.chains()}
    for table, base, chain in all_chains(wanted.owner):
        stands = (table, chain) in tables.policies
        jumps = tables.jumps(table, chain)
        if (table, base, chain) not in needed:
            found.extend([f"chain {chain} of {table} is left over"] if stands or jumps else [])
            continue
        if not stands:
            found.append(f"chain {chain} of {table} is missing")
        elif _read(tables, table, chain, numbers) != needed[table, base, chain]:
            found.append(f"chain {chain} of {table} holds rules by another hand")
        wanted_places = _places(tables, wanted, table, base, numbers)
        found.extend(
            f"chain {place.chain} of {table} has lost its jump to {chain}"
            for place in wanted_places
            if place.chain not in {name for name, _position in jumps}
        )
        found.extend(
            f"chain {name} of {table} jumps to {chain} {WRONG_PLACE}"
            for name, position in jumps
            if not _is_in_place(name, position, wanted_places)
        )
    return found


def disregarded(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> list[str]:
    """The rules for some sources that have no effect on what we open, as they stand behind a denial of everyone."""
    found = []
    for table, base, _chain, _rules in wanted.chains():
        if table == "filter":
            known = effects(tables, _openings(wanted, base), numbers)
            found += [line for place in _places(tables, wanted, table, base, numbers) for line in overruled(known, place) if line]
    return found


def rates(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> list[str]:
    """The rules that let pass at a rate what we open, without one that denies the rest."""
    return unlimited(effects(tables, wanted.ports.openings, numbers), "INPUT")


def has_rules_in_front(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> bool:
    """Whether a rule of others has to stay in front of one of our jumps."""
    found = [place for table, base, _chain, _rules in wanted.chains() for place in _places(tables, wanted, table, base, numbers)]
    return any(place.first or place.chain not in BASES for place in found if place.chain != "PREROUTING")


def change(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> str:
    """What iptables-restore makes of what stands to get what is wanted; empty if nothing is to be done."""
    if not wanted.ports and not damage(tables, wanted, numbers):
        return ""
    lines: dict[str, list[str]] = {}
    needed = {(table, base, chain): rules for table, base, chain, rules in wanted.chains()}
    for table, base, chain in all_chains(wanted.owner):
        jumps = tables.jumps(table, chain)
        stands = (table, chain) in tables.policies
        section = lines.setdefault(table, [])
        if (table, base, chain) in needed:
            # declaring a chain empties it
            section.append(f":{chain} - [0:0]")
            section.extend(rule_text(chain, rule) for rule in needed[table, base, chain])
            section.extend(_moves(tables, table, chain, _places(tables, wanted, table, base, numbers)))
        elif stands or jumps:
            section.extend(f"-D {name} -j {chain}" for name, _position in jumps)
            section.extend([f"-F {chain}", f"-X {chain}"] if stands else [])
    return "".join(f"*{table}\n{_joined(section)}COMMIT\n" for table, section in lines.items() if section)


def saved_lines(wanted: Wanted) -> dict[str, list[str]]:
    """The lines of each table that bring our chains back."""
    lines: dict[str, list[str]] = {"filter": [], "mangle": []}
    chains = wanted.chains()
    for table, _base, chain, _rules in chains:
        lines[table].append(f":{chain} - [0:0]")
    for table, _base, chain, rules in chains:
        lines[table].extend(rule_text(chain, rule) for rule in rules)
    return lines


def saved_jumps(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> dict[str, list[tuple[str, int, str]]]:
    """Where our jumps stand among the rules of a file: of each table, the chain, how many rules are in front, and our chain."""
    jumps: dict[str, list[tuple[str, int, str]]] = {"filter": [], "mangle": []}
    for table, base, chain, _rules in wanted.chains():
        jumps[table].extend((str(place.chain), place.first, chain) for place in _places(tables, wanted, table, base, numbers))
    return jumps


def _openings(wanted: Wanted, base: str) -> Optional[tuple[Opening, ...]]:
    """What a denial must be of to matter: on forward, ours is for every port."""
    return wanted.ports.openings if base == "INPUT" else None


def _places(tables: Tables, wanted: Wanted, table: str, base: str, numbers: Mapping[str, str]) -> list[Place]:
    if table != "filter":  # the guard only drops, which holds wherever it stands
        return [Place(base, 0, len(tables.rules.get((table, base), [])))]
    known = effects(tables, _openings(wanted, base), numbers)
    elsewhere = frozenset(chain for other in BASES if other != base for chain in below(known, other))
    return places(known, base, elsewhere)


def _is_in_place(chain: str, position: int, wanted_places: list[Place]) -> bool:
    return any(place.chain == chain and place.holds(position) for place in wanted_places)


def _moves(tables: Tables, table: str, chain: str, wanted_places: list[Place]) -> list[str]:
    """What makes each place have one jump to our chain, and no other rule jump there."""
    jumps = tables.jumps(table, chain)
    lines: list[str] = []
    for name in dict.fromkeys([*(name for name, _position in jumps), *(str(place.chain) for place in wanted_places)]):
        here = [position for of, position in jumps if of == name]
        place = next((place for place in wanted_places if place.chain == name), None)
        if place is not None and len(here) == 1 and place.holds(here[0]):
            continue
        lines.extend(f"-D {name} -j {chain}" for _position in here)
        if place is not None:
            standing = [line for line in tables.rules.get((table, name), []) if line != f"-A {name} -j {chain}"]
            theirs = [number for number, line in enumerate(standing) if not is_our_jump(line)]
            number = theirs[place.first] if place.first < len(theirs) else len(standing)
            lines.append(f"-I {name} {number + 1 if place.first else 1} -j {chain}")
    return lines


def _read(tables: Tables, table: str, chain: str, numbers: Mapping[str, str]) -> list[Optional[Rule]]:
    return [read_rule(line, numbers) for line in tables.rules.get((table, chain), [])]


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
