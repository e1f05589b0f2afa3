# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Node ports that only some may reach, beside a firewall that judges after the DNAT: an nftables table of our own.

ufw and firewalld have no place before the DNAT that their reload keeps. A drop is final in whatever table it stands, so a small table
of ours is enough; a drop-in makes the firewall's own unit load it first at boot.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Step
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import (
    NOTHING,
    Opening,
    PortSet,
    canonical_networks,
    networks,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ports import merge

NFT = "/usr/sbin/nft"
FRAME = (
    "type filter hook prerouting priority mangle; policy accept;",
    'iif "lo" accept',
    "fib daddr type != local accept",
    "ct state established,related accept",
)
RULE = re.compile(
    r"(?:ip6? saddr (?P<source>\S+) )?(?:(?P<protocol>tcp|udp|sctp) dport (?P<first>\d+)(?:-(?P<last>\d+))? )?(?P<verdict>accept|drop)"
)


def table(owner: str) -> str:
    return f"vmstation-guard-{owner}"


def file_path(owner: str) -> str:
    return f"/etc/vmstation/guard-{owner}.nft"


def drop_in_path(owner: str, unit: str) -> str:
    return f"/etc/systemd/system/{unit}.d/vmstation-{owner}.conf"


def ruleset(owner: str, wanted: PortSet) -> str:
    """What `nft -f` reads: the table made anew in one transaction, or taken away."""
    # the first line makes the second one right whether the table stands or not
    text = f"table inet {table(owner)}\ndelete table inet {table(owner)}\n"
    if not wanted.guarded:
        return text
    rules = [*FRAME, *(f"{_source(network)}accept" for network in wanted.trusted)]
    for opening in wanted.guarded:
        ports = f"{opening.protocol} dport {opening.ports} "
        rules += [*(f"{_source(source)}{ports}accept" for source in opening.sources), f"{ports}drop"]
    lines = [f"table inet {table(owner)} {{", "\tchain prerouting {", *(f"\t\t{rule}" for rule in rules), "\t}", "}"]
    return text + "\n".join(lines) + "\n"


def files(owner: str, unit: str, wanted: PortSet) -> Mapping[str, Optional[str]]:
    """The table for the next boot, and the drop-in that loads it before the firewall's unit; None removes."""
    path = file_path(owner)
    if not wanted.guarded:
        return {drop_in_path(owner, unit): None, path: None}
    # the minus: a firewall without this table is better than none
    return {path: ruleset(owner, wanted), drop_in_path(owner, unit): f"[Service]\nExecStartPre=-{NFT} -f {path}\n"}


def steps(owner: str, wanted: PortSet, *, drop_in_changes: bool) -> tuple[Step, ...]:
    reload_units = (Step(("systemctl", "daemon-reload")),) if drop_in_changes else ()
    return (Step(("nft", "-f", "-"), ruleset(owner, wanted)), *reload_units)


def parse(text: str) -> Optional[PortSet]:
    """The guarded part and the trusted networks of our table, from our file or from `nft list table`.

    NOTHING for an empty text. None if a rule is not as we write it.
    """
    if not text.strip():
        return NOTHING
    body = text.partition("chain prerouting {")[2].partition("}")[0]
    rules = [line.strip() for line in body.splitlines() if line.strip()]
    if rules[: len(FRAME)] != list(FRAME):
        return None
    trusted: list[str] = []
    let_in: list[Opening] = []
    shut: list[Opening] = []
    for line in rules[len(FRAME) :]:
        match = RULE.fullmatch(line)
        if match is None:
            return None
        source, first = match["source"], int(match["first"] or 0)
        if match["verdict"] == "accept" and source and not first:
            trusted.append(source)
        elif match["verdict"] == "accept" and source:
            let_in.append(Opening(match["protocol"], first, int(match["last"] or first), (source,)))
        elif first and not source:
            shut.append(Opening(match["protocol"], first, int(match["last"] or first)))
        else:
            return None
    guarded = merge(let_in)
    if merge(shut) != merge([Opening(opening.protocol, opening.first, opening.last) for opening in guarded]):
        return None
    return PortSet((), canonical_networks(networks(trusted)), guarded)


def guarded(owner: str, where: str, standing: PortSet, text: str, damage: list[str]) -> PortSet:
    """The set with the guarded part that a text of our table tells; what is not as we write it goes into ``damage``."""
    told = parse(text)
    if told is None or (told.guarded and told.trusted != standing.trusted):
        damage.append(f"the table inet {table(owner)} is not as it was written ({where})")
    return PortSet(standing.openings, standing.trusted, told.guarded if told else ())


def _source(network: str) -> str:
    """`nft list` shows a single host without its length."""
    address, _slash, length = network.partition("/")
    family, whole = ("ip6", "128") if ":" in address else ("ip", "32")
    return f"{family} saddr {address if length == whole else network} "
