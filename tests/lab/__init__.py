# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab: real systemd hosts on a bridge of their own, on this machine. Standard library only, so that it can set itself up."""

from __future__ import annotations

from tests.lab.hosts import SPECIFIED_HOSTS, Host, HostSpec
from tests.lab.lab import Lab

__all__ = ["SPECIFIED_HOSTS", "Host", "HostSpec", "Lab"]
