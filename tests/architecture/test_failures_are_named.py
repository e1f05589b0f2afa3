# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No task of a role or playbook ignores every failure: it names the condition, or has a rescue that reports the failure.

What a rescue reports hides the messages of tasks with no_log.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.playbook_tasks import CHECKOUT, FILES, load, mappings


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_no_task_ignores_every_failure(path: Path) -> None:
    tasks = [task for task in mappings(load(path)) if "name" in task]
    assert [task["name"] for task in tasks if task.get("ignore_errors") or task.get("failed_when") in (False, [], "false")] == []


def test_failed_results_are_read_through_the_filter_that_hides_secrets() -> None:
    shown = re.compile(r"ansible_failed_result(?! (\| default\({}\) )?\| vmstation\.cluster\.failure_message\()")
    assert [str(path.relative_to(CHECKOUT)) for path in FILES if shown.search(path.read_text())] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_rescue_has_a_task(path: Path) -> None:
    assert [task.get("name") for task in mappings(load(path)) if "rescue" in task and not task["rescue"]] == []
