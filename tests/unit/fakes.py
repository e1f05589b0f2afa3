# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's programs and a cluster's lists, by a script."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


class AnsweringHost:
    """A host's programs. A fake of a host defines what they answer: status, output and error output."""

    def has(self, _program: str) -> bool:
        return True

    def answer(self, argv: list[str], stdin: str) -> tuple[int, str, str]:
        raise NotImplementedError

    def run(self, argv: Sequence[str], *, stdin: str = "", timeout: float = 60.0, check: bool = True) -> Completed:
        return Completed(tuple(argv), *self.answer(list(argv), stdin))


class Script:
    """answers: output, or a Refusal, by the longest fitting beginning of the line. lines: what was run, and stdin: what it was given."""

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


class Lists:
    """A cluster. answers: the objects of each kind that it serves, or a Refusal. asked: the kinds that were listed."""

    server = "https://192.168.4.63:6443"

    def __init__(self, **answers: list[dict[str, Any]] | Refusal) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def serves(self, _api_version: str, kind: str) -> bool:
        return kind in self.answers

    def items(self, _api_version: str, kind: str, *_namespace: str, **_selectors: str) -> Iterator[dict[str, Any]]:
        self.asked.append(kind)
        answer = self.answers[kind]
        if isinstance(answer, Refusal):
            raise answer
        yield from answer

    def get(self, api_version: str, kind: str, name: str, _namespace: str = "") -> dict[str, Any] | None:
        return next((one for one in self.items(api_version, kind) if one["metadata"]["name"] == name), None)
