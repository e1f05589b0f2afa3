# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ufw: a profile and its rules among ufw's own, what its syntax lacks in before.rules, and one commit per family instead of a reload."""

from __future__ import annotations

from typing import ClassVar, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import guard_table, ufw_blocks, ufw_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, ReadText, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import (
    Opening,
    PortSet,
    canonical_networks,
    for_families,
    networks,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ports import PROTOCOLS_WITH_PORTS, merge
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_iptables import (
    DENIALS,
    Rule,
    overruled,
    parse_rule,
    protocol_names,
    rules_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_runtime import changes
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

SETTINGS = "/etc/ufw/ufw.conf"
DEFAULTS = "/etc/default/ufw"
USER_RULES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
BEFORE_RULES = {4: "/etc/ufw/before.rules", 6: "/etc/ufw/before6.rules"}
SAVE = {4: "iptables-save", 6: "ip6tables-save"}
RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
UNIT = "ufw.service"
UNIT_AT_BOOT = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"


class Ufw(Backend):
    """ufw 0.36 and later, over whichever iptables it uses."""

    name = "ufw"
    lock_path: ClassVar[str] = "/run/ufw.lock"

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        super().__init__(commands, read_text)
        self._protocols = protocol_names(read_text("/etc/protocols") or "")

    def is_in_force(self) -> bool:
        if _setting(self._read_text(SETTINGS), "ENABLED") != "yes" or not self._commands.has(SAVE[4]):
            return False
        return ":ufw-user-input " in self._save(4)

    def families(self) -> frozenset[int]:
        return frozenset({4, 6} if _setting(self._read_text(DEFAULTS), "IPV6") == "yes" else {4})

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        profiles = ufw_rules.profiles_of("", wanted.openings)
        passed_by = tuple(
            f"{USER_RULES[family]}: `{rule.line}` has no effect on this set's IP protocols, SCTP and trusted networks: they pass before it."
            for family in sorted(self.families())
            for rule in rules_of(self._written("", family), *ufw_rules.user_chains(family))
            if rule.jump in DENIALS and rule.source and ufw_blocks.lets_in(family, wanted, rule)
        )
        return passed_by + tuple(
            f"{USER_RULES[family]}: `{rule.line}` stands behind a rule that denies everyone: for what this set opens it has no effect. "
            "Put it in front with `ufw prepend` or `ufw insert`."
            for family in sorted(self.families())
            for foreign in [[rule for rule in rules_of(self._written("", family), ufw_rules.user_chain(family)) if not _is_any_sets(rule)]]
            for rule in overruled(foreign, [parse_rule(entry.splitlines()[-1]) for entry in ufw_rules.entries(family, profiles)])
        )

    def read(self, owner: str) -> Standing:
        damage: list[str] = []
        families = self.families()
        loaded = {family: self._save(family) for family in families}
        written = {family: self._written(owner, family) for family in families}
        runtime = self._set_of(owner, "the loaded rules", loaded, self._loaded_guard(owner), damage)
        guard_file = self._read_text(guard_table.file_path(owner))
        permanent = self._set_of(owner, "ufw's rules files", written, guard_file or "", damage)
        for family in sorted(families):
            damage += self._damage_of_files(owner, family, permanent)
            damage += _damage_of_jumps(owner, family, loaded[family], runtime)
        if not _says(self._read_text(_profile_path(owner)), ufw_rules.profiles_of(owner, permanent.openings)):
            damage.append(f"{_profile_path(owner)} does not list what ufw's rules files open")
        drop_in = self._read_text(guard_table.drop_in_path(owner, UNIT))
        if drop_in != guard_table.files(owner, UNIT, permanent)[guard_table.drop_in_path(owner, UNIT)]:
            damage.append(f"{guard_table.drop_in_path(owner, UNIT)} does not load the node ports' table")
        warnings = () if self._read_text(UNIT_AT_BOOT) else (f"{UNIT} is not enabled: after a reboot ufw's rules are not loaded",)
        return Standing(runtime, permanent, tuple(damage), warnings)

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        if wanted.guarded and not self._commands.has("nft"):
            raise Refusal(
                "node ports with sources", "no nft on this host", "nft, beside ufw", "Install nftables, or leave these sources out."
            )
        profiles = ufw_rules.profiles_of(owner, wanted.openings)
        files: dict[str, Optional[str]] = {}
        if profiles:
            files[_profile_path(owner)] = ufw_rules.profile_file(owner, profiles, wanted.openings)
        validate: list[Step] = []
        activate: list[Step] = []
        for family in (4, 6):
            managed = family in self.families()
            rules, own = self._existing(USER_RULES[family], managed), self._existing(BEFORE_RULES[family], managed)
            block = ufw_blocks.block(owner, family, wanted) if managed else ""
            entries = ufw_rules.entries(family, profiles) if managed else []
            if own is not None:
                files[BEFORE_RULES[family]] = ufw_blocks.with_block(BEFORE_RULES[family], owner, own, block)
            if rules is not None:
                files[USER_RULES[family]] = ufw_rules.with_entries(USER_RULES[family], ufw_rules.without_ours(owner, rules), entries)
            change = changes(owner, family, self._save(family), entries, ufw_blocks.chain_rules(owner, family, wanted)) if managed else ""
            if change:
                validate.append(Step((RESTORE[family], "--noflush", "--test"), change))
                activate.append(Step((RESTORE[family], "--noflush"), change))
        if not profiles:
            files[_profile_path(owner)] = None
        files.update(guard_table.files(owner, UNIT, wanted))
        changed = {path: text for path, text in files.items() if self._read_text(path) != text}
        if wanted.guarded or self._loaded_guard(owner):
            drop_in_changes = guard_table.drop_in_path(owner, UNIT) in changed
            activate += guard_table.steps(owner, wanted, drop_in_changes=drop_in_changes)
        return Transaction(tuple(validate), changed, tuple(activate))

    def _existing(self, path: str, required: bool) -> Optional[str]:
        text = self._read_text(path)
        if text is None and required:
            raise Refusal(path, "no such file", "a rules file as ufw ships it", "Reinstall ufw's configuration, then run again.")
        return text

    def _save(self, family: int) -> str:
        return self._commands.run([SAVE[family], "-t", "filter"]).stdout

    def _loaded_guard(self, owner: str) -> str:
        if not self._commands.has("nft"):
            return ""
        return self._commands.run(["nft", "list", "table", "inet", guard_table.table(owner)], check=False).stdout

    def _written(self, owner: str, family: int) -> str:
        """What of the rules files a reload would load, as one filter table."""
        return (
            (self._read_text(USER_RULES[family]) or "")
            + "*filter\n"
            + ufw_blocks.block_in(owner, self._read_text(BEFORE_RULES[family]) or "")
        )

    def _set_of(self, owner: str, where: str, tables: dict[int, str], guard: str, damage: list[str]) -> PortSet:
        """The set that filter tables and the guard's table let in; what is not as we write it goes into ``damage``."""
        openings: list[Opening] = []
        trusted: list[str] = []
        for family, text in tables.items():
            user = rules_of(text, ufw_rules.user_chain(family))
            ours = [rule for rule in user if ufw_rules.is_ours(owner, rule)]
            entering, passing = (rules_of(text, ufw_blocks.own_chain(owner, side)) for side in ufw_blocks.SIDES)
            strange = [rule for rule in (*ours, *entering, *passing) if rule.jump != "ACCEPT" or rule.conditions]
            damage += [f"{where} hold a rule of ours that is not as it was written: {rule.line}" for rule in strange]
            if _hidden(user, ours):
                damage.append(f"{where} deny everyone before our rules in {ufw_rules.user_chain(family)}")
            if _hides(user, ours):
                damage.append(f"{where} deny or limit some sources only behind our rules in {ufw_rules.user_chain(family)}")
            accepting = [rule for rule in (*ours, *entering) if rule not in strange]
            openings += [opening for rule in accepting if rule.protocol for opening in rule.openings(family, self._protocol(rule))]
            from_trusted = {rule.source for rule in entering if rule.source and not rule.protocol}
            both_ways = {rule.source for rule in passing if rule.source} & {rule.destination for rule in passing if rule.destination}
            trusted += sorted(from_trusted & both_ways)
            if from_trusted != both_ways:
                damage.append(f"{where} let only one direction of a trusted network pass")
        standing = PortSet(merge(openings), canonical_networks(networks(trusted)))
        return for_families(guard_table.guarded(owner, where, standing, guard, damage), self.families())

    def _protocol(self, rule: Rule) -> str:
        return rule.protocol if rule.protocol in PROTOCOLS_WITH_PORTS else self._protocols.get(rule.protocol, rule.protocol)

    def _damage_of_files(self, owner: str, family: int, permanent: PortSet) -> list[str]:
        damage = []
        if not ufw_rules.tuples_agree(owner, self._read_text(USER_RULES[family]) or ""):
            damage.append(f"{USER_RULES[family]}: a rule of ours is not what `ufw status` shows of it")
        if ufw_blocks.block_in(owner, self._read_text(BEFORE_RULES[family]) or "") != ufw_blocks.block(owner, family, permanent):
            damage.append(f"{BEFORE_RULES[family]}: our block is not as it was written")
        return damage


def _profile_path(owner: str) -> str:
    return f"/etc/ufw/applications.d/{ufw_rules.profile_name(owner)}"


def _says(profile_file: Optional[str], profiles: list[ufw_rules.Profile]) -> bool:
    """Whether the file lists these profiles; its comments are for people."""
    if not profiles:
        return profile_file is None
    wanted = ufw_rules.profile_file("", profiles, ())
    sections = [[line for line in (text or "").splitlines() if line.startswith(("[", "ports="))] for text in (profile_file, wanted)]
    return sections[0] == sections[1]


def _is_any_sets(rule: Rule) -> bool:
    return rule.comment.startswith("dapp_vmstation-")


def _hidden(user: list[Rule], ours: list[Rule]) -> bool:
    first_denial = next((index for index, rule in enumerate(user) if rule not in ours and rule.denies_everyone(ours)), len(user))
    return any(rule in ours for rule in user[first_denial:])


def _hides(user: list[Rule], ours: list[Rule]) -> bool:
    """Whether a rule for some sources stands behind one of ours that it could stand in front of."""
    foreign = [rule for rule in user if rule not in ours]
    out_of_reach = overruled(foreign, ours)
    first = next((index for index, rule in enumerate(user) if rule in ours), len(user))
    return any(rule.restricts and rule not in ours and rule not in out_of_reach and any(map(rule.meets, ours)) for rule in user[first:])


def _damage_of_jumps(owner: str, family: int, loaded: str, runtime: PortSet) -> list[str]:
    damage = []
    for side in ufw_blocks.SIDES:
        jumps = [rule.jump for rule in rules_of(loaded, ufw_blocks.ufw_chain(family, side))]
        before_user = jumps[: jumps.index(user)] if (user := ufw_rules.user_chain(family).replace("input", side)) in jumps else jumps
        ours = ufw_blocks.own_chain(owner, side)
        if ufw_blocks.chain_rules(owner, family, runtime) and ours not in before_user:
            damage.append(f"{ufw_blocks.ufw_chain(family, side)} does not lead to {ours}")
    return damage


def _setting(text: Optional[str], name: str) -> str:
    """A variable of a file that ufw's shell reads, in lower case; the last assignment counts."""
    value = ""
    for line in (text or "").splitlines():
        key, separator, rest = line.strip().partition("=")
        if separator and key.strip() == name:
            value = rest.split("#")[0].strip().strip("\"'").lower()
    return value
