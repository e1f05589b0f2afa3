# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of nftables do to others' packets, told by their expressions and never by who wrote them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import Expression, Shown
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import ACCEPTS, DENIES, LIMITS, RESTRICTS, Effect

# what does not make a rule narrower: statements, and what a match may be about
STATEMENTS = frozenset(
    {"counter", "log", "comment", "accept", "drop", "reject", "jump", "goto", "return", "continue", "mangle", "notrack", "vmap"}
)
PACKET_FIELDS = frozenset({"dport", "protocol", "nexthdr", "daddr", "type", "code"})
META_KEYS = frozenset({"iif", "iifname", "oif", "oifname", "iifgroup", "oifgroup", "iiftype", "l4proto", "nfproto", "protocol"})
# what makes a rule hold at a rate
RATES = frozenset({"limit", "set", "meter", "ct count"})
NUMBERS = {"icmp": "1", "tcp": "6", "udp": "17", "esp": "50", "ah": "51", "icmpv6": "58", "ipv6-icmp": "58", "sctp": "132"}
# loopback and groups: no address at which another host reaches this one
NOBODYS = ("127.", "224.", "239.", "255.", "ff")


@dataclass(frozen=True)
class Rule:
    """What all effects of one rule share.

    place: family and table. matters: it meets packets that we let in. limited: it holds at a rate, and is for everyone.
    ports: its matches of protocol, ports and where, as text.
    """

    place: tuple[str, str]
    narrow: bool
    matters: bool
    everything: bool
    what: str
    limited: bool
    ports: str

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
        if self.limited and verdict in {"accept", "return"}:
            ports = self.ports if '"dport"' in self.ports or verdict == "return" else None
            return [Effect(LIMITS if verdict == "accept" else "", what=self.what, ports=ports)]
        return [Effect(ACCEPTS)] if verdict == "accept" else []


def effects(
    expressions: list[Expression], place: tuple[str, str], maps: Mapping[str, Any], needed: Optional[list[Opening]], name: str
) -> list[Effect]:
    """What one rule does.

    place: family and table. maps: the elements of the table's maps. needed: a denial of other ports than these is nothing; None: each
    counts. name: what a reader finds the rule by.
    """
    matters = _matters(expressions, needed)
    everything = not any("match" in expression or expression.keys() - STATEMENTS for expression in expressions)
    limited = any(map(_limits, expressions)) and not any(_narrows(each) for each in expressions if not each.keys() & RATES)
    rule = Rule(place, any(map(_narrows, expressions)), matters, everything, name if matters else "", limited, _ports(expressions))
    found: list[Effect] = []
    for expression in expressions:
        for kind, value in expression.items():
            found.extend(_of_map(value, rule, maps) if kind == "vmap" else rule.effect(kind, value))
    if any("set" in expression for expression in expressions) and not any(effect.does == RESTRICTS for effect in found):
        found.insert(0, Effect(RESTRICTS, what=rule.what))  # a rate is counted by it, or a list made
    return found


def _of_map(value: Shown, rule: Rule, maps: Mapping[str, Any]) -> list[Effect]:
    key, data = value.get("key", {}), value.get("data", {})
    elements = maps.get(data.lstrip("@"), []) if isinstance(data, str) else data.get("set", [])
    by_state = key == {"ct": {"key": "state"}}
    found: list[Effect] = []
    for element in elements if isinstance(elements, list) else []:
        if isinstance(element, list) and len(element) == 2 and isinstance(element[1], dict):
            narrow = rule.narrow or (element[0] != "new" if by_state else not _is_for_everyone(key))
            of_element = replace(rule, narrow=narrow, everything=False, limited=False)
            found.extend(effect for verdict, target in element[1].items() for effect in of_element.effect(verdict, target))
    return found


def _narrows(expression: Expression) -> bool:
    """Whether an expression leaves some sources, rates or states only."""
    if "match" in expression:
        return _match_narrows(expression["match"])
    if "limit" in expression:
        # one with a name has its rate elsewhere
        return not isinstance(expression["limit"], dict) or bool(expression["limit"].get("inv"))
    return bool(expression.keys() - STATEMENTS)


def _limits(expression: Expression) -> bool:
    """Whether an expression holds up to a rate, of each source or of all."""
    if "limit" in expression:
        return not isinstance(expression["limit"], dict) or not expression["limit"].get("inv")
    if "ct count" in expression:
        return not expression["ct count"].get("inv")
    per_source = [*expression.get("set", {}).get("stmt", []), expression.get("meter", {}).get("stmt", {})]
    return any(map(_limits, filter(None, per_source)))


def _ports(expressions: list[Expression]) -> str:
    """The matches of protocol, ports, interfaces and destinations, as text."""
    found = [expression["match"] for expression in expressions if _is_for_everyone(expression.get("match", {}).get("left"))]
    return "".join(sorted(json.dumps(match, sort_keys=True) for match in found))


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
    """Whether what a match is about tells nothing of who sends."""
    if not isinstance(left, dict):
        return False
    if "concat" in left:
        return all(_is_for_everyone(part) for part in left["concat"])
    if "payload" in left:
        return left["payload"].get("field") in PACKET_FIELDS
    return left.get("meta", {}).get("key") in META_KEYS


def _matters(expressions: list[Expression], needed: Optional[list[Opening]]) -> bool:
    """Whether the rule meets packets that we let in, by its protocol and ports; what cannot be told from it counts."""
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
    """Ports as ranges; None where a named set has them."""
    if isinstance(right, int):
        return [(right, right)]
    if isinstance(right, dict) and "range" in right:
        first, last = right["range"]
        return [(first, last)] if isinstance(first, int) and isinstance(last, int) else None
    if isinstance(right, dict) and isinstance(right.get("set"), list):
        parts = [_ranges(each) for each in right["set"]]
        return None if any(part is None for part in parts) else [each for part in parts for each in part or []]
    return None
