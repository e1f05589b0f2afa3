# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""iptables, of either variant and both IP versions: chains of ours, jumped to from the front of what refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import iptables_files as files
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, ReadText, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_chains import (
    Wanted,
    change,
    damage,
    disregarded,
    has_rules_in_front,
    rates,
    rules_on,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_effects import can_refuse
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import protocol_numbers
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_text import Tables
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet, for_families
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.packet_rules import ports_of
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import BEYOND_THE_RATE
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands

PROGRAMS = {4: "iptables", 6: "ip6tables"}


@dataclass(frozen=True)
class Family:
    """One IP version that is judged: its tables as they stand, and whether its forward chain refuses."""

    version: int
    tables: Tables
    forwards: bool


class Iptables(Backend):
    name = "iptables"

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        super().__init__(commands, read_text)
        self._fresh: Optional[list[Family]] = None
        self._read_last: Optional[list[Family]] = None
        self._seen: list[Family] = []

    def is_in_force(self) -> bool:
        self._fresh = self._families()
        return bool(self._fresh)

    def families(self) -> frozenset[int]:
        self._fresh = self._fresh if self._fresh is not None else self._families()
        return frozenset(family.version for family in self._fresh)

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        numbers = self._numbers()
        return tuple(
            f"{PROGRAMS[family.version]}: `{line}` stands behind a rule that denies everyone: for what this set opens it has no effect. "
            "Put it at the front of its chain."
            for family in self._seen
            for line in disregarded(family.tables, self._goal("", wanted, family), numbers)
        ) + tuple(
            f"{PROGRAMS[family.version]}: `{line}` {BEYOND_THE_RATE}"
            for family in self._seen
            for line in rates(family.tables, self._goal("", wanted, family), numbers)
        )

    def read(self, owner: str) -> Standing:
        # what is_in_force just listed serves the first reading; every later one asks anew
        families, self._fresh = (self._fresh if self._fresh is not None else self._families()), None
        self._read_last = self._seen = families
        numbers = self._numbers()
        runtime = ports_of({family.version: rules_on(family.tables, owner, numbers) for family in families})
        harm = [
            f"{PROGRAMS[family.version]}: {found}"
            for family in families
            for found in damage(family.tables, Wanted(owner, runtime, family.version, family.forwards), numbers)
        ]
        permanent, lost, warnings = runtime, [], []
        if files.can_be_permanent(self._read_text):
            saved = {family.version: Tables(files.saved(self._read_text, owner, family.version) or "") for family in families}
            permanent = ports_of({version: rules_on(tables, owner, numbers) for version, tables in saved.items()})
            lost = [
                f"{files.saved_path(self._read_text, owner, family.version)}: {found}"
                for family in families
                for found in damage(saved[family.version], Wanted(owner, permanent, family.version, family.forwards), numbers)
            ]
            lost.extend(files.missing_units(self._read_text, owner, self._versions(families), bool(permanent)))
            warnings = [
                *files.warnings(self._read_text, owner, self._versions(families)),
                *self._order_after_a_boot(owner, runtime, families),
            ]
        elif runtime:
            warnings = ["This host has no saved rules and no systemd: this set does not come back after a reboot."]
        return Standing(runtime, permanent, (*harm, *lost), tuple(warnings))

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        families, self._read_last = (self._read_last if self._read_last is not None else self._families()), None
        numbers = self._numbers()
        texts: dict[int, str] = {}
        goals: dict[int, Wanted] = {}
        for family in families:
            goals[family.version] = goal = self._goal(owner, wanted, family)
            texts[family.version] = change(family.tables, goal, numbers)
        steps = [(PROGRAMS[version], text) for version, text in texts.items() if text]
        return Transaction(
            validate=tuple(Step((f"{program}-restore", "--noflush", "--test", "--wait=60"), text) for program, text in steps),
            files=files.contents(self._read_text, owner, goals, numbers, is_wanted=bool(wanted)),
            activate=tuple(Step((f"{program}-restore", "--noflush", "--wait=60"), text) for program, text in steps),
        )

    def _families(self) -> list[Family]:
        found = []
        for version, program in PROGRAMS.items():
            if not self._commands.has(f"{program}-save"):
                continue
            # a kernel without this IP version's tables has no firewall for it
            completed = self._commands.run([f"{program}-save"], check=False)
            tables = Tables(completed.stdout)
            if completed.status == 0 and can_refuse(tables, "INPUT"):
                found.append(Family(version, tables, can_refuse(tables, "FORWARD")))
        return found

    def _order_after_a_boot(self, owner: str, ports: PortSet, families: list[Family]) -> list[str]:
        unsaved = [family for family in families if not files.host_path(self._read_text, family.version)]
        return [
            f"{PROGRAMS[family.version]}: rules that deny some sources are in front of this set's, and the host has no saved rules. "
            "After a boot this set comes first, until this runs again. Save the host's rules (Debian: the package iptables-persistent), "
            "then run this again."
            for family in unsaved
            if has_rules_in_front(family.tables, self._goal(owner, ports, family), self._numbers())
        ]

    @staticmethod
    def _goal(owner: str, wanted: PortSet, family: Family) -> Wanted:
        ports = for_families(wanted, frozenset({family.version})) if wanted else wanted
        return Wanted(owner, ports, family.version, family.forwards)

    def _numbers(self) -> dict[str, str]:
        return protocol_numbers(self._read_text("/etc/protocols") or "")

    @staticmethod
    def _versions(families: list[Family]) -> list[int]:
        return [family.version for family in families]
