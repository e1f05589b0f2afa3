# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands by a script, for what the idle watch runs: the longest beginning that fits is the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


class Script:
    """answers: output, or a Refusal, by how the line begins. lines: what was run, and stdin: what it was given."""

    def __init__(self, answers: Mapping[str, str | Refusal]) -> None:
        self.answers = dict(answers)
        self.lines: list[str] = []
        self.stdin: list[str] = []
        self.missing: set[str] = set()

    def has(self, program: str) -> bool:
        return program not in self.missing

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        assert 0 < timeout <= 600
        line = " ".join(argv)
        self.lines.append(line)
        self.stdin.append(stdin)
        fitting = [start for start in self.answers if line.startswith(start)]
        answer = self.answers[max(fitting, key=len)] if fitting else ""
        if not isinstance(answer, Refusal):
            return Completed(tuple(argv), 0, answer, "")
        if check:
            raise answer
        return Completed(tuple(argv), 1, "", answer.found)

    def ran(self, start: str) -> list[str]:
        return [line for line in self.lines if line.startswith(start)]


def failure(found: str = "it failed") -> Refusal:
    return Refusal("command", found, "exit status 0", "Look.")
