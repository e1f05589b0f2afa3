# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every check returns: what it looked at, and what it found, what is required, and the next step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info", "unknown"]
State = Literal["ok", "asleep", "warning", "unknown", "error"]
STATES: tuple[State, ...] = ("ok", "asleep", "warning", "unknown", "error")
"""From best to worst."""
FailOn = Literal["error", "warning", "never"]


@dataclass(frozen=True)
class Finding:
    """The result of checking one thing.

    rule: the truth that does not hold, as a snake_case sentence (``dns_service_ip_is_a_service_address``).
    subject: the thing that was checked, in the reader's words (``network_plan.pod_cidr``, ``host homelab``).
    severity: ``unknown`` if the thing could not be checked, because it could not be read.
    found, expected: both sides of the contradiction. fix: the next step, an imperative sentence.
    hosts: those that it is about; two for what is between them; none if it is about the cluster, or the host that the check runs on.
    """

    rule: str
    severity: Severity
    subject: str
    found: str
    expected: str
    fix: str
    hosts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.severity}: {self.subject}: found {self.found}; expected {self.expected}. {self.fix}"


@dataclass(frozen=True)
class LookedAt:
    """Something that a check looked at, whether or not there is a finding about it.

    facts: what was seen, in a few words. state: ``ok``, ``asleep``, or the worst severity of the findings about it.
    hosts: as in a finding.
    """

    subject: str
    facts: str
    state: State = "ok"
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """What a check of one thing found."""

    findings: Sequence[Finding]
    looked_at: Sequence[LookedAt]


def state_of(findings: Iterable[Finding]) -> State:
    """The worst severity, as a state; ``ok`` without findings."""
    severities = (finding.severity for finding in findings)
    return max(("ok" if severity == "info" else severity for severity in severities), key=STATES.index, default="ok")


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    return [{**asdict(finding), "hosts": list(finding.hosts)} for finding in findings]


def as_result(findings: Iterable[Finding], looked_at: Iterable[LookedAt]) -> dict[str, list[dict[str, Any]]]:
    """What every check returns, and playbooks/check.yml reports."""
    return {"findings": as_dicts(findings), "looked_at": [{**asdict(one), "hosts": list(one.hosts)} for one in looked_at]}


def as_result_of_groups(verdicts: Mapping[str, Verdict]) -> dict[str, list[dict[str, Any]]]:
    """What a check of several groups of the report returns: each entry has its group."""
    results = {group: as_result(verdict.findings, verdict.looked_at) for group, verdict in verdicts.items()}
    return {key: [{"group": group, **one} for group, result in results.items() for one in result[key]] for key in ("findings", "looked_at")}


def failures(findings: Iterable[Finding], fail_on: FailOn) -> list[Finding]:
    """The findings that make a check fail. ``fail_on=warning`` is stricter than ``error``, and includes unknown."""
    failing = {"never": frozenset(), "error": {"error"}, "warning": {"error", "unknown", "warning"}}[fail_on]
    return [finding for finding in findings if finding.severity in failing]


def failure_message(failing: list[Finding]) -> str:
    """The text of a failed check: every finding that made it fail, a line each."""
    count = f"{len(failing)} finding{'s' if len(failing) != 1 else ''}"
    return "\n".join([f"{count} must be fixed first:", *(f"- {finding}" for finding in failing)])
