# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""That check.yml warns when Loki rejects lines, also if the check of the host warns about the same file system later."""

from __future__ import annotations

from pathlib import Path

import yaml

ROLE = Path(__file__).resolve().parents[3] / "roles" / "monitoring"


def test_the_limit_of_loki_is_checked_on_every_file_system() -> None:
    (task,) = yaml.safe_load((ROLE / "tasks" / "storage.yml").read_text())
    checked = task["vmstation.cluster.local_storage_check"]
    assert "_monitoring_used_paths" in checked["paths"]
    assert not checked.get("watched_elsewhere")
