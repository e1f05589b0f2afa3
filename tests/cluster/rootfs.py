# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What images carry of Debian's packages, unpacked and not configured."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.lab.cache import cache, digest
from tests.lab.say import quietly


def rootfs(name: str, packages: Iterable[str], hook: str, suite: str) -> Path:
    """A tar of the packages' files; made once. hook: shell that is run when they are unpacked, with the directory as ``$1``."""
    recipe = [
        "mmdebstrap", "--quiet", "--format=tar", "--mode=root", "--variant=extract", f"--include={','.join(packages)}",
        f"--extract-hook={hook}", suite,
    ]  # fmt: skip
    path = cache() / "cluster" / f"{name}-rootfs-{digest(*recipe)}.tar"
    if not path.exists():
        part = path.with_name(f".{path.name}.part")
        quietly([*recipe, str(part)], env={**os.environ, "SOURCE_DATE_EPOCH": "0"})
        part.rename(path)
    return path
