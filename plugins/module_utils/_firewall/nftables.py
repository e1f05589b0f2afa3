# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""nftables: a chain of ours in every table whose input refuses packets, jumped to from the front of what refuses.

An accept in a table of our own would not overrule the drop of another table. A drop does hold, so the guard of node ports has its own.
"""

from __future__ import annotations

from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import nftables_file as file
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, ReadText, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_chains import (
    needed,
    read_runtime,
    runtime_change,
    saved_text,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_file import Saved
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.nftables_ruleset import ChainKey, Ruleset, Target, families_of
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands


class Nftables(Backend):
    name = "nftables"

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        super().__init__(commands, read_text)
        self._fresh: Optional[Ruleset] = None
        self._read_last: Optional[Ruleset] = None

    def is_in_force(self) -> bool:
        if not self._commands.has("nft"):
            return False
        self._fresh = self._list()
        return bool(self._inputs(self._fresh))

    def families(self) -> frozenset[int]:
        ruleset = self._fresh = self._fresh or self._list()
        return families_of(self._inputs(ruleset))

    def read(self, owner: str) -> Standing:
        # what is_in_force just listed serves the first reading; every later one asks anew
        ruleset, self._fresh = self._fresh or self._list(), None
        self._read_last = ruleset
        targets = self._targets(ruleset)
        runtime, damage = read_runtime(ruleset, owner, targets)
        path, main_text = file.main_file(self._read_text)
        if not path:
            warning = "There is no /etc/nftables.conf: neither this set nor the host's own rules come back after a reboot."
            return Standing(runtime, runtime, tuple(damage), (warning,) if runtime else ())
        saved, harm = self._read_saved(owner, path, main_text, targets)
        warnings = [
            f"{path} does not make the chain {' '.join(chain)}: what this set adds to it does not come back after a reboot."
            for chain in saved.elsewhere
        ]
        if not file.is_enabled(self._read_text):
            warnings.append("nftables.service is not enabled: neither this set nor the host's own rules come back after a reboot.")
        return Standing(runtime, saved.ports, (*damage, *harm), tuple(warnings))

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        ruleset, self._read_last = self._read_last or self._list(), None
        targets = self._targets(ruleset)
        change = runtime_change(ruleset, owner, wanted, targets)
        files = self._files(owner, wanted, targets)
        step = Step(("nft", "-f", "-"), change)
        check = Step(("nft", "-c", "-f", "-"), change)
        return Transaction((check,) if change else (), files, (step,) if change else ())

    def _list(self) -> Ruleset:
        return Ruleset(self._commands.run(["nft", "-j", "-p", "list", "ruleset"]).stdout)

    def _inputs(self, ruleset: Ruleset) -> list[ChainKey]:
        return ruleset.refusing("input", file.main_with_includes(self._read_text))

    def _targets(self, ruleset: Ruleset) -> list[Target]:
        """The base chains to jump from, with their hook."""
        text = file.main_with_includes(self._read_text)
        return [(key, hook) for hook in ("input", "forward") for key in ruleset.refusing(hook, text)]

    def _read_saved(self, owner: str, main: str, main_text: str, targets: list[Target]) -> tuple[Saved, list[str]]:
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
        harm.extend(f"{path} does not know the chain {' '.join(key)}" for key, _hook in needed(saved.ports, targets) if key not in known)
        return saved, harm

    def _files(self, owner: str, wanted: PortSet, targets: list[Target]) -> dict[str, Optional[str]]:
        main, main_text = file.main_file(self._read_text)
        if not main:
            return {}
        path = file.saved_path(owner, main_text)
        if wanted:
            chains = needed(wanted, targets)
            made = self._made_by(main_text, chains)
            elsewhere = tuple(key for key, _hook in chains if key not in made)
            saved = Saved(wanted, tuple((key, hook) for key, hook in chains if key in made), elsewhere)
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


def _changed(read_text: ReadText, contents: dict[str, Optional[str]]) -> dict[str, Optional[str]]:
    return {path: text for path, text in contents.items() if read_text(path) != text}
