# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An nftables table that restricts node ports and the cluster's networks, for firewalls that filter after the DNAT.

ufw and firewalld have no place before the DNAT that survives their reload. A drop is final in any table, so a small table of our own is
enough. A systemd drop-in of the firewall's unit loads it first at boot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Optional

from .backend import Step
from .iptables_rules import single
from .model import NOTHING, PortSet
from .nftables_rules import rule_text
from .packets import BOTH, Rule, guard_rules, ports_of

NFT = "/usr/sbin/nft"
HOOK = "type filter hook prerouting priority mangle; policy accept;"
# as `nft list` shows them, however a file names them
ICMP_NAMES = {"1": "icmp", "58": "ipv6-icmp"}
RULE = re.compile(
    r"(?:meta nfproto ipv(?P<family>4|6) )?(?:ip6? saddr (?P<source>\S+) )?(?:ip6? daddr (?P<destination>\S+) )?"
    r"(?:(?P<protocol>tcp|udp|sctp) dport (?P<first>\d+)(?:-(?P<last>\d+))? )?(?P<verdict>return|drop)"
)


def table(owner: str) -> str:
    return f"vmstation-guard-{owner}"


def file_path(owner: str) -> str:
    return f"/etc/vmstation/guard-{owner}.nft"


def drop_in_path(owner: str, unit: str) -> str:
    return f"/etc/systemd/system/{unit}.d/vmstation-{owner}.conf"


def ruleset(owner: str, wanted: PortSet) -> str:
    """Return the input of `nft -f`: the table is recreated in one transaction, or removed."""
    # the first line makes the delete succeed whether or not the table exists
    text = f"table inet {table(owner)}\ndelete table inet {table(owner)}\n"
    if not wanted.has_guard:
        return text
    lines = [f"table inet {table(owner)} {{", "\tchain prerouting {", *(f"\t\t{rule}" for rule in _rules(wanted)), "\t}", "}"]
    return text + "\n".join(lines) + "\n"


def _rules(wanted: PortSet) -> list[str]:
    return [HOOK, *(_shown(rule) for rule in single(guard_rules(wanted, BOTH)))]


def _shown(rule: Rule) -> str:
    """Return a rule as `nft list` shows it: a single host without its prefix length, ICMP by its name."""
    named = replace(rule, protocol=ICMP_NAMES.get(rule.protocol, rule.protocol))
    return re.sub(r"(?<= )(\d+\.\d+\.\d+\.\d+)/32(?= )|(?<= )(\S+:\S*)/128(?= )", r"\1\2", rule_text(named, "inet"))


def files(owner: str, unit: str, wanted: PortSet) -> Mapping[str, Optional[str]]:
    """Return the table's file and the drop-in that loads it before the firewall's unit at boot; None removes."""
    path = file_path(owner)
    if not wanted.has_guard:
        return {drop_in_path(owner, unit): None, path: None}
    # the minus: if loading fails, the firewall still starts
    return {path: ruleset(owner, wanted), drop_in_path(owner, unit): f"[Service]\nExecStartPre=-{NFT} -f {path}\n"}


def steps(owner: str, unit: str, wanted: PortSet, *, drop_in_changes: bool) -> tuple[Step, ...]:
    load = Step(("nft", "-f", "-"), ruleset(owner, wanted))
    if not drop_in_changes:
        return (load,)
    reload_units = Step(("systemctl", "daemon-reload"))
    if wanted.has_guard:
        return (load, reload_units)
    # an empty directory of drop-ins has no effect
    directory = drop_in_path(owner, unit).rpartition("/")[0]
    return (load, Step(("rmdir", "--ignore-fail-on-non-empty", directory)), reload_units)


def guarded(owner: str, where: str, standing: PortSet, text: str, damage: list[str]) -> PortSet:
    """Add to the set what our table restricts. Differences from what we write go into ``damage``.

    text: our file, or the output of `nft list table`.
    """
    if not text.strip():
        return standing
    lines = [line.strip() for line in text.partition("chain prerouting {")[2].partition("}")[0].splitlines() if line.strip()]
    rules = [_read(match) for match in map(RULE.fullmatch, lines) if match]
    try:
        found = ports_of({family: ((), [rule for rule in rules if rule.family in {0, family}]) for family in sorted(BOTH)})
    except ValueError:  # a set in place of a network
        found = NOTHING
    guarded = replace(standing, guarded=found.guarded, protected=found.protected, confined=found.confined)
    if _rules(guarded) != lines:
        damage.append(f"the table inet {table(owner)} is not as it was written ({where})")
    return guarded


def _read(match: re.Match[str]) -> Rule:
    sources, destinations = ((_cidr(shown),) if shown else () for shown in (match["source"], match["destination"]))
    named = [*sources, *destinations]
    family = int(match["family"] or 0) if not named else 6 if ":" in named[0] else 4
    first = int(match["first"] or 0)
    return Rule(match["verdict"], match["protocol"] or "", first, int(match["last"] or first), sources, destinations, family)


def _cidr(shown: str) -> str:
    return shown if "/" in shown else f"{shown}/{128 if ':' in shown else 32}"
