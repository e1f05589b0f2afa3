# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where our jump belongs among the rules of others: behind what denies or limits some sources, before what denies everyone."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Optional

# what a rule does: it lets packets pass, or lets them pass at a rate, or denies (or limits) some sources, or denies everyone
ACCEPTS, LIMITS, RESTRICTS, DENIES = "accepts", "limits", "restricts", "denies"

WRONG_PLACE = "in front of a rule that denies some sources, or behind one that denies everyone"

BEYOND_THE_RATE = (
    "lets pass at a rate what this set opens, and this set lets the rest pass. To keep the limit, put a rule behind it that drops the same "
    "port, and name protocol and port in both."
)


@dataclass(frozen=True)
class Effect:
    """One thing that a rule does.

    does: one of ACCEPTS, LIMITS, RESTRICTS, DENIES; empty: nothing that matters here. target: the chain that a jump leads to, instead.
    narrow: a jump for some sources only (an address, a set, a rate), which restricts whatever its chain does.
    everything: without any condition. what: the rule's text, for people.
    ports: protocol and ports of a denial, or of what passes at a rate.
    """

    does: str = ""
    target: Optional[Hashable] = None
    narrow: bool = False
    everything: bool = False
    what: str = ""
    ports: Optional[Hashable] = None


# of each chain, of each rule that is not ours, its effects
Chains = Mapping[Hashable, Sequence[Sequence[Effect]]]


@dataclass(frozen=True)
class Place:
    """A chain that needs our jump: in front of its rule ``first`` (counted from 0, without ours) or a later one up to ``last``."""

    chain: Hashable
    first: int
    last: int

    def holds(self, position: int) -> bool:
        return self.first <= position <= self.last


def with_limits(rules: Sequence[Sequence[Effect]], *, is_base: bool) -> list[list[Effect]]:
    """One chain's effects: what denies the same ports as an earlier rule lets pass at a rate denies only what exceeds the rate.

    is_base: what returns from this chain comes to no rule behind.
    """
    limited: set[Hashable] = set()
    complete: set[Hashable] = set()
    found = []
    for rule in rules:
        effects = [
            replace(effect, does=RESTRICTS, everything=False) if effect.does == DENIES and effect.ports in limited else effect
            for effect in rule
        ]
        complete |= {before.ports for before, after in zip(rule, effects) if before is not after}
        passing = [effect for effect in rule if effect.does == LIMITS or not (effect.does or is_base)]
        limited |= {effect.ports for effect in passing if effect.ports is not None}
        found.append(effects)
    return [
        [replace(effect, does=ACCEPTS) if effect.does == LIMITS and effect.ports in complete else effect for effect in effects]
        for effects in found
    ]


def unlimited(chains: Chains, chain: Hashable, above: frozenset[Hashable] = frozenset()) -> list[str]:
    """The rules that let packets pass at a rate, without one that denies the rest of the same ports: the rest comes to our jump."""
    found: list[str] = []
    for effect in (effect for rule in chains.get(chain, ()) for effect in rule):
        if effect.does == LIMITS and effect.what:
            found.append(effect.what)
        if effect.target not in {None, *above} and not effect.narrow:
            found += unlimited(chains, effect.target, above | {chain})
    return list(dict.fromkeys(found))


def can_deny(chains: Chains, chain: Hashable, above: frozenset[Hashable] = frozenset()) -> bool:
    """Whether a packet of just anybody can be denied in this chain or below it."""
    return any(
        effect.does == DENIES
        or (effect.target not in {None, *above} and not effect.narrow and can_deny(chains, effect.target, above | {chain}))
        for rule in chains.get(chain, ())
        for effect in rule
    )


def places(
    chains: Chains, base: Hashable, elsewhere: frozenset[Hashable] = frozenset(), above: frozenset[Hashable] = frozenset()
) -> list[Place]:
    """Where our jump must stand, so that it holds before every denial of everyone and behind every restriction in front of that.

    A chain of the owner's that first restricts and then denies everyone gets a jump of its own, unless packets of another kind
    come through it as well. elsewhere: the chains that do.
    """
    found: list[Place] = []
    first = 0
    rules = chains.get(base, ())
    here = above | {base}
    for index, rule in enumerate(rules):
        for effect in rule:
            if effect.does == DENIES:
                return [*found, Place(base, first, index)]
            if effect.does == RESTRICTS:
                first = index + 1
            target = effect.target
            if target is None or target in here:
                continue
            if effect.narrow or not can_deny(chains, target, here):
                first = index + 1 if effect.narrow or may_restrict(chains, target, here) else first
                continue
            inside = places(chains, target, elsewhere, here)
            if target in elsewhere or inside == [Place(target, 0, inside[-1].last)]:
                return [*found, Place(base, first, index)]
            found.extend(place for place in inside if place not in found)
            first = index + 1
            if effect.everything and _ends(chains, target):
                return found
    return [*found, Place(base, first, len(rules))]


def below(chains: Chains, base: Hashable) -> frozenset[Hashable]:
    """Every chain that a packet may come to from this one."""
    found: set[Hashable] = set()
    to_see = [base]
    while to_see:
        targets = {effect.target for rule in chains.get(to_see.pop(), ()) for effect in rule if effect.target is not None}
        to_see.extend(targets - found)
        found |= targets
    return frozenset(found)


def overruled(chains: Chains, place: Place) -> list[str]:
    """The restrictions behind the denial of everyone that our jump stands in front of: for what we open they have no effect."""
    seen: list[Effect] = []
    for effect in (effect for rule in list(chains.get(place.chain, ()))[place.last :] for effect in rule):
        seen += [effect, *(_all(chains, effect.target) if effect.target is not None and not effect.narrow else [])]
        if effect.everything and (effect.does == DENIES or (effect.target is not None and _ends(chains, effect.target))):
            break
    return list(dict.fromkeys(effect.what for effect in seen if effect.does == RESTRICTS or effect.narrow))


def may_restrict(chains: Chains, chain: Hashable, above: frozenset[Hashable] = frozenset()) -> bool:
    """Whether a chain denies some sources, or is there to do so: one without rules, or with none that accepts, has no other use."""
    rules = [effect for rule in chains.get(chain, ()) for effect in rule]
    deeper = [effect.target for effect in rules if effect.target is not None and effect.target not in above]
    if any(effect.does == RESTRICTS or effect.narrow for effect in rules):
        return True
    if any(effect.does in {ACCEPTS, LIMITS} for effect in rules):
        return False
    return not deeper or any(may_restrict(chains, target, above | {chain}) for target in deeper)


def _all(chains: Chains, chain: Hashable) -> list[Effect]:
    return [effect for each in sorted({chain, *below(chains, chain)}, key=str) for rule in chains.get(each, ()) for effect in rule]


def _ends(chains: Chains, chain: Hashable) -> bool:
    """Whether no packet comes back from a chain."""
    return any(effect.does == DENIES and effect.everything for rule in chains.get(chain, ()) for effect in rule)
