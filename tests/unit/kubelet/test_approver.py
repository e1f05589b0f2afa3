# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The approver's files on a control plane, and what it writes to the journal."""

from __future__ import annotations

import json
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet import requests
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.requests import Round, ensure, lines_of
from ansible_collections.vmstation.cluster.plugins.module_utils._programs import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.idle.test_idle_files import Disk

NODES = [{"name": "HomeLab", "address": ["192.168.4.62", "FD00:4::62"], "mac": "d0:94:66:30:d6:63", "role": "worker", "sleeps": True}]
PRESENT: dict[str, Any] = {"state": "present", "address": "192.168.4.63", "nodes": NODES}
ABSENT = {**PRESENT, "state": "absent"}


def host_of(disk: Disk) -> Host:
    here = disk.files
    return Host(disk, disk.read, disk.write, disk.remove, lambda entry: f"zip of {entry}", "/usr/bin/python3", is_there=here.__contains__)


def test_the_program_is_there_with_its_list_and_its_timer_and_goes_again() -> None:
    disk = Disk()
    predicted = ensure(host_of(disk), PRESENT, "entry", check_mode=True)
    assert predicted["changed"] and disk.files == {}
    assert ensure(host_of(disk), PRESENT, "entry", check_mode=False) == predicted
    assert json.loads(disk.files[requests.CONFIGURATION]) == {
        "address": "192.168.4.63",
        "nodes": {"homelab": ["192.168.4.62", "fd00:4::62"]},
    }
    assert (disk.modes[requests.CONFIGURATION], disk.runs) == (0o600, True)
    assert not ensure(host_of(disk), PRESENT, "entry", check_mode=False)["changed"]
    more = {**PRESENT, "nodes": [*NODES, {"name": "new", "address": "192.168.4.64"}]}
    assert ensure(host_of(disk), more, "entry", check_mode=False)["changed"]
    assert "new" in json.loads(disk.files[requests.CONFIGURATION])["nodes"]
    assert ensure(host_of(disk), ABSENT, "entry", check_mode=False)["changed"]
    assert (disk.files, disk.runs) == ({}, False)
    assert not ensure(host_of(disk), ABSENT, "entry", check_mode=False)["changed"]


def test_a_timer_that_was_stopped_is_started_again() -> None:
    disk = Disk()
    ensure(host_of(disk), PRESENT, "entry", check_mode=False)
    disk.runs = False
    assert ensure(host_of(disk), PRESENT, "entry", check_mode=False)["changed"] and disk.runs


@pytest.mark.parametrize("address", ["homelab.lan", None, ["192.168.4.62", "x"], "192.168.4.0/24"])
def test_an_address_that_is_none_is_refused_before_anything_is_written(address: object) -> None:
    disk = Disk()
    with pytest.raises(Refusal, match=r"nodes\[0\].address: found"):
        ensure(host_of(disk), {**PRESENT, "nodes": [{"name": "a", "address": address}]}, "entry", check_mode=False)
    assert disk.files == {}


def test_a_reason_is_written_once_and_forges_no_line() -> None:
    done = Round(approved=["csr-1"], rejected={"csr-2": "system:node:x: subject a\nb", "csr-3": "known"})
    assert lines_of(done, ["csr-3"]) == ["approved csr-1", "not approved: csr-2 of system:node:x: subject a\\nb"]
