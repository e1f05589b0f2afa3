# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chains of Kubernetes and Calico in iptables, and one transaction that takes them out. Nobody else's chain or rule is touched.

Names: kube-proxy and kubelet begin theirs with KUBE-, Calico's Felix with cali-; Felix marks its rules in other chains by a comment.
"""

from __future__ import annotations

import re

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import words_of

OURS = ("KUBE-", "cali-")
_FELIX = re.compile(r"cali:\S+")


def ours_in(saved: str) -> tuple[str, ...]:
    """A line for each chain of ours, and each rule of ours in another chain, in what iptables-save prints."""
    found = []
    for table, line in _lines(saved):
        if _is_chain(line):
            found.append(f"chain {_name(line)} of table {table}")
        elif _is_rule_elsewhere(line):
            found.append(f"rule `{line}` of table {table}")
    return tuple(found)


def removal(saved: str) -> str:
    """What iptables-restore --noflush takes to remove them; empty if there is nothing."""
    tables: dict[str, tuple[list[str], list[str]]] = {}
    for table, line in _lines(saved):
        rules, chains = tables.setdefault(table, ([], []))
        if _is_chain(line):
            chains.append(_name(line))
        elif _is_rule_elsewhere(line):
            rules.append(f"-D{line[len('-A') :]}")
    text = ""
    for table, (rules, chains) in tables.items():
        if rules or chains:
            lines = [*rules, *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]
            text += "\n".join([f"*{table}", *lines, "COMMIT", ""])
    return text


def _lines(saved: str) -> list[tuple[str, str]]:
    table, found = "", []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith((":", "-A ")):
            found.append((table, line))
    return found


def _is_chain(line: str) -> bool:
    return line.startswith(":") and _name(line).startswith(OURS)


def _name(line: str) -> str:
    return line[1:].split(" ", 1)[0]


def _is_rule_elsewhere(line: str) -> bool:
    if not line.startswith("-A "):
        return False
    words = words_of(line)
    if words[1].startswith(OURS):
        return False
    pairs = list(zip(words, words[1:]))
    jumps = any(option in ("-j", "-g") and target.startswith(OURS) for option, target in pairs)
    return jumps or any(option == "--comment" and _FELIX.fullmatch(text) for option, text in pairs)
