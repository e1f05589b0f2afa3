# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nftables: a chain of ours in every table whose input refuses packets, jumped to from the front of what refuses.

An accept in a table of our own would not overrule the drop of another table. A drop does hold, so the guard of node ports has its own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatch
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import nftables_file as file
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, ReadText, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_chains import (
    disregarded,
    rates,
    read_runtime,
    runtime_change,
    saved_text,
    sites,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_file import Saved
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_ruleset import (
    TABLES_OF_IPTABLES,
    ChainKey,
    Ruleset,
    Target,
    families_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import BEYOND_THE_RATE, Place
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands


class Nftables(Backend):
    name = "nftables"

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        super().__init__(commands, read_text)
        self._fresh: Optional[Ruleset] = None
        self._read_last: Optional[Ruleset] = None
        self._seen: Optional[Ruleset] = None

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
            f"The rule {rule} stands behind one that denies everyone: for what this set opens it has no effect. "
            "Put it at the front of its chain."
            for rule in disregarded(ruleset, wanted, self._targets(ruleset))
        ) + tuple(f"The rule {rule} {BEYOND_THE_RATE}" for rule in rates(ruleset, wanted, self._inputs(ruleset)))

    def read(self, owner: str) -> Standing:
        # what is_in_force just listed serves the first reading; every later one asks anew
        ruleset, self._fresh = self._fresh or self._list(), None
        self._read_last = self._seen = ruleset
        targets = self._targets(ruleset)
        runtime, damage = read_runtime(ruleset, owner, targets)
        path, main_text = file.main_file(self._read_text)
        if not path:
            warning = "There is no /etc/nftables.conf: neither this set nor the host's own rules come back after a reboot."
            return Standing(runtime, runtime, tuple(damage), (warning,) if runtime else ())
        saved, harm = self._read_saved(owner, path, main_text, ruleset)
        warnings = [
            f"{path} does not make the chain {' '.join(chain)}: what this set adds to it does not come back after a reboot."
            for chain in saved.elsewhere
        ]
        warnings += [
            f"The chain {' '.join(key)} denies some sources in front and everyone behind: after a boot our rules come first in it, and "
            "those denials do not hold for them, until this runs again. Give it `policy drop` in place of the rule that denies everyone."
            for key, (_hook, place) in sites(ruleset, runtime, targets).items()
            if place.first > 0 and place.last < len(ruleset.rules_of_others(key))
        ]
        if not file.is_enabled(self._read_text):
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
        return Ruleset(self._commands.run(["nft", "-j", "-p", "list", "ruleset"]).stdout)

    def _inputs(self, ruleset: Ruleset) -> list[ChainKey]:
        return ruleset.refusing("input", self._files_of_the_host())

    def _targets(self, ruleset: Ruleset) -> list[Target]:
        """The base chains to jump from, with their hook."""
        text = self._files_of_the_host()
        return [(key, hook) for hook in ("input", "forward") for key in ruleset.refusing(hook, text)]

    def _files_of_the_host(self) -> str:
        """The host's file and what it includes. Where no iptables is, no table is one of its, whatever its name."""
        text = file.main_with_includes(self._read_text, self._matching)
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
        path = file.saved_path(owner, main_text)
        text = self._read_text(path)
        if text is None:
            return Saved(), []
        saved = file.read_header(text)
        if saved is None or text != saved_text(owner, saved):
            return Saved(), [f"{path} is not as it was written"]
        harm = []
        if saved.targets and not file.includes(main_text, path):
            harm.append(f"{main} does not include {path}")
        known = {*(key for key, _hook in saved.targets), *saved.elsewhere}
        needed = sites(ruleset, saved.ports, self._targets(ruleset))
        harm.extend(f"{path} does not know the chain {' '.join(key)}" for key in needed if key not in known)
        last = _last(ruleset, needed)
        harm.extend(
            f"{path} puts our jump in a place of the chain {' '.join(key)} where denials of some sources do not hold as they must"
            for key, _hook in saved.targets
            if key in needed and (key in last) is not (key in saved.last)
        )
        return saved, harm

    def _files(self, owner: str, wanted: PortSet, ruleset: Ruleset) -> dict[str, Optional[str]]:
        main, main_text = file.main_file(self._read_text)
        if not main:
            return {}
        path = file.saved_path(owner, main_text)
        if wanted:
            needed = sites(ruleset, wanted, self._targets(ruleset))
            chains = [(key, hook) for key, (hook, _place) in needed.items()]
            made = self._made_by(main_text, chains)
            elsewhere = tuple(key for key, _hook in chains if key not in made)
            saved = Saved(wanted, tuple((key, hook) for key, hook in chains if key in made), elsewhere, _last(ruleset, needed))
            return _changed(self._read_text, {path: saved_text(owner, saved), main: file.with_include(main_text, path)})
        return _changed(self._read_text, {main: file.without_include(main_text, path), path: None})

    def _made_by(self, main_text: str, chains: list[Target]) -> set[ChainKey]:
        """Those of the chains that the host's file makes by itself, which is what stands after a boot; nft tries it without doing it."""

        theirs = file.without_any_include(main_text)

        def makes(keys: list[ChainKey]) -> bool:
            lines = ["flush ruleset", theirs, *(f"insert rule {' '.join(key)} counter" for key in keys)]
            return self._commands.run(["nft", "-c", "-f", "-"], stdin="\n".join([*lines, ""]), check=False).status == 0

        keys = [key for key, _hook in chains]
        return set(keys) if makes(keys) else {key for key in keys if makes([key])}


def _last(ruleset: Ruleset, needed: Mapping[ChainKey, tuple[str, Place]]) -> tuple[ChainKey, ...]:
    """The chains in which our jump may, and must, come behind all rules of others, as those of the file do not bear a number."""
    return tuple(key for key, (_hook, place) in needed.items() if place.first > 0 and place.last == len(ruleset.rules_of_others(key)))


def _changed(read_text: ReadText, contents: dict[str, Optional[str]]) -> dict[str, Optional[str]]:
    return {path: text for path, text in contents.items() if read_text(path) != text}
