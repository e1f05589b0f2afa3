# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that CONTRIBUTING.md's table avoids, as far as they have one meaning, are in no text of the collection.

Of Python code, comments and strings are texts. Names in it may be of the language of a program, but not those words that are in none.
"""

from __future__ import annotations

import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
AVOIDED = re.compile(
    r"(?<![\w.{-])(?:anew|thrice|nobody|somebody|anybody|everybody|whoever|whom|as planned|of one's own|tells?|told|telling"
    r"|says?|said|saying|prov(?:es?|ed|ing|en)|judg(?:es?|ed|ing|e?ments?)|authorit(?:y|ies)|openings?|refus(?:es?|ed|ing)"
    r"|stands?|stood|standing|(?:left|leaves?) (?:\w+ )?alone|(?:gives?|gave|given|giving) (?:back|up)|ways between"
    r"|what (?:was to become|ended early)|be had|once (?:it|they|there|the|this|no|all|every|both)\b)(?![\w(-]|\.\w)",
    re.IGNORECASE,
)
# Where a word to avoid is a term or a name, and the reason.
EXCEPTIONS = {
    r"connections? (?:is |are |was |were )?refused|refus\w+ (?:the |a |all )?connections?": "what a host does without a listening socket",
    r"\*'?(?:onnection )?refused'?\*": "a pattern for that message",
    r"IEEE Registration Authority": "a name in the IEEE's list of vendors",
    r"--kubelet-certificate-authority|certificate-authority-data": "options of the API server and of kubeconfig files",
    r"\b(?:authority|openings?|standing|say|said):": "a parameter, in the text that describes it",
}
IS_A_TERM = re.compile("|".join(EXCEPTIONS), re.IGNORECASE)
# In no name of Python code either, as a part between underscores.
AVOIDED_IN_NAMES = {
    "anew", "anybody", "everybody", "nobody", "prove", "proved", "proven", "proves", "proving", "says", "somebody",
    "stands", "tell", "tells", "told", "thrice", "whoever", "whom",
}  # fmt: skip
# Names of rules are in the results of modules.
RULES = {"a_replica_is_where_nobody_sleeps", "kubelets_are_told_the_dns_addresses"}
# yet to be renamed
LATER = {"_calico", "_network_plan"}
SUFFIXES = {".py", ".yml", ".md", ".j2", ".json"}
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
    if path.suffix == ".json":
        # a string of one word is a key, and no text
        yield from (text for text in re.findall(r'"((?:[^"\\]|\\.)*)"', path.read_text()) if " " in text)
        return
    if path.suffix != ".py":
        yield from path.read_text().splitlines()
        return
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            # a string of one word is a key, and no text
            if token.type in kinds and " " in token.string:
                yield from token.string.splitlines()


def avoided(line: str) -> list[str]:
    return AVOIDED.findall(IS_A_TERM.sub("", IDENTIFIER.sub("", line)))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_text_uses_plain_words(path: Path) -> None:
    assert [line.strip() for line in texts(path) if avoided(line)] == []


@pytest.mark.parametrize(
    "path",
    [path for path in FILES if path.suffix == ".py" and not LATER & set(path.parts)],
    ids=lambda path: str(path.relative_to(CHECKOUT)),
)
def test_a_name_uses_plain_words(path: Path) -> None:
    with path.open("rb") as file:
        names = {token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.NAME}
    assert {name for name in names - RULES if AVOIDED_IN_NAMES & set(name.lower().split("_"))} == set()


@pytest.mark.parametrize(
    "text",
    [
        "Nobody waits for it.",
        "It is as planned.",
        "It stands there.",
        "the node is told so",
        "It proves nothing",
        "1 openings",
        "retried until it gives up",
        "once the node is ready",
        "the module refuses it",
    ],
)
def test_a_word_to_avoid_is_found(text: str) -> None:
    assert avoided(text)


@pytest.mark.parametrize(
    "text", ["It refuses connections.", "connection refused", "run it once on the controller", "a stand-in", "authority: as PEM"]
)
def test_a_term_is_not(text: str) -> None:
    assert not avoided(text)
