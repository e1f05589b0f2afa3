# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run records of a task or a handler that failed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[3]
TASKS = CHECKOUT / "playbooks" / "tasks"


def noted(directory: Path, tasks: Path, variables: dict[str, Any], **environment: str) -> str:
    """What is recorded after a file of tasks."""
    played: list[dict[str, Any]] = [
        {"ansible.builtin.include_tasks": str(tasks)},
        {"ansible.builtin.copy": {"content": "{{ site_failure.task }}: {{ site_failure.msg }}", "dest": f"{directory}/noted"}},
    ]
    play = {"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": played}
    (directory / "play.yml").write_text(json.dumps([play]))
    argv = [sys.executable, "-m", "ansible", "playbook", str(directory / "play.yml")]
    environment = {**os.environ, "ANSIBLE_LOCALHOST_WARNING": "false", **environment}
    process = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return (directory / "noted").read_text()


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            {"msg": "Failed to install some of the specified packages", "failures": ["No package containerd.io available."]},
            "Failed to install some of the specified packages No package containerd.io available.",
        ),
        ({"msg": "the host has no address"}, "the host has no address"),
        ({"msg": "x", "failures": []}, "x"),
        ({}, ""),
    ],
)
def test_a_failure_is_recorded_with_the_packages_that_dnf_names(tmp_path: Path, result: dict[str, Any], words: str) -> None:
    failure = {"ansible_failed_task": {"name": "Install packages"}, "ansible_failed_result": result}
    assert noted(tmp_path, TASKS / "note_failure.yml", failure) == f"Install packages: {words}"


def recorded_of_role(directory: Path, **parts: list[dict[str, Any]]) -> str:
    """What tasks/stage.yml records of a role."""
    collection = directory / "ansible_collections/vmstation/cluster"
    collection.mkdir(parents=True)
    (collection / "plugins").symlink_to(CHECKOUT / "plugins")
    for part, tasks in parts.items():
        (collection / "roles/failing" / part).mkdir(parents=True)
        (collection / "roles/failing" / part / "main.yml").write_text(json.dumps(tasks))
    return noted(directory, TASKS / "stage.yml", {"stage_role": "failing", "yes": True}, ANSIBLE_COLLECTIONS_PATH=str(directory))


def test_the_failure_of_a_handler_is_recorded(tmp_path: Path) -> None:
    recorded = recorded_of_role(
        tmp_path,
        tasks=[{"name": "Configure", "ansible.builtin.command": "true", "notify": "Restart kubelet"}],
        handlers=[{"name": "Restart kubelet", "ansible.builtin.fail": {"msg": "kubelet.service failed"}}],
    )
    assert recorded == "Restart kubelet: kubelet.service failed"


@pytest.mark.parametrize("no_log", [True, "{{ yes }}"])
@pytest.mark.parametrize("in_block", [False, True])
def test_the_message_of_a_task_with_no_log_stays_hidden(tmp_path: Path, no_log: object, in_block: bool) -> None:
    task: dict[str, Any] = {"name": "Set the password", "ansible.builtin.fail": {"msg": "rejected: hunter2"}}
    tasks = [{"block": [task], "no_log": no_log}] if in_block else [{**task, "no_log": no_log}]
    recorded = recorded_of_role(tmp_path, tasks=tasks)
    assert recorded.startswith("Set the password: the message is hidden")
    assert "hunter2" not in recorded
