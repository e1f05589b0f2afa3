# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rule is: a function named as the truth it asserts, with its severity and the way out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Cluster


@dataclass(frozen=True)
class Violation:
    """One case in which a rule's truth does not hold. fix, severity: when they differ from the rule's own."""

    subject: str
    found: str
    expected: str
    fix: str = ""
    severity: Optional[Severity] = None


@dataclass(frozen=True)
class Rule:
    """assertion: yields the violations of a cluster; what is not known (None) yields none."""

    assertion: Callable[[Cluster], Iterable[Violation]]
    severity: Severity
    fix: str

    @property
    def name(self) -> str:
        return self.assertion.__name__

    @property
    def truth(self) -> str:
        return (self.assertion.__doc__ or "").strip().splitlines()[0]

    def judge(self, cluster: Cluster) -> Iterator[Finding]:
        for case in self.assertion(cluster):
            yield Finding(self.name, case.severity or self.severity, case.subject, case.found, case.expected, case.fix or self.fix)
