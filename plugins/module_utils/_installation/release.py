# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Versions of Kubernetes: a release is ``1.36.4``, its minor version ``1.36``."""

from __future__ import annotations

import re
from typing import Optional

RELEASE = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:[-+].*)?", re.ASCII)
MINOR = re.compile(r"v?(\d+)\.(\d+)", re.ASCII)


def release_of(text: str) -> Optional[tuple[int, int, int]]:
    """The numbers of ``1.36.4`` or ``v1.36.4-rc.1``; None if the text is no release."""
    found = RELEASE.fullmatch(text.strip())
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def minor_of(text: str) -> Optional[tuple[int, int]]:
    """The first two numbers of ``1.36`` or of a release; None if the text is neither."""
    found = MINOR.fullmatch(text.strip()) or RELEASE.fullmatch(text.strip())
    return (int(found[1]), int(found[2])) if found else None


def minor_text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"
