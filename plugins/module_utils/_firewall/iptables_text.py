# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The text that iptables-save writes and iptables-restore reads: what it holds, and how our lines get into a saved one and out again."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import words_of

# stands before a table that was not in the saved text, so that the table goes with our last line in it
ADDED = "# this table was added by vmstation.cluster.firewall_ports\n"

ChainKey = tuple[str, str]


class Tables:
    """One family's tables. policies: of each chain, ``-`` for a user's; rules: the lines of each chain, in their order."""

    def __init__(self, text: str) -> None:
        self.policies: dict[ChainKey, str] = {}
        self.rules: dict[ChainKey, list[str]] = {}
        table = ""
        for line in map(without_counters, text.splitlines()):
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

    def jumps(self, table: str, chain: str) -> list[tuple[str, int]]:
        """The chains that a jump to ``chain`` stands in, once for each jump, and how many rules of others are in front of it."""
        found: list[tuple[str, int]] = []
        for (of, name), lines in self.rules.items():
            if of == table:
                places = [place for place, line in enumerate(lines) if line == f"-A {name} -j {chain}"]
                found.extend((name, sum(not is_our_jump(line) for line in lines[:place])) for place in places)
        return found


def is_our_jump(line: str) -> bool:
    """Whether a rule is nothing but a jump to a chain of ours, of whichever set."""
    words = line.split()
    return len(words) == 4 and words[2] == "-j" and words[3].startswith("vmstation-")


def without_counters(line: str) -> str:
    """A line as ``iptables-save`` writes it without ``-c``."""
    return line.partition("] ")[2] if line.startswith("[") else line


def without(text: str, chains: frozenset[str]) -> str:
    """A saved text without every line of these chains and every jump to them; all other bytes as they were."""
    kept = [line for line in text.splitlines(keepends=True) if not _is_of(line, chains)]
    whole = "".join(kept)
    for table in ("mangle", "filter"):
        whole = whole.replace(f"{ADDED}*{table}\nCOMMIT\n", "")
    return whole


def within(text: str, lines: Mapping[str, list[str]], jumps: Mapping[str, list[tuple[str, int, str]]]) -> str:
    """A saved text with these lines of each table, ours first of its rules; a table that is not there comes in front.

    jumps: of each table, a chain, how many rules of others stay in front of our jump in it, and our chain.
    """
    for table, ours in lines.items():
        if ours:
            in_front = [f"-A {chain} -j {target}" for chain, number, target in jumps.get(table, []) if not number]
            text = _put(text, table, [*ours, *in_front])
            for chain, number, target in jumps.get(table, []):
                text = _put_behind(text, table, chain, number, target) if number else text
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


def _put_behind(text: str, table: str, chain: str, number: int, target: str) -> str:
    """Our jump behind so many rules of others in a chain."""
    found = text.splitlines(keepends=True)
    current, seen = "", 0
    for index, line in enumerate(found):
        plain = without_counters(line.rstrip("\n"))
        current = plain[1:].strip() if plain.startswith("*") else current
        if current == table and plain.startswith(f"-A {chain} ") and not is_our_jump(plain):
            seen += 1
            if seen == number:
                return "".join([*found[: index + 1], f"-A {chain} -j {target}\n", *found[index + 1 :]])
    return text


def _is_of(line: str, chains: frozenset[str]) -> bool:
    line = without_counters(line)
    if line.startswith(":"):
        return line[1:].split(" ", 1)[0] in chains
    if not line.startswith(("-A ", "-I ")) or not any(chain in line for chain in chains):
        return False
    words = words_of(line)
    return words[1] in chains or any(option in {"-j", "-g"} and target in chains for option, target in zip(words, words[1:]))
