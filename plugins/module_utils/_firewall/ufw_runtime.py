# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The change of ufw's loaded rules as one `iptables-restore --noflush` text: our rules where a reload of ufw would put them."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import ufw_blocks, ufw_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_iptables import parse_rule, rules_of


def changes(owner: str, family: int, loaded: str, entries: Sequence[str], own_rules: Sequence[str]) -> str:
    """From what `iptables-save -t filter` shows to the entries of the rules file and the rules of our own chains; empty if both are none.

    Rules go by what they say, not by their number, so that a rule that somebody adds meanwhile is never the one that goes.
    """
    lines = [*_user_rules(owner, family, loaded, entries), *_own_chains(owner, family, loaded, own_rules)]
    return "\n".join(["*filter", *lines, "COMMIT"]) + "\n" if lines else ""


def _user_rules(owner: str, family: int, loaded: str, entries: Sequence[str]) -> list[str]:
    chain = ufw_rules.user_chain(family)
    rules = rules_of(loaded, chain)
    lines = [f"-D{rule.line[2:]}" for rule in rules if ufw_rules.is_ours(owner, rule)]
    foreign = [rule for rule in rules if not ufw_rules.is_ours(owner, rule)]
    wanted = [entry.splitlines()[-1] for entry in entries]
    allowed = [parse_rule(line) for line in wanted]
    denial = next((number for number, rule in enumerate(foreign, 1) if rule.denies_everyone(allowed)), None)
    if denial is None:
        return lines + wanted
    return lines + [f"-I {chain} {number}{line[len(f'-A {chain}') :]}" for number, line in enumerate(wanted, denial)]


def _own_chains(owner: str, family: int, loaded: str, own_rules: Sequence[str]) -> list[str]:
    """Our chains emptied and filled, or removed; the jumps to them added where ufw goes on to the user's rules."""
    lines: list[str] = []
    fill: list[str] = []
    for side in ufw_blocks.SIDES:
        ours = ufw_blocks.own_chain(owner, side)
        # a jump from anywhere else would keep the chain from being removed
        jumps = [rule for rule in rules_of(loaded, mentioning=ours) if rule.jump == ours]
        if own_rules:
            lines.append(f":{ours} - [0:0]")
        lines += [f"-D{rule.line[2:]}" for rule in jumps]
        if own_rules:
            fill += _jump(owner, family, side, loaded)
        elif f":{ours} " in loaded:
            lines += [f"-F {ours}", f"-X {ours}"]
    return [*lines, *own_rules, *fill]


def _jump(owner: str, family: int, side: str, loaded: str) -> list[str]:
    chain = ufw_blocks.ufw_chain(family, side)
    foreign = [rule.jump for rule in rules_of(loaded, chain) if rule.jump != ufw_blocks.own_chain(owner, side)]
    user = ufw_rules.user_chain(family).replace("input", side)
    if user not in foreign:
        return [f"-A {ufw_blocks.jump(owner, family, side)}"]
    number = foreign.index(user) + 1
    return [f"-I {chain} {number} -j {ufw_blocks.own_chain(owner, side)}"]
