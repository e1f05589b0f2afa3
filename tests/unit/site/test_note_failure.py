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

TASKS = Path(__file__).resolve().parents[3] / "playbooks" / "tasks"


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


def test_the_failure_of_a_handler_is_recorded(tmp_path: Path) -> None:
    role = tmp_path / "ansible_collections/vmstation/cluster/roles/restarting"
    for part, tasks in {
        "tasks": [{"name": "Configure", "ansible.builtin.command": "true", "notify": "Restart kubelet"}],
        "handlers": [{"name": "Restart kubelet", "ansible.builtin.fail": {"msg": "kubelet.service failed"}}],
    }.items():
        (role / part).mkdir(parents=True)
        (role / part / "main.yml").write_text(json.dumps(tasks))
    recorded = noted(tmp_path, TASKS / "stage.yml", {"stage_role": "restarting"}, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    assert recorded == "Restart kubelet: kubelet.service failed"
