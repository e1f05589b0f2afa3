# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A set of ports as packet rules, and their position among other rules. Used by nftables and iptables."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_address, ip_network
from typing import Optional

from .._host.commands import Commands
from .._json import read_json
from .model import (
    EVERYONE,
    NOTHING,
    Opening,
    PortSet,
    Protected,
    canonical_networks,
    for_families,
    merge,
    merge_protected,
    networks,
    of_family,
)

# Interfaces that carry the set's packets. A rule that denies on another interface is not a denial for everyone.

# Calico's interfaces: they carry the packets of pods, local and on other nodes
OF_PODS = ("cali", "tunl", "vxlan.calico", "wireguard.cali")


@dataclass(frozen=True)
class Ways:
    """Interfaces, and this host's IPv4 addresses on them. Empty: unknown, so any may be one."""

    interfaces: frozenset[str] = frozenset()
    addresses: frozenset[str] = frozenset()

    def miss_interfaces(self, patterns: Iterable[str]) -> bool:
        """Return whether the patterns match none of our interfaces. patterns: names, or prefixes with ``+`` or ``*``."""
        given = list(patterns)
        if not self.interfaces or any(pattern.startswith(OF_PODS) for pattern in given):
            return False
        return not any(_is_meant(name, pattern) for name in self.interfaces for pattern in given)

    def miss_addresses(self, networks: Iterable[str]) -> bool:
        try:
            given = [ip_network(network, strict=False) for network in networks]
        except ValueError:
            return False
        if not self.addresses or any(network.version == 6 for network in given):
            return False
        return not any(ip_address(address) in network for address in self.addresses for network in given)


def read_routes(commands: Commands) -> str:
    """Read the routes for ``of_routes``; empty if they cannot be read."""
    return commands.run(["ip", "-json", "-4", "route"], check=False).stdout if commands.has("ip") else ""


def of_routes(routes_text: str, ports: PortSet) -> Ways:
    """Return the interfaces of the default route and of the routes to the networks that the set names."""
    try:
        routes = [route for route in read_json(routes_text or "[]") if "dev" in route]
        named = {ip_network(source) for source in (*(s for opening in ports.openings for s in opening.sources), *ports.trusted)}
        v4 = [network for network in named if network.version == 4]
        interfaces = {
            route["dev"]
            for route in routes
            if route["dst"] == "default" or any(network.overlaps(ip_network(route["dst"], strict=False)) for network in v4)
        }
    except (ValueError, KeyError, TypeError):
        return Ways()
    addresses = {route["prefsrc"] for route in routes if route["dev"] in interfaces and "prefsrc" in route}
    return Ways(frozenset(interfaces), frozenset(addresses))


def _is_meant(name: str, pattern: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith(("+", "*")) else name == pattern


# Convert a set to packet rules and back. Shared by nftables and iptables.

BOTH = frozenset({4, 6})
ICMP = {4: "1", 6: "58"}
# packets that the guard of node ports never drops: from loopback, of known connections, and not addressed to this host
EXEMPTIONS = ("loopback", "known", "elsewhere")


@dataclass(frozen=True)
class Rule:
    """One rule of our chains.

    verdict: ``accept``, ``return`` or ``drop``. protocol, first, last: as in ``Opening``; no protocol: any.
    sources, destinations: networks of one IP version; both empty: any. family: the IP version that the rule is limited to, 0: none.
    exemption: one of EXEMPTIONS, in place of all other conditions but sources.
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


LOOPBACK, KNOWN, ELSEWHERE = (Rule("return", exemption=exemption) for exemption in EXEMPTIONS)


def input_rules(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """Return the rules of the input chain, for a chain that filters these IP versions."""
    rules = [
        Rule("accept", opening.protocol, opening.first, opening.last, sources, (), family, "", opening.comment)
        for opening in ports.openings
        for family, sources in _by_family(opening.sources, families)
    ]
    return [*rules, *_trusted(ports, families, "accept")]


def forward_rules(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """Return the rules of the forward chain: trusted networks, in both directions."""
    from_them = _trusted(ports, families, "accept")
    to_them = [Rule("accept", destinations=rule.sources, family=rule.family) for rule in from_them]
    return [*from_them, *to_them]


def guard_rules(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """Return the rules of the chain before DNAT: for protected networks and then for guarded ports the allowed sources and a drop each.

    What comes from trusted networks is decided before that.
    """
    if not ports.has_guard:
        return []
    to_protected = [
        Rule("return", sources=of_family(each.sources, family), destinations=(each.network,), family=family)
        for each in ports.protected
        for family in families
        if of_family([each.network], family) and of_family(each.sources, family)
    ]
    shut = [Rule("drop", destinations=(each.network,), family=6 if ":" in each.network else 4) for each in ports.protected]
    allowed = [
        Rule("return", opening.protocol, opening.first, opening.last, sources, (), family)
        for opening in ports.guarded
        for family, sources in _by_family(opening.sources, families)
    ]
    drops = [Rule("drop", opening.protocol, opening.first, opening.last) for opening in ports.guarded]
    from_trusted = _confined(ports, families) if ports.confined else _trusted(ports, families, "return")
    return [LOOPBACK, KNOWN, *from_trusted, *to_protected, *shut, ELSEWHERE, *allowed, *drops]


def _confined(ports: PortSet, families: frozenset[int]) -> list[Rule]:
    """Return the rules for trusted networks: they reach everything but this host, and of this host only what is open to them."""
    rules: list[Rule] = []
    for family in sorted(families):
        trusted = of_family(ports.trusted, family)
        if not trusted:
            continue
        rules.append(Rule("return", sources=trusted, family=family, exemption="elsewhere"))
        # kube-proxy's mode ipvs makes the addresses of Services local
        inside = [each.network for each in ports.protected if of_family([each.network], family)]
        rules += [Rule("return", sources=trusted, destinations=(network,), family=family) for network in inside]
        rules.append(Rule("return", ICMP[family], sources=trusted, family=family))
        reached = [replace(opening, sources=_common(trusted, opening.sources)) for opening in ports.openings]
        node_ports = [replace(opening, sources=trusted) for opening in ports.guarded]
        rules += [
            Rule("return", opening.protocol, opening.first, opening.last, opening.sources, (), family)
            for opening in merge(opening for opening in (*reached, *node_ports) if opening.sources)
        ]
        rules.append(Rule("drop", sources=trusted, family=family))
    return rules


def _common(trusted: tuple[str, ...], sources: tuple[str, ...]) -> tuple[str, ...]:
    """Return what two lists of networks have in common; no sources: any."""
    pairs = [(ip_network(one), ip_network(other)) for one in trusted for other in sources if (":" in one) == (":" in other)]
    common = (one if one.prefixlen >= other.prefixlen else other for one, other in pairs if one.overlaps(other))
    return canonical_networks(common) if sources else trusted


def ports_of(chains: Mapping[int, tuple[Iterable[Rule], Iterable[Rule]]]) -> PortSet:
    """Return the set that the rules in the input chain and before DNAT allow, per IP version."""
    openings: list[Opening] = []
    guarded: list[Opening] = []
    trusted: list[str] = []
    protected: list[Protected] = []
    confined = False
    for family, (on_input, before_dnat) in chains.items():
        everyone = (EVERYONE[family],)
        for rule in on_input:
            if rule.verdict == "accept" and rule.protocol and not rule.destinations:
                openings.append(Opening(rule.protocol, rule.first, rule.last, rule.sources or everyone, rule.comment))
            elif rule.verdict == "accept" and rule.sources:
                trusted.extend(rule.sources)
        guards = list(before_dnat)
        ends = [number for number, rule in enumerate(guards, 1) if rule.verdict == "drop" and rule.sources]
        confined = confined or bool(ends)
        guards = guards[max(ends, default=0) :]
        protected.extend(
            Protected(rule.destinations[0], tuple(source for other in guards if _lets_to(other, rule) for source in other.sources))
            for rule in guards
            if rule.verdict == "drop" and rule.destinations
        )
        dropped = {(rule.protocol, rule.first, rule.last) for rule in guards if rule.verdict == "drop" and rule.first}
        guarded.extend(
            Opening(rule.protocol, rule.first, rule.last, rule.sources or everyone)
            for rule in guards
            if rule.verdict == "return" and (rule.protocol, rule.first, rule.last) in dropped
        )
    if not chains:
        return NOTHING
    found = PortSet(merge(openings), canonical_networks(networks(trusted)), merge(guarded), merge_protected(protected), confined)
    return for_families(found, frozenset(chains))


def _lets_to(rule: Rule, drop: Rule) -> bool:
    return rule.verdict == "return" and rule.destinations == drop.destinations


def _trusted(ports: PortSet, families: frozenset[int], verdict: str) -> list[Rule]:
    if not ports.trusted:
        return []
    return [Rule(verdict, sources=sources, family=family) for family, sources in _by_family(ports.trusted, families)]


def _by_family(sources: tuple[str, ...], families: frozenset[int]) -> list[tuple[int, tuple[str, ...]]]:
    """Return the IP versions that a rule must be written for, with their sources; a rule for any source is written once."""
    if not sources:
        return [(0, ())]
    found = [(family, of_family(sources, family)) for family in sorted(families)]
    # a chain of one IP version needs no match on the family
    unnamed = len(families) == 1
    return [((0 if unnamed else family), ()) if named == (EVERYONE[family],) else (family, named) for family, named in found if named]


# Position of our jump: after rules that deny or limit some sources, before rules that deny everyone

# effects of a rule: it accepts, accepts up to a rate, denies (or limits) some sources, or denies everyone
ACCEPTS, LIMITS, RESTRICTS, DENIES = "accepts", "limits", "restricts", "denies"

WRONG_PLACE = "in front of a rule that denies some sources, or behind one that denies everyone"

EVERY_PORT = "every port"

BEYOND_THE_RATE = (
    "limits the rate of a port that this set opens, and this set accepts the rest. To keep the limit, put a rule after it that drops the "
    "same port, and name protocol and port in both."
)


@dataclass(frozen=True)
class Effect:
    """One effect of a rule.

    does: one of ACCEPTS, LIMITS, RESTRICTS, DENIES; empty: none that matters here. target: the chain of a jump, in its place.
    narrow: a jump for some sources only (an address, a set, a rate), which is a restriction whatever its chain does.
    everything: the rule has no condition. what: the rule's text, for messages.
    ports: protocol and ports that are denied, accepted up to a rate, or for which some sources leave the chain; or EVERY_PORT.
    """

    does: str = ""
    target: Optional[Hashable] = None
    narrow: bool = False
    everything: bool = False
    what: str = ""
    ports: Optional[Hashable] = None


# per chain, the effects of each rule that is not ours
Chains = Mapping[Hashable, Sequence[Sequence[Effect]]]


@dataclass(frozen=True)
class Place:
    """A chain that needs our jump: before its rule ``first`` (counted from 0, without ours) or a later one up to ``last``."""

    chain: Hashable
    first: int
    last: int

    def holds(self, position: int) -> bool:
        return self.first <= position <= self.last


def with_limits(rules: Sequence[Sequence[Effect]], *, is_base: bool) -> list[list[Effect]]:
    """Return one chain's effects: a denial after a rate limit for the same ports denies only what exceeds the rate.

    The same holds for a denial of ports for which some sources have left the chain: it denies the other sources.
    is_base: no rule follows for packets that return from this chain.
    """
    limited: set[Hashable] = set()
    complete: set[Hashable] = set()
    found = []
    for rule in rules:
        effects = [
            replace(effect, does=RESTRICTS, everything=False) if effect.does == DENIES and {effect.ports, EVERY_PORT} & limited else effect
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
    """Return rate-limited accept rules without a denial for the rest of the same ports: the rest reaches our jump."""
    found: list[str] = []
    for effect in (effect for rule in chains.get(chain, ()) for effect in rule):
        if effect.does == LIMITS and effect.what:
            found.append(effect.what)
        if effect.target not in {None, *above} and not effect.narrow:
            found += unlimited(chains, effect.target, above | {chain})
    return list(dict.fromkeys(found))


def can_deny(chains: Chains, chain: Hashable, above: frozenset[Hashable] = frozenset()) -> bool:
    """Return whether this chain, or one below it, can deny packets from any source."""
    return any(
        effect.does == DENIES
        or (effect.target not in {None, *above} and not effect.narrow and can_deny(chains, effect.target, above | {chain}))
        for rule in chains.get(chain, ())
        for effect in rule
    )


def places(
    chains: Chains, base: Hashable, elsewhere: frozenset[Hashable] = frozenset(), above: frozenset[Hashable] = frozenset()
) -> list[Place]:
    """Return where our jump must be: before every denial for everyone, after every restriction before that.

    A chain that first restricts and then denies everyone gets a jump of its own, unless packets of another hook pass through it too.
    elsewhere: the chains that such packets pass through.
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
    """Return every chain that can be reached from this one."""
    found: set[Hashable] = set()
    to_see = [base]
    while to_see:
        targets = {effect.target for rule in chains.get(to_see.pop(), ()) for effect in rule if effect.target is not None}
        to_see.extend(targets - found)
        found |= targets
    return frozenset(found)


def overruled(chains: Chains, place: Place) -> list[str]:
    """Return the restrictions after the denial for everyone that our jump precedes: they do not affect what we open."""
    seen: list[Effect] = []
    for effect in (effect for rule in list(chains.get(place.chain, ()))[place.last :] for effect in rule):
        seen += [effect, *(_all(chains, effect.target) if effect.target is not None and not effect.narrow else [])]
        if effect.everything and (effect.does == DENIES or (effect.target is not None and _ends(chains, effect.target))):
            break
    return list(dict.fromkeys(effect.what for effect in seen if effect.does == RESTRICTS or effect.narrow))


def may_restrict(chains: Chains, chain: Hashable, above: frozenset[Hashable] = frozenset()) -> bool:
    """Return whether a chain restricts sources, or exists for it: one without rules, or without accepting rules."""
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
    """Return whether no packet returns from a chain."""
    return any(effect.does == DENIES and effect.everything for rule in chains.get(chain, ()) for effect in rule)
