# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A debug task that runs once leaves the hosts' facts apart.

Such a task sets empty facts for every host of its play. ansible-core 2.21.0 to 2.21.5 give hosts that have none yet one and the same
dictionary, so that what is gathered of one host later becomes a fact of all (``VariableManager.set_host_facts``). Delegated with its facts,
it sets them for the controller alone.
"""

from __future__ import annotations

from tests.architecture.playbook_tasks import every


def test_a_debug_task_that_runs_once_keeps_its_facts_to_the_controller() -> None:
    once = [task for task in every() if task.action == "debug" and task.keywords.get("run_once") and not _is_on_localhost(task)]
    assert len(once) > 5
    apart = {"delegate_to": "localhost", "delegate_facts": True}
    assert sorted({str(task) for task in once if not apart.items() <= task.keywords.items()}) == []


def _is_on_localhost(task: object) -> bool:
    """In a play on localhost there is no other host."""
    return task.context.on_controller and "delegate_to" not in task.keywords
