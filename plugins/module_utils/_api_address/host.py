# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The edge of this package: the I/O of a control plane host."""

from __future__ import annotations

import os
import sys

from .._host.commands import HostCommands
from .._host.files import LocalTrees, read_text, remove_empty, replace_all
from .._host.processes import archive
from .._programs import Host
from .._timing import SystemClock
from .._waiting import Clock


def this_host() -> Host:
    return Host(HostCommands(), read_text, replace_all, LocalTrees().remove, archive, sys.executable, remove_empty, os.path.lexists)


def clock() -> Clock:
    return SystemClock()
