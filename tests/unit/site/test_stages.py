# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of site.yml, which `--tags` runs alone, as Ansible itself selects their tasks."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tests.architecture.playbook_tasks import PLAYBOOKS, ROLES, load, mappings
from tests.unit.site.test_playbooks_need_the_groups import OWN, play

OF_KUBELETS = {"Skip hosts that failed earlier", "Wait for the kubelets' certificates"}
STAGES = {
    "node": {"Validate the installation source before any host is changed", "Skip sleeping hosts", "Prepare the host"},
    "control_plane": {"Skip hosts that are not prepared", "Set up the control plane", *OF_KUBELETS},
    "calico": {"Skip the pod network if the control plane failed", "Install Calico"},
    "worker": {"Fail if there is no cluster to join", "Join the cluster", "Uncordon the node if we cordoned it", *OF_KUBELETS},
    "dns": {
        "Skip the DNS if the control plane or the pod network failed",
        "Wait for Calico on every node that is awake",
        "Run CoreDNS",
    },
    "monitoring": {
        "Check the requirements of monitoring before any host is changed",
        "Skip the workloads if the control plane, the pod network or the DNS failed",
        "Apply monitoring",
        "Wait for monitoring",
    },
    "jellyfin": {
        "Check the requirements of Jellyfin before any host is changed",
        "Skip the workloads if the control plane, the pod network or the DNS failed",
        "Apply Jellyfin if it has a host",
        "Wait for Jellyfin",
    },
    "idle_watch": {
        "Skip hosts that are asleep or failed earlier, and all hosts if the idle watch is disabled",
        "Install the idle watch",
    },
    "cluster_backup": {
        "Skip hosts that are asleep or failed earlier, and all hosts if backups are not scheduled",
        "Install the scheduled backups",
    },
    "report": {
        "Check the nodes",
        "Query the cluster DNS from each node",
        "Report the state of each host",
        "Fail if the node is not ready or cannot resolve names",
    },
}
# what every stage needs: the inventory's lists, the plan, which hosts are awake, and a failure at the end
ALWAYS = {
    *(task["name"] for task in load(PLAYBOOKS / "check_inventory.yml")[0]["tasks"]),
    "Validate the network plan before any host is changed",
    "Report the findings about the network plan",
    "Wake sleeping hosts",
    "List the hosts that are asleep once for all hosts",
    "Uncordon the node if we cordoned it",
    "Skip hosts that are asleep or not prepared",
    "Record that the worker has joined",
    "Fail if the host setup failed",
    "Fail with the recorded error",
}


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory):
    directory = tmp_path_factory.mktemp("stages")

    @cache
    def names(*arguments: str) -> list[tuple[str, str]]:
        """Each task that a run would come to, with its tags."""
        process = play("site", directory, OWN, "--list-tasks", *arguments)
        assert process.returncode == 0, process.stdout + process.stderr
        return re.findall(r"^      (.*)\tTAGS: \[(.*)\]$", process.stdout, re.MULTILINE)

    return names


@pytest.mark.parametrize("stage", STAGES)
def test_tags_run_a_stage_with_what_it_needs_and_nothing_else(stage: str, listed) -> None:
    found = [name for name, _tags in listed("--tags", stage)]
    # the tasks that record a failure belong to each block
    assert {name for name in found if name != "Record the failure"} == ALWAYS | STAGES[stage]


def test_every_task_belongs_to_a_stage_or_is_always_run(listed) -> None:
    assert {tag for _name, tags in listed() for tag in tags.split(", ")} == {*STAGES, "always"}
    assert all(tags for _name, tags in listed())


def test_the_documentation_of_the_playbook_names_every_stage() -> None:
    (text,) = re.findall(r"^#   --tags +.*: (.*)$", (PLAYBOOKS / "site.yml").read_text(), re.MULTILINE)
    assert text.split(", ") == list(STAGES)


def test_a_stage_that_is_included_hands_its_tags_on() -> None:
    """What is included has the tags of its play, and of the include only what `apply` gives it."""
    plays = [one for one in load(PLAYBOOKS / "site.yml") if "hosts" in one and not one.get("tags")]
    included = [task for one in plays for task in mappings(one["tasks"]) if "ansible.builtin.include_tasks" in task and "tags" in task]
    assert len(included) == 4
    assert [task["name"] for task in included if task["ansible.builtin.include_tasks"].get("apply") != {"tags": task["tags"]}] == []


def test_every_stage_is_a_role_of_this_collection() -> None:
    roles = {task["vars"]["stage_role"] for task in mappings(load(PLAYBOOKS / "site.yml")) if "stage_role" in (task.get("vars") or {})}
    assert roles | {"worker"} == {path.name for path in ROLES.iterdir()} == set(STAGES) - {"report"}


def test_a_tag_that_no_stage_has_leaves_what_is_always_run(listed) -> None:
    assert listed("--tags", "none-of-these") == [(name, tags) for name, tags in listed() if "always" in tags.split(", ")]
