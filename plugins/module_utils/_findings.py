# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One voice for all checks: what a check found, what is required, and the next step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "info"]
FailOn = Literal["error", "warning", "never"]


@dataclass(frozen=True)
class Finding:
    """A judgement of one thing.

    rule: the truth that does not hold, as a snake_case sentence (``dns_service_ip_is_a_service_address``).
    subject: the thing that was judged, in the reader's words (``network_plan.pod_cidr``, ``host homelab``).
    found, expected: both sides of the contradiction. fix: the next step, an imperative sentence.
    """

    rule: str
    severity: Severity
    subject: str
    found: str
    expected: str
    fix: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.subject}: found {self.found}; expected {self.expected}. {self.fix}"


def as_dicts(findings: Iterable[Finding]) -> list[dict[str, str]]:
    return [asdict(finding) for finding in findings]


def failures(findings: Iterable[Finding], fail_on: FailOn) -> list[Finding]:
    """The findings that make a check fail. ``fail_on=warning`` is stricter than ``error``."""
    failing = {"never": frozenset(), "error": {"error"}, "warning": {"error", "warning"}}[fail_on]
    return [finding for finding in findings if finding.severity in failing]


def failure_message(failing: list[Finding]) -> str:
    """The text of a failed check: every finding that made it fail, a line each."""
    count = f"{len(failing)} finding{'s' if len(failing) != 1 else ''}"
    return "\n".join([f"{count} must be fixed first:", *(f"- {finding}" for finding in failing)])
