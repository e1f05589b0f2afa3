# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook loads all filters before there is a process for a task, which would load them again each time."""

from __future__ import annotations

import re

import pytest

from tests.architecture.playbook_tasks import CHECKOUT, PLAYBOOKS, load


def test_the_first_task_of_all_names_every_filter() -> None:
    first = load(PLAYBOOKS / "check_inventory.yml")[0]["tasks"][0]
    assert first["ansible.builtin.meta"] == "end_play"
    # never true
    assert first["when"].startswith("false and (")
    named = re.findall(r"\| vmstation\.cluster\.(\w+)", first["when"])
    assert named == sorted(path.stem for path in (CHECKOUT / "plugins" / "filter").glob("*.py"))


@pytest.mark.parametrize("playbook", sorted(path.stem for path in PLAYBOOKS.glob("*.yml") if path.stem != "check_inventory"))
def test_a_playbook_begins_with_it(playbook: str) -> None:
    assert load(PLAYBOOKS / f"{playbook}.yml")[0]["ansible.builtin.import_playbook"] == "check_inventory.yml"
