# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The roles' tasks that create a password: an existing one is kept, and an empty file has none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.architecture.playbook_tasks import ROLES, load, mappings
from tests.unit.site.test_playbooks_need_the_groups import HERE, play

USER = {**HERE, "ansible_become": False}
# the block that creates it, after the tasks by which the role has looked at it; the variable that has what was read
BLOCKS: dict[str, tuple[dict[str, list[str]], str, str]] = {
    "jellyfin": ({"wizard": ["Create the administrator's password"]}, "jellyfin_password_file", "_jellyfin_password"),
    "monitoring": (
        {
            "preflight": ["Look for Grafana's password", "Read Grafana's password"],
            "host": ["Create Grafana's password", "Read Grafana's password"],
        },
        "monitoring_grafana_password_file",
        "_monitoring_password",
    ),
}


def of_the_role(role: str) -> list[dict[str, Any]]:
    wanted = BLOCKS[role][0]
    found = [
        task
        for part, names in wanted.items()
        for task in mappings(load(ROLES / role / "tasks" / f"{part}.yml"))
        if task.get("name") in names
    ]
    assert len(found) == sum(map(len, wanted.values()))
    # only root may give a file to root
    text = json.dumps(found).replace('"owner": "root", "group": "root", ', "")
    return json.loads(text)


def read(role: str, file: Path, directory: Path, *arguments: str) -> str:
    """The password that the role's next task gets."""
    _tasks, variable, registered = BLOCKS[role]
    text = f"{{{{ ({registered}.content | default('') | b64decode) or 'none' }}}}"
    show = {"ansible.builtin.copy": {"content": text, "dest": str(directory / "shown"), "mode": "0600"}, "check_mode": False}
    path = ROLES / role / "vars" / "main.yml"
    variables = {**yaml.safe_load(path.read_text()), variable: str(file), "jellyfin_password_host": "alpha"}
    played = {"hosts": "alpha", "gather_facts": False, "vars": variables, "tasks": [*of_the_role(role), show]}
    (directory / "password.yml").write_text(json.dumps([played]))
    process = play("password.yml", directory, {"control_plane": {"hosts": {"alpha": USER}}}, *arguments)
    assert process.returncode == 0, process.stdout + process.stderr
    return (directory / "shown").read_text()


@pytest.mark.parametrize("role", BLOCKS)
@pytest.mark.parametrize("content", [None, "", " \t\n"], ids=repr)
def test_a_file_without_a_password_gets_one(role: str, content: str | None, tmp_path: Path) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    password = read(role, file, tmp_path)
    assert (len(password), file.read_text(), file.stat().st_mode & 0o777) == (32, password, 0o600)


@pytest.mark.parametrize("role", BLOCKS)
def test_check_mode_keeps_an_empty_file(role: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.touch()
    assert (read(role, file, tmp_path, "--check"), file.read_text()) == ("none", "")


@pytest.mark.parametrize("role", BLOCKS)
def test_a_password_of_the_owner_is_kept(role: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("0\n")
    assert read(role, file, tmp_path) == file.read_text() == "0\n"
