# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ufw's own syntax cannot say (IP protocols, SCTP, trusted networks): a marked block in before.rules and before6.rules.

The block declares chains of our own and jumps to them from ufw's; loading the file again empties and fills them, so that a reload
doubles nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, PortSet, of_family
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_iptables import Rule, port_groups, sources_in
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ufw_rules import PROFILE_PROTOCOLS
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

SIDES = ("input", "forward")


def own_chain(owner: str, side: str) -> str:
    """The chain of one side; at most 28 characters, as iptables wants it, for an owner's name of at most 16."""
    return f"vmstation-{owner}-{side[0]}"


def ufw_chain(family: int, side: str) -> str:
    return f"ufw{'6' if family == 6 else ''}-before-{side}"


def jump(owner: str, family: int, side: str) -> str:
    """The rule, without its `-A`, that leads from ufw's chain into ours."""
    return f"{ufw_chain(family, side)} -j {own_chain(owner, side)}"


def chain_rules(owner: str, family: int, wanted: PortSet) -> list[str]:
    """The rules of our chains of one family."""
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
    """Whether our chains, which come first, let in what a user's rule denies a source."""
    trusted = [ip_network(network) for network in of_family(wanted.trusted, family)]
    if denial.chain.endswith("-forward"):  # packets to a trusted network pass, whoever sends them
        return bool(trusted)
    before = [
        ip_network(source)
        for opening in wanted.openings
        if opening.protocol not in PROFILE_PROTOCOLS and not denial.ports
        for source in sources_in(family, opening.sources) or ()
        if source
    ]
    return any(ip_network(denial.source, strict=False).overlaps(network) for network in (*trusted, *before))


def block(owner: str, family: int, wanted: PortSet) -> str:
    """The marked lines for a rules file; empty if this family needs none."""
    rules = chain_rules(owner, family, wanted)
    if not rules:
        return ""
    begin, end = _markers(owner)
    lines = [
        begin,
        *(f":{own_chain(owner, side)} - [0:0]" for side in SIDES),
        *rules,
        *(f"-A {jump(owner, family, side)}" for side in SIDES),
        end,
    ]
    return "".join(f"{line}\n" for line in lines)


def block_in(owner: str, rules_file: str) -> str:
    """Our marked lines as they stand in a file; empty if there are none."""
    place = _place(owner, rules_file)
    return "" if place is None else rules_file[place[0] : place[1]]


def with_block(path: str, owner: str, rules_file: str, ours: str) -> str:
    """The file with our block replaced, added as the last of the filter table, or taken out; every other byte in its place."""
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
