# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml and check.yml cost on a cluster that is as planned, as a ratio to a `ping` play to the same three hosts.

    sudo .venv/bin/python tests/benchmarks/site.py

The cluster is made in a lab of its own, which is removed at the end. Every figure but the first run's is the median of three whole
ansible-playbook runs, one after the other; a run that changes or fails anything ends the benchmark.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "collections")]

from tests.lab import Lab  # noqa: E402 (found by the line above)
from tests.site.whole_site import Run, Site  # noqa: E402

REPETITIONS = 3
RUNS = {
    "ping": ("tests/integration/lab_ping.yml", "-e", "pinged=control_plane:workers"),
    "site.yml, second run": ("site.yml",),
    "site.yml --check --diff": ("site.yml", "--check", "--diff"),
    "check.yml": ("playbooks/check.yml",),
}


def require_success(what: str, run: Run, *, may_change: bool = False) -> Run:
    if run.status or not run.tasks or (run.changed and not may_change):
        raise SystemExit(f"{what}: status {run.status}; tasks: {run.tasks}; changed: {run.changed}; failed: {run.failed}")
    return run


def main() -> None:
    lab = Lab("benchmark")
    try:
        lab.prepare()
        site = Site(lab)
        site.make_hosts()
        site.put_workers_to_sleep()
        first = require_success("site.yml, first run", site.play(), may_change=True)
        measured = {what: [require_success(what, site.play(*argv)) for _repetition in range(REPETITIONS)] for what, argv in RUNS.items()}
    finally:
        lab.down()
    report(first, measured)


def report(first: Run, measured: dict[str, list[Run]]) -> None:
    floor = statistics.median(run.seconds for run in measured["ping"])
    print(f"\n{'':28}{'tasks':>6}{'seconds':>9}{'of ping':>9}{'a task, s':>11}")
    for what, runs in {"site.yml, first run": [first], **measured}.items():
        seconds, tasks = statistics.median(run.seconds for run in runs), runs[-1].tasks
        print(f"{what:28}{tasks:6}{seconds:9.1f}{seconds / floor:9.1f}{seconds / tasks:11.2f}")


if __name__ == "__main__":
    main()
