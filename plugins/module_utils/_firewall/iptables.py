# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The iptables backend (nft and legacy, both IP versions): its chains, its files, and changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from .._host.commands import Commands
from .backend import Backend, ReadText, Standing, Step, Transaction
from .iptables_rules import (
    ANY_WAY,
    Tables,
    can_refuse,
    effects,
    is_our_jump,
    protocol_numbers,
    read_rule,
    rule_text,
    single,
    within,
    without,
)
from .model import Opening, PortSet, for_families
from .packets import (
    BEYOND_THE_RATE,
    WRONG_PLACE,
    Place,
    Rule,
    Ways,
    below,
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

# Our chains in iptables: read, checked, and changed by one text per family

# denials of some sources must stay before our jump, denials for everyone after it
BASES = ("INPUT", "FORWARD", "OUTPUT")


@dataclass(frozen=True)
class Wanted:
    """A set as the chains of one family hold it.

    forwards: whether the family's forward chain denies, so that trusted networks need our chain. ways: the interfaces of its packets.
    """

    owner: str
    ports: PortSet
    version: int
    forwards: bool
    ways: Ways = ANY_WAY

    def chains(self) -> list[tuple[str, str, str, list[Rule]]]:
        """Return table, base chain, our chain and its rules, if needed. The guard is first, so nothing is open too early."""
        if not self.ports:
            return []
        families = frozenset({self.version})
        ports = for_families(self.ports, families)
        found = [("filter", "INPUT", input_chain(self.owner), single(input_rules(ports, families)))]
        if ports.trusted and self.forwards:
            found.append(("filter", "FORWARD", forward_chain(self.owner), single(forward_rules(ports, families))))
        if ports.has_guard:
            found.insert(0, ("mangle", "PREROUTING", input_chain(self.owner), single(guard_rules(ports, families))))
        return found


def input_chain(owner: str) -> str:
    """Return a name of at most 26 characters (the kernel allows 28). The guard uses it in another table."""
    return f"vmstation-{owner}"


def forward_chain(owner: str) -> str:
    """An owner name has no dot, so two owners never share a name."""
    return f"vmstation-{owner}.f"


def all_chains(owner: str) -> list[tuple[str, str, str]]:
    """Return table, base chain and name of all chains that an owner may have."""
    return [
        ("mangle", "PREROUTING", input_chain(owner)),
        ("filter", "INPUT", input_chain(owner)),
        ("filter", "FORWARD", forward_chain(owner)),
    ]


def rules_on(tables: Tables, owner: str, numbers: Mapping[str, str]) -> tuple[list[Rule], list[Rule]]:
    """Return our rules on input and before DNAT, without lines that we did not write."""
    on_input, before_dnat = (
        [rule for rule in _read(tables, table, input_chain(owner), numbers) if rule is not None] for table in ("filter", "mangle")
    )
    return on_input, before_dnat


def damage(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> list[str]:
    """Return what in our chains differs from what ``change`` would write for this set."""
    found: list[str] = []
    needed = {(table, base, chain): rules for table, base, chain, rules in wanted.chains()}
    for table, base, chain in all_chains(wanted.owner):
        exists = (table, chain) in tables.policies
        jumps = tables.jumps(table, chain)
        if (table, base, chain) not in needed:
            found.extend([f"chain {chain} of {table} is left over"] if exists or jumps else [])
            continue
        if not exists:
            found.append(f"chain {chain} of {table} is missing")
        elif _read(tables, table, chain, numbers) != needed[table, base, chain]:
            found.append(f"chain {chain} of {table} holds rules that we did not write")
        wanted_places = _places(tables, wanted, table, base, numbers)
        found.extend(
            f"chain {place.chain} of {table} has lost its jump to {chain}"
            for place in wanted_places
            if place.chain not in {name for name, _position in jumps}
        )
        found.extend(
            f"chain {name} of {table} jumps to {chain} {WRONG_PLACE}"
            for name, position in jumps
            if not _is_in_place(name, position, wanted_places)
        )
    return found


def disregarded(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> list[str]:
    """Return rules for some sources that have no effect on our ports, as they follow a denial for everyone."""
    found = []
    for table, base, _chain, _rules in wanted.chains():
        if table == "filter":
            known = effects(tables, _openings(wanted, base), numbers, wanted.ways)
            found += [line for place in _places(tables, wanted, table, base, numbers) for line in overruled(known, place) if line]
    return found


def rates(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> list[str]:
    """Return rate-limited accept rules for our ports without a denial of the rest."""
    return unlimited(effects(tables, wanted.ports.openings, numbers, wanted.ways), "INPUT")


def has_rules_in_front(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> bool:
    """Return whether a rule of others has to stay before one of our jumps."""
    found = [place for table, base, _chain, _rules in wanted.chains() for place in _places(tables, wanted, table, base, numbers)]
    return any(place.first or place.chain not in BASES for place in found if place.chain != "PREROUTING")


def change(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> str:
    """Return the iptables-restore input from the current to the wanted state; empty if nothing changes."""
    if not wanted.ports and not damage(tables, wanted, numbers):
        return ""
    lines: dict[str, list[str]] = {}
    needed = {(table, base, chain): rules for table, base, chain, rules in wanted.chains()}
    for table, base, chain in all_chains(wanted.owner):
        jumps = tables.jumps(table, chain)
        exists = (table, chain) in tables.policies
        section = lines.setdefault(table, [])
        if (table, base, chain) in needed:
            # declaring a chain empties it
            section.append(f":{chain} - [0:0]")
            section.extend(rule_text(chain, rule) for rule in needed[table, base, chain])
            section.extend(_moves(tables, table, chain, _places(tables, wanted, table, base, numbers)))
        elif exists or jumps:
            section.extend(f"-D {name} -j {chain}" for name, _position in jumps)
            section.extend([f"-F {chain}", f"-X {chain}"] if exists else [])
    return "".join(f"*{table}\n{_joined(section)}COMMIT\n" for table, section in lines.items() if section)


def saved_lines(wanted: Wanted) -> dict[str, list[str]]:
    """Return the lines of each table that restore our chains."""
    lines: dict[str, list[str]] = {"filter": [], "mangle": []}
    chains = wanted.chains()
    for table, _base, chain, _rules in chains:
        lines[table].append(f":{chain} - [0:0]")
    for table, _base, chain, rules in chains:
        lines[table].extend(rule_text(chain, rule) for rule in rules)
    return lines


def saved_jumps(tables: Tables, wanted: Wanted, numbers: Mapping[str, str]) -> dict[str, list[tuple[str, int, str]]]:
    """Return the positions of our jumps in a rules file, per table: the chain, how many rules precede, and our chain."""
    jumps: dict[str, list[tuple[str, int, str]]] = {"filter": [], "mangle": []}
    for table, base, chain, _rules in wanted.chains():
        jumps[table].extend((str(place.chain), place.first, chain) for place in _places(tables, wanted, table, base, numbers))
    return jumps


def _openings(wanted: Wanted, base: str) -> Optional[tuple[Opening, ...]]:
    """Return the open ports that a denial must concern to matter; on forward, our rules are for every port."""
    return wanted.ports.openings if base == "INPUT" else None


def _places(tables: Tables, wanted: Wanted, table: str, base: str, numbers: Mapping[str, str]) -> list[Place]:
    if table != "filter":  # the guard only drops, which is final at any position
        return [Place(base, 0, len(tables.rules.get((table, base), [])))]
    known = effects(tables, _openings(wanted, base), numbers, wanted.ways)
    elsewhere = frozenset(chain for other in BASES if other != base for chain in below(known, other))
    return places(known, base, elsewhere)


def _is_in_place(chain: str, position: int, wanted_places: list[Place]) -> bool:
    return any(place.chain == chain and place.holds(position) for place in wanted_places)


def _moves(tables: Tables, table: str, chain: str, wanted_places: list[Place]) -> list[str]:
    """Return the lines that leave each place with one jump to our chain, and no other jump to it."""
    jumps = tables.jumps(table, chain)
    lines: list[str] = []
    for name in dict.fromkeys([*(name for name, _position in jumps), *(str(place.chain) for place in wanted_places)]):
        here = [position for of, position in jumps if of == name]
        place = next((place for place in wanted_places if place.chain == name), None)
        if place is not None and len(here) == 1 and place.holds(here[0]):
            continue
        lines.extend(f"-D {name} -j {chain}" for _position in here)
        if place is not None:
            standing = [line for line in tables.rules.get((table, name), []) if line != f"-A {name} -j {chain}"]
            theirs = [number for number, line in enumerate(standing) if not is_our_jump(line)]
            number = theirs[place.first] if place.first < len(theirs) else len(standing)
            lines.append(f"-I {name} {number + 1 if place.first else 1} -j {chain}")
    return lines


def _read(tables: Tables, table: str, chain: str, numbers: Mapping[str, str]) -> list[Optional[Rule]]:
    return [read_rule(line, numbers) for line in tables.rules.get((table, chain), [])]


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# Rules after a reboot: in the host's saved rules if it has them, else in a systemd unit of our own

# Debian's netfilter-persistent, RHEL's iptables-services
SAVED = {4: ("/etc/iptables/rules.v4", "/etc/sysconfig/iptables"), 6: ("/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables")}
LOADERS = {
    "/etc/iptables/rules.v4": "netfilter-persistent",
    "/etc/iptables/rules.v6": "netfilter-persistent",
    "/etc/sysconfig/iptables": "iptables",
    "/etc/sysconfig/ip6tables": "ip6tables",
}
DIRECTORY = "/var/lib/vmstation/firewall"
UNITS = "/etc/systemd/system"
RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
SERVICE = """\
[Unit]
Description=Bring back the firewall ports of {owner}
After=local-fs.target network.target nftables.service netfilter-persistent.service iptables.service ip6tables.service
# these put their bans in front of all rules that are there when they start
Before=fail2ban.service sshguard.service crowdsec-firewall-bouncer.service

[Service]
Type=oneshot
RemainAfterExit=yes
{commands}"""
WANTS = """\
[Unit]
Wants=vmstation-firewall-{owner}.service
"""


def can_be_permanent(read_text: ReadText) -> bool:
    return (read_text("/proc/1/comm") or "").strip() == "systemd" or any(
        read_text(path) is not None for paths in SAVED.values() for path in paths
    )


def host_path(read_text: ReadText, version: int) -> str:
    """Return the host's own file of saved rules for an IP version; empty if there is none."""
    return next((path for path in SAVED[version] if read_text(path) is not None), "")


def saved_path(read_text: ReadText, owner: str, version: int) -> str:
    return host_path(read_text, version) or _own_path(owner, version)


def saved_rules(read_text: ReadText, owner: str, version: int) -> Optional[str]:
    return read_text(saved_path(read_text, owner, version))


def file_warnings(read_text: ReadText, owner: str, versions: list[int]) -> list[str]:
    """Warn about services that would restore these rules at boot but are not enabled."""
    paths = [host_path(read_text, version) for version in versions]
    loaders = sorted({LOADERS[path] for path in paths if path})
    return [
        f"{loader}.service is not enabled: neither this set nor the host's own rules come back after a reboot."
        for loader in loaders
        if read_text(f"{UNITS}/multi-user.target.wants/{loader}.service") is None
    ]


def missing_units(read_text: ReadText, owner: str, versions: list[int], is_wanted: bool) -> list[str]:
    """Return our unit files that differ from what we write."""
    expected = _units(owner, [version for version in versions if not host_path(read_text, version)] if is_wanted else [])
    return [f"{path} is not as it was written" for path, text in expected.items() if read_text(path) != text]


def file_contents(
    read_text: ReadText, owner: str, goals: Mapping[int, Wanted], numbers: Mapping[str, str], *, is_wanted: bool
) -> dict[str, Optional[str]]:
    """Return the files to replace, so that a boot restores each IP version's goal; other lines stay byte for byte."""
    if not can_be_permanent(read_text):
        return {}
    ours = frozenset(chain for _table, _base, chain in all_chains(owner))
    files: dict[str, Optional[str]] = {}
    by_unit: list[int] = []
    for version, paths in SAVED.items():
        goal = goals.get(version) if is_wanted else None
        host = host_path(read_text, version)
        for path in paths:
            text = read_text(path)
            if text is not None:
                bare = without(text, ours)
                files[path] = within(bare, saved_lines(goal), saved_jumps(Tables(bare), goal, numbers)) if goal and path == host else bare
        own = _own_text(goal) if goal and not host else None
        files[_own_path(owner, version)] = own
        if own is not None:
            by_unit.append(version)
    files.update(_units(owner, by_unit))
    return {path: text for path, text in files.items() if read_text(path) != text}


def _own_path(owner: str, version: int) -> str:
    return f"{DIRECTORY}/{owner}.rules.v{version}"


def _own_text(goal: Wanted) -> str:
    """Return the rules that our unit loads. The other rules at boot are unknown, so our jump can only go before them."""
    lines = saved_lines(goal)
    for table, base, chain, _rules in goal.chains():
        lines[table].append(f"-I {base} 1 -j {chain}")
    return "".join(f"*{table}\n" + "".join(f"{line}\n" for line in found) + "COMMIT\n" for table, found in lines.items() if found)


def _units(owner: str, versions: list[int]) -> dict[str, Optional[str]]:
    commands = "".join(f"ExecStart={RESTORE[version]} --noflush --wait=60 {_own_path(owner, version)}\n" for version in versions)
    return {
        f"{UNITS}/vmstation-firewall-{owner}.service": SERVICE.format(owner=owner, commands=commands) if versions else None,
        f"{UNITS}/multi-user.target.d/vmstation-firewall-{owner}.conf": WANTS.format(owner=owner) if versions else None,
    }


# The backend, for both iptables variants and IP versions: our chains, with jumps placed before rules that deny everyone

PROGRAMS = {4: "iptables", 6: "ip6tables"}


@dataclass(frozen=True)
class Family:
    """One IP version that is filtered: its current tables, and whether its forward chain denies."""

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
        self._routes: Optional[str] = None

    def is_in_force(self) -> bool:
        self._fresh = self._families()
        return bool(self._fresh)

    def families(self) -> frozenset[int]:
        self._fresh = self._fresh if self._fresh is not None else self._families()
        return frozenset(family.version for family in self._fresh)

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        numbers = self._numbers()
        return tuple(
            f"{PROGRAMS[family.version]}: `{line}` comes after a rule that denies everyone: it has no effect on what this set opens. "
            "Put it at the front of its chain."
            for family in self._seen
            for line in disregarded(family.tables, self._goal("", wanted, family), numbers)
        ) + tuple(
            f"{PROGRAMS[family.version]}: `{line}` {BEYOND_THE_RATE}"
            for family in self._seen
            for line in rates(family.tables, self._goal("", wanted, family), numbers)
        )

    def read(self, owner: str) -> Standing:
        # the first read uses what is_in_force just listed; later ones list again
        families, self._fresh = (self._fresh if self._fresh is not None else self._families()), None
        self._read_last = self._seen = families
        numbers = self._numbers()
        runtime = ports_of({family.version: rules_on(family.tables, owner, numbers) for family in families})
        harm = [
            f"{PROGRAMS[family.version]}: {found}"
            for family in families
            for found in damage(family.tables, self._wanted(owner, runtime, family), numbers)
        ]
        permanent, lost, warnings = runtime, [], []
        if can_be_permanent(self._read_text):
            saved = {family.version: Tables(saved_rules(self._read_text, owner, family.version) or "") for family in families}
            permanent = ports_of({version: rules_on(tables, owner, numbers) for version, tables in saved.items()})
            lost = [
                f"{saved_path(self._read_text, owner, family.version)}: {found}"
                for family in families
                for found in damage(saved[family.version], self._wanted(owner, permanent, family), numbers)
            ]
            lost.extend(missing_units(self._read_text, owner, self._versions(families), bool(permanent)))
            warnings = [
                *file_warnings(self._read_text, owner, self._versions(families)),
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
            files=file_contents(self._read_text, owner, goals, numbers, is_wanted=bool(wanted)),
            activate=tuple(Step((f"{program}-restore", "--noflush", "--wait=60"), text) for program, text in steps),
        )

    def _families(self) -> list[Family]:
        found = []
        for version, program in PROGRAMS.items():
            if not self._commands.has(f"{program}-save"):
                continue
            # a kernel without tables of this IP version has no firewall for it
            completed = self._commands.run([f"{program}-save"], check=False)
            tables = Tables(completed.stdout)
            if completed.status == 0 and can_refuse(tables, "INPUT"):
                found.append(Family(version, tables, can_refuse(tables, "FORWARD")))
        return found

    def _order_after_a_boot(self, owner: str, ports: PortSet, families: list[Family]) -> list[str]:
        unsaved = [family for family in families if not host_path(self._read_text, family.version)]
        return [
            f"{PROGRAMS[family.version]}: rules that deny some sources come before this set's rules, and the host has no saved rules. "
            "After a boot this set comes first, until this runs again. Save the host's rules (Debian: the package iptables-persistent), "
            "then run this again."
            for family in unsaved
            if has_rules_in_front(family.tables, self._goal(owner, ports, family), self._numbers())
        ]

    def _goal(self, owner: str, wanted: PortSet, family: Family) -> Wanted:
        ports = for_families(wanted, frozenset({family.version})) if wanted else wanted
        return self._wanted(owner, ports, family)

    def _wanted(self, owner: str, ports: PortSet, family: Family) -> Wanted:
        self._routes = read_routes(self._commands) if self._routes is None else self._routes
        return Wanted(owner, ports, family.version, family.forwards, of_routes(self._routes, ports))

    def _numbers(self) -> dict[str, str]:
        return protocol_numbers(self._read_text("/etc/protocols") or "")

    @staticmethod
    def _versions(families: list[Family]) -> list[int]:
        return [family.version for family in families]
