# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The specification's three hosts in a lab, the playbooks that run against them, and questions to the cluster that comes out."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.lab import SPECIFIED_HOSTS, Host, Lab
from tests.lab.cache import CHECKOUT
from tests.lab.say import say
from tests.site import bare_host

STAGES = ("node", "control_plane", "calico", "worker", "dns", "monitoring")
INVENTORIES = (CHECKOUT / "inventory", CHECKOUT / "tests" / "lab" / "inventory")


@dataclass(frozen=True)
class Run:
    """A playbook's run that came to its end: what Ansible says of each task on each host."""

    status: int
    report: Mapping[str, Any]
    seconds: float

    @property
    def changed(self) -> list[str]:
        """``host: task`` of everything that the run changed."""
        return [f"{host}: {task}" for host, task, result in self._results() if result.get("changed")]

    @property
    def failed(self) -> list[str]:
        return [
            f"{host}: {task}: {result.get('msg')}"
            for host, task, result in self._results()
            if result.get("failed") or result.get("unreachable")
        ]

    @property
    def tasks(self) -> int:
        return sum(len(play["tasks"]) for play in self.report["plays"])

    def result(self, task: str) -> Mapping[str, Any]:
        """The results of a task by host; the last one of that name."""
        found = [entry["hosts"] for play in self.report["plays"] for entry in play["tasks"] if task in entry["task"]["name"]]
        return found[-1]

    def _results(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        return [
            (host, entry["task"]["name"], result)
            for play in self.report["plays"]
            for entry in play["tasks"]
            for host, result in entry["hosts"].items()
        ]


class Site:
    """A lab with the three hosts of the specification."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.hosts: dict[str, Host] = {}
        self.bare: dict[str, frozenset[str]] = {}

    def make_hosts(self) -> None:
        """Three bare hosts, awake and looked at."""
        for spec in SPECIFIED_HOSTS:
            host = self.hosts[spec.name] = self.lab.start_as(replace(spec, sleeps=False))
            self._wait_for_addresses(host)
            self.bare[spec.name] = bare_host.look(host)

    def put_workers_to_sleep(self) -> None:
        for spec in SPECIFIED_HOSTS:
            if spec.sleeps:
                self.hosts[spec.name].stop()

    def _wait_for_addresses(self, host: Host) -> None:
        """Until it is sure that no other host has its link-local address, the kernel makes no route to it."""
        settled = ["ip", "-6", "address", "show", "dev", "eth0", "scope", "link", "-tentative"]
        self.lab.wait_for(lambda: host.run(settled).stdout != "", f"the link-local address of {host.name}", 15)

    def remove_hosts(self) -> None:
        for host in self.hosts.values():
            self.lab.remove(host)
        self.hosts.clear()

    # playbooks

    def argv(self, playbook: str, *arguments: str) -> list[str]:
        overlays = [word for path in INVENTORIES for word in ("-i", str(path))]
        return ["ansible-playbook", *overlays, str(CHECKOUT / playbook), *arguments]

    def play(self, playbook: str = "site.yml", *arguments: str, timeout: float = 900, env: Mapping[str, str] | None = None) -> Run:
        """Run a playbook to its end, whatever that is. timeout: seconds."""
        started = time.monotonic()
        environment = {"ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True", **(env or {})}
        process = self.lab.run(self.argv(playbook, *arguments), check=False, timeout=timeout, env=environment)
        seconds = time.monotonic() - started
        assert "{" in process.stdout, f"{playbook} gave no result (status {process.returncode}):\n{process.stdout}{process.stderr}"
        run = Run(process.returncode, json.loads(process.stdout[process.stdout.index("{") :]), seconds)
        say(f"{playbook} {' '.join(arguments)}: status {run.status}, {len(run.changed)} changed, {seconds:.0f} s")
        return run

    def check(self, *arguments: str) -> tuple[Run, Mapping[str, Any]]:
        """Run check.yml, and its report as docs/check-report.schema.json describes it."""
        run = self.play("playbooks/check.yml", *arguments)
        (told,) = run.result("Create the report").values()
        return run, told["report"]

    def count_tasks(self, directory: Path) -> int:
        """How many tasks site.yml and the roles of its stages list; those of files that are included while it runs come on top."""
        tasks = [{"name": role, "ansible.builtin.import_role": {"name": f"vmstation.cluster.{role}"}} for role in STAGES]
        roles = directory / "roles.yml"
        roles.write_text(json.dumps([{"name": "Run all roles", "hosts": "localhost", "tasks": tasks}]))
        listed = "".join(self.lab.run([*self.argv(str(playbook)), "--list-tasks"]).stdout for playbook in ("site.yml", roles))
        return sum("TAGS:" in line and "play #" not in line for line in listed.splitlines())

    def play_and_kill(self, task: int, playbook: str = "site.yml", *arguments: str, timeout: float = 900) -> str | None:
        """Kill Ansible, with what it started on the controller, at a playbook's n-th task, and name it; None if the run ended before."""
        process = subprocess.Popen(
            self.lab.inside(self.argv(playbook, *arguments)), env=self.lab.environment(), cwd=CHECKOUT, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout
        deadline, seen = time.monotonic() + timeout, 0
        try:
            for line in process.stdout:
                assert time.monotonic() < deadline, f"{playbook} did not get to task {task} within {timeout:g} s"
                if line.startswith("TASK ["):
                    seen += 1
                    if seen == task:
                        time.sleep(0.5)
                        return re.sub(r"^TASK \[(.*)\].*$", r"\1", line.strip())
            return None
        finally:
            # the master of an SSH connection has a session of its own and outlives this; the module on the host loses its pipe
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self.lab.close_connections()

    def lose_power(self, *names: str) -> None:
        """Cut the power of hosts that are up, and switch them on again."""
        for name in names:
            self.hosts[name].lose_power()
        for name in names:
            self.hosts[name].boot()

    # the cluster

    def kubectl(self, *arguments: str, stdin: str = "", check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        argv = [*self.lab.kubectl(), f"--request-timeout={int(timeout)}s", *arguments]
        return self.lab.run(argv, stdin=stdin, check=check, timeout=timeout + 10)

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)["items"]

    def ready_nodes(self) -> list[str]:
        return sorted(
            node["metadata"]["name"]
            for node in self.objects("nodes")
            if any(condition["type"] == "Ready" and condition["status"] == "True" for condition in node["status"]["conditions"])
        )

    def in_pod(self, pod: str, argv: Sequence[str], *, namespace: str = "default", check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.kubectl("exec", "-n", namespace, pod, "--", *argv, check=check)
