# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""No task of a role or a playbook lets a package manager remove a package that the task does not name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.architecture.playbook_tasks import CHECKOUT, FILES, load, mappings

MANAGERS = {"apt", "dnf", "dnf5", "yum", "package"}


TASKS = [
    pytest.param(module, task[module], id=f"{path.relative_to(CHECKOUT)}: {task.get('name')}")
    for path in FILES
    for task in mappings(load(path))
    for module in task
    if module.removeprefix("ansible.builtin.") in MANAGERS
]


@pytest.mark.parametrize(("module", "options"), TASKS)
def test_a_package_task_removes_no_other_package(module: str, options: dict[str, Any]) -> None:
    wanted = {name: options.get(name, False) for name in ("autoremove", "allowerasing", "upgrade", "force")}
    # `apt-get upgrade --with-new-pkgs`, which removes nothing
    if options.get("force_apt_get") is True and wanted["upgrade"] == "safe":
        wanted["upgrade"] = False
    assert wanted == dict.fromkeys(wanted, False)
    if module.endswith(".apt") and options.get("state") != "absent":
        assert options.get("fail_on_autoremove") is True


def test_there_are_such_tasks() -> None:
    assert {parameter.values[0] for parameter in TASKS} >= {"ansible.builtin.apt", "ansible.builtin.dnf"}
