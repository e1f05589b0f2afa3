# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml and check.yml cost on a cluster that is as planned, as a ratio to a `ping` play to the same three hosts.

    sudo .venv/bin/python tests/benchmarks/site.py

The cluster is made in a lab of its own, which is removed at the end. Every figure but the first run's is the median of three whole
ansible-playbook runs, one after the other; a run that changes or fails anything ends the benchmark.

Module runs are counted where Ansible makes them (callbacks/module_runs.py), by the host that they run on. Requests are those of
administrators, in the API server's audit log: what playbooks and kubeadm ask. The first run's lack those from before the log.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "collections")]

from tests.lab import SPECIFIED_HOSTS, Lab  # noqa: E402 (found by the line above)
from tests.site.whole_site import Run, Site  # noqa: E402

REPETITIONS = 3
RUNS = {
    "ping": ("tests/integration/lab_ping.yml", "-e", "pinged=control_plane:workers"),
    "site.yml, second run": ("site.yml",),
    "site.yml --check --diff": ("site.yml", "--check", "--diff"),
    "check.yml": ("playbooks/check.yml",),
}


# kubeadm gives the API server this directory of its host
AUDIT_POLICY = "/etc/ssl/certs/benchmark-audit.json"
POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata", "users": ["kubernetes-admin", "kubernetes-super-admin"]}, {"level": "None"}],
}
AUDITED = {"control_plane_apiserver_extra_args": {"audit-policy-file": AUDIT_POLICY, "audit-log-path": "-"}}
EVENT = 'stdout [PF] {"kind":"Event","apiVersion":"audit.k8s.io/v1"'
COUNT_REQUESTS = f"cat /var/log/pods/kube-system_kube-apiserver-*/kube-apiserver/*.log | grep -c '{EVENT}'"


@dataclass(frozen=True)
class Measured:
    """A run with its module runs by host, and its requests to the API server."""

    run: Run
    modules: Counter[str]
    requests: int


class Bench:
    def __init__(self, site: Site) -> None:
        self.site = site
        self.control_plane = site.hosts["masternode"]
        self.control_plane.write(AUDIT_POLICY, json.dumps(POLICY))

    def play(self, what: str, *argv: str, may_change: bool = False) -> Measured:
        log = self.site.lab.directory / "module_runs"
        log.write_text("")
        counting = {
            "ANSIBLE_CALLBACK_PLUGINS": str(Path(__file__).parent / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "module_runs",
            "VMSTATION_MODULE_RUNS": str(log),
        }
        before = self._requests()
        run = self.site.play(*argv, "-e", json.dumps(AUDITED), timeout=1800, env=counting)
        if run.status or not run.tasks or (run.changed and not may_change):
            raise SystemExit(f"{what}: status {run.status}; tasks: {run.tasks}; changed: {run.changed}; failed: {run.failed}")
        return Measured(run, Counter(line.split()[0] for line in log.read_text().splitlines()), self._requests() - before)

    def _requests(self) -> int:
        return int(self.control_plane.run(["sh", "-c", COUNT_REQUESTS], check=False).stdout)


def main() -> None:
    lab = Lab("benchmark")
    try:
        lab.prepare()
        site = Site(lab)
        site.make_hosts()
        site.put_workers_to_sleep()
        bench = Bench(site)
        first = bench.play("site.yml, first run", "site.yml", may_change=True)
        measured = {what: [bench.play(what, *argv) for _repetition in range(REPETITIONS)] for what, argv in RUNS.items()}
    finally:
        lab.down()
    report({"site.yml, first run": [first], **measured})


def report(measured: dict[str, list[Measured]]) -> None:
    seconds = {what: statistics.median(one.run.seconds for one in runs) for what, runs in measured.items()}
    places = {"controller": "controller", **{spec.name: spec.address for spec in SPECIFIED_HOSTS}}
    print(f"\n{'':28}{'tasks':>6}{'seconds':>9}{'of ping':>9}{'a task, s':>11}{'requests':>10}   module runs: {', '.join(places)}")
    for what, runs in measured.items():
        last, tasks = runs[-1], runs[-1].run.tasks
        modules = ", ".join(str(last.modules[place]) for place in places.values())
        figures = f"{tasks:6}{seconds[what]:9.1f}{seconds[what] / seconds['ping']:9.1f}{seconds[what] / tasks:11.2f}{last.requests:10}"
        print(f"{what:28}{figures}   {modules}")


if __name__ == "__main__":
    main()
