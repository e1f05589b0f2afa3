# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Line, Report

WIDEST = 48
"""Of a column that the next one is to stand beside; what is longer pushes only its own line."""


def table(report: Report) -> list[str]:
    """A line a thing, below it what is expected and the fix where there is something to do; the verdict last, where it stays in sight."""
    rows = [(line.mark.upper() if line.mark == "error" else line.mark, TITLES[line.group], line.subject, line) for line in report.lines]
    widths = [min(max((len(str(row[column])) for row in rows), default=0), WIDEST) for column in range(3)]
    told = []
    for mark, title, subject, line in rows:
        cells = (mark.ljust(widths[0]), title.ljust(widths[1]), subject.ljust(widths[2]), _one_line(line.finding))
        told.append("  ".join(cells))
        told += [" " * (widths[0] + 2 + widths[1] + 2) + text for text in _what_to_do(line)]
    return [*told, f"{report.cluster}: {report.verdict}{_calls(report)}"]


def _calls(report: Report) -> str:
    return f" ({report.api_calls} requests to the Kubernetes API)" if report.api_calls else ""


def _what_to_do(line: Line) -> Iterator[str]:
    if line.mark in {"ok", "asleep"}:
        return
    if line.expected:
        yield f"  expected: {_one_line(line.expected)}"
    if line.fix:
        yield f"  fix: {_one_line(line.fix)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
