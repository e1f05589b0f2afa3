# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report consists of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Mark = Literal["ok", "asleep", "warning", "unknown", "error"]

MARKS: tuple[Mark, ...] = ("ok", "asleep", "warning", "unknown", "error")
"""From best to worst."""


def worst(marks: Iterable[Mark]) -> Mark:
    """The worst of the marks. Of none, ``unknown``: what nobody has looked at is not fine."""
    return max(marks, key=MARKS.index, default="unknown")


def counted(mark: Mark, count: int) -> str:
    """So many things of a mark, in words."""
    plural = "s" if mark in {"error", "warning"} and count != 1 else ""
    return f"{count} {'as planned' if mark == 'ok' else mark}{plural}"


@dataclass(frozen=True)
class Entry:
    """One check that was to run. host: where, empty for the controller. result: as its task has registered it, empty if it never ran."""

    group: str
    check: str
    host: str
    result: Mapping[str, Any] = field(hash=False)


@dataclass(frozen=True)
class Line:
    """One thing and what is to be said of it. host: whose thing it is, empty for the cluster's."""

    group: str
    subject: str
    mark: Mark
    finding: str
    expected: str = ""
    fix: str = ""
    rule: str = ""
    host: str = ""

    def is_about(self, name: str) -> bool:
        """Whether it is about this host: alone, or as one end of a pair."""
        return self.host == name or (self.subject.startswith("nodes ") and name.lower() in self.subject.lower().replace(",", " ").split())


@dataclass(frozen=True)
class Fact:
    """What a host's card says of one group."""

    group: str
    mark: Mark
    text: str


@dataclass(frozen=True)
class Host:
    """A host of the cluster. power: awake, asleep, unreachable, or unknown."""

    name: str
    addresses: tuple[str, ...]
    role: str
    power: str
    mark: Mark
    facts: tuple[Fact, ...]


@dataclass(frozen=True)
class Link:
    """How the pods of two hosts reach each other."""

    source: str
    target: str
    kind: str
    mark: Mark
    text: str


@dataclass(frozen=True)
class Port:
    """An opening that follows from the plan."""

    role: str
    opening: str
    sources: tuple[str, ...]
    name: str
    reason: str
    document: str


@dataclass(frozen=True)
class ServiceMark:
    """A Service of the plan. node_port: 0 for none."""

    namespace: str
    name: str
    node_port: int
    mark: Mark


@dataclass(frozen=True)
class Network:
    """What the picture says of the networks."""

    node_cidrs: tuple[str, ...]
    gateways: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    dns_service_ips: tuple[str, ...]
    encapsulation: str


@dataclass(frozen=True)
class Report:
    """The whole report. groups: those that were looked at. api_calls: as far as the checks count them."""

    cluster: str
    generated_at: str
    groups: tuple[str, ...]
    lines: tuple[Line, ...]
    network: Network
    hosts: tuple[Host, ...]
    links: tuple[Link, ...]
    services: tuple[ServiceMark, ...]
    ports: tuple[Port, ...]
    api_calls: int

    @property
    def worst(self) -> Mark:
        return worst(line.mark for line in self.lines)

    @property
    def counts(self) -> dict[Mark, int]:
        return {mark: sum(line.mark == mark for line in self.lines) for mark in MARKS}

    @property
    def verdict(self) -> str:
        """The report in one sentence."""
        counts = self.counts
        parts = [counted(mark, counts[mark]) for mark in reversed(MARKS) if counts[mark]]
        return ", ".join(parts) or "nothing was looked at"
