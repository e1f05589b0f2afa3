# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a long run reports of itself: the task that it waits for, and how long its plays took."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._site.progress import Progress, duration

from tests.conftest import CHECKOUT


class Watch:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7265, "121 min 05 s")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_task_that_runs_for_long_is_named_with_the_hosts_that_have_not_ended(watch: Watch) -> None:
    progress = Progress(watch)
    assert progress.waiting(0) == ""
    progress.task_starts("Wait until the nodes are ready")
    for host in ("homelab", "masternode"):
        progress.host_starts(host)
    watch.time += 29
    assert progress.waiting(30) == ""
    watch.time += 1
    assert progress.waiting(30) == "still running after 30 s: Wait until the nodes are ready (homelab, masternode)"
    progress.host_ends("homelab")
    assert progress.waiting(30) == "still running after 30 s: Wait until the nodes are ready (masternode)"
    progress.host_ends("masternode")
    assert progress.waiting(30) == ""


def test_many_hosts_are_counted(watch: Watch) -> None:
    progress = Progress(watch)
    progress.task_starts("Import the images")
    for at in range(300):
        progress.host_starts(f"n{at:03}")
    assert progress.waiting(0).endswith("(n000, n001, n002, n003, n004 and 295 more)")


def test_the_summary_names_the_five_slowest_plays(watch: Watch) -> None:
    progress = Progress(watch)
    # plays of one name, such as those of a playbook that is imported twice, are one
    for name, seconds in (("a", 1), ("b", 70), ("c", 3), ("a", 4), ("d", 2), ("e", 6), ("f", 7)):
        progress.play_starts(name)
        watch.time += seconds
    assert progress.summary("site.yml") == "site.yml took 1 min 33 s. Slowest plays: b 1 min 10 s, f 7 s, e 6 s, a 5 s, c 3 s."


PLAYBOOK = """
- name: Slow play
  hosts: alpha,beta
  gather_facts: false
  tasks:
    - name: Wait until something runs
      ansible.builtin.command: sleep {{ 4 if inventory_hostname == 'alpha' else 0 }}
- name: Quick play
  hosts: alpha
  gather_facts: false
  tasks:
    - name: Do nothing
      ansible.builtin.meta: noop
"""


def test_a_real_run_reports_both_on_standard_error_alone(tmp_path: Path) -> None:
    (tmp_path / "slow.yml").write_text(PLAYBOOK)
    here = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"hosts": {"alpha": here, "beta": here}}}))
    process = subprocess.run(
        [str(Path(sys.prefix) / "bin" / "ansible-playbook"), "-i", str(tmp_path / "hosts.json"), str(tmp_path / "slow.yml")],
        env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"), "VMSTATION_PROGRESS_INTERVAL": "1"},
        capture_output=True, text=True, check=True, timeout=120, cwd=tmp_path,
    )  # fmt: skip
    assert re.search(r"^still running after \d+ s: Wait until something runs \(alpha\)$", process.stderr, re.MULTILINE), process.stderr
    last = process.stderr.splitlines()[-1]
    assert re.fullmatch(r"slow\.yml took \d+ s\. Slowest plays: Slow play \d+ s, Quick play \d+ s\.", last), process.stderr
    assert "still running" not in process.stdout
    assert "took" not in process.stdout
