# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""firewalld's rich rules, as far as we write them: as text for D-Bus, as elements for its files, and back into what they open."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional
from xml.etree import ElementTree
from zlib import crc32

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import EVERYONE, Opening, PortSet

MARKS = range(10001, 30001)
RULE = re.compile(
    r'rule(?: priority="(?P<priority>-?\d+)")?(?: family="(?P<family>ipv4|ipv6)")?'
    r'(?: source address="(?P<source>[^"]+)")?(?: destination address="(?P<destination>[^"]+)")?'
    r'(?: port port="(?P<ports>[0-9-]+)" protocol="(?P<transport>\w+)"| protocol value="(?P<protocol>[0-9]+)")? accept'
)


@dataclass(frozen=True)
class RichRule:
    """One accepting rule. source, destination: a network; empty: anyone. opening: without its sources; None: everything."""

    source: str = ""
    destination: str = ""
    opening: Optional[Opening] = None
    priority: int = 0

    def __str__(self) -> str:
        words = ["rule"]
        if self.priority:
            words.append(f'priority="{self.priority}"')
        if family := _family(self.source or self.destination):
            words.append(f'family="{family}"')
        if self.source and self.source not in EVERYONE.values():
            words.append(f'source address="{self.source}"')
        if self.destination:
            words.append(f'destination address="{self.destination}"')
        if self.opening and self.opening.has_ports:
            words.append(f'port port="{self.opening.ports}" protocol="{self.opening.protocol}"')
        elif self.opening:
            words.append(f'protocol value="{self.opening.protocol}"')
        return " ".join([*words, "accept"])

    def opens(self) -> Optional[Opening]:
        """What it lets in, with its source; None if it lets everything in."""
        if self.opening is None:
            return None
        return Opening(self.opening.protocol, self.opening.first, self.opening.last, (self.source,) if self.source else ())


def parse(text: str) -> Optional[RichRule]:
    """A rule as firewalld tells it; None if it is none that we would write."""
    match = RULE.fullmatch(text)
    if match is None:
        return None
    opening = None
    if match["ports"]:
        first, _dash, last = match["ports"].partition("-")
        opening = Opening(match["transport"], int(first), int(last or first))
    elif match["protocol"]:
        opening = Opening(match["protocol"])
    source = match["source"] or ""
    if not source and not match["destination"] and match["family"]:
        source = EVERYONE[4 if match["family"] == "ipv4" else 6]
    return RichRule(source, match["destination"] or "", opening, int(match["priority"] or 0))


def opening_rules(openings: Iterable[Opening], priority: int = 0) -> list[RichRule]:
    return [
        RichRule(source, "", Opening(opening.protocol, opening.first, opening.last), priority)
        for opening in openings
        for source in opening.sources or ("",)
    ]


def input_rules(wanted: PortSet) -> list[RichRule]:
    """The rules of our policy for packets to the host: what a service cannot say."""
    restricted = [opening for opening in wanted.openings if opening.sources]
    return [*opening_rules(restricted), *(RichRule(source=network) for network in wanted.trusted)]


def forward_rules(wanted: PortSet) -> list[RichRule]:
    """The rules of our policy for packets that pass."""
    return [rule for network in wanted.trusted for rule in (RichRule(source=network), RichRule(destination=network))]


def runtime_mark(owner: str) -> int:
    """The priority that tells an owner's rules in a running zone from other people's: no rich rule carries a name."""
    return MARKS[crc32(owner.encode()) % len(MARKS)]


def marked(owner: str, settings: Mapping[str, Any]) -> list[str]:
    """An owner's rules among a running zone's settings."""
    start = f'rule priority="{runtime_mark(owner)}" '
    return [rule for rule in settings.get("rules_str", []) if rule.startswith(start)]


def is_runtime_rule(text: str) -> bool:
    """Whether a rule of a running zone is one of some owner's."""
    rule = parse(text)
    return rule is not None and rule.opening is not None and rule.priority in MARKS


def element(rule: RichRule) -> str:
    """The rule as firewalld writes it into a policy's file."""
    family = _family(rule.source or rule.destination)
    lines = [f'  <rule family="{family}">' if family else "  <rule>"]
    if rule.source and rule.source not in EVERYONE.values():
        lines.append(f'    <source address="{rule.source}"/>')
    if rule.destination:
        lines.append(f'    <destination address="{rule.destination}"/>')
    if rule.opening and rule.opening.has_ports:
        lines.append(f'    <port port="{rule.opening.ports}" protocol="{rule.opening.protocol}"/>')
    elif rule.opening:
        lines.append(f'    <protocol value="{rule.opening.protocol}"/>')
    return "".join(f"{line}\n" for line in [*lines, "    <accept/>", "  </rule>"])


def from_element(rule: ElementTree.Element) -> str:
    """A rule of a file as the text that firewalld would tell of it, as far as `parse` knows such rules."""
    words = ["rule"]
    words += [f'{name}="{rule.attrib[name]}"' for name in ("priority", "family") if name in rule.attrib]
    parts = {part.tag: part for part in rule}
    for tag in ("source", "destination"):
        if tag in parts:
            words.append(f'{tag} address="{parts[tag].get("address", "")}"')
    if "port" in parts:
        words.append(f'port port="{parts["port"].get("port", "")}" protocol="{parts["port"].get("protocol", "")}"')
    if "protocol" in parts:
        words.append(f'protocol value="{parts["protocol"].get("value", "")}"')
    others = [part.tag for part in rule if part.tag not in ("source", "destination", "port", "protocol")]
    return " ".join([*words, *others])


def _family(network: str) -> str:
    if not network:
        return ""
    return "ipv6" if ":" in network else "ipv4"
