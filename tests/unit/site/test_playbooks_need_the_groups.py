# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook fails, and names what is missing, where the inventory lacks its groups or variables or --limit leaves no host to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.architecture.playbook_tasks import FILES, load, mappings
from tests.conftest import CHECKOUT

PLAYBOOKS = [path.stem for path in sorted((CHECKOUT / "playbooks").glob("*.yml")) if path.stem != "check_inventory"]
PLAN, NAME, KUBECONFIG = "network_plan", "cluster_name", "cluster_kubeconfig"
VARIABLES = {
    "backup": [NAME],
    "check": [KUBECONFIG],
    "diagnose": [KUBECONFIG, PLAN],
    "patch": [KUBECONFIG, NAME, PLAN],
    "remove_worker": [KUBECONFIG, NAME, PLAN],
    "reset": [KUBECONFIG, NAME, PLAN],
    "restore": [KUBECONFIG, NAME, PLAN],
    "restore_jellyfin": [NAME],
    "site": [KUBECONFIG, NAME, PLAN],
    "sleep": [KUBECONFIG, PLAN],
    "test_alert": [KUBECONFIG],
    "upgrade": [KUBECONFIG, NAME, PLAN],
    "wake": [PLAN],
}
FOREIGN = {"k3s_servers": {"hosts": {"alpha": {}}}, "k3s_agents": {"hosts": {"beta": {}}}}
OWN = {"control_plane": {"hosts": {"alpha": {}}}, "workers": {"hosts": {"beta": {}}}, "nas": {"hosts": {"store": {}}}}


ROLE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.%s}
"""


def play(playbook: str, directory: Path, groups: dict[str, object] | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A run far from the checkout, so that nothing of its inventory is used; no host is there to be reached."""
    hosts = directory / "hosts.json"
    hosts.write_text(json.dumps({"all": {"children": groups or {}}}))
    inventory = ["-i", str(hosts)] if groups else []
    program = str(Path(sys.prefix) / "bin" / "ansible-playbook")
    # the answer to what would be asked if the inventory were not checked before
    argv = [program, playbook if "." in playbook else f"vmstation.cluster.{playbook}", "-e", "confirm=mine", *inventory, *arguments]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / "collections"), "ANSIBLE_CONFIG": str(directory / "none.cfg")}
    environment |= {"ANSIBLE_INVENTORY": str(directory / "nowhere")} if not groups else {}
    (directory / "none.cfg").touch()
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, cwd=directory, env=environment)


def said(process: subprocess.CompletedProcess[str]) -> str:
    assert process.returncode == 2, process.stdout + process.stderr
    return process.stdout


# the same first play as with groups of other names
@pytest.mark.parametrize("playbook", ["check", "site"])
def test_without_an_inventory(playbook: str, tmp_path: Path) -> None:
    output = said(play(playbook, tmp_path, None))
    assert "inventory: found no host in the group control_plane (no group has hosts); required: the groups control_plane" in output


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_with_groups_of_other_names(playbook: str, tmp_path: Path) -> None:
    output = said(play(playbook, tmp_path, FOREIGN))
    assert re.search(r"no host in the groups? control_plane( and workers)? \(groups with hosts: k3s_agents, k3s_servers\); ", output)


GROUPS = json.dumps({"cluster_control_plane_group": "k3s_servers", "cluster_workers_group": "k3s_agents"})


# the next thing that this inventory lacks: its hosts are found
@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_with_groups_of_other_names_that_variables_name(playbook: str, tmp_path: Path) -> None:
    output = said(play(playbook, tmp_path, FOREIGN, "-e", GROUPS))
    hosts = re.search(rf"{', '.join(VARIABLES[playbook])}: found no value for (.*?); required", output)
    assert hosts and set(hosts[1].split(", ")) <= {"alpha", "beta", "localhost"}


@pytest.mark.parametrize("playbook", sorted(VARIABLES))
def test_without_variables(playbook: str, tmp_path: Path) -> None:
    output = said(play(playbook, tmp_path, OWN))
    assert f"{', '.join(VARIABLES[playbook])}: found no value for " in output
    assert "Traceback" not in output


@pytest.mark.parametrize(
    ("playbook", "limit", "group"),
    [
        ("check", "store", "groups control_plane and workers"),
        ("backup", "beta", "group control_plane"),
        ("sleep", "alpha", "group workers"),
    ],
)
def test_with_a_limit_that_leaves_nothing_to_do(playbook: str, limit: str, group: str, tmp_path: Path) -> None:
    output = said(play(playbook, tmp_path, OWN, "--limit", limit, "-e", json.dumps(dict.fromkeys([PLAN, NAME, KUBECONFIG], "x"))))
    assert f"--limit: found {limit}; required: a host of the {group}." in output


# wake.yml, which site.yml imports, checks the inventory a second time. The tag leaves out what needs a cluster
def test_a_site_may_be_limited_to_the_controller(tmp_path: Path) -> None:
    groups = {**OWN, "controllers": {"hosts": {"localhost": {"ansible_connection": "local"}}}}
    variables = json.dumps(dict.fromkeys([PLAN, NAME, KUBECONFIG], "x"))
    process = play("site", tmp_path, groups, "--limit", "localhost", "--tags", "none-of-these", "-e", variables)
    assert process.stdout.count("TASK [Check the groups and variables]") == 2
    assert "--limit: found" not in process.stdout


@pytest.mark.parametrize("role", ["jellyfin", "monitoring"])
def test_a_role_names_the_groups_of_which_its_host_must_be(role: str, tmp_path: Path) -> None:
    (tmp_path / "role.yml").write_text(ROLE % role)
    variables = json.dumps({PLAN: {}, KUBECONFIG: str(tmp_path / "nowhere")})
    output = said(play("role.yml", tmp_path, FOREIGN, "-e", variables))
    assert f"{role}_host: found none, which is no host of the groups control_plane and workers; required: one of these" in output
    assert "(the inventory has none)" in output
    assert "import the playbook vmstation.cluster.check_inventory with cluster_control_plane_group and cluster_workers_group" in output


FACTS_OF_EACH = """
- ansible.builtin.import_playbook: vmstation.cluster.check_inventory
- hosts: control_plane:workers
  gather_facts: false
  tasks:
    - ansible.builtin.set_fact: {lasting: "{{ inventory_hostname }}", cacheable: true}
    - ansible.builtin.set_fact: {passing: "{{ inventory_hostname }}"}
      register: registered
    - ansible.builtin.debug:
        msg: "found {{ inventory_hostname }} {{ ansible_facts.lasting }} {{ passing }} {{ registered.ansible_facts.passing }}"
"""


def test_what_is_found_on_one_host_is_not_found_on_all(tmp_path: Path) -> None:
    (tmp_path / "facts.yml").write_text(FACTS_OF_EACH)
    process = play("facts.yml", tmp_path, OWN)
    assert sorted(re.findall(r"found ([a-z ]+)", process.stdout)) == [" ".join([host] * 4) for host in ("alpha", "beta")], process.stdout


# kubespray's control plane host may be a worker, too
KUBESPRAY = {
    "kube_control_plane": {"hosts": {"alpha": {}}},
    "kube_node": {"hosts": {"alpha": {}, "beta": {}, "gamma": {}}},
    "all_of_it": {"children": {"kube_control_plane": {}, "kube_node": {}}},
}
PLAY_OF_EACH = """
- ansible.builtin.import_playbook: vmstation.cluster.check_inventory
- hosts: control_plane
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: "control plane {{ inventory_hostname }}"}}]
- hosts: workers
  gather_facts: false
  tasks: [{ansible.builtin.debug: {msg: "worker {{ inventory_hostname }} of {{ site_hosts | map(attribute='name') | join(' ') }}"}}]
"""


@pytest.mark.parametrize("limit", ["all", "gamma"])
def test_hosts_of_groups_of_other_names_are_in_one_group_each(limit: str, tmp_path: Path) -> None:
    (tmp_path / "each.yml").write_text(PLAY_OF_EACH)
    variables = json.dumps({"cluster_control_plane_group": "kube_control_plane", "cluster_workers_group": "kube_node"})
    process = play("each.yml", tmp_path, KUBESPRAY, "--limit", limit, "-e", variables)
    assert process.returncode == 0, process.stdout + process.stderr
    played = set(re.findall(r'"msg": "(.*)"', process.stdout))
    of_all = {"control plane alpha", "worker beta of alpha beta gamma", "worker gamma of alpha beta gamma"}
    assert played == (of_all if limit == "all" else {"worker gamma of alpha beta gamma"})
    assert set(re.findall(r"changed=(\d+)", process.stdout)) == {"0"}


MISSING = {
    "calico": "calico_kubeconfig, calico_network_plan",
    "jellyfin": "jellyfin_kubeconfig, jellyfin_network_plan",
    "worker": "worker_cluster_name, worker_kubeconfig, worker_network_plan",
}


@pytest.mark.parametrize("role", MISSING)
def test_a_role_names_all_of_its_variables_that_have_no_value(role: str, tmp_path: Path) -> None:
    (tmp_path / "role.yml").write_text(f"- hosts: beta\n  gather_facts: false\n  roles: [vmstation.cluster.{role}]\n")
    assert f"missing required arguments: {MISSING[role]}" in said(play("role.yml", tmp_path, OWN))


# on the controller: no host is there to be reached
HERE = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}


def test_backup_names_its_variable_if_the_directory_is_relative(tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"alpha": HERE}}}
    output = said(play("backup", tmp_path, groups, "-e", "cluster_name=x", "-e", "backup_directory=backups"))
    assert "backup_directory: found backups; required: a path that begins with / or ~." in output


def test_sleep_fails_if_limit_leaves_out_a_host_that_it_is_asked_for(tmp_path: Path) -> None:
    sleeper = {"sleeps": True, "mac": "02:00:c0:a8:04:3d", **HERE}
    groups = {"control_plane": {"hosts": {"alpha": HERE}}, "workers": {"hosts": {"beta": sleeper, "gamma": sleeper}}}
    variables = json.dumps({PLAN: {}, KUBECONFIG: "x", "sleep_hosts": ["beta"]})
    output = said(play("sleep", tmp_path, groups, "--limit", "gamma", "-e", variables))
    assert "sleep_hosts: found beta; required: hosts that `--limit` includes." in output


def test_sleep_names_the_form_of_a_list(tmp_path: Path) -> None:
    sleeper = {"sleeps": True, "mac": "02:00:c0:a8:04:3d", **HERE}
    groups = {"control_plane": {"hosts": {"alpha": HERE}}, "workers": {"hosts": {"beta": sleeper}}}
    variables = json.dumps({PLAN: {}, KUBECONFIG: "x"})
    output = said(play("sleep", tmp_path, groups, "-e", variables, "-e", "sleep_hosts=beta"))
    assert "sleep_hosts: found 'beta'; required: a list of host names." in output.replace("''", "'")


EVALUATE = """
- hosts: %s
  gather_facts: false
  tasks:
    - ansible.builtin.debug: {msg: "found {{ %s }}"}
"""


def found(expression: str, directory: Path, host: str, groups: dict[str, object], **variables: object) -> str:
    (directory / "evaluate.yml").write_text(EVALUATE % (host, expression.replace('"', "'")))
    process = play("evaluate.yml", directory, groups, "-e", json.dumps(variables))
    assert process.returncode == 0, process.stdout + process.stderr
    return re.search(r'"msg": "found (.*)"', process.stdout)[1]


def test_the_preflight_of_every_host_knows_the_kubelet_configuration_of_the_control_plane(tmp_path: Path) -> None:
    tasks = yaml.safe_load((CHECKOUT / "roles/node/tasks/preflight.yml").read_text())
    (options,) = (task["vmstation.cluster.node_preflight_check"] for task in tasks if "vmstation.cluster.node_preflight_check" in task)
    expression = options["kubelet_configuration"].removeprefix("{{").removesuffix("}}")
    own = {"alpha": {"control_plane_kubelet_configuration": {"evictionHard": {"nodefs.available": "5%"}}}}
    groups = {"control_plane": {"hosts": own}, "workers": {"hosts": {"beta": {}}}}
    assert found(expression, tmp_path, "workers", groups) == "{'evictionHard': {'nodefs.available': '5%'}}"
    assert found(expression, tmp_path, "all", FOREIGN) == "{}"


@pytest.mark.parametrize("playbook", ["patch", "upgrade"])
def test_localhost_has_no_part_in_a_backup_of_which_only_the_hosts_know(playbook: str, tmp_path: Path) -> None:
    """Each playbook begins with a play of localhost, too, where the plan is not registered."""
    (condition,) = (entry["when"] for entry in load(CHECKOUT / f"playbooks/{playbook}.yml") if "when" in entry and "backup" in str(entry))
    groups = {"control_plane": {"hosts": {"alpha": HERE}}}
    assert found(condition, tmp_path, "localhost", groups) == "False"


@pytest.mark.parametrize(("state", "is_applied"), [("present", "False"), ("absent", "True")])
def test_site_removes_jellyfin_from_a_cluster_without_workers(state: str, is_applied: str, tmp_path: Path) -> None:
    tasks = mappings(load(CHECKOUT / "playbooks/site.yml"))
    (condition,) = (task["when"] for task in tasks if task.get("name") == "Apply Jellyfin if it has a host")
    groups = {"control_plane": {"hosts": {"alpha": HERE}}}
    assert found(condition, tmp_path, "alpha", groups, jellyfin_state=state) == is_applied
    (tmp_path / "role.yml").write_text(ROLE % "jellyfin")
    variables = json.dumps({"jellyfin_state": state, PLAN: {}, KUBECONFIG: str(tmp_path / "nowhere")})
    process = play("role.yml", tmp_path, groups, "--check", "-e", variables)
    assert ("jellyfin_host: found none, which is no host" in process.stdout) is (state == "present")
    assert ("does not exist yet" in process.stdout) is (state == "absent")


EMPTY = [{}, {"cluster_backup_schedule": None}, {"cluster_backup_schedule": False}, {"cluster_backup_schedule": ""}]
# `true` is no schedule, which the role reports: systemd rejects it
SET = [{"cluster_backup_schedule": "daily"}, {"cluster_backup_schedule": True}]


@pytest.mark.parametrize("schedule", [*EMPTY, *SET], ids=str)
def test_a_schedule_that_is_empty_is_none(schedule: dict[str, object], tmp_path: Path) -> None:
    site = [task["when"] for task in mappings(load(CHECKOUT / "playbooks/site.yml")) if "cluster_backup_schedule" in str(task.get("when"))]
    tasks = [task for task in mappings(load(CHECKOUT / "playbooks/check.yml")) if "cluster_backup_schedule" in str(task)]
    (asks,) = {task["vars"]["_asks_control_planes"] for task in tasks if "_asks_control_planes" in task.get("vars", {})}
    (checked,) = {task["when"][1] for task in tasks if task.get("name") == "Check the scheduled backups"}
    assert len(site) == 1
    skipped, *looked_at = (f"({text.removeprefix('{{').removesuffix('}}')})" for text in (*site, asks, checked))
    groups = {"control_plane": {"hosts": {"alpha": HERE}}}
    results = found(" ~ ' ' ~ ".join([skipped, *looked_at]), tmp_path, "alpha", groups, site_asleep=[], **schedule)
    assert results == ("False True True" if schedule in SET else "True False False")


# ansible-core evaluates a task's condition when it comes to it: a run would end there, without a report
OF_A_TEXT = re.compile(r"\w+ \| default\(''\) \| length")
OF_AN_OWNERS_LIST = re.compile(r"\b(?:backup|check|cluster|patch|remove|sleep|upgrade)_\w+ \| default\(\[\]\) \| length")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_the_length_of_a_variable_that_may_be_empty_is_asked_of_a_default(path: Path) -> None:
    """`default('')` leaves what is empty in YAML, which has no length; `default('', true)` does not."""
    assert OF_A_TEXT.findall(path.read_text()) + OF_AN_OWNERS_LIST.findall(path.read_text()) == []


def test_the_variables_of_every_playbook_are_known_here() -> None:
    assert sorted(VARIABLES) == PLAYBOOKS
