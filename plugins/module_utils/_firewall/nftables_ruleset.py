# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``nft -j -p list ruleset`` tells: which chains refuse packets, and what of ours stands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_rules import FAMILIES, Expression, Shown, read_rule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import Rule
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

OURS = "vmstation_"
# each is written by a program of its own, that would undo or trip over a rule of ours; bans (f2b, crowdsec) are to stay in front
TABLES_OF_PROGRAMS = frozenset(
    {"firewalld", "kube-proxy", "calico", "netavark", "libvirt_network", "docker-bridges", "f2b-table", "crowdsec", "crowdsec6"}
)
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


class Ruleset:
    """One reading of the whole ruleset."""

    def __init__(self, text: str) -> None:
        self.chains: dict[ChainKey, Mapping[str, Any]] = {}
        self.rules: dict[ChainKey, list[Held]] = {}
        self._maps: dict[ChainKey, Any] = {}
        try:
            objects = json.loads(text)["nftables"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal("`nft -j list ruleset`", "no JSON", "JSON", "Install nftables with JSON support.") from error
        for entry in objects:
            ((kind, item),) = entry.items()
            if kind == "chain":
                self.chains[item["family"], item["table"], item["name"]] = item
            elif kind == "map":
                self._maps[item["family"], item["table"], item["name"]] = item.get("elem", [])
            elif kind == "rule":
                held = Held(item["handle"], item.get("expr", []), item.get("comment", ""))
                self.rules.setdefault((item["family"], item["table"], item["chain"]), []).append(held)

    def refusing(self, hook: str, main_text: str) -> list[ChainKey]:
        """The base chains of a hook that can refuse a packet, in tables that are nobody's but the administrator's."""
        return [
            key
            for key, chain in self.chains.items()
            if chain.get("hook") == hook
            and chain.get("type") == "filter"
            and key[0] in FAMILIES
            and key[1] not in TABLES_OF_PROGRAMS
            and not key[1].startswith(OURS)
            and not self._is_of_iptables(key[:2], main_text)
            and self._can_refuse(key, frozenset())
        ]

    def rules_of_ours(self, key: ChainKey) -> list[Optional[Rule]]:
        """The rules of a chain; None for each that is not one of ours."""
        return [read_rule(held.expressions, held.comment) for held in self.rules.get(key, [])]

    def jumps(self, chain: str) -> list[tuple[ChainKey, int]]:
        """Every rule that jumps to a chain of this name: the chain that it is in, and its handle."""
        return [(key, held.handle) for key, rules in self.rules.items() for held in rules if held.jumps_to(chain)]

    def _is_of_iptables(self, table: TableKey, main_text: str) -> bool:
        """Whether iptables-nft made the table: it shows extensions, or has iptables' chains and is not in nftables' own file."""
        family, name = table
        if family not in {"ip", "ip6"} or name not in TABLES_OF_IPTABLES:
            return False
        chains = [key for key in self.chains if key[:2] == table]
        if any("xt" in expression for key in chains for held in self.rules.get(key, []) for expression in held.expressions):
            return True
        words = main_text.split()
        declared = any(words[place : place + 3] == ["table", family, name] for place in range(len(words)))
        return any(key[2] in CHAINS_OF_IPTABLES for key in chains) and not declared

    def _can_refuse(self, key: ChainKey, above: frozenset[ChainKey]) -> bool:
        if self.chains.get(key, {}).get("policy") == "drop":
            return True
        return any(
            self._verdict_refuses(expression, key, above | {key}) for held in self.rules.get(key, []) for expression in held.expressions
        )

    def _verdict_refuses(self, value: Shown, key: ChainKey, above: frozenset[ChainKey]) -> bool:
        if isinstance(value, list):
            return any(self._verdict_refuses(element, key, above) for element in value)
        if not isinstance(value, dict):
            return False
        if "drop" in value or "reject" in value:
            return True
        if isinstance(value.get("vmap"), dict) and isinstance(value["vmap"].get("data"), str):
            elements = self._maps.get((key[0], key[1], value["vmap"]["data"].lstrip("@")), [])
            return self._verdict_refuses(elements, key, above)
        for kind in ("jump", "goto"):
            target = value[kind].get("target", "") if isinstance(value.get(kind), dict) else ""
            below = (key[0], key[1], target)
            if target and not target.startswith(OURS) and below not in above and self._can_refuse(below, above):
                return True
        return any(self._verdict_refuses(element, key, above) for element in value.values())


def families_of(chains: list[ChainKey]) -> frozenset[int]:
    """The IP versions that these chains judge."""
    return frozenset(family for key in chains for family in FAMILIES[key[0]])
