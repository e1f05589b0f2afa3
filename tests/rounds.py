# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often, and how finely, a test does what may go well once by chance."""

from __future__ import annotations

import math
import os
import time
from typing import TypeVar

T = TypeVar("T")
ENDURANCE = "VMSTATION_ENDURANCE"
# when the gate has to come to its end, in seconds since the epoch; unset where it may take its time
GATE_END = "VMSTATION_GATE_END"


def rounds(gate: T, endurance: T) -> T:
    """The one in the gate, whose time is short, and the other with ``make endurance``."""
    return endurance if os.environ.get(ENDURANCE) else gate


def minutes_left() -> float:
    """Until the gate has to come to its end; infinite where it may take its time."""
    end = os.environ.get(GATE_END)
    return (float(end) - time.time()) / 60 if end else math.inf
