# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays roles and runs modules against an API server, on this machine as the controller."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import subprocess
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from ansible.module_utils import _internal as ansible_internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

from tests.lab.cache import CHECKOUT
from tests.lab.venv import ensure_venv

MODULES = "ansible_collections.vmstation.cluster.plugins.modules"


@dataclass(frozen=True)
class Played:
    """What a run of a playbook left."""

    status: int
    text: str

    @property
    def changed(self) -> int:
        return int(re.findall(r"changed=(\d+)", self.text.partition("PLAY RECAP")[2])[0])

    def says(self, words: str) -> bool:
        """Whether the words are in the output, however its lines are broken."""
        return " ".join(words.split()) in " ".join(self.text.split())

    @property
    def tasks_changed(self) -> list[str]:
        """The names of the tasks that changed something."""
        return self._tasks("changed")

    @property
    def tasks_run(self) -> list[str]:
        """The names of the tasks that were not skipped."""
        return self._tasks("ok|changed")

    def _tasks(self, results: str) -> list[str]:
        parts = re.split(r"^TASK \[", self.text, flags=re.MULTILINE)[1:]
        return [part.partition("]")[0].rpartition(" : ")[2] for part in parts if re.search(rf"^({results}): ", part, flags=re.MULTILINE)]


WORKERS = {
    "storagenodet3500": {"ansible_host": "192.168.4.61", "mac": "b8:ac:6f:7e:6c:9d", "sleeps": True},
    "homelab": {"ansible_host": "192.168.4.62", "mac": "d0:94:66:30:d6:63", "sleeps": True},
}

# tasks that are delegated to a host of the inventory run here
ON_THIS_MACHINE = {
    "ansible_connection": "local",
    "ansible_become": False,
    "ansible_python_interpreter": "{{ ansible_playbook_python }}",
}


def play_role(
    role: str,
    directory: Path,
    variables: Mapping[str, object],
    *arguments: str,
    workers: Iterable[str] = tuple(WORKERS),
    tasks_from: str = "main",
    timeout: float = 300,
) -> Played:
    """The role on localhost, beside the hosts of the specification, of which the workers sleep at times. tasks_from: what of the role."""
    played = {"name": f"vmstation.cluster.{role}", "tasks_from": tasks_from}
    task = {"name": f"Play {tasks_from} of {role}", "ansible.builtin.import_role": played}
    play = {"name": f"Play {role}", "hosts": "localhost", "gather_facts": False, "tasks": [*loaded_filters(), task]}
    return run_plays([play], directory, variables, *arguments, workers=workers, timeout=timeout)


@cache
def loaded_filters() -> tuple[Mapping[str, Any]]:
    """The task of the collection's playbooks that loads all filters: without it, each process of Ansible loads those that it uses."""
    plays = yaml.safe_load((CHECKOUT / "playbooks" / "check_inventory.yml").read_text())
    (task,) = [task for task in plays[0]["tasks"] if task["name"] == "Load the filters once for all tasks"]
    return (task,)


def run_plays(
    plays: list[dict[str, Any]],
    directory: Path,
    variables: Mapping[str, object],
    *arguments: str,
    workers: Iterable[str] = tuple(WORKERS),
    timeout: float = 300,
) -> Played:
    """Plays on localhost, with the inventory of play_role."""
    (directory / "site.yml").write_text(json.dumps(plays))
    localhost = {"ansible_connection": "local", "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    groups = {
        "control_plane": {"hosts": {"masternode": {"ansible_host": "192.168.4.63"}}},
        "workers": {"hosts": {name: WORKERS[name] for name in workers}},
    }
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": {"localhost": localhost}, "children": groups}}))
    process = subprocess.run(
        ["ansible-playbook", "-i", str(directory / "hosts.json"), "-e", json.dumps(variables), *arguments, str(directory / "site.yml")],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        cwd=directory,
        env={
            **os.environ,
            "PATH": f"{ensure_venv()}/bin:{os.environ['PATH']}",
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        },
    )
    return Played(process.returncode, process.stdout + process.stderr)


def start_module(name: str, kubeconfig: Path, /, *flags: str, **options: object) -> subprocess.Popen[str]:
    """A module that begins to run on localhost, in a session of its own."""
    arguments = json.dumps({"kubeconfig": str(kubeconfig), **options})
    environment = {
        "PATH": f"{ensure_venv()}/bin:/usr/bin:/bin", "HOME": str(kubeconfig.parent), "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True",
        "ANSIBLE_LOCALHOST_WARNING": "False", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    return subprocess.Popen(
        [str(ensure_venv() / "bin/ansible"), "localhost", "-m", f"vmstation.cluster.{name}", "-a", arguments, *flags],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, env=environment, start_new_session=True,
    )  # fmt: skip


def module_result(output: str) -> dict[str, Any]:
    """What the module returned."""
    return json.loads(output[output.index("{") :])["plays"][0]["tasks"][0]["hosts"]["localhost"]


def run_module(name: str, kubeconfig: Path, /, *, check_mode: bool = False, **options: object) -> dict[str, Any]:
    """A module in this process, and what it returned: to start Ansible for it takes two seconds more of the processor."""
    given = {"kubeconfig": str(kubeconfig), "_ansible_check_mode": check_mode, **options}
    told = io.StringIO()
    # a test that imported Ansible's own code made this process a controller, which displays warnings and returns none
    on_a_host = patch.object(ansible_internal, "is_controller", False)
    without_earlier_warnings = patch.dict(warnings._global_warnings, clear=True)
    with on_a_host, without_earlier_warnings, patch_module_args(given), redirect_stdout(told), suppress(SystemExit):
        importlib.import_module(f"{MODULES}.{name}").main()
    result = dict(json.loads(told.getvalue()))
    if "warnings" in result:
        # Ansible shows the messages of these events
        result["warnings"] = [warning["event"]["msg"] for warning in result["warnings"]]
    return result
