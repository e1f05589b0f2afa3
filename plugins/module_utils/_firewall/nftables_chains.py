# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains that we own in nftables: read from a ruleset, changed by one batch, and the same for the file that a boot reads."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Optional, cast

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet, for_families
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_file import Saved, header
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import FAMILIES, rule_text
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_ruleset import (
    OURS,
    ChainKey,
    Ruleset,
    Target,
    families_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import (
    Rule,
    forward_rules,
    guard_rules,
    input_rules,
    ports_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import WRONG_PLACE, Place, overruled, places, unlimited

GUARD_CHAIN = "node_ports"
GUARD_HOOK = "{ type filter hook prerouting priority mangle; policy accept; }"
TABLE_FAMILY = {frozenset({4, 6}): "inet", frozenset({4}): "ip", frozenset({6}): "ip6"}


def chain_name(owner: str, hook: str) -> str:
    """An owner has neither ``_`` nor ``.``, so that no two owners share a name."""
    name = f"{OURS}{owner.replace('-', '_')}"
    return name if hook == "input" else f"{name}.forward"


def sites(ruleset: Ruleset, ports: PortSet, targets: list[Target]) -> dict[ChainKey, tuple[str, Place]]:
    """The chains that a set needs to be jumped to from, with their hook and the place in them: forward only for trusted networks."""
    found: dict[ChainKey, tuple[str, Place]] = {}
    for hook in ("input", "forward"):
        bases = [key for key, of in targets if of == hook and ports and (hook == "input" or ports.trusted)]
        if bases:
            known = ruleset.effects(list(ports.openings) if hook == "input" else None, bases)
            elsewhere = ruleset.elsewhere(known, hook)
            for place in (place for key in bases for place in places(known, key, elsewhere)):
                found.setdefault(_key(place.chain), (hook, place))
    return found


def disregarded(ruleset: Ruleset, ports: PortSet, targets: list[Target]) -> list[str]:
    """The rules for some sources that have no effect on what we open, as they stand behind a denial of everyone."""
    return [
        rule
        for hook, place in sites(ruleset, ports, targets).values()
        for rule in overruled(ruleset.effects(list(ports.openings) if hook == "input" else None, [_key(place.chain)]), place)
        if rule
    ]


def rates(ruleset: Ruleset, ports: PortSet, inputs: list[ChainKey]) -> list[str]:
    """The rules that let pass at a rate what we open, without one that denies the rest."""
    known = ruleset.effects(list(ports.openings), inputs)
    return [rule for key in inputs for rule in unlimited(known, key)]


def read_runtime(ruleset: Ruleset, owner: str, targets: list[Target]) -> tuple[PortSet, list[str]]:
    """The set in force, and what in our chains is not as a change would write it."""
    families = families_of([key for key, hook in targets if hook == "input"])
    guard = _guard_key(owner, families)
    before_dnat = ruleset.rules_of_ours(guard) if guard in ruleset.chains else []
    chains = {
        family: (
            [rule for key in _own_chains(ruleset, owner, "input") if family in FAMILIES[key[0]] for rule in _seen(ruleset, key, family)],
            [rule for rule in before_dnat if rule and rule.family in {0, family}],
        )
        for family in sorted(families)
    }
    ports = ports_of(chains)
    return ports, _damage(ruleset, owner, ports, targets)


def runtime_change(ruleset: Ruleset, owner: str, wanted: PortSet, targets: list[Target]) -> str:
    """One batch from what stands to ``wanted``. nft takes all of it or nothing."""
    lines: list[str] = []
    wanted_sites = sites(ruleset, wanted, targets)
    for hook in ("input", "forward"):
        name = chain_name(owner, hook)
        own = {(key[0], key[1], name) for key, (of, _place) in wanted_sites.items() if of == hook}
        jumps = ruleset.jumps(name)
        for chain in sorted(own):
            lines.extend(_filled(chain, _rules(wanted, chain[0], hook)))
        kept: dict[ChainKey, int] = {}
        for key, (of, place) in wanted_sites.items():
            if of == hook:
                standing = [handle for at, handle, position in jumps if at == key and place.holds(position)]
                kept.update({key: standing[0]} if standing else {})
                lines.extend([] if standing else [_jump(ruleset, key, place.first, name)])
        lines.extend(f"delete rule {_words(at)} handle {handle}" for at, handle, _position in jumps if kept.get(at) != handle)
        for chain in _own_chains(ruleset, owner, hook):
            if chain not in own:
                lines.extend([f"flush chain {_words(chain)}", f"delete chain {_words(chain)}"])
    families = families_of([key for key, hook in targets if hook == "input"])
    guard = _guard_key(owner, families)[:2] if wanted.guarded else None
    lines.extend(f"delete table {family} {name}" for family, name, _chain in _guards(ruleset, owner) if (family, name) != guard)
    lines.extend(_guard_lines(owner, wanted, families))
    return "".join(f"{line}\n" for line in lines)


def saved_text(owner: str, saved: Saved) -> str:
    """The file that brings a set back. Reading it twice, or with a chain of the host gone, is harmless."""
    lines: list[str] = []
    for key, _hook in saved.targets:
        # without a hook it changes no base chain that stands; where the host's own file lost it, the rest still loads
        lines.extend([f"add table {key[0]} {key[1]}", f"add chain {_words(key)}"])
    for hook in ("input", "forward"):
        name = chain_name(owner, hook)
        keys = [key for key, of in saved.targets if of == hook]
        for chain in sorted({(key[0], key[1], name) for key in keys}):
            lines.extend(_filled(chain, _rules(saved.ports, chain[0], hook)))
        lines.extend(f"{'add' if key in saved.last else 'insert'} rule {_words(key)} jump {name}" for key in keys)
    families = families_of([key for key, hook in saved.targets if hook == "input"])
    lines.extend(_guard_lines(owner, saved.ports, families))
    return header(saved) + "".join(f"{line}\n" for line in lines)


def _jump(ruleset: Ruleset, key: ChainKey, position: int, name: str) -> str:
    """Our jump, behind so many rules of others."""
    theirs = ruleset.rules_of_others(key)
    if position and position == len(theirs):
        return f"add rule {_words(key)} jump {name}"
    where = f" handle {theirs[position].handle}" if position else ""
    return f"insert rule {_words(key)}{where} jump {name}"


def _key(chain: Hashable) -> ChainKey:
    family, table, name = cast(ChainKey, chain)
    return family, table, name


def _rules(ports: PortSet, table_family: str, hook: str) -> list[Rule]:
    families = FAMILIES[table_family]
    return (input_rules if hook == "input" else forward_rules)(for_families(ports, families), families)


def _filled(chain: ChainKey, rules: Iterable[Rule]) -> list[str]:
    place = _words(chain)
    return [f"add chain {place}", f"flush chain {place}", *(f"add rule {place} {rule_text(rule, chain[0])}" for rule in rules)]


def _guard_lines(owner: str, ports: PortSet, families: frozenset[int]) -> list[str]:
    if not ports.guarded or not families:
        return []
    family, name, chain = _guard_key(owner, families)
    rules = guard_rules(ports, families)
    return [
        f"add table {family} {name}",
        f"delete table {family} {name}",
        f"add table {family} {name}",
        f"add chain {family} {name} {chain} {GUARD_HOOK}",
        *(f"add rule {family} {name} {chain} {rule_text(rule, family)}" for rule in rules),
    ]


def _damage(ruleset: Ruleset, owner: str, ports: PortSet, targets: list[Target]) -> list[str]:
    damage: list[str] = []
    wanted_sites = sites(ruleset, ports, targets)
    for hook in ("input", "forward"):
        name = chain_name(owner, hook)
        keys = [key for key, (of, _place) in wanted_sites.items() if of == hook]
        jumps = ruleset.jumps(name)
        standing_in = {key for key, _handle, _position in jumps}
        damage.extend(f"chain {_words(key)} has lost its jump to {name}" for key in keys if key not in standing_in)
        damage.extend(f"chain {_words(key)} jumps to {name} for nothing" for key in sorted(standing_in - set(keys)))
        damage.extend(
            f"chain {_words(key)} jumps to {name} {WRONG_PLACE}"
            for key in keys
            if key in standing_in and not any(at == key and wanted_sites[key][1].holds(position) for at, _handle, position in jumps)
        )
        own = {(key[0], key[1], name) for key in keys}
        standing = set(_own_chains(ruleset, owner, hook))
        damage.extend(f"chain {_words(chain)} is left over" for chain in sorted(standing - own))
        for chain in sorted(own & standing):
            if not _same(ruleset.rules_of_ours(chain), _rules(ports, chain[0], hook)):
                damage.append(f"chain {_words(chain)} holds rules by another hand")
    families = families_of([key for key, hook in targets if hook == "input"])
    guard = _guard_key(owner, families)
    for key in _guards(ruleset, owner):
        if key != guard or not _same(ruleset.rules_of_ours(key), guard_rules(ports, families)):
            damage.append(f"table {key[0]} {key[1]} is not as it was written")
    return damage


def _same(found: list[Optional[Rule]], written: list[Rule]) -> bool:
    return found == written


def _seen(ruleset: Ruleset, chain: ChainKey, family: int) -> list[Rule]:
    return [rule for rule in ruleset.rules_of_ours(chain) if rule and rule.family in {0, family}]


def _own_chains(ruleset: Ruleset, owner: str, hook: str) -> list[ChainKey]:
    name = chain_name(owner, hook)
    return [key for key in ruleset.chains if key[2] == name]


def _guards(ruleset: Ruleset, owner: str) -> list[ChainKey]:
    return [key for key in ruleset.chains if key[1:] == (chain_name(owner, "input"), GUARD_CHAIN)]


def _guard_key(owner: str, families: frozenset[int]) -> ChainKey:
    return TABLE_FAMILY.get(families, "inet"), chain_name(owner, "input"), GUARD_CHAIN


def _words(key: ChainKey) -> str:
    return " ".join(key)
