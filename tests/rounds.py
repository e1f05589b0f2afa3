# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often, and how finely, a test does what may go well once by chance."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")
ENDURANCE = "VMSTATION_ENDURANCE"


def rounds(gate: T, endurance: T) -> T:
    """The one in the gate, whose time is short, and the other with ``make endurance``."""
    return endurance if os.environ.get(ENDURANCE) else gate
