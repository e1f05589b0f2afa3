# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What reset_data removes, and what it keeps: data of a cluster that stays, and on hosts that the run did not reset."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.architecture.playbook_tasks import load
from tests.conftest import CHECKOUT
from tests.unit.site.test_playbooks_need_the_groups import HERE, KUBECONFIG, NAME, PLAN, play, said

USER = {**HERE, "ansible_become": False}
# any connection to it fails
OFF = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_become": False}
CONFIRMED = ("-e", "reset_data=true", "-e", json.dumps({PLAN: {}, NAME: "mine", KUBECONFIG: "x"}))


@pytest.mark.parametrize(
    ("limit", "staying"),
    [("third", "first, second"), ("first", "second, third"), ("worker", "first, second, third"), ("!second", "second")],
)
def test_data_of_a_cluster_that_stays_is_not_removed(limit: str, staying: str, tmp_path: Path) -> None:
    """The plan is empty: were this not an error, that would be the next one, before any host is touched."""
    groups = {"control_plane": {"hosts": dict.fromkeys(["first", "second", "third"], USER)}, "workers": {"hosts": {"worker": USER}}}
    output = " ".join(said(play("reset", tmp_path, groups, "--limit", limit, *CONFIRMED)).split())
    assert f"reset_data: found true, and control plane hosts that --limit leaves out ({staying}); required: all control plane" in output
    assert "Nothing was touched." in output


@pytest.mark.parametrize("limit", ["all", "!worker"])
def test_without_a_control_plane_host_that_stays_the_data_may_go(limit: str, tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"first": USER}}, "workers": {"hosts": {"worker": USER}}}
    output = said(play("reset", tmp_path, groups, "--limit", limit, *CONFIRMED))
    assert "reset_data" not in output and "network_plan" in output


def removed(directory: Path, groups: dict[str, object], reset: list[str], *arguments: str, **facts: object) -> tuple[str, set[str]]:
    """Runs the play of reset.yml that removes data. reset: the hosts that the run has reset. facts: of all hosts."""
    (data,) = (entry for entry in load(CHECKOUT / "playbooks/reset.yml") if entry.get("name") == "Remove the application data")
    done = {"ansible.builtin.set_fact": {"_reset_is_done": True}, "when": "inventory_hostname in reset"}
    before = {
        "hosts": "control_plane:workers",
        "gather_facts": False,
        "tasks": [done, {"ansible.builtin.set_fact": {"known": True, **facts}}],
    }
    (directory / "data.yml").write_text(json.dumps([{"import_playbook": "vmstation.cluster.check_inventory"}, before, data]))
    paths = {name: directory / name for name in ("monitoring", "alloy", "jellyfin/config", "jellyfin/media")}
    for path in paths.values():
        path.mkdir(parents=True)
    variables = {
        "reset": reset,
        "reset_data": True,
        "monitoring_storage_directory": str(directory / "monitoring"),
        "monitoring_alloy_directory": str(directory / "alloy"),
        "jellyfin_storage_directory": str(directory / "jellyfin"),
    }
    process = play("data.yml", directory, groups, "-e", json.dumps(variables), *arguments)
    assert process.returncode == 0, process.stdout + process.stderr
    assert set(re.findall(r"(?:unreachable|failed)=(\d+)", process.stdout)) == {"0"}, process.stdout
    return " ".join(process.stdout.split()), {name for name, path in paths.items() if not path.exists()}


KEPT = "reset_data: found {} asleep, unreachable or left out by --limit; required: hosts that are awake and in the run."
# what else is in Jellyfin's directory stays
OF_JELLYFIN, OF_MONITORING = {"jellyfin/config"}, {"monitoring", "alloy"}


def test_data_goes_from_all_hosts_that_were_reset(tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"first": USER}}, "workers": {"hosts": {"worker": USER}}}
    output, gone = removed(tmp_path, groups, ["first", "worker"])
    assert gone == OF_MONITORING | OF_JELLYFIN
    assert "reset_data: found" not in output


@pytest.mark.parametrize("limit", ["all", "!worker"])
def test_data_on_a_host_that_was_not_reset_stays_and_the_control_plane_stays_reachable(limit: str, tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"first": USER}}, "workers": {"hosts": {"worker": OFF}}}
    output, gone = removed(tmp_path, groups, ["first"], "--limit", limit, "--check")
    assert gone == set()
    assert "changed=2" in output.split("PLAY RECAP")[1]


def test_data_on_a_host_that_was_left_out_stays(tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"first": USER}}, "workers": {"hosts": {"worker": USER}}}
    output, gone = removed(tmp_path, groups, ["first"], "--limit", "!worker")
    assert gone == OF_MONITORING
    assert KEPT.format("worker") in output


def test_a_cluster_without_workers_has_no_data_of_jellyfin(tmp_path: Path) -> None:
    output, gone = removed(tmp_path, {"control_plane": {"hosts": {"first": USER}}}, ["first"])
    assert gone == OF_MONITORING
    assert "reset_data: found" not in output


def test_data_stays_if_a_reset_failed(tmp_path: Path) -> None:
    groups = {"control_plane": {"hosts": {"first": USER}}, "workers": {"hosts": {"worker": USER}}}
    assert removed(tmp_path, groups, ["first"], _reset_failure="Reset: failed")[1] == set()
