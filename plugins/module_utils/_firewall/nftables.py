# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nftables backend: a chain in every table whose input denies packets, and the file that is read at boot."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Optional, cast

from .._host.commands import Commands
from .._json import read_json
from .backend import Backend, ReadText, Standing, Step, Transaction
from .model import NOTHING, PortSet, as_data, for_families, from_data
from .nftables_rules import FAMILIES, OURS, TABLES_OF_IPTABLES, ChainKey, Ruleset, Target, families_of, rule_text
from .packets import (
    BEYOND_THE_RATE,
    WRONG_PLACE,
    Place,
    Rule,
    forward_rules,
    guard_rules,
    input_rules,
    of_routes,
    overruled,
    places,
    ports_of,
    read_routes,
    unlimited,
)

# The file that restores our rules after a reload or a boot, and the include line in the host's own file

Matching = Callable[[str], list[str]]

# RHEL's service reads the first, Debian's the second
MAIN_FILES = ("/etc/sysconfig/nftables.conf", "/etc/nftables.conf")
WANTS = ("/etc/systemd/system/sysinit.target.wants/nftables.service", "/etc/systemd/system/multi-user.target.wants/nftables.service")
DIRECTORY = "/etc/nftables.d"
# used if the host's own file already includes all of DIRECTORY, maybe before it creates the chains that we need
OTHER_DIRECTORY = "/etc/nftables.vmstation"
INCLUDED = re.compile(r'^\s*include\s+"([^"]+)"', re.MULTILINE)
# where nft looks for a file without a path
DEFAULT_DIRECTORY = "/etc"
OUR_FILE = re.compile(r"/vmstation-[a-z0-9-]+\.nft$")
OUR_LINE = re.compile(r'include "[^"]*/vmstation-[a-z0-9-]+\.nf\[t\]"')
HEADER = "# Made by vmstation.cluster.firewall_ports: run that again instead of editing this.\n# "


@dataclass(frozen=True)
class Saved:
    """The contents of our file.

    targets: the chains that it jumps from; last: those in which its jump comes after all rules of the host's own file.
    elsewhere: those that the host's own file does not create.
    """

    ports: PortSet = NOTHING
    targets: tuple[Target, ...] = ()
    elsewhere: tuple[ChainKey, ...] = ()
    last: tuple[ChainKey, ...] = ()


def main_file(read_text: ReadText) -> tuple[str, str]:
    """Return path and text of the file that the host's nftables service reads; empty if there is none."""
    for path in MAIN_FILES:
        text = read_text(path)
        if text is not None:
            return path, text
    return "", ""


def main_with_includes(read_text: ReadText, match: Matching) -> str:
    """Return the main file and everything it includes, to see which tables the administrator wrote."""
    main = main_file(read_text)
    texts: dict[str, str] = {}
    to_read = list(main[:1])
    while to_read:
        path = to_read.pop(0)
        if path in texts or OUR_FILE.search(path):
            continue
        texts[path] = read_text(path) or ""
        for pattern in INCLUDED.findall(without_any_include(texts[path])):
            to_read.extend(match(pattern if pattern.startswith("/") else f"{DEFAULT_DIRECTORY}/{pattern}"))
    return "\n".join(texts.values())


def service_is_enabled(read_text: ReadText) -> bool:
    return any(read_text(path) is not None for path in WANTS)


def saved_path(owner: str, main_text: str) -> str:
    path = f"{DIRECTORY}/vmstation-{owner}.nft"
    theirs = [pattern for pattern in INCLUDED.findall(main_text) if "/vmstation-" not in pattern]
    return f"{OTHER_DIRECTORY}/vmstation-{owner}.nft" if any(fnmatch(path, pattern) for pattern in theirs) else path


def has_include(main_text: str, path: str) -> bool:
    return _line(path) in main_text.splitlines()


def with_include(main_text: str, path: str) -> str:
    """Append our include line, after all chains are created. ``without_include`` restores the same bytes."""
    if has_include(main_text, path):
        return main_text
    return f"{main_text}{_line(path)}\n" if main_text.endswith("\n") or not main_text else f"{main_text}\n{_line(path)}"


def without_include(main_text: str, path: str) -> str:
    line = _line(path)
    if main_text.endswith(f"\n{line}"):
        return main_text[: -len(line) - 1]
    return "".join(kept for kept in main_text.splitlines(keepends=True) if kept.rstrip("\n") != line)


def without_any_include(main_text: str) -> str:
    """Return what the administrator wrote, without the include lines of our sets."""
    return "".join(line for line in main_text.splitlines(keepends=True) if not OUR_LINE.fullmatch(line.rstrip("\n")))


def header(saved: Saved) -> str:
    last = {"last": saved.last} if saved.last else {}
    data = {
        "set": as_data(saved.ports),
        "targets": saved.targets,
        "elsewhere": saved.elsewhere,
        **last,
    }
    return f"{HEADER}{json.dumps(data, sort_keys=True)}\n"


def read_header(text: str) -> Optional[Saved]:
    """Parse the header; None if it is not ours. The caller compares the rest with what it would write."""
    if not text.startswith(HEADER):
        return None
    try:
        data = read_json(text[len(HEADER) :].split("\n", 1)[0])
        targets = tuple((_file_key(key), str(hook)) for key, hook in data["targets"])
        elsewhere, last = (tuple(_file_key(key) for key in data.get(name, ())) for name in ("elsewhere", "last"))
        return Saved(from_data(data["set"]), targets, elsewhere, last)
    except (ValueError, KeyError, TypeError):
        return None


def _file_key(words: tuple[str, str, str]) -> ChainKey:
    family, table, chain = words
    return str(family), str(table), str(chain)


def _line(path: str) -> str:
    # [t] makes it a pattern, and a pattern without a match is no error: a boot never fails if our file is missing
    return f'include "{path[:-1]}[{path[-1]}]"'


# Our chains in nftables: read from a ruleset, changed by one batch, and written to the boot file

GUARD_CHAIN = "node_ports"
GUARD_HOOK = "{ type filter hook prerouting priority mangle; policy accept; }"
TABLE_FAMILY = {frozenset({4, 6}): "inet", frozenset({4}): "ip", frozenset({6}): "ip6"}


def chain_name(owner: str, hook: str) -> str:
    """An owner name has neither ``_`` nor ``.``, so two owners never share a name."""
    name = f"{OURS}{owner.replace('-', '_')}"
    return name if hook == "input" else f"{name}.forward"


def sites(ruleset: Ruleset, ports: PortSet, targets: list[Target]) -> dict[ChainKey, tuple[str, Place]]:
    """Return the chains that need our jump, with hook and place; forward chains only for trusted networks."""
    found: dict[ChainKey, tuple[str, Place]] = {}
    for hook in ("input", "forward"):
        bases = [key for key, of in targets if of == hook and ports and (hook == "input" or ports.trusted)]
        if bases:
            known = ruleset.effects(list(ports.openings) if hook == "input" else None, bases, of_routes(ruleset.routes, ports))
            elsewhere = ruleset.elsewhere(known, hook)
            for place in (place for key in bases for place in places(known, key, elsewhere)):
                found.setdefault(_key(place.chain), (hook, place))
    return found


def disregarded(ruleset: Ruleset, ports: PortSet, targets: list[Target]) -> list[str]:
    """Return rules for some sources that have no effect on our ports, as they follow a denial for everyone."""
    ways = of_routes(ruleset.routes, ports)
    return [
        rule
        for hook, place in sites(ruleset, ports, targets).values()
        for rule in overruled(ruleset.effects(list(ports.openings) if hook == "input" else None, [_key(place.chain)], ways), place)
        if rule
    ]


def rates(ruleset: Ruleset, ports: PortSet, inputs: list[ChainKey]) -> list[str]:
    """Return rate-limited accept rules for our ports without a denial of the rest."""
    known = ruleset.effects(list(ports.openings), inputs, of_routes(ruleset.routes, ports))
    return [rule for key in inputs for rule in unlimited(known, key)]


def read_runtime(ruleset: Ruleset, owner: str, targets: list[Target]) -> tuple[PortSet, list[str]]:
    """Return the set in force, and what in our chains differs from what a change would write."""
    families = families_of([key for key, hook in targets if hook == "input"])
    guard = _guard_key(owner, families)
    before_dnat = ruleset.rules_of_ours(guard) if guard in ruleset.chains else []
    chains = {
        family: (
            [rule for key in _own_chains(ruleset, owner, "input") if family in FAMILIES[key[0]] for rule in _seen(ruleset, key, family)],
            [rule for rule in before_dnat if rule and rule.family in {0, family}],
        )
        for family in sorted(families)
    }
    ports = ports_of(chains)
    return ports, _damage(ruleset, owner, ports, targets)


def runtime_change(ruleset: Ruleset, owner: str, wanted: PortSet, targets: list[Target]) -> str:
    """Return one batch from the current state to ``wanted``. nft applies all of it or nothing."""
    lines: list[str] = []
    wanted_sites = sites(ruleset, wanted, targets)
    for hook in ("input", "forward"):
        name = chain_name(owner, hook)
        own = {(key[0], key[1], name) for key, (of, _place) in wanted_sites.items() if of == hook}
        jumps = ruleset.jumps(name)
        for chain in sorted(own):
            lines.extend(_filled(chain, _rules(wanted, chain[0], hook)))
        kept: dict[ChainKey, int] = {}
        for key, (of, place) in wanted_sites.items():
            if of == hook:
                standing = [handle for at, handle, position in jumps if at == key and place.holds(position)]
                kept.update({key: standing[0]} if standing else {})
                lines.extend([] if standing else [_jump(ruleset, key, place.first, name)])
        lines.extend(f"delete rule {_words(at)} handle {handle}" for at, handle, _position in jumps if kept.get(at) != handle)
        for chain in _own_chains(ruleset, owner, hook):
            if chain not in own:
                lines.extend([f"flush chain {_words(chain)}", f"delete chain {_words(chain)}"])
    families = families_of([key for key, hook in targets if hook == "input"])
    guard = _guard_key(owner, families)[:2] if wanted.has_guard else None
    lines.extend(f"delete table {family} {name}" for family, name, _chain in _guards(ruleset, owner) if (family, name) != guard)
    lines.extend(_guard_lines(owner, wanted, families))
    return "".join(f"{line}\n" for line in lines)


def saved_text(owner: str, saved: Saved) -> str:
    """Return the file that restores a set. Loading it twice, or without one of the host's chains, does no harm."""
    lines: list[str] = []
    for key, _hook in saved.targets:
        # without a hook it leaves an existing base chain as it is; if the host's own file lost the chain, the rest still loads
        lines.extend([f"add table {key[0]} {key[1]}", f"add chain {_words(key)}"])
    for hook in ("input", "forward"):
        name = chain_name(owner, hook)
        keys = [key for key, of in saved.targets if of == hook]
        for chain in sorted({(key[0], key[1], name) for key in keys}):
            lines.extend(_filled(chain, _rules(saved.ports, chain[0], hook)))
        lines.extend(f"{'add' if key in saved.last else 'insert'} rule {_words(key)} jump {name}" for key in keys)
    families = families_of([key for key, hook in saved.targets if hook == "input"])
    lines.extend(_guard_lines(owner, saved.ports, families))
    return header(saved) + "".join(f"{line}\n" for line in lines)


def _jump(ruleset: Ruleset, key: ChainKey, position: int, name: str) -> str:
    """Insert our jump after ``position`` rules of others."""
    theirs = ruleset.rules_of_others(key)
    if position and position == len(theirs):
        return f"add rule {_words(key)} jump {name}"
    where = f" handle {theirs[position].handle}" if position else ""
    return f"insert rule {_words(key)}{where} jump {name}"


def _key(chain: Hashable) -> ChainKey:
    family, table, name = cast(ChainKey, chain)
    return family, table, name


def _rules(ports: PortSet, table_family: str, hook: str) -> list[Rule]:
    families = FAMILIES[table_family]
    return (input_rules if hook == "input" else forward_rules)(for_families(ports, families), families)


def _filled(chain: ChainKey, rules: Iterable[Rule]) -> list[str]:
    place = _words(chain)
    return [f"add chain {place}", f"flush chain {place}", *(f"add rule {place} {rule_text(rule, chain[0])}" for rule in rules)]


def _guard_lines(owner: str, ports: PortSet, families: frozenset[int]) -> list[str]:
    if not ports.has_guard or not families:
        return []
    family, name, chain = _guard_key(owner, families)
    rules = guard_rules(ports, families)
    return [
        f"add table {family} {name}",
        f"delete table {family} {name}",
        f"add table {family} {name}",
        f"add chain {family} {name} {chain} {GUARD_HOOK}",
        *(f"add rule {family} {name} {chain} {rule_text(rule, family)}" for rule in rules),
    ]


def _damage(ruleset: Ruleset, owner: str, ports: PortSet, targets: list[Target]) -> list[str]:
    damage: list[str] = []
    wanted_sites = sites(ruleset, ports, targets)
    for hook in ("input", "forward"):
        name = chain_name(owner, hook)
        keys = [key for key, (of, _place) in wanted_sites.items() if of == hook]
        jumps = ruleset.jumps(name)
        standing_in = {key for key, _handle, _position in jumps}
        damage.extend(f"chain {_words(key)} has lost its jump to {name}" for key in keys if key not in standing_in)
        damage.extend(f"chain {_words(key)} jumps to {name} without need" for key in sorted(standing_in - set(keys)))
        damage.extend(
            f"chain {_words(key)} jumps to {name} {WRONG_PLACE}"
            for key in keys
            if key in standing_in and not any(at == key and wanted_sites[key][1].holds(position) for at, _handle, position in jumps)
        )
        own = {(key[0], key[1], name) for key in keys}
        standing = set(_own_chains(ruleset, owner, hook))
        damage.extend(f"chain {_words(chain)} is left over" for chain in sorted(standing - own))
        for chain in sorted(own & standing):
            if not _same(ruleset.rules_of_ours(chain), _rules(ports, chain[0], hook)):
                damage.append(f"chain {_words(chain)} holds rules that we did not write")
    families = families_of([key for key, hook in targets if hook == "input"])
    guard = _guard_key(owner, families)
    for key in _guards(ruleset, owner):
        if key != guard or not _same(ruleset.rules_of_ours(key), guard_rules(ports, families)):
            damage.append(f"table {key[0]} {key[1]} is not as it was written")
    return damage


def _same(found: list[Optional[Rule]], written: list[Rule]) -> bool:
    return found == written


def _seen(ruleset: Ruleset, chain: ChainKey, family: int) -> list[Rule]:
    return [rule for rule in ruleset.rules_of_ours(chain) if rule and rule.family in {0, family}]


def _own_chains(ruleset: Ruleset, owner: str, hook: str) -> list[ChainKey]:
    name = chain_name(owner, hook)
    return [key for key in ruleset.chains if key[2] == name]


def _guards(ruleset: Ruleset, owner: str) -> list[ChainKey]:
    return [key for key in ruleset.chains if key[1:] == (chain_name(owner, "input"), GUARD_CHAIN)]


def _guard_key(owner: str, families: frozenset[int]) -> ChainKey:
    return TABLE_FAMILY.get(families, "inet"), chain_name(owner, "input"), GUARD_CHAIN


def _words(key: ChainKey) -> str:
    return " ".join(key)


# The backend: our chain in every table whose input denies packets, with jumps placed before rules that deny everyone
#
# An accept in a table of our own would not override a drop in another table. A drop is final, so the guard of node ports has its own
# table.


class Nftables(Backend):
    name = "nftables"

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        super().__init__(commands, read_text)
        self._fresh: Optional[Ruleset] = None
        self._read_last: Optional[Ruleset] = None
        self._seen: Optional[Ruleset] = None
        self._routes: Optional[str] = None

    def is_in_force(self) -> bool:
        if not self._commands.has("nft"):
            return False
        self._fresh = self._list()
        return bool(self._inputs(self._fresh))

    def families(self) -> frozenset[int]:
        ruleset = self._fresh = self._fresh or self._list()
        return families_of(self._inputs(ruleset))

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        ruleset = self._seen or self._list()
        return tuple(
            f"The rule {rule} comes after one that denies everyone: it has no effect on what this set opens. "
            "Put it at the front of its chain."
            for rule in disregarded(ruleset, wanted, self._targets(ruleset))
        ) + tuple(f"The rule {rule} {BEYOND_THE_RATE}" for rule in rates(ruleset, wanted, self._inputs(ruleset)))

    def read(self, owner: str) -> Standing:
        # the first read uses what is_in_force just listed; later ones list again
        ruleset, self._fresh = self._fresh or self._list(), None
        self._read_last = self._seen = ruleset
        targets = self._targets(ruleset)
        runtime, damage = read_runtime(ruleset, owner, targets)
        path, main_text = main_file(self._read_text)
        if not path:
            warning = "There is no /etc/nftables.conf: neither this set nor the host's own rules come back after a reboot."
            return Standing(runtime, runtime, tuple(damage), (warning,) if runtime else ())
        saved, harm = self._read_saved(owner, path, main_text, ruleset)
        warnings = [
            f"{path} does not create the chain {' '.join(chain)}: what this set adds to it does not come back after a reboot."
            for chain in saved.elsewhere
        ]
        warnings += [
            f"The rule {' '.join(key)} handle {ruleset.rules_of_others(key)[place.last].handle} denies everyone after rules that deny "
            "some sources: after a boot our rules come first in that chain, and those denials do not apply to them, until this runs again. "
            "Give the chain `policy drop` instead of that rule. If the chain has no hook, move those denials into one of their own that "
            "the base chain jumps to first."
            for key, (_hook, place) in sites(ruleset, runtime, targets).items()
            if place.first > 0 and place.last < len(ruleset.rules_of_others(key))
        ]
        if not service_is_enabled(self._read_text):
            warnings.append("nftables.service is not enabled: neither this set nor the host's own rules come back after a reboot.")
        return Standing(runtime, saved.ports, (*damage, *harm), tuple(warnings))

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        ruleset, self._read_last = self._read_last or self._list(), None
        targets = self._targets(ruleset)
        change = runtime_change(ruleset, owner, wanted, targets)
        files = self._files(owner, wanted, ruleset)
        step = Step(("nft", "-f", "-"), change)
        check = Step(("nft", "-c", "-f", "-"), change)
        return Transaction((check,) if change else (), files, (step,) if change else ())

    def _list(self) -> Ruleset:
        self._routes = read_routes(self._commands) if self._routes is None else self._routes
        return Ruleset(self._commands.run(["nft", "-j", "-p", "list", "ruleset"]).stdout, self._routes)

    def _inputs(self, ruleset: Ruleset) -> list[ChainKey]:
        return ruleset.refusing("input", self._files_of_the_host())

    def _targets(self, ruleset: Ruleset) -> list[Target]:
        """Return the base chains to jump from, with their hook."""
        text = self._files_of_the_host()
        return [(key, hook) for hook in ("input", "forward") for key in ruleset.refusing(hook, text)]

    def _files_of_the_host(self) -> str:
        """Return the host's file and its includes. Without iptables on the host, no table is iptables', whatever its name."""
        text = main_with_includes(self._read_text, self._matching)
        if self._commands.has("iptables-save") or self._commands.has("ip6tables-save"):
            return text
        return "\n".join([text, *(f"table {family} {name}" for family in ("ip", "ip6") for name in sorted(TABLES_OF_IPTABLES))])

    def _matching(self, pattern: str) -> list[str]:
        start = re.split(r"[*?\[]", pattern)[0]
        if start == pattern:
            return [pattern]
        found = self._commands.run(["find", start.rpartition("/")[0] or "/", "-maxdepth", "2", "-name", "*"], check=False).stdout
        return sorted(path for path in found.splitlines() if fnmatch(path, pattern))

    def _read_saved(self, owner: str, main: str, main_text: str, ruleset: Ruleset) -> tuple[Saved, list[str]]:
        path = saved_path(owner, main_text)
        text = self._read_text(path)
        if text is None:
            return Saved(), []
        saved = read_header(text)
        if saved is None or text != saved_text(owner, saved):
            return Saved(), [f"{path} is not as it was written"]
        harm = []
        if saved.targets and not has_include(main_text, path):
            harm.append(f"{main} does not include {path}")
        known = {*(key for key, _hook in saved.targets), *saved.elsewhere}
        needed = sites(ruleset, saved.ports, self._targets(ruleset))
        harm.extend(f"{path} does not contain the chain {' '.join(key)}" for key in needed if key not in known)
        last = _last(ruleset, needed)
        harm.extend(
            f"{path} puts our jump at a position in the chain {' '.join(key)} where denials of some sources have no effect"
            for key, _hook in saved.targets
            if key in needed and (key in last) is not (key in saved.last)
        )
        return saved, harm

    def _files(self, owner: str, wanted: PortSet, ruleset: Ruleset) -> dict[str, Optional[str]]:
        main, main_text = main_file(self._read_text)
        if not main:
            return {}
        path = saved_path(owner, main_text)
        if wanted:
            needed = sites(ruleset, wanted, self._targets(ruleset))
            chains = [(key, hook) for key, (hook, _place) in needed.items()]
            made = self._made_by(main_text, chains)
            elsewhere = tuple(key for key, _hook in chains if key not in made)
            saved = Saved(wanted, tuple((key, hook) for key, hook in chains if key in made), elsewhere, _last(ruleset, needed))
            return _changed(self._read_text, {path: saved_text(owner, saved), main: with_include(main_text, path)})
        return _changed(self._read_text, {main: without_include(main_text, path), path: None})

    def _made_by(self, main_text: str, chains: list[Target]) -> set[ChainKey]:
        """Return the chains that the host's file itself creates, as after a boot; tried with ``nft -c``, which changes nothing."""

        theirs = without_any_include(main_text)

        def makes(keys: list[ChainKey]) -> bool:
            lines = ["flush ruleset", theirs, *(f"insert rule {' '.join(key)} counter" for key in keys)]
            return self._commands.run(["nft", "-c", "-f", "-"], stdin="\n".join([*lines, ""]), check=False).status == 0

        keys = [key for key, _hook in chains]
        return set(keys) if makes(keys) else {key for key in keys if makes([key])}


def _last(ruleset: Ruleset, needed: Mapping[ChainKey, tuple[str, Place]]) -> tuple[ChainKey, ...]:
    """Return the chains in which our jump goes after all other rules, as rules in a file have no handle."""
    return tuple(key for key, (_hook, place) in needed.items() if place.first > 0 and place.last == len(ruleset.rules_of_others(key)))


def _changed(read_text: ReadText, contents: dict[str, Optional[str]]) -> dict[str, Optional[str]]:
    return {path: text for path, text in contents.items() if read_text(path) != text}
