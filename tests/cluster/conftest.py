# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives the tests of this directory the ``cluster``."""

from __future__ import annotations

from tests.cluster.fixture import cluster, cluster_ranges

__all__ = ["cluster", "cluster_ranges"]
