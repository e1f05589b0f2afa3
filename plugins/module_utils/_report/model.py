# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The parts of a report, and its groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .._findings import STATES, State
from .._refusal import Refusal

# The groups of a report, and the user's choice of them

TITLES = {
    "plan": "Plan",
    "hosts": "Hosts",
    "firewall": "Firewall",
    "nodes": "Nodes",
    "control_plane": "Control plane",
    "certificates": "Certificates",
    "api": "API",
    "workloads": "Workloads",
    "storage": "Storage",
    "monitoring": "Monitoring",
    "calico": "Calico",
    "dns": "DNS",
    "services": "Services",
    "pod_network": "Pod network",
    "drift": "Drift",
}

BY_NAME_ONLY = {"pod_network"}
"""Groups that run only on request: they create Pods, while all others only read."""

OF_THE_PLAN = {"plan", "firewall", "calico", "dns", "services", "pod_network", "drift"}
"""Groups that compare with the network plan, and cannot check anything without one."""


def chosen_groups(only: object, plan: bool = True) -> list[str]:
    """Return the groups of ``check_only``, a list or a comma-separated string, in the report's order.

    Empty: all groups that only read. plan: whether there is a network plan; without one, the groups that need none.
    """
    if not isinstance(only, (str, list, tuple)) or not all(isinstance(one, str) for one in only):
        raise Refusal("check_only", repr(only), "group names, separated by commas", _choice())
    parts: Iterable[str] = only.split(",") if isinstance(only, str) else only
    wanted = {part.strip() for part in parts} - {""}
    unknown = sorted(wanted - set(TITLES))
    if unknown:
        raise Refusal("check_only", f"unknown group {', '.join(unknown)}", "group names", _choice())
    chosen = [group for group in TITLES if group in wanted or (not wanted and group not in BY_NAME_ONLY)]
    return [group for group in chosen if plan or group not in OF_THE_PLAN]


def _choice() -> str:
    return f"Choose from {', '.join(TITLES)}."


# The options of check_report

ARGUMENTS: dict[str, Any] = {
    "results": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "group": {"type": "str", "required": True, "choices": list(TITLES)},
            "check": {"type": "str", "required": True},
            "host": {"type": "str", "default": ""},
            "result": {"type": "dict", "required": True},
        },
    },
    "plan": {"type": "dict", "default": {}},
    "unchecked": {"type": "list", "elements": "str", "default": [], "choices": list(TITLES)},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "raw"},
            "mac": {"type": "str"},
            "role": {"type": "str"},
            "sleeps": {"type": "bool"},
        },
    },
    "asleep": {"type": "list", "elements": "str", "default": []},
    "derived": {"type": "dict"},
    "cluster": {"type": "str", "default": "cluster"},
    "generated_at": {"type": "str", "required": True},
    "directory": {"type": "path"},
    "verbose": {"type": "bool", "default": False},
}


# The parts of a report

Outcome = Literal["healthy", "broken", "unknown"]
Mark = State
MARKS = STATES


def worst(marks: Iterable[Mark]) -> Mark:
    """Return the worst mark; ``unknown`` without any, as what was not checked is not fine."""
    return max(marks, key=MARKS.index, default="unknown")


def counted(mark: Mark, count: int) -> str:
    """Return a count of a mark in words."""
    if mark == "ok":
        return f"{count} {'matches' if count == 1 else 'match'} the plan"
    plural = "s" if mark in {"error", "warning"} and count != 1 else ""
    return f"{count} {mark}{plural}"


@dataclass(frozen=True)
class Entry:
    """One check. host: where it runs, empty for the controller. result: its registered result, empty if it never ran."""

    group: str
    check: str
    host: str
    result: Mapping[str, Any] = field(hash=False)

    @property
    def is_unreachable(self) -> bool:
        return bool(self.result.get("unreachable"))

    @property
    def has_run(self) -> bool:
        """Return whether the check has a result. A check also has one if its findings failed the task."""
        return "findings" in self.result or bool(self.result and not self.is_unreachable and not self.result.get("failed"))


@dataclass(frozen=True)
class Line:
    """One line about a checked object. hosts: those that it is about, none for the cluster."""

    group: str
    subject: str
    mark: Mark
    finding: str
    expected: str = ""
    fix: str = ""
    rule: str = ""
    hosts: tuple[str, ...] = ()

    @property
    def host(self) -> str:
        """The only host that the line is about, or an empty string."""
        return self.hosts[0] if len(self.hosts) == 1 else ""

    @property
    def leaves_outcome_unknown(self) -> bool:
        """Return whether something essential could not be read. The cluster runs without an installation source."""
        return self.mark == "unknown" and self.rule.endswith("_can_be_read") and self.rule != "source_directory_can_be_read"


FOLDED = 3
"""More warnings than this about one list of the plan are reported as one."""


def folded(lines: Sequence[Line]) -> list[list[Line]]:
    """Return each line alone, but the warnings about one list of the plan together, if they are many."""
    of_list: dict[str, list[Line]] = {}
    for line in lines:
        if line.mark == "warning" and line.subject.startswith("network_plan."):
            of_list.setdefault(list_of(line), []).append(line)
    found: list[list[Line]] = []
    for line in lines:
        several = of_list.get(list_of(line), []) if line.mark == "warning" else []
        if len(several) <= FOLDED:
            found.append([line])
        elif line is several[0]:
            found.append(several)
    return found


def list_of(line: Line) -> str:
    """Return the list of the plan that the line is about, such as network_plan.declared_ports."""
    return ".".join(line.subject.split(".")[:2])


@dataclass(frozen=True)
class Fact:
    """One group's line on a host's card."""

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
    """The pod-to-pod connectivity between two hosts."""

    source: str
    target: str
    kind: str
    mark: Mark
    text: str


@dataclass(frozen=True)
class Port:
    """An open port that follows from the plan."""

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
    """The networks in the picture."""

    node_cidrs: tuple[str, ...]
    gateways: tuple[str, ...]
    pod_cidrs: tuple[str, ...]
    service_cidrs: tuple[str, ...]
    dns_service_ips: tuple[str, ...]
    encapsulation: str


@dataclass(frozen=True)
class Report:
    """The whole report. groups: those that were checked. api_calls: as far as the checks count them."""

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
    def outcome(self) -> Outcome:
        """Return whether the cluster is healthy: no error, and everything essential could be read."""
        if self.worst == "error":
            return "broken"
        return "unknown" if not self.lines or any(line.leaves_outcome_unknown for line in self.lines) else "healthy"

    @property
    def message(self) -> str:
        """The outcome and the counts in one sentence."""
        words = {
            "healthy": f"{self.cluster} is healthy",
            "broken": f"{self.cluster} is broken",
            "unknown": f"It could not be determined whether {self.cluster} is healthy",
        }
        return f"{words[self.outcome]}: {self.verdict}"

    @property
    def counts(self) -> dict[Mark, int]:
        return {mark: sum(line.mark == mark for line in self.lines) for mark in MARKS}

    @property
    def verdict(self) -> str:
        """The report in one sentence. Many warnings about one list count once."""
        marks = [several[0].mark for several in folded(self.lines)]
        parts = [counted(mark, marks.count(mark)) for mark in reversed(MARKS) if mark in marks]
        return ", ".join(parts) or "nothing was checked"
