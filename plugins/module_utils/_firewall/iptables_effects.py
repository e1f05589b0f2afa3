# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the rules of iptables do to others' packets, told by their conditions and never by who wrote them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_rules import words_of
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.iptables_text import Tables, is_our_jump
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import EVERYONE, Opening
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.precedence import (
    ACCEPTS,
    DENIES,
    LIMITS,
    RESTRICTS,
    Chains,
    Effect,
    can_deny,
    with_limits,
)

# Each is written, and put in its place again, by a program of its own: it may stand on either side of our jump, and what it
# drops is no firewall of the host's. DOCKER-USER is not Docker's but the owner's.
CHAINS_OF_PROGRAMS = ("KUBE-", "cali-", "DOCKER", "CNI-", "LIBVIRT_", "vmstation-")
CHAINS_OF_THE_OWNER = ("DOCKER-USER",)
DENIALS = frozenset({"DROP", "REJECT", "TARPIT"})
PORTS = frozenset({"--dport", "--dports", "--destination-port", "--destination-ports"})
# options that leave a rule for everyone, with the number of their values; each other one makes it narrower
FOR_EVERYONE = {
    "-m": 1, "--match": 1, "--comment": 1, "-c": 2, "--set": 0, "--name": 1, "--mask": 1, "--rsource": 0, "--rdest": 0, "--limit": 1,
    "--limit-burst": 1, "--icmp-type": 1, "--icmpv6-type": 1, "--reject-with": 1, "--syn": 0,
}  # fmt: skip
RATES = ("--limit", "--hashlimit", "--connlimit", "--hitcount")
WHERE = frozenset({"-i", "--in-interface", "-o", "--out-interface"})
NEW_CONNECTIONS = ("FIN,SYN,RST,ACK", "SYN")


@dataclass
class Conditions:
    """What a rule asks of a packet.

    narrow: some sources or states only. rated: a rate of each source. limited: a rate, of each source or of all.
    where: interfaces and destinations. beside: packets that no port of ours is for. some: any other condition.
    remembers: a list of sources grows by it.
    """

    target: str = ""
    narrow: bool = False
    rated: bool = False
    beside: bool = False
    some: bool = False
    remembers: bool = False
    limited: bool = False
    protocol: str = ""
    ports: list[tuple[int, int]] = field(default_factory=list)
    where: list[str] = field(default_factory=list)


def effects(tables: Tables, openings: Optional[Iterable[Opening]] = None, numbers: Optional[Mapping[str, str]] = None) -> Chains:
    """Of each chain of ``filter``, what its rules do; those of our own jumps left out.

    openings: a denial of other ports than these is nothing that we must stand in front of; None: every port counts.
    """
    needed = None if openings is None else list(openings)
    found: dict[Hashable, list[list[Effect]]] = {}
    for (table, chain), lines in tables.rules.items():
        if table == "filter" and not _is_programs(chain):
            asked = [(line, _conditions(words_of(line)[2:])) for line in lines if not is_our_jump(line)]
            rules = [[_effect(tables, line, conditions, needed, numbers or {})] for line, conditions in asked]
            found[chain] = with_limits(rules, is_base=tables.policies.get((table, chain), "-") != "-")
    return found


def can_refuse(tables: Tables, chain: str) -> bool:
    """Whether this chain of ``filter`` can drop or reject a packet of just anybody, by other than programs' own chains."""
    return tables.policies.get(("filter", chain)) in {"DROP", "REJECT"} or can_deny(effects(tables), chain)


def _effect(tables: Tables, line: str, asked: Conditions, needed: Optional[list[Opening]], numbers: Mapping[str, str]) -> Effect:
    narrow = asked.narrow or asked.rated
    everything = not (asked.some or narrow or asked.protocol or asked.ports)
    ports = (asked.protocol, tuple(asked.ports), tuple(sorted(asked.where)))
    matters = _matters(asked, needed, numbers)
    what = line if matters else ""
    if asked.target in DENIALS:
        if narrow:
            return Effect(RESTRICTS, what=what)
        return Effect(DENIES, everything=everything, what=what, ports=ports) if matters else Effect()
    if ("filter", asked.target) in tables.policies and not _is_programs(asked.target):
        return Effect(target=asked.target, narrow=narrow or not matters, everything=everything, what=what)
    # a rate is counted by it, a list made, or another program asked, which works only if the packets come by
    if asked.remembers or asked.target in {"SET", "NFQUEUE"}:
        return Effect(RESTRICTS, what=what)
    if asked.limited and not asked.narrow and asked.target in {"ACCEPT", "RETURN"}:
        accepts = asked.target == "ACCEPT"
        return Effect(LIMITS if accepts else "", what=what, ports=None if accepts and not asked.ports else ports)
    return Effect(ACCEPTS if asked.target == "ACCEPT" else "")


def _is_programs(chain: str) -> bool:
    return chain.startswith(CHAINS_OF_PROGRAMS) and chain not in CHAINS_OF_THE_OWNER


def _conditions(words: list[str]) -> Conditions:
    found = Conditions()
    position = 0
    while position < len(words):
        negated = words[position] == "!"
        position += negated
        option = words[position] if position < len(words) else ""
        values = words[position + 1 : position + 2]
        value = values[0] if values else ""
        position += 2
        found.limited = found.limited or option.startswith(RATES)
        found.where.extend([f"{negated} {option} {value}"] if option in {*WHERE, "-d", "--destination"} else [])
        if option in {"-j", "-g", "--jump", "--goto"}:
            found.target = value
        elif option in {"-p", "--protocol"} and not negated:
            found.protocol = "" if value in {"all", "0"} else value
        elif option in PORTS and not negated:
            found.ports.extend(_ranges(value))
        elif option in WHERE or option in PORTS or option in {"-p", "--protocol"}:
            found.some = True
        elif option in {"-s", "-d", "--source", "--destination"} and not negated and value in EVERYONE.values():
            continue
        elif option in {"-d", "--destination"}:
            found.some = True
            found.beside = found.beside or (not negated and _is_nobodys(value))
        elif option in {"--ctstate", "--state"}:
            found.some = True
            found.narrow = found.narrow or ("NEW" in value.split(",")) is negated
        elif option == "--tcp-flags":
            found.some = True
            found.narrow = found.narrow or negated or (value, "".join(words[position : position + 1])) != NEW_CONNECTIONS
            position += 1
        elif option == "--dst-type":
            found.some = True
            found.narrow = found.narrow or negated or value != "LOCAL"
        elif option in FOR_EVERYONE and not negated:
            found.remembers = found.remembers or option == "--set"
            found.some = found.some or option in {"--syn", "--limit", "--icmp-type", "--icmpv6-type"}
            position += FOR_EVERYONE[option] - 1
        else:
            found.rated = found.rated or option.startswith(RATES)
            found.narrow = found.narrow or not option.startswith(RATES)
            position -= value.startswith("-") or value == "!"
    return found


def _matters(found: Conditions, needed: Optional[list[Opening]], numbers: Mapping[str, str]) -> bool:
    """Whether this meets packets that we let in."""
    if found.beside:
        return False
    if needed is None or not (found.protocol or found.ports):
        return True
    protocol = numbers.get(found.protocol, found.protocol)
    return any(
        opening.protocol == protocol
        and (not found.ports or any(first <= opening.last and opening.first <= last for first, last in found.ports))
        for opening in needed
    )


def _ranges(text: str) -> list[tuple[int, int]]:
    """Ports; a name of a service is any port, as only the host's own files know it."""
    found = []
    for item in text.split(","):
        first, _colon, last = item.partition(":")
        ends = (first or "0", last or ("65535" if _colon else first))
        found.append((int(ends[0]), int(ends[1])) if all(end.isdigit() for end in ends) else (0, 65535))
    return found


def _is_nobodys(text: str) -> bool:
    """Loopback and groups: no address at which another host reaches this one."""
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return False
    return network.is_loopback or network.is_multicast or str(network) == "255.255.255.255/32"
