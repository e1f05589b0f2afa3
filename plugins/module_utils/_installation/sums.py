# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads SHA256SUMS, as sha256sum writes it."""

from __future__ import annotations

import re

LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)", re.ASCII)


def checksums(text: str) -> tuple[dict[str, str], list[tuple[int, str]]]:
    """Relative path -> checksum, and the lines that are none: (number, text). ``./`` before a path does not count."""
    found: dict[str, str] = {}
    malformed = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = LINE.fullmatch(line)
        path = (match[2][2:] if match[2].startswith("./") else match[2]) if match else ""
        # a path with a way out of the directory is none of ours
        if match and path and not path.startswith("/") and ".." not in path.split("/") and path not in found:
            found[path] = match[1].lower()
        elif line.strip():
            malformed.append((number, line))
    return found, malformed
