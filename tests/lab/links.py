# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links in Markdown documents that lead nowhere, in a checkout or in an installed archive."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ADDRESS = "https://github.com/vmstation/cluster"
INLINE = re.compile(r"\]\(([^)\s]+)\)")
DEFINITION = re.compile(r"^\[([^\]]+)\]: (\S+)$", re.MULTILINE)
REFERENCE = re.compile(r"\]\[([^\]]+)\]")
CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def links(document: Path) -> list[str]:
    """The targets of a document's links, inline ones and definitions."""
    text = CODE.sub("", document.read_text())
    return [*INLINE.findall(text), *(target for _label, target in DEFINITION.findall(text))]


def broken(document: Path, root: Path, repository: Path) -> Iterator[str]:
    """Each link to a file or heading that is not there, below root or, by its full address, in the repository; and undefined references."""
    text = CODE.sub("", document.read_text())
    labels = {label for label, _target in DEFINITION.findall(text)}
    yield from (f"{document.relative_to(root)}: no definition of [{label}]" for label in set(REFERENCE.findall(text)) - labels)
    for link in links(document):
        path, _hash, heading = link.partition("#")
        for kind in ("blob", "tree"):
            path = path.replace(f"{ADDRESS}/{kind}/main/", f"{repository}/")
        if path.startswith(("http:", "https:")):
            continue
        target = document.parent / path if path else document
        if not target.exists() or (heading and heading not in _anchors(target)):
            yield f"{document.relative_to(root)}: nothing at {link}"


def _anchors(document: Path) -> set[str]:
    """The headings as GitHub makes anchors of them."""
    titles = HEADING.findall(CODE.sub(lambda found: found[0].strip("`") if "\n" not in found[0] else "", document.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
