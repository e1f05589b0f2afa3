# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the playbook of tests/integration/test_reuse.py complete: it uses every module and filter but those that need a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.test_reuse import NEED_A_CLUSTER, PLAYBOOK

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"


@pytest.mark.parametrize("kind", ["modules", "filter"])
def test_each_is_used_or_needs_a_cluster(kind: str) -> None:
    names = {path.stem for path in (PLUGINS / kind).glob("*.py")} - {"__init__"}
    assert names > NEED_A_CLUSTER[kind]
    assert {name for name in names if f"vmstation.cluster.{name}" not in PLAYBOOK} == NEED_A_CLUSTER[kind]
