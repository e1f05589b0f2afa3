# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets every line of a text begin with what was written: logs have a time before it, and JSON has ``\\n`` for the end of a line."""

from __future__ import annotations

import re

# at the end of a line, around the number of what stood there: of an end within a JSON string, and of one that a log's prefix follows
_ESCAPED, _LOGGED = "\x1d", "\x1e"
MARKS = f"{_ESCAPED}{_LOGGED}"

# of the container runtime, the journal and Kubernetes' own programs, one behind the other
_PREFIX = (
    r"(?:\d{4}-\d\d-\d\d[T ][\d:.,]+(?:Z|[+-]\d\d:?\d\d) "
    r"(?:std(?:out|err) [FP] |[\w.-]{1,64} (?:[\w.@/-]{1,64}\[\d+\]|kernel|systemd): )?)?"
    r"(?:[IWEF]\d{4} [\d:.]+ +\d+ [\w.-]+:\d+\] )?"
)
_LINE_END = re.compile(rf"(?P<escapes>\\{{0,7}})(?:\n|(?<=\\)n)(?P<prefix>{_PREFIX})", re.ASCII)
_FOLDED = re.compile(rf"[{MARKS}](\d+)[{MARKS}]\n")

# for the forms of secrets: the end of a line, and what a quoted text may have in it
LINE_END = rf"[ \t]*(?:[{MARKS}]\d+[{MARKS}])?\n"
WITHIN_QUOTES = rf"(?:[^\n{MARKS}]|{_ESCAPED}\d+{_ESCAPED}\n)"


def fold(text: str) -> tuple[str, list[str]]:
    """The text, and what stood where its marks are."""
    stood: list[str] = []

    def one(match: re.Match[str]) -> str:
        if match[0] == "\n":
            return "\n"
        mark = _ESCAPED if match[0][len(match["escapes"])] == "n" else _LOGGED
        stood.append(match[0])
        return f"{mark}{len(stood) - 1}{mark}\n"

    for mark in MARKS:
        text = text.replace(mark, "\ufffd")
    # so that the first line has a line's end before it, too
    return _LINE_END.sub(one, f"\n{text}"), stood


def unfold(text: str, stood: list[str]) -> str:
    return _FOLDED.sub(lambda match: stood[int(match[1])], text)[1:]
