# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that CONTRIBUTING.md's table avoids, as far as they have one meaning, are in no text of the collection.

Of Python code only comments and strings are texts; names in it may be of the language of a program.
"""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
AVOIDED = re.compile(
    r"(?<![\w.{-])(?:anew|thrice|nobody|somebody|anybody|everybody|whoever|as planned|of one's own|told|prove[sd]?|judge[sd]|judgement"
    r"|stands(?! for)|(?:left|leaves?) (?:\w+ )?alone|gives? back|what (?:was to become|ended early)|ways between)(?![\w(-]|\.\w)",
    re.IGNORECASE,
)
SUFFIXES = {".py", ".yml", ".md", ".j2"}
FILES = [
    CHECKOUT / "README.md",
    *(
        path
        for directory in ("plugins", "roles", "playbooks", "docs", "inventory", "examples")
        for path in sorted((CHECKOUT / directory).rglob("*"))
        if path.is_file() and path.suffix in SUFFIXES
    ),
]
IDENTIFIER = re.compile(r"\{[^{}]*\}|``[^`]*``|`[^`]*`")


def texts(path: Path) -> Iterator[str]:
    if path.suffix != ".py":
        yield from path.read_text().splitlines()
        return
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            # a string of one word is a key, and no text
            if token.type in kinds and " " in token.string:
                yield from token.string.splitlines()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_text_uses_plain_words(path: Path) -> None:
    assert [line.strip() for line in texts(path) if AVOIDED.search(IDENTIFIER.sub("", line))] == []


@pytest.mark.parametrize(
    "text", ["Nobody waits for it.", "It is as planned.", "It stands there.", "the node is told so", "It proves nothing"]
)
def test_a_word_to_avoid_is_found(text: str) -> None:
    assert AVOIDED.search(text)
