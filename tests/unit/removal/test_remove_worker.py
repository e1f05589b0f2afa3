# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""remove_worker.yml deletes the Node only after a reset of the host: else its kubelet and its credentials would stay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.architecture.playbook_tasks import load
from tests.conftest import CHECKOUT
from tests.unit.site.test_playbooks_need_the_groups import HERE, play

DECIDING = {"ansible.builtin.meta", "ansible.builtin.assert", "ansible.builtin.fail"}
DELETED = "the Node is deleted"
REACHED = {"_remove_seen": {"changed": True}}
DONE = {**REACHED, "_reset": {"changed": True}, "_reset_is_done": True}
SILENT = {"unreachable": True, "msg": "Connection refused"}
AWAY = {
    "up after wake_timeout": (
        ["beta"],
        REACHED,
        "host beta: found it up now, but not within wake_timeout (300 s); required: up when the cluster is checked. Nothing was touched.",
    ),
    "off": (["beta"], {"_remove_seen": SILENT}, "host beta: found no answer (Connection refused); required: a host that is on"),
    "off after the drain": ([], {**REACHED, "_reset": SILENT}, "host beta: found no answer after the drain (Connection refused)"),
    "reset failed": ([], {**REACHED, "_reset": {}, "_reset_failure": "Close the ports: no such zone"}, "Close the ports: no such zone"),
}


def ran(directory: Path, asleep: list[str], facts: dict[str, object], **variables: object) -> tuple[int, str]:
    """What the playbook's own conditions make of a host. What changes the host and the cluster is left out."""
    plays = {entry.get("name"): entry for entry in load(CHECKOUT / "playbooks/remove_worker.yml")}
    drain, delete = plays["Drain the node and reset the host"], plays["Remove the node from the cluster"]
    deciding = [task for task in drain["tasks"] if DECIDING & task.keys()]
    played = [
        {"import_playbook": "vmstation.cluster.check_inventory"},
        {"hosts": "workers", "gather_facts": False, "tasks": [{"ansible.builtin.set_fact": facts}]},
        {**drain, "tasks": deciding},
        {**delete, "tasks": [delete["tasks"][0], {"ansible.builtin.debug": {"msg": DELETED}}]},
    ]
    (directory / "remove.yml").write_text(json.dumps(played))
    groups = {"control_plane": {"hosts": {"alpha": HERE}}, "workers": {"hosts": {"beta": HERE, "gamma": HERE}}}
    process = play("remove.yml", directory, groups, "-e", json.dumps({"worker": "beta", "site_asleep": asleep, **variables}))
    return process.returncode, " ".join(process.stdout.split())


@pytest.mark.parametrize(("asleep", "facts", "message"), AWAY.values(), ids=AWAY)
def test_the_node_of_a_host_that_was_not_reset_stays(asleep: list[str], facts: dict[str, object], message: str, tmp_path: Path) -> None:
    status, output = ran(tmp_path, asleep, facts)
    assert status == 2
    assert message in output
    assert DELETED not in output


@pytest.mark.parametrize(("asleep", "facts", "is_gone"), [([], DONE, False), (["gamma"], DONE, False), ([], {"_other": 1}, True)])
def test_the_node_of_a_host_that_was_reset_or_is_gone_goes(
    asleep: list[str], facts: dict[str, object], is_gone: bool, tmp_path: Path
) -> None:
    status, output = ran(tmp_path, asleep, facts, worker_is_gone=is_gone)
    assert (status, output.count(DELETED)) == (0, 1), output
