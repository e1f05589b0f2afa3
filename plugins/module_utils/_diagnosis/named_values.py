# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes values out of a text whose names say that they are secret: YAML, JSON, environments, command lines, and logs that quote these."""

from __future__ import annotations

import re
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.folding import LINE_END, MARKS, WITHIN_QUOTES
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.secret_names import (
    REDACTED,
    is_no_secret,
    is_password_name,
    is_secret_name,
    looks_random,
)

# JSON within JSON has its quotes escaped, once or more
QUOTE = r"\\{0,7}[\"']"
_NAMED = re.compile(rf"(?<![\w-])(?P<name>-*\w[\w.-]{{0,99}})(?P<quote>{QUOTE})?[ \t]*(?P<separator>:=|=>|[:=])(?P<gap>[ \t]*)", re.ASCII)
_LINE_START = re.compile(r"[\s>#-]*(?:export\s+|Environment=)?(?:\\{0,7}[\"'])?", re.ASCII)
_OPENED = re.compile(r"(?P<quote>\\{0,7}[\"'])[\s>#-]*(?:export\s+|Environment=)?\Z", re.ASCII)
# in a text that is quoted itself, YAML writes a quote twice
_QUOTED = re.compile(rf"(?P<quote>''(?=[^'\s,}}\]])|{QUOTE})(?P<value>{WITHIN_QUOTES}*?)(?:(?<!\\)(?P=quote)|(?=[\n{MARKS}])|\Z)")
_REST_OF_LINE = re.compile(rf"[^\n{MARKS}]*")
_WORD = re.compile(r"[^\s\"'`]+")
_FIELD = re.compile(r"[^\s,})\]\"'`]+")
_FLOW_FIELD = re.compile(rf"[^,}}\n{MARKS}]+")
_BLOCK = re.compile(rf"[|>][-+0-9]*(?:[ \t]+#[^\n{MARKS}]*)?(?={LINE_END})")
_LAST_WORD = re.compile(r"([A-Za-z]+) \Z")
_LIST = re.compile(r"\[(?P<items>[^\[\]{}\n]*[^\[\]{}\s])\]")
_COMMENT = re.compile(r"\s+#.*")


def redact_named_values(text: str) -> tuple[str, int]:
    """The folded text, and how many values were taken out of it."""
    parts: list[str] = []
    done = position = count = 0
    while True:
        found = _NAMED.search(text, position)
        if not found:
            break
        position = found.end()
        if not is_secret_name(_whole_name(text, found)):
            continue
        start, end = _secret_after(text, found)
        if start < end:
            parts += [text[done:start], REDACTED]
            done = position = end
            count += 1
    return "".join([*parts, text[done:]]), count


def _whole_name(text: str, found: re.Match[str]) -> str:
    """People write ``API key: ...``; of other names the last word says enough."""
    if found["name"].lower() != "key":
        return found["name"]
    before = _LAST_WORD.search(text, max(0, found.start() - 20), found.start())
    return f"{before[1]}_{found['name']}" if before else found["name"]


def _secret_after(text: str, found: re.Match[str]) -> tuple[int, int]:
    """Where the secret stands; nowhere if what follows the name is none."""
    before = text[text.rfind("\n", 0, found.start()) + 1 : found.start()]
    block = _BLOCK.match(text, found.end())
    if block and found["separator"] == ":":
        return _of_block(text, block.end(), len(before) - len(before.lstrip()))
    value = _delimited(text, found, before) or _value(text, found, before)
    return (0, 0) if value is None or is_no_secret(value[0]) else (value[1], value[1] + len(value[0]))


def _delimited(text: str, found: re.Match[str], before: str) -> Optional[tuple[str, int]]:
    """The value if it has a beginning and an end of its own."""
    start = found.end()
    opened = _OPENED.search(before)
    if opened and not found["quote"] and not found["gap"] and text.startswith(opened["quote"], start):
        return "", start  # 'password:'
    quoted = _QUOTED.match(text, start)
    if quoted:
        return quoted["value"], quoted.start("value")
    items = _LIST.match(text, start) if found["separator"] == ":" else None
    if items:
        return items["items"], items.start("items")
    # a mapping, or a structure of Go: what it holds has names of its own
    return ("", start) if found["separator"] == ":" and text[start : start + 1] in {"{", "[", "&"} else None


def _value(text: str, found: re.Match[str], before: str) -> Optional[tuple[str, int]]:
    """The value as far as its surroundings let it go, and where it starts; None for a colon that is one of a sentence."""
    start = found.end()
    begins = bool(_LINE_START.fullmatch(before))
    opened = _OPENED.search(before)
    if opened and not found["quote"]:  # all of it is quoted, as an option or a header on a command line
        line = _REST_OF_LINE.match(text, start)
        end = text.find(opened["quote"], start)
        if line:
            return text[start : min(end, line.end()) if end >= 0 else line.end()], start
    if found["separator"] == ":":
        if not found["gap"] and not found["quote"] and not begins:
            return _matched(_FIELD.match(text, start))
        if found["quote"] or ("{" in before and before.rstrip()[-1] in "{,"):
            return _matched(_FLOW_FIELD.match(text, start))
        if not begins:
            return _in_a_sentence(text, found)
    if begins:
        line = _REST_OF_LINE.match(text, start)
        return (_COMMENT.sub("", line[0]).rstrip(), start) if line else None
    return _matched(_WORD.match(text, start))


def _in_a_sentence(text: str, found: re.Match[str]) -> Optional[tuple[str, int]]:
    """``failed to get token: no such file`` tells of no token; ``made the user admin with password: letmein`` tells of one."""
    word = _WORD.match(text, found.end())
    if not word:
        return None
    value = word[0].rstrip("\\")
    rest = text[word.end() : word.end() + 1]
    ends = rest in {"", "\n", "\r", '"', "'", *MARKS}
    return (value, word.start()) if looks_random(value) or (ends and is_password_name(found["name"])) else None


def _matched(match: Optional[re.Match[str]]) -> Optional[tuple[str, int]]:
    return (match[0], match.start()) if match else None


def _of_block(text: str, start: int, indentation: int) -> tuple[int, int]:
    """The lines after ``start`` that are further in than the name whose value they are."""
    position = end = text.find("\n", start)
    while position < len(text):
        following = text.find("\n", position + 1)
        following = len(text) if following < 0 else following
        line = _REST_OF_LINE.match(text, position + 1)
        if line and line[0].strip():
            if len(line[0]) - len(line[0].lstrip()) <= indentation:
                break
            end = line.end()
        position = following
    start = text.find("\n", start)
    while start < end and text[start].isspace():
        start += 1
    return (0, 0) if is_no_secret(text[start:end]) else (start, end)
