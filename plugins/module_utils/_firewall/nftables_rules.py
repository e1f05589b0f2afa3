# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of nftables: written as text, read from ``nft -j -p list ruleset``."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address, summarize_address_range
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Network, canonical_networks, networks
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import BOTH, Rule

FAMILIES = {"inet": BOTH, "ip": frozenset({4}), "ip6": frozenset({6})}
PROTOCOL_OF_FAMILY = {4: "ip", 6: "ip6"}
EXEMPTION_TEXTS = {"loopback": 'iif "lo"', "known": "ct state established,related", "elsewhere": "fib daddr type != local"}
Expression = Mapping[str, Any]
# what nft shows on the right of a match: a number, a text, or an object
Shown = Any


def rule_text(rule: Rule, table_family: str) -> str:
    """A rule as ``nft`` reads it."""
    if rule.exemption:
        return f"{EXEMPTION_TEXTS[rule.exemption]} {rule.verdict}"
    parts: list[str] = []
    if rule.family and not rule.sources and not rule.destinations and table_family == "inet":
        parts.append(f"meta nfproto ipv{rule.family}")
    for side, named in (("saddr", rule.sources), ("daddr", rule.destinations)):
        if named:
            addresses = named[0] if len(named) == 1 else f"{{ {', '.join(named)} }}"
            parts.append(f"{PROTOCOL_OF_FAMILY[rule.family]} {side} {addresses}")
    if rule.first:
        parts.append(f"{rule.protocol} dport {rule.first if rule.first == rule.last else f'{rule.first}-{rule.last}'}")
    elif rule.protocol:
        parts.append(f"meta l4proto {rule.protocol}")
    parts.append(rule.verdict)
    if rule.comment:
        parts.append(f'comment "{rule.comment}"')
    return " ".join(parts)


def read_rule(expressions: list[Expression], comment: str) -> Optional[Rule]:
    """The rule that ``rule_text`` wrote, as nft shows it; None for a rule by another hand."""
    try:
        return _read(expressions, comment)
    except (KeyError, TypeError, ValueError, IndexError):
        return None


def _read(expressions: list[Expression], comment: str) -> Optional[Rule]:
    *matches, last = expressions
    verdict = next(iter(last))
    if verdict not in {"accept", "return", "drop"} or last[verdict] is not None:
        return None
    if len(matches) == 1:
        exemption = _exemption(matches[0]["match"])
        if exemption:
            return Rule(verdict, exemption=exemption)
    found: dict[str, Any] = {}
    for expression in matches:
        match = expression["match"]
        if set(expression) != {"match"} or match["op"] != "==":
            return None
        for key, value in _matched(match["left"], match["right"]).items():
            if key in found and found[key] != value:
                return None
            found[key] = value
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
