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

from tests.conftest import CHECKOUT

PLAYBOOKS = [path.stem for path in sorted((CHECKOUT / "playbooks").glob("*.yml")) if path.stem != "check_inventory"]
PLAN, NAME, KUBECONFIG = "network_plan", "cluster_name", "cluster_kubeconfig"
VARIABLES = {
    "backup": [NAME],
    "check": [KUBECONFIG, PLAN],
    "remove_worker": [KUBECONFIG, NAME, PLAN],
    "reset": [KUBECONFIG, NAME, PLAN],
    "restore": [KUBECONFIG, NAME, PLAN],
    "restore_jellyfin": [NAME],
    "site": [KUBECONFIG, NAME, PLAN],
    "sleep": [KUBECONFIG, PLAN],
    "upgrade": [KUBECONFIG, NAME, PLAN],
    "wake": [PLAN],
}
FOREIGN = {"k3s_servers": {"hosts": {"alpha": {}}}, "k3s_agents": {"hosts": {"beta": {}}}}
OWN = {"control_plane": {"hosts": {"alpha": {}}}, "workers": {"hosts": {"beta": {}}}, "nas": {"hosts": {"store": {}}}}


ROLE = """
- hosts: localhost
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: vmstation.cluster.%s, tasks_from: preflight}
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
    output = said(play("role.yml", tmp_path, FOREIGN, "-e", f"{role}_host=beta"))
    assert f"{role}_host: found beta, which is no host of the groups control_plane and workers; required: one of these" in output
    assert "(the inventory has none)" in output


def test_the_variables_of_every_playbook_are_known_here() -> None:
    assert sorted({*VARIABLES, "diagnose"}) == PLAYBOOKS
