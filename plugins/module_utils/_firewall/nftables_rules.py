# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nftables rules: written as text, read from ``nft -j -p list ruleset``, and the effects of other rules on packets."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, summarize_address_range
from typing import Any, Optional

from .._json import read_json
from .._refusal import Refusal
from .model import Network, Opening, canonical_networks, networks
from .packets import ACCEPTS, BOTH, DENIES, EVERY_PORT, LIMITS, RESTRICTS, Chains, Effect, Rule, Ways, below, can_deny, with_limits

# Rules as text and JSON

FAMILIES = {"inet": BOTH, "ip": frozenset({4}), "ip6": frozenset({6})}
PROTOCOL_OF_FAMILY = {4: "ip", 6: "ip6"}
EXEMPTION_TEXTS = {"loopback": 'iif "lo"', "known": "ct state established,related", "elsewhere": "fib daddr type != local"}
Expression = Mapping[str, Any]
# what nft shows on the right of a match: a number, a text, or an object
Shown = Any


def rule_text(rule: Rule, table_family: str) -> str:
    """Return a rule as ``nft`` reads it."""
    parts: list[str] = []
    if rule.family and not rule.sources and not rule.destinations and table_family == "inet":
        parts.append(f"meta nfproto ipv{rule.family}")
    for side, named in (("saddr", rule.sources), ("daddr", rule.destinations)):
        if named:
            addresses = named[0] if len(named) == 1 else f"{{ {', '.join(named)} }}"
            parts.append(f"{PROTOCOL_OF_FAMILY[rule.family]} {side} {addresses}")
    if rule.exemption:
        parts.append(EXEMPTION_TEXTS[rule.exemption])
    if rule.first:
        parts.append(f"{rule.protocol} dport {rule.first if rule.first == rule.last else f'{rule.first}-{rule.last}'}")
    elif rule.protocol:
        parts.append(f"meta l4proto {rule.protocol}")
    parts.append(rule.verdict)
    if rule.comment:
        parts.append(f'comment "{rule.comment}"')
    return " ".join(parts)


def read_rule(expressions: list[Expression], comment: str) -> Optional[Rule]:
    """Read the rule that ``rule_text`` wrote, as nft shows it; None for any other rule."""
    try:
        return _read(expressions, comment)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, StopIteration, OverflowError):
        return None


def _read(expressions: list[Expression], comment: str) -> Optional[Rule]:
    *matches, last = expressions
    verdict = next(iter(last))
    if verdict not in {"accept", "return", "drop"} or last[verdict] is not None:
        return None
    found: dict[str, Any] = {}
    for expression in matches:
        match = expression["match"]
        if exemption := _exemption(match):
            found["exemption"] = exemption
            continue
        if set(expression) != {"match"} or match["op"] != "==":
            return None
        for key, value in _matched(match["left"], match["right"]).items():
            if key in found and found[key] != value:
                return None
            found[key] = value
    if "exemption" in found and found.keys() - {"exemption", "sources", "family"}:
        return None
    return Rule(verdict, comment=comment, **found)


def _matched(left: Expression, right: Shown) -> dict[str, Any]:
    if left == {"meta": {"key": "nfproto"}}:
        return {"family": {"ipv4": 4, "ipv6": 6, 2: 4, 10: 6}[right]}
    if left == {"meta": {"key": "l4proto"}}:
        return {"protocol": str(int(right))}
    payload = left["payload"]
    protocol, what = payload["protocol"], payload["field"]
    if what == "dport":
        first, last = right["range"] if isinstance(right, dict) else (right, right)
        return {"protocol": protocol, "first": int(first), "last": int(last)}
    side = {"saddr": "sources", "daddr": "destinations"}[what]
    return {side: canonical_networks(_networks(right)), "family": {"ip": 4, "ip6": 6}[protocol]}


def _networks(right: Shown) -> list[Network]:
    if isinstance(right, str):
        return networks([right])
    if "prefix" in right:
        return networks([f"{right['prefix']['addr']}/{right['prefix']['len']}"])
    if "range" in right:
        first, last = (ip_address(end) for end in right["range"])
        return list(summarize_address_range(first, last))
    return [network for element in right["set"] for network in _networks(element)]


def _exemption(match: Expression) -> str:
    left, right = match["left"], match["right"]
    if left == {"meta": {"key": "iif"}} and right == "lo":
        return "loopback"
    if left == {"ct": {"key": "state"}} and set(right["set"] if isinstance(right, dict) else right) == {"established", "related"}:
        return "known"
    if match["op"] == "!=" and right == "local" and left.get("fib", {}).get("result") == "type":
        return "elsewhere"
    return ""


# The ruleset: which chains deny packets, and which rules are ours

OURS = "vmstation_"
ANY_WAY = Ways()
# a program manages each of these tables: it would remove our rule or fail because of it
TABLES_OF_PROGRAMS = frozenset({"firewalld", "kube-proxy", "calico", "netavark", "libvirt_network", "docker-bridges"})
TABLES_OF_IPTABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
CHAINS_OF_IPTABLES = frozenset({"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"})

TableKey = tuple[str, str]
ChainKey = tuple[str, str, str]
# a base chain that denies packets, and its hook, ``input`` or ``forward``
Target = tuple[ChainKey, str]


@dataclass(frozen=True)
class Held:
    """One rule of the ruleset."""

    handle: int
    expressions: list[Expression]
    comment: str

    def jumps_to(self, chain: str) -> bool:
        return any(expression.get("jump", {}).get("target") == chain for expression in self.expressions if "jump" in expression)

    def is_our_jump(self) -> bool:
        return any(str(expression["jump"].get("target", "")).startswith(OURS) for expression in self.expressions if "jump" in expression)


class Ruleset:
    """One reading of the whole ruleset. routes: the routes of the host, as ``of_routes`` reads them."""

    def __init__(self, text: str, routes: str = "") -> None:
        self.routes = routes
        self.chains: dict[ChainKey, Mapping[str, Any]] = {}
        self.rules: dict[ChainKey, list[Held]] = {}
        self._maps: dict[TableKey, dict[str, Any]] = {}
        try:
            objects = read_json(text)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal("`nft -j list ruleset`", "no JSON", "JSON", "Install nftables with JSON support.") from error
        try:
            self._read(objects)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            found, step = f"JSON of another form ({type(error).__name__}: {error})", "Report this to the authors of vmstation.cluster."
            raise Refusal("`nft -j list ruleset`", found, "chains, maps and rules", step) from error

    def _read(self, objects: Iterable[Mapping[str, Any]]) -> None:
        for entry in objects:
            ((kind, item),) = entry.items()
            if kind == "chain":
                self.chains[str(item["family"]), str(item["table"]), str(item["name"])] = item
            elif kind == "map":
                self._maps.setdefault((str(item["family"]), str(item["table"])), {})[str(item["name"])] = item.get("elem", [])
            elif kind == "rule":
                held = Held(item["handle"], [dict(expression) for expression in item.get("expr", [])], str(item.get("comment", "")))
                held.is_our_jump()  # fails for a jump of another form
                self.rules.setdefault((str(item["family"]), str(item["table"]), str(item["chain"])), []).append(held)

    def refusing(self, hook: str, main_text: str) -> list[ChainKey]:
        """Return a hook's base chains that can deny packets from any source, in tables written by the administrator."""
        candidates = [
            key
            for key, chain in self.chains.items()
            if chain.get("hook") == hook
            and chain.get("type") == "filter"
            and key[0] in FAMILIES
            and key[1] not in TABLES_OF_PROGRAMS
            and not key[1].startswith(OURS)
            and not self._is_of_iptables(key[:2], main_text)
        ]
        known = self.effects(None, candidates)
        return [key for key in candidates if self.chains[key].get("policy") == "drop" or can_deny(known, key)]

    def effects(self, needed: Optional[list[Opening]], bases: Iterable[ChainKey], ways: Ways = ANY_WAY) -> Chains:
        """Return the effects of other rules in the tables of these chains.

        needed: the ports whose denial matters; None: all. ways: the interfaces of their packets.
        """
        tables = {key[:2] for key in bases}
        return {
            key: with_limits(
                [self._effects(key, held, needed, ways) for held in rules],
                is_base="hook" in self.chains[key],
            )
            for key in self.chains
            if key[:2] in tables and not key[2].startswith(OURS)
            for rules in [self.rules_of_others(key)]
        }

    def _effects(self, key: ChainKey, held: Held, needed: Optional[list[Opening]], ways: Ways) -> list[Effect]:
        name = f"{' '.join(key)} handle {held.handle}"
        try:
            known = effects(held.expressions, key[:2], self._maps.get(key[:2], {}), needed, name=name, ways=ways)
            hash(tuple((effect.target, effect.ports) for effect in known))  # fails for a target or a port of another form
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            found = f"an expression of an unknown form ({type(error).__name__}: {error})"
            step = "Report this to the authors of vmstation.cluster, with `nft -j list ruleset`."
            raise Refusal(f"nftables rule {name}", found, "expressions as nft shows them", step) from error
        return known

    def rules_of_others(self, key: ChainKey) -> list[Held]:
        """Return the rules of a chain, without the jumps of our sets."""
        return [held for held in self.rules.get(key, []) if not held.is_our_jump()]

    def elsewhere(self, known: Chains, hook: str) -> frozenset[Hashable]:
        """Return the chains that packets of other hooks pass through."""
        return frozenset(chain for key, item in self.chains.items() if item.get("hook", hook) != hook for chain in below(known, key))

    def rules_of_ours(self, key: ChainKey) -> list[Optional[Rule]]:
        """Return the rules of a chain; None for each rule that we did not write."""
        return [read_rule(held.expressions, held.comment) for held in self.rules.get(key, [])]

    def jumps(self, chain: str) -> list[tuple[ChainKey, int, int]]:
        """Return each jump to a chain of this name: its chain, its handle, and how many rules of others precede it."""
        return [
            (key, held.handle, sum(not before.is_our_jump() for before in rules[:index]))
            for key, rules in self.rules.items()
            for index, held in enumerate(rules)
            if held.jumps_to(chain)
        ]

    def _is_of_iptables(self, table: TableKey, main_text: str) -> bool:
        """Return whether iptables-nft created the table.

        It did if a rule shows an xt extension. Otherwise all rules must have counters, the table a chain named as iptables does, and no
        file of the host may declare it.
        """
        family, name = table
        if family not in {"ip", "ip6"} or name not in TABLES_OF_IPTABLES:
            return False
        chains = [key for key in self.chains if key[:2] == table]
        rules = [
            held.expressions for key in chains for held in self.rules.get(key, []) if not held.is_our_jump() and not key[2].startswith(OURS)
        ]
        if any("xt" in expression for expressions in rules for expression in expressions):
            return True
        if any(not any("counter" in expression for expression in expressions) for expressions in rules):
            return False
        unnamed = "?" if family == "ip" else ""  # a table without a family is of family ip
        declared = re.search(rf"\btable\s+({family}\s+){unnamed}{name}\b", main_text)
        return any(key[2] in CHAINS_OF_IPTABLES for key in chains) and not declared


def families_of(chains: list[ChainKey]) -> frozenset[int]:
    """Return the IP versions that these chains filter."""
    return frozenset(family for key in chains for family in FAMILIES[key[0]])


# Effects of nftables rules on packets, derived from their expressions, not from their author

# statements and match keys that do not make a rule narrower
STATEMENTS = frozenset(
    {"counter", "log", "comment", "accept", "drop", "reject", "jump", "goto", "return", "continue", "mangle", "notrack", "vmap"}
)
PACKET_FIELDS = frozenset({"dport", "protocol", "nexthdr", "daddr", "type", "code"})
META_KEYS = frozenset({"iif", "iifname", "oif", "oifname", "iifgroup", "oifgroup", "iiftype", "l4proto", "nfproto", "protocol"})
# expressions that limit a rule to a rate
RATES = frozenset({"limit", "set", "meter", "ct count"})
NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17", "esp": "50", "ah": "51", "icmpv6": "58", "ipv6-icmp": "58", "sctp": "132"}
# loopback, multicast and broadcast: other hosts do not reach this one by these
NOBODYS = ("127.", "224.", "239.", "255.", "ff")


@dataclass(frozen=True)
class RuleContext:
    """What all effects of one rule share.

    place: family and table. matters: it matches packets that we accept. limited: it applies up to a rate, for everyone.
    sources: it matches only some sources. ports: its matches of protocol, ports and where, as text.
    """

    place: tuple[str, str]
    narrow: bool
    matters: bool
    everything: bool
    what: str
    limited: bool
    ports: str
    sources: bool

    def effect(self, verdict: str, value: Shown) -> list[Effect]:
        if verdict in {"drop", "reject"}:
            if self.narrow:
                return [Effect(RESTRICTS, what=self.what)]
            return [Effect(DENIES, everything=self.everything, what=self.what, ports=self.ports)] if self.matters else []
        if verdict in {"jump", "goto"} and isinstance(value, dict):
            target = (*self.place, value.get("target", ""))
            return [Effect(target=target, narrow=self.narrow or not self.matters, everything=self.everything, what=self.what)]
        if verdict == "queue":  # another program decides
            return [Effect(RESTRICTS, what=self.what)]
        if (self.limited and verdict in {"accept", "return"}) or (self.sources and verdict == "return"):
            ports = self.ports if '"dport"' in self.ports or verdict == "return" else None
            return [Effect(LIMITS if verdict == "accept" else "", what=self.what, ports=ports)]
        return [Effect(ACCEPTS)] if verdict == "accept" else []


def effects(
    expressions: list[Expression],
    place: tuple[str, str],
    maps: Mapping[str, Any],
    needed: Optional[list[Opening]],
    *,
    name: str,
    ways: Ways,
) -> list[Effect]:
    """Return the effects of one rule.

    place: family and table. maps: the elements of the table's maps. needed: a denial of other ports does not matter; None: all matter.
    name: names the rule in messages. ways: the interfaces of packets to those ports.
    """
    matters = _matters(expressions, needed)
    everything = not any("match" in expression or expression.keys() - STATEMENTS for expression in expressions)
    limited = any(map(_limits, expressions)) and not any(_narrows(each) for each in expressions if not each.keys() & RATES)
    matched = [expression["match"] for expression in expressions if "match" in expression]
    narrow = any(map(_narrows, expressions)) or any(
        _misses(match.get("left"), match.get("right"), ways) for match in matched if _is_positive(match)
    )
    sources = any(map(_is_about_sources, matched)) and all(
        _is_about_sources(match) or _is_for_everyone(match.get("left")) for match in matched
    )
    rule = RuleContext(place, narrow, matters, everything, name if matters else "", limited, _ports(expressions), sources)
    found: list[Effect] = []
    for expression in expressions:
        for kind, value in expression.items():
            found.extend(_of_map(value, rule, maps, ways) if kind == "vmap" else rule.effect(kind, value))
    if any("set" in expression for expression in expressions) and not any(effect.does == RESTRICTS for effect in found):
        found.insert(0, Effect(RESTRICTS, what=rule.what))  # it counts a rate or fills a list
    return found


def _of_map(value: Shown, rule: RuleContext, maps: Mapping[str, Any], ways: Ways) -> list[Effect]:
    key, data = value.get("key", {}), value.get("data", {})
    elements = maps.get(data.lstrip("@"), []) if isinstance(data, str) else data.get("set", [])
    by_state = key == {"ct": {"key": "state"}}
    found: list[Effect] = []
    for element in elements if isinstance(elements, list) else []:
        if isinstance(element, list) and len(element) == 2 and isinstance(element[1], dict):
            narrow = rule.narrow or (element[0] != "new" if by_state else not _is_for_everyone(key) or _misses(key, element[0], ways))
            of_element = replace(rule, narrow=narrow, everything=False, limited=False)
            found.extend(effect for verdict, target in element[1].items() for effect in of_element.effect(verdict, target))
    return found


def _narrows(expression: Expression) -> bool:
    """Return whether an expression restricts the rule to some sources, rates or states."""
    if "match" in expression:
        return _match_narrows(expression["match"])
    if "limit" in expression:
        # a named limit has its rate elsewhere
        return not isinstance(expression["limit"], dict) or bool(expression["limit"].get("inv"))
    return bool(expression.keys() - STATEMENTS)


def _misses(left: Shown, right: Shown, ways: Ways) -> bool:
    """Return whether a match is for other interfaces, or other addresses of this host, than our packets use."""
    values = right["set"] if isinstance(right, dict) and "set" in right else [right]
    texts = [
        f"{each['prefix']['addr']}/{each['prefix']['len']}" if isinstance(each, dict) and "prefix" in each else each for each in values
    ]
    if not isinstance(left, dict) or not all(isinstance(text, str) and not text.startswith("@") for text in texts):
        return False
    if left.get("meta", {}).get("key") in {"iif", "iifname"}:
        return ways.miss_interfaces(texts)
    return left.get("payload", {}).get("field") == "daddr" and ways.miss_addresses(texts)


def _is_positive(match: Expression) -> bool:
    return match.get("op") != "!="


def _is_about_sources(match: Expression) -> bool:
    left = match.get("left")
    return isinstance(left, dict) and left.get("payload", {}).get("field") == "saddr" and _is_positive(match)


def _limits(expression: Expression) -> bool:
    """Return whether an expression matches up to a rate, per source or in total."""
    if "limit" in expression:
        return not isinstance(expression["limit"], dict) or not expression["limit"].get("inv")
    if "ct count" in expression:
        return not expression["ct count"].get("inv")
    per_source = [*expression.get("set", {}).get("stmt", []), expression.get("meter", {}).get("stmt", {})]
    return any(map(_limits, filter(None, per_source)))


def _ports(expressions: list[Expression]) -> str:
    """Return the matches of protocol, ports, interfaces and destinations, as text."""
    found = [expression["match"] for expression in expressions if _is_for_everyone(expression.get("match", {}).get("left"))]
    return "".join(sorted(json.dumps(match, sort_keys=True) for match in found)) or EVERY_PORT


def _match_narrows(match: Expression) -> bool:
    left, right, negated = match.get("left"), match.get("right"), match.get("op") == "!="
    if not isinstance(left, dict):
        return True
    if left == {"ct": {"key": "state"}}:
        states = right.get("set", []) if isinstance(right, dict) else right
        return ("new" in ([states] if isinstance(states, str) else list(states or ()))) is negated
    if left.get("fib", {}).get("result") == "type":
        return negated or right != "local"
    if "&" in left:  # tcp flags & (fin | syn | rst | ack) == syn: new connections
        return negated or right != "syn"
    return not _is_for_everyone(left)


def _is_for_everyone(left: Shown) -> bool:
    """Return whether the left side of a match is independent of the sender."""
    if not isinstance(left, dict):
        return False
    if "concat" in left:
        return all(_is_for_everyone(part) for part in left["concat"])
    if "payload" in left:
        return left["payload"].get("field") in PACKET_FIELDS
    return left.get("meta", {}).get("key") in META_KEYS


def _matters(expressions: list[Expression], needed: Optional[list[Opening]]) -> bool:
    """Return whether protocol and ports of the rule match packets that we accept; if unknown, True."""
    if needed is None:
        return True
    for expression in expressions:
        match = expression.get("match", {})
        left, right = match.get("left"), match.get("right")
        if match.get("op") == "!=" or not isinstance(left, dict):
            continue
        payload = left.get("payload", {})
        if payload.get("field") == "daddr" and isinstance(right, dict) and str(right.get("prefix", {}).get("addr", "")).startswith(NOBODYS):
            return False
        if payload.get("field") == "dport":
            ranges = _ranges(right)
            protocols = {"tcp", "udp", "sctp"} if payload.get("protocol") == "th" else {payload.get("protocol")}
            if ranges is not None and not _meets(needed, protocols, ranges):
                return False
        elif payload.get("protocol") in {"icmp", "icmpv6"}:
            if not _meets(needed, {NUMBERS[payload["protocol"]]}, None):
                return False
        elif left == {"meta": {"key": "l4proto"}} or payload.get("field") in {"protocol", "nexthdr"}:
            names = right.get("set", []) if isinstance(right, dict) else [right]
            if all(isinstance(name, (str, int)) for name in names) and not _meets(
                needed, {*map(str, names), *(NUMBERS.get(str(name), "") for name in names)}, None
            ):
                return False
    return True


def _meets(needed: Iterable[Opening], protocols: set[Any], ranges: Optional[list[tuple[int, int]]]) -> bool:
    return any(
        opening.protocol in protocols and (ranges is None or any(first <= opening.last and opening.first <= last for first, last in ranges))
        for opening in needed
    )


def _ranges(right: Shown) -> Optional[list[tuple[int, int]]]:
    """Return ports as ranges; None for a named set."""
    if isinstance(right, int):
        return [(right, right)]
    if isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        return [(first, last)] if isinstance(first, int) and isinstance(last, int) else None
    if isinstance(right, dict) and isinstance(right.get("set"), list):
        parts = [_ranges(each) for each in right["set"]]
        return None if any(part is None for part in parts) else [each for part in parts for each in part or []]
    return None
