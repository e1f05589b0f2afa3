# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``nft -j -p list ruleset`` tells: which chains refuse packets, and what of ours stands."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_effects import effects
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import FAMILIES, Expression, read_rule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import Rule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import Chains, below, can_deny, with_limits
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

OURS = "vmstation_"
# each is written by a program of its own, that would undo or trip over a rule of ours
TABLES_OF_PROGRAMS = frozenset({"firewalld", "kube-proxy", "calico", "netavark", "libvirt_network", "docker-bridges"})
TABLES_OF_IPTABLES = frozenset({"filter", "nat", "mangle", "raw", "security"})
CHAINS_OF_IPTABLES = frozenset({"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"})

TableKey = tuple[str, str]
ChainKey = tuple[str, str, str]
# a base chain that refuses packets, and its hook, ``input`` or ``forward``
Target = tuple[ChainKey, str]


@dataclass(frozen=True)
class Held:
    """A rule as the ruleset holds it."""

    handle: int
    expressions: list[Expression]
    comment: str

    def jumps_to(self, chain: str) -> bool:
        return any(expression.get("jump", {}).get("target") == chain for expression in self.expressions if "jump" in expression)

    def is_our_jump(self) -> bool:
        return any(str(expression["jump"].get("target", "")).startswith(OURS) for expression in self.expressions if "jump" in expression)


class Ruleset:
    """One reading of the whole ruleset."""

    def __init__(self, text: str) -> None:
        self.chains: dict[ChainKey, Mapping[str, Any]] = {}
        self.rules: dict[ChainKey, list[Held]] = {}
        self._maps: dict[TableKey, dict[str, Any]] = {}
        try:
            objects = json.loads(text)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal("`nft -j list ruleset`", "no JSON", "JSON", "Install nftables with JSON support.") from error
        for entry in objects:
            ((kind, item),) = entry.items()
            if kind == "chain":
                self.chains[item["family"], item["table"], item["name"]] = item
            elif kind == "map":
                self._maps.setdefault((item["family"], item["table"]), {})[item["name"]] = item.get("elem", [])
            elif kind == "rule":
                held = Held(item["handle"], item.get("expr", []), item.get("comment", ""))
                self.rules.setdefault((item["family"], item["table"], item["chain"]), []).append(held)

    def refusing(self, hook: str, main_text: str) -> list[ChainKey]:
        """The base chains of a hook that can refuse a packet of just anybody, in tables that are nobody's but the administrator's."""
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

    def effects(self, needed: Optional[list[Opening]], bases: Iterable[ChainKey]) -> Chains:
        """What the rules of others do, chain by chain, in the tables of these chains. needed: the ports whose denial matters; None: all."""
        tables = {key[:2] for key in bases}
        return {
            key: with_limits(
                [
                    effects(held.expressions, key[:2], self._maps.get(key[:2], {}), needed, f"{' '.join(key)} handle {held.handle}")
                    for held in rules
                ],
                is_base="hook" in self.chains[key],
            )
            for key in self.chains
            if key[:2] in tables and not key[2].startswith(OURS)
            for rules in [self.rules_of_others(key)]
        }

    def rules_of_others(self, key: ChainKey) -> list[Held]:
        """The rules of a chain, without the jumps of our sets."""
        return [held for held in self.rules.get(key, []) if not held.is_our_jump()]

    def elsewhere(self, known: Chains, hook: str) -> frozenset[Hashable]:
        """The chains that packets of other hooks come to."""
        return frozenset(chain for key, item in self.chains.items() if item.get("hook", hook) != hook for chain in below(known, key))

    def rules_of_ours(self, key: ChainKey) -> list[Optional[Rule]]:
        """The rules of a chain; None for each that is not one of ours."""
        return [read_rule(held.expressions, held.comment) for held in self.rules.get(key, [])]

    def jumps(self, chain: str) -> list[tuple[ChainKey, int, int]]:
        """Every rule that jumps to a chain of this name: its chain, its handle, and how many rules of others are before it."""
        return [
            (key, held.handle, sum(not before.is_our_jump() for before in rules[:index]))
            for key, rules in self.rules.items()
            for index, held in enumerate(rules)
            if held.jumps_to(chain)
        ]

    def _is_of_iptables(self, table: TableKey, main_text: str) -> bool:
        """Whether iptables-nft made the table: it shows extensions, or has iptables' chains, only rules that count, and no file has it."""
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
        unnamed = "?" if family == "ip" else ""  # a table without a family is one of ip
        declared = re.search(rf"\btable\s+({family}\s+){unnamed}{name}\b", main_text)
        return any(key[2] in CHAINS_OF_IPTABLES for key in chains) and not declared


def families_of(chains: list[ChainKey]) -> frozenset[int]:
    """The IP versions that these chains judge."""
    return frozenset(family for key in chains for family in FAMILIES[key[0]])
