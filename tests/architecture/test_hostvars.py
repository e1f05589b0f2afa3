# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task of each host that reads all hosts makes a run quadratic: 300 hosts are looked at 90,000 times.

What all hosts need is listed once and kept for all: ``site_hosts`` by check_inventory.yml, ``site_asleep`` after a look at who is asleep.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.architecture.playbook_tasks import PLAYBOOKS, ROLES, Task, every, load, of_playbook

EVERY_HOST = "hostvars |"
# a host is compared with all others, whose facts come in the same play
COMPARED = {"roles/node/tasks/preflight.yml: Check the host and find leftovers of earlier attempts"}


# of plays or blocks that one host alone comes to
OF_ONE_HOST = {
    "playbooks/restore.yml: Wait until the nodes are ready",
    "playbooks/tasks/upgrade_stopped.yml: Read the release of each component",
}


def _of_each_host(task: Task) -> bool:
    """A task that is delegated is still evaluated for each host of its play."""
    return not task.keywords.get("run_once") and (not task.context.on_controller or "delegate_to" in task.keywords)


def test_no_task_of_each_host_reads_all_hosts() -> None:
    tasks = {str(task) for task in every() if _of_each_host(task) and EVERY_HOST in json.dumps(task.keywords)}
    assert tasks == COMPARED | OF_ONE_HOST


def test_a_default_for_each_host_takes_the_list_that_was_made_once() -> None:
    """Roles that run on hosts; those that run on the controller ask once."""
    found = {}
    for role in ("cluster_backup", "control_plane", "idle_watch", "node", "worker"):
        for part in ("defaults", "vars"):
            path = ROLES / role / part / "main.yml"
            variables = yaml.safe_load(path.read_text()) if path.exists() else {}
            found |= {name: value for name, value in variables.items() if EVERY_HOST in str(value)}
    roles = ["cluster_backup", "control_plane", "idle_watch", "node"]
    assert sorted(found) == [f"{role}_cluster_hosts" for role in roles]
    assert all("site_hosts if site_hosts is defined else" in value for value in found.values())


def _playbooks(path: Path) -> list[Path]:
    """A playbook and those that it imports."""
    imported = [play["ansible.builtin.import_playbook"] for play in load(path) if "ansible.builtin.import_playbook" in play]
    return [path, *(other for name in imported for other in _playbooks(path.parent / name))]


@pytest.mark.parametrize("path", sorted(PLAYBOOKS.glob("*.yml")), ids=lambda path: path.stem)
def test_a_playbook_that_reads_a_list_has_it_made(path: Path) -> None:
    tasks = [task for playbook in _playbooks(path) for task in of_playbook(playbook)]
    for variable in ("site_asleep", "site_hosts"):
        made = any(task.action == "set_fact" and variable in json.dumps(task.keywords) for task in tasks)
        read = [str(task) for task in tasks if task.action != "set_fact" and variable in json.dumps(task.keywords)]
        assert made or not read, f"{variable} is not set"


def test_a_host_is_probed_on_the_port_of_its_ssh_server() -> None:
    """Without hostvars, sleeping_hosts does not know the port. If a firewall drops port 22, the host would count as asleep."""
    probes = [task for task in every() if task.action == "wake_on_lan"]
    assert probes
    hosts = {str(task): task.keywords["vmstation.cluster.wake_on_lan"]["hosts"] for task in probes}
    assert [task for task, listed in hosts.items() if not listed.endswith(", hostvars) }}")] == []
