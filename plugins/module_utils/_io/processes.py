# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The environments of this process and of its ancestors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

FURTHEST_ANCESTOR = 64


def environments() -> Iterator[Mapping[str, str]]:
    """Our own environment, then each ancestor's from the nearest on, as /proc tells them; what cannot be read is left out."""
    yield os.environ
    process = os.getppid()
    for _step in range(FURTHEST_ANCESTOR):
        if process <= 0:
            return
        try:
            environ = Path(f"/proc/{process}/environ").read_bytes()
            # the command's name may hold spaces and brackets; what follows its last bracket is state and parent
            parent = int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        pairs = (entry.partition(b"=") for entry in environ.split(b"\0") if entry)
        yield {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, _equals, value in pairs}
        process = parent
