# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the controller's tasks from becoming root: also with `-b`, and with `ansible_become: true` for all hosts."""

from __future__ import annotations

import pytest

from tests.architecture.playbook_tasks import FILES, PLAYBOOKS, WITHOUT_CONNECTION, every, load

TASKS = [task for task in every() if task.action not in WITHOUT_CONNECTION]


def test_no_file_of_tasks_is_left_out() -> None:
    assert {task.path for task in every()} >= {path for path in FILES if any("import_playbook" not in str(play) for play in load(path))}


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_play_on_the_controller_becomes_nobody(path) -> None:
    plays = [play for play in load(path) if play.get("hosts") == "localhost"]
    assert [play["name"] for play in plays if play.get("become") is not False] == []
    assert [play["name"] for play in plays if play.get("vars", {}).get("ansible_become") is not False] == []


def test_a_task_on_the_controller_becomes_nobody() -> None:
    on_controller = [task for task in TASKS if task.context.on_controller]
    assert len({str(task) for task in on_controller}) > 50
    wrong = [task for task in on_controller if task.context.become is not False or task.context.variable is not False]
    assert sorted({str(task) for task in wrong}) == []


def test_a_task_on_a_host_may_become_root() -> None:
    """A variable of the play on the controller, or of what delegates to it, must not reach the tasks of hosts."""
    wrong = [task for task in TASKS if not task.context.on_controller and task.context.variable is False]
    assert sorted({str(task) for task in wrong}) == []
