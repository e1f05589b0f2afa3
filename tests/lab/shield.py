# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A precreate hook of podman: a host may write its own network's sysctls, but not those that it shares with the machine."""

from __future__ import annotations

import json
import os
import sys

SHARED = [entry.path for entry in os.scandir("/proc/sys") if entry.name != "net"]

configuration = json.load(sys.stdin)
paths = configuration["linux"].get("readonlyPaths") or []
configuration["linux"]["readonlyPaths"] = [path for path in paths if path != "/proc/sys"] + SHARED
json.dump(configuration, sys.stdout)
