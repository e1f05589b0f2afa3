# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file system a path is on, from the kernel's list of mounts (proc_pid_mountinfo(5))."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

_ESCAPED = re.compile(r"\\([0-7]{3})")
# waits for somebody to look, and then mounts the real one over it
NOT_YET_MOUNTED = "autofs"


@dataclass(frozen=True)
class Mount:
    """What is mounted. device: as the kernel calls it, such as /dev/sdb1 or nas:/films."""

    point: str
    file_system: str
    device: str


def read_mounts(text: str) -> list[Mount]:
    """Every mount of the list, in its order: of two at the same point, the later one covers the other."""
    found = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if separator and len(fields) > 4 and len(kind) > 1:
            found.append(Mount(_plain(fields[4]), kind[0], _plain(kind[1])))
    return found


def mount_of(path: str, mounts: Iterable[Mount]) -> Optional[Mount]:
    """The mount that an absolute path without links is on; None if the list does not tell."""
    best: Optional[Mount] = None
    for mount in mounts:
        below = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if below and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def _plain(escaped: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), escaped)
