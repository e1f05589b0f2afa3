# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ufw backend: profiles and their rules, a marked block for what ufw's syntax lacks, and one commit per IP version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_network
from typing import ClassVar, Optional

from .._host.commands import Commands
from .._refusal import Refusal
from . import guard_table, ufw_rules
from .backend import Backend, ReadText, Standing, Step, Transaction
from .model import NOTHING, PROTOCOLS_WITH_PORTS, Opening, PortSet, canonical_networks, for_families, merge, networks, of_family
from .ufw_rules import DENIALS, PROFILE_PROTOCOLS, Rule, overruled, parse_rule, port_groups, protocol_names, rules_of, sources_in

# What ufw's syntax cannot express (IP protocols, SCTP, trusted networks): a marked block in after.rules and after6.rules
#
# The block declares our own chains and jumps to them from ufw's. Loading the file again empties and fills them, so a reload duplicates
# nothing. The chains of after.rules come after the user's rules, so denials of some sources there stay in effect. If a user's rule denies
# everyone, the block is in before.rules, where earlier releases always put it.

SIDES = ("input", "forward")
STAGES = ("before", "after")


def own_chain(owner: str, side: str) -> str:
    """Return the name of our chain of one side; at most 28 characters (iptables' limit) for an owner of at most 16."""
    return f"vmstation-{owner}-{side[0]}"


def ufw_chain(family: int, stage: str, side: str) -> str:
    return f"ufw{'6' if family == 6 else ''}-{stage}-{side}"


def own_jump(owner: str, family: int, stage: str, side: str) -> str:
    """Return the jump from ufw's chain into ours: at the end of ufw's before chain, or at the start of its after chain."""
    return f"{'-A' if stage == 'before' else '-I'} {ufw_chain(family, stage, side)} -j {own_chain(owner, side)}"


def missing_denial(user: Iterable[Rule], own_rules: Sequence[str]) -> Optional[Rule]:
    """Return the user's rule for all ports that denies everyone, so that our rules after it would have no effect."""
    ours = [parse_rule(line) for line in own_rules]
    return next((rule for rule in user if not rule.ports and rule.denies_everyone(ours)), None)


def stage_of(user: Iterable[Rule], own_rules: Sequence[str]) -> str:
    return "before" if missing_denial(user, own_rules) else "after"


def chain_rules(owner: str, family: int, wanted: PortSet) -> list[str]:
    """Return the rules of our chains of one family."""
    entering, passing = own_chain(owner, "input"), own_chain(owner, "forward")
    rules = []
    for opening in wanted.openings:
        if opening.protocol not in PROFILE_PROTOCOLS:
            for source in sources_in(family, opening.sources):
                rules.append(f"-A {entering}{f' -s {source}' if source else ''} {_match(opening)} -j ACCEPT")
    for network in of_family(wanted.trusted, family):
        rules += [f"-A {entering} -s {network} -j ACCEPT", f"-A {passing} -s {network} -j ACCEPT", f"-A {passing} -d {network} -j ACCEPT"]
    return rules


def lets_in(family: int, wanted: PortSet, denial: Rule) -> bool:
    """Return whether our chains, if they come first, accept what a user's rule denies a source."""
    trusted = [ip_network(network) for network in of_family(wanted.trusted, family)]
    if denial.chain.endswith("-forward"):  # packets to a trusted network pass, whatever their source
        return bool(trusted)
    before = [
        ip_network(source)
        for opening in wanted.openings
        if opening.protocol not in PROFILE_PROTOCOLS and not denial.ports
        for source in sources_in(family, opening.sources) or ()
        if source
    ]
    return any(ip_network(denial.source, strict=False).overlaps(network) for network in (*trusted, *before))


def own_block(owner: str, family: int, wanted: PortSet, stage: str) -> str:
    """Return the marked lines for the rules file of a stage; empty if this family needs none."""
    rules = chain_rules(owner, family, wanted)
    if not rules:
        return ""
    begin, end = _markers(owner)
    lines = [
        begin,
        *(f":{own_chain(owner, side)} - [0:0]" for side in SIDES),
        *rules,
        *(own_jump(owner, family, stage, side) for side in SIDES),
        end,
    ]
    return "".join(f"{line}\n" for line in lines)


def own_block_in(owner: str, rules_file: str) -> str:
    """Return our marked lines from a file; empty if there are none."""
    place = _place(owner, rules_file)
    return "" if place is None else rules_file[place[0] : place[1]]


def with_block(path: str, owner: str, rules_file: str, ours: str) -> str:
    """Replace, add (at the end of the filter table) or remove our block in the file; all other bytes stay."""
    place = _place(owner, rules_file)
    if place is not None:
        return rules_file[: place[0]] + ours + rules_file[place[1] :]
    if not ours:
        return rules_file
    offset = 0
    table = ""
    for line in rules_file.splitlines(keepends=True):
        if line.startswith("*"):
            table = line.strip()
        elif line.strip() == "COMMIT" and table == "*filter":
            return rules_file[:offset] + ours + rules_file[offset:]
        offset += len(line)
    raise Refusal(path, "no `*filter` that ends with `COMMIT`", "a rules file as ufw ships it", "Restore the file, then run again.")


def _markers(owner: str) -> tuple[str, str]:
    return (
        f"# BEGIN vmstation-{owner} (vmstation.cluster.firewall_ports: written whole, changes are lost)",
        f"# END vmstation-{owner}",
    )


def _place(owner: str, rules_file: str) -> Optional[tuple[int, int]]:
    begin, end = (f"{marker}\n" for marker in _markers(owner))
    start = _line_start(rules_file, begin)
    if start < 0:
        return None
    stop = _line_start(rules_file, end, start)
    return None if stop < 0 else (start, stop + len(end))


def _line_start(text: str, line: str, start: int = 0) -> int:
    if text.startswith(line, start):
        return start
    found = text.find(f"\n{line}", start)
    return found if found < 0 else found + 1


def _match(opening: Opening) -> str:
    if not opening.has_ports:
        return f"-p {opening.protocol}"
    ports: Sequence[str] = port_groups([opening])
    return f"-p {opening.protocol} -m multiport --dports {ports[0]}"


# Changes of ufw's loaded rules as one `iptables-restore --noflush` text, in the same positions as after a reload


def changes(owner: str, family: int, loaded: str, entries: Sequence[str], own_rules: Sequence[str]) -> str:
    """Return the change from the `iptables-save -t filter` output to these entries and own rules; empty if there is none.

    Rules are deleted by their text, not their number, so a rule that another process adds meanwhile is never deleted.
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
    """Empty and fill our chains, or remove them; jump to them after the user's rules, or before them if needed."""
    stage = stage_of(rules_of(loaded, *ufw_rules.user_chains(family)), own_rules)
    lines: list[str] = []
    fill: list[str] = []
    for side in SIDES:
        ours = own_chain(owner, side)
        # a remaining jump would prevent the removal of the chain
        jumps = [rule for rule in rules_of(loaded, mentioning=ours) if rule.jump == ours]
        if own_rules:
            lines.append(f":{ours} - [0:0]")
        lines += [f"-D{rule.line[2:]}" for rule in jumps]
        if own_rules:
            fill.append(_jump(owner, family, stage, side, loaded))
        elif f":{ours} " in loaded:
            lines += [f"-F {ours}", f"-X {ours}"]
    return [*lines, *own_rules, *fill]


def _jump(owner: str, family: int, stage: str, side: str, loaded: str) -> str:
    chain, ours = ufw_chain(family, stage, side), own_chain(owner, side)
    foreign = [rule.jump for rule in rules_of(loaded, chain) if rule.jump != ours]
    user = ufw_rules.user_chain(family).replace("input", side)
    if stage == "before" and user in foreign:
        return f"-I {chain} {foreign.index(user) + 1} -j {ours}"
    return own_jump(owner, family, stage, side)


# The backend: profiles and their rules among ufw's own, the block in after.rules, and one commit per family, no reload

SETTINGS = "/etc/ufw/ufw.conf"
DEFAULTS = "/etc/default/ufw"
IPV6_IS_DISABLED = "/sys/module/ipv6/parameters/disable"
USER_RULES = {4: "/etc/ufw/user.rules", 6: "/etc/ufw/user6.rules"}
STAGE_RULES = {(stage, family): f"/etc/ufw/{stage}{'6' if family == 6 else ''}.rules" for stage in STAGES for family in (4, 6)}
SAVE = {4: "iptables-save", 6: "ip6tables-save"}
RESTORE = {4: "iptables-restore", 6: "ip6tables-restore"}
UNIT = "ufw.service"
UNIT_AT_BOOT = f"/etc/systemd/system/multi-user.target.wants/{UNIT}"


class Ufw(Backend):
    """ufw 0.36 and later, with either iptables variant."""

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
        # as ufw itself, which leaves IPv6 out on a host that was booted with ipv6.disable=1
        is_disabled = (self._read_text(IPV6_IS_DISABLED) or "").strip() == "1"
        return frozenset({4, 6} if _setting(self._read_text(DEFAULTS), "IPV6") == "yes" and not is_disabled else {4})

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        profiles = ufw_rules.profiles_of("", wanted.openings)
        passed_by = tuple(
            f"{USER_RULES[family]}: `{rule.line}` has no effect on this set's IP protocols, SCTP and trusted networks: they are accepted "
            f"before it, as `{denial.line}` denies everyone. Delete that rule (`ufw status numbered`, `ufw delete`), rely on "
            "`ufw default deny`, then run again."
            for family in sorted(self.families())
            for user in [self._user_rules(family)]
            for denial in [missing_denial(user, chain_rules("", family, wanted))]
            for rule in user
            if denial and rule.jump in DENIALS and rule.source and lets_in(family, wanted, rule)
        )
        return passed_by + tuple(
            f"{USER_RULES[family]}: `{rule.line}` comes after a rule that denies everyone: it has no effect on what this set opens. "
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
        if not _lists(self._read_text(_profile_path(owner)), ufw_rules.profiles_of(owner, permanent.openings)):
            damage.append(f"{_profile_path(owner)} does not list what ufw's rules files open")
        drop_in = self._read_text(guard_table.drop_in_path(owner, UNIT))
        if drop_in != guard_table.files(owner, UNIT, permanent)[guard_table.drop_in_path(owner, UNIT)]:
            damage.append(f"{guard_table.drop_in_path(owner, UNIT)} does not load the node ports' table")
        warnings = () if self._read_text(UNIT_AT_BOOT) else (f"{UNIT} is not enabled: after a reboot ufw's rules are not loaded",)
        return Standing(runtime, permanent, tuple(damage), warnings)

    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        if wanted.has_guard and not self._commands.has("nft"):
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
            rules = self._existing(USER_RULES[family], managed)
            entries = ufw_rules.entries(family, profiles) if managed else []
            blocks = self._blocks(owner, family, wanted if managed else NOTHING)
            for path, block in blocks.items():
                own = self._existing(path, managed)
                if own is not None:
                    files[path] = with_block(path, owner, own, block)
            if rules is not None:
                files[USER_RULES[family]] = ufw_rules.with_entries(USER_RULES[family], ufw_rules.without_ours(owner, rules), entries)
            loaded = self._save(family) if managed else ""
            if managed and f":{ufw_rules.user_chain(family)} " not in loaded:
                raise Refusal(
                    f"ufw's rules for IPv{family}",
                    f"not loaded, with IPV6=yes in {DEFAULTS}",
                    "loaded rules, to change them",
                    "Run `ufw reload`, then run again.",
                )
            change = changes(owner, family, loaded, entries, chain_rules(owner, family, wanted)) if managed else ""
            if change:
                validate.append(Step((RESTORE[family], "--noflush", "--test"), change))
                activate.append(Step((RESTORE[family], "--noflush"), change))
        if not profiles:
            files[_profile_path(owner)] = None
        files.update(guard_table.files(owner, UNIT, wanted))
        changed = {path: text for path, text in files.items() if self._read_text(path) != text}
        if wanted.has_guard or self._loaded_guard(owner):
            drop_in_changes = guard_table.drop_in_path(owner, UNIT) in changed
            activate += guard_table.steps(owner, UNIT, wanted, drop_in_changes=drop_in_changes)
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

    def _user_rules(self, family: int) -> list[Rule]:
        return rules_of(self._read_text(USER_RULES[family]) or "", *ufw_rules.user_chains(family))

    def _blocks(self, owner: str, family: int, wanted: PortSet) -> dict[str, str]:
        """Return our block per rules file: in one of the two files, empty in the other."""
        stage = stage_of(self._user_rules(family), chain_rules(owner, family, wanted))
        return {STAGE_RULES[each, family]: own_block(owner, family, wanted, each) if each == stage else "" for each in STAGES}

    def _written(self, owner: str, family: int) -> str:
        """Return the part of the rules files that a reload would load, as one filter table."""
        files = [self._read_text(STAGE_RULES[stage, family]) or "" for stage in STAGES]
        blocks = "".join(own_block_in(owner, text) for text in files)
        return f"{self._read_text(USER_RULES[family]) or ''}*filter\n{blocks}"

    def _set_of(self, owner: str, where: str, tables: dict[int, str], guard: str, damage: list[str]) -> PortSet:
        """Return the set that filter tables and the guard's table allow; differences from what we write go into ``damage``."""
        openings: list[Opening] = []
        trusted: list[str] = []
        for family, text in tables.items():
            user = rules_of(text, ufw_rules.user_chain(family))
            ours = [rule for rule in user if ufw_rules.is_ours(owner, rule)]
            entering, passing = (rules_of(text, own_chain(owner, side)) for side in SIDES)
            strange = [rule for rule in (*ours, *entering, *passing) if rule.jump != "ACCEPT" or rule.conditions]
            damage += [f"{where} contain a rule of ours that differs from what we wrote: {rule.line}" for rule in strange]
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
                damage.append(f"{where} accept only one direction of a trusted network")
        standing = PortSet(merge(openings), canonical_networks(networks(trusted)))
        return for_families(guard_table.guarded(owner, where, standing, guard, damage), self.families())

    def _protocol(self, rule: Rule) -> str:
        return rule.protocol if rule.protocol in PROTOCOLS_WITH_PORTS else self._protocols.get(rule.protocol, rule.protocol)

    def _damage_of_files(self, owner: str, family: int, permanent: PortSet) -> list[str]:
        damage = []
        if not ufw_rules.tuples_agree(owner, self._read_text(USER_RULES[family]) or ""):
            damage.append(f"{USER_RULES[family]}: a rule of ours is not what `ufw status` shows of it")
        for path, block in self._blocks(owner, family, permanent).items():
            if own_block_in(owner, self._read_text(path) or "") != block:
                damage.append(f"{path}: our block is not as it was written, or not where the user's rules need it")
        return damage


def _profile_path(owner: str) -> str:
    return f"/etc/ufw/applications.d/{ufw_rules.profile_name(owner)}"


def _lists(profile_file: Optional[str], profiles: list[ufw_rules.Profile]) -> bool:
    """Return whether the file lists these profiles, whatever its comments."""
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
    """Return whether a rule for some sources follows one of ours, although it could precede it."""
    foreign = [rule for rule in user if rule not in ours]
    out_of_reach = overruled(foreign, ours)
    first = next((index for index, rule in enumerate(user) if rule in ours), len(user))
    return any(rule.restricts and rule not in ours and rule not in out_of_reach and any(map(rule.meets, ours)) for rule in user[first:])


def _damage_of_jumps(owner: str, family: int, loaded: str, runtime: PortSet) -> list[str]:
    damage = []
    own_rules = chain_rules(owner, family, runtime)
    stage = stage_of(rules_of(loaded, *ufw_rules.user_chains(family)), own_rules)
    for side in SIDES if own_rules else ():
        ours, chain = own_chain(owner, side), ufw_chain(family, stage, side)
        jumps = [rule.jump for rule in rules_of(loaded, chain)]
        in_front = jumps[: jumps.index(user)] if (user := ufw_rules.user_chain(family).replace("input", side)) in jumps else jumps
        if ours not in in_front:
            damage.append(f"{chain} does not jump to {ours}")
        strays = {rule.chain for rule in rules_of(loaded, mentioning=ours) if rule.jump == ours} - {chain}
        damage += [f"{stray} jumps to {ours} too" for stray in sorted(strays)]
    return damage


def _setting(text: Optional[str], name: str) -> str:
    """Return a variable of a file that ufw's shell reads, in lower case; the last assignment counts."""
    value = ""
    for line in (text or "").splitlines():
        key, separator, rest = line.strip().partition("=")
        if separator and key.strip() == name:
            value = rest.split("#")[0].strip().strip("\"'").lower()
    return value
