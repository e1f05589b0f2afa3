# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text that iptables-save writes and iptables-restore reads: what it holds, and how our lines get into a saved one and out again."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import words_of

# each is written by a program of its own; what they drop is no firewall of the host's
CHAINS_OF_PROGRAMS = ("KUBE-", "cali-", "DOCKER", "CNI-", "LIBVIRT_", "f2b-", "vmstation-")

# stands before a table that was not in the saved text, so that the table goes with our last line in it
ADDED = "# this table was added by vmstation.cluster.firewall_ports\n"

ChainKey = tuple[str, str]


class Tables:
    """One family's tables. policies: of each chain, ``-`` for a user's; rules: the lines of each chain, in their order."""

    def __init__(self, text: str) -> None:
        self.policies: dict[ChainKey, str] = {}
        self.rules: dict[ChainKey, list[str]] = {}
        table = ""
        for line in text.splitlines():
            if line.startswith("*"):
                table = line[1:].strip()
            elif line.startswith(":"):
                name, policy = line[1:].split()[:2]
                self.policies[table, name] = policy
            elif line.startswith("-A "):
                self.rules.setdefault((table, line.split()[1]), []).append(line)
            elif line.startswith("-I "):
                words = line.split()
                place = words[2:3] if words[2].isdigit() else []
                rule = " ".join(["-A", words[1], *words[2 + len(place) :]])
                self.rules.setdefault((table, words[1]), []).insert(0, rule)

    def can_refuse(self, chain: str) -> bool:
        """Whether a packet that meets this chain of ``filter`` can be dropped or rejected, by other than programs' own chains."""
        if self.policies.get(("filter", chain)) in {"DROP", "REJECT"}:
            return True
        return self._rules_refuse(chain, frozenset())

    def jumps(self, table: str, chain: str) -> list[str]:
        """The chains that a jump to ``chain`` stands in, once for each jump."""
        return [key[1] for key, lines in self.rules.items() for line in lines if key[0] == table and line == f"-A {key[1]} -j {chain}"]

    def _rules_refuse(self, chain: str, above: frozenset[str]) -> bool:
        for line in self.rules.get(("filter", chain), []):
            words = words_of(line)
            for option, target in zip(words, words[1:]):
                if option not in {"-j", "-g"}:
                    continue
                if target in {"DROP", "REJECT"}:
                    return True
                if ("filter", target) not in self.policies or target in above or target.startswith(CHAINS_OF_PROGRAMS):
                    continue
                if self._rules_refuse(target, above | {chain}):
                    return True
        return False


def without(text: str, chains: frozenset[str]) -> str:
    """A saved text without every line of these chains and every jump to them; all other bytes as they were."""
    kept = [line for line in text.splitlines(keepends=True) if not _is_of(line, chains)]
    whole = "".join(kept)
    for table in ("mangle", "filter"):
        whole = whole.replace(f"{ADDED}*{table}\nCOMMIT\n", "")
    return whole


def within(text: str, lines: Mapping[str, list[str]]) -> str:
    """A saved text with these lines of each table, ours first of its rules; a table that is not there comes in front."""
    for table, ours in lines.items():
        if ours:
            text = _put(text, table, ours)
    return text


def _put(text: str, table: str, ours: list[str]) -> str:
    block = "".join(f"{line}\n" for line in ours)
    found = text.splitlines(keepends=True)
    try:
        start = next(index for index, line in enumerate(found) if line.strip() == f"*{table}")
    except StopIteration:
        return f"{ADDED}*{table}\n{block}COMMIT\n{text}"
    place = start + 1
    while place < len(found) and (found[place].startswith((":", "#")) or not found[place].strip()):
        place += 1
    return "".join([*found[:place], block, *found[place:]])


def _is_of(line: str, chains: frozenset[str]) -> bool:
    if line.startswith(":"):
        return line[1:].split(" ", 1)[0] in chains
    if not line.startswith(("-A ", "-I ")) or not any(chain in line for chain in chains):
        return False
    words = words_of(line)
    return words[1] in chains or any(option in {"-j", "-g"} and target in chains for option, target in zip(words, words[1:]))
