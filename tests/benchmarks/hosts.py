# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plays that need no host cost the controller in a large inventory, as a ratio to a `ping` play to the same hosts.

    .venv/bin/python tests/benchmarks/hosts.py [HOSTS...]

For each number of hosts (3, 30, 100 and 300 unless told otherwise) an inventory with `connection: local` is written. One in ten workers is
asleep. Each figure is one whole ansible-playbook run: processor seconds of all its processes, which another process on the machine disturbs
less than the time on the wall, and the largest resident set of any of them. A run that fails ends the benchmark.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(CHECKOUT), str(CHECKOUT / "collections")]

from tests.unit.network_plan.plans import plan  # noqa: E402 (found by the line above)

PLAYBOOKS, IMPORT = CHECKOUT / "playbooks", "ansible.builtin.import_playbook"
SIZES = (3, 30, 100, 300)
FIRST, ROUTER, NETWORK = ip_address("10.20.0.1"), "10.20.3.254", "10.20.0.0/22"
PLAN = plan(node_cidr=NETWORK, gateway=ROUTER, upstream_dns=[ROUTER], pod_cidr="10.128.0.0/12")
WITH_TASKS_OF_THEIR_OWN = {"block", "ansible.builtin.include_role", "ansible.builtin.include_tasks"}
ALL = {"hosts": "control_plane:workers", "gather_facts": False}


@dataclass(frozen=True)
class Spent:
    seconds: float
    processor: float
    memory: int


def lan(count: int) -> str:
    """What `ip -batch` makes a LAN of, on which one in ten workers is asleep: the others refuse connections, and so are up."""
    up = [f"{FIRST + at}/22" for at in range(count) if at % 10 != 1]
    commands = ["link set lo up", "link add lan type bridge", f"address add {ROUTER}/22 broadcast + dev lan", "link set lan up"]
    return "\n".join([*commands, *(f"address add {address} dev lan" for address in up), ""])


def inventory(count: int) -> dict[str, Any]:
    """One control plane and workers that may sleep, with what a run of site.yml registers of each of them."""
    hosts = {f"n{at:03}": {"ansible_host": str(FIRST + at), "mac": f"02:00:00:00:{at // 256:02x}:{at % 256:02x}"} for at in range(count)}
    first, *others = hosts
    workers = {name: {**hosts[name], "sleeps": True} for name in others}
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "network_plan": PLAN,
        "cluster_name": "benchmark",
        "cluster_kubeconfig": "/nonexistent/kubeconfig",
    }
    children = {"control_plane": {"hosts": {first: hosts[first]}}, "workers": {"hosts": workers}}
    return {"all": {"vars": common, "children": children}}


def site_without_roles() -> list[dict[str, Any]]:
    """site.yml without what it does on hosts and asks the cluster: who is asleep remains, and the verdict."""
    plays = yaml.safe_load((PLAYBOOKS / "site.yml").read_text())
    for play in plays:
        if IMPORT in play:
            play[IMPORT] = str(PLAYBOOKS / play[IMPORT])
            continue
        play["tasks"] = [task for task in play["tasks"] if not task.keys() & WITH_TASKS_OF_THEIR_OWN]
    return [play for play in plays if IMPORT in play or play["tasks"]]


def ports() -> list[dict[str, Any]]:
    """What the role node makes of all hosts for each: its firewall's ports, and its hosts file."""
    hosts_file = "lookup('ansible.builtin.template', node_templates ~ '/hosts.j2')"
    tasks = [
        {"name": "Derive the ports", "ansible.builtin.assert": {"that": "node_firewall_ports | length > 1", "quiet": True}},
        {"name": "Write the hosts file", "ansible.builtin.assert": {"that": f"{hosts_file} | length > 1", "quiet": True}},
    ]
    role = CHECKOUT / "roles" / "node"
    variables = {"vars": {"node_templates": str(role / "templates")}, "vars_files": [str(role / "defaults" / "main.yml")]}
    return [{IMPORT: str(PLAYBOOKS / "check_inventory.yml")}, {**ALL, **variables, "tasks": tasks}]


def playbooks(directory: Path) -> dict[str, list[str]]:
    """The arguments of each."""

    def written(name: str, plays: list[dict[str, Any]]) -> str:
        path = directory / name
        path.write_text(json.dumps(plays))  # JSON is YAML
        return str(path)

    wake = ["-e", "wake_timeout=0.5", "-e", "wake_on_timeout=report"]
    return {
        "ping": [written("ping.yml", [{**ALL, "tasks": [{"ansible.builtin.ping": {}}]}])],
        "check_inventory.yml": [str(PLAYBOOKS / "check_inventory.yml"), "-e", json.dumps({"inventory_variables": ["network_plan"]})],
        "wake.yml": [str(PLAYBOOKS / "wake.yml"), *wake, "-e", "wake_nodes=false"],
        "ports of each host": [written("ports.yml", ports())],
        "site.yml without roles": [written("site.yml", site_without_roles()), *wake],
        "check.yml, the plan": [str(PLAYBOOKS / "check.yml"), "-e", "check_only=plan"],
    }


def spent_by(directory: Path, arguments: list[str]) -> Spent:
    """A whole ansible-playbook run on a LAN of its own, which must succeed."""
    argv = ["unshare", "--net", "--map-root-user", "sh", "-ec", f'ip -batch {directory}/lan; exec "$@"', "sh"]
    argv += [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(directory / "hosts.yml"), *arguments]
    output = directory / "output"
    began = time.monotonic()
    with output.open("wb") as stream:
        process = subprocess.Popen(
            argv, stdout=stream, stderr=stream, cwd=CHECKOUT, env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
        )
        _pid, ended, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(ended)
    text = output.read_text()
    if process.returncode or "failed=0" not in text:
        raise SystemExit(f"{arguments[0]} ended with status {process.returncode}:\n{text[-3000:]}")
    return Spent(time.monotonic() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def measure(count: int) -> dict[str, Spent]:
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        (directory / "hosts.yml").write_text(json.dumps(inventory(count)))
        (directory / "lan").write_text(lan(count))
        return {what: spent_by(directory, arguments) for what, arguments in playbooks(directory).items()}


def main() -> None:
    sizes = sorted(map(int, sys.argv[1:])) or list(SIZES)
    found = {}
    for count in sizes:
        found[count] = measure(count)
        print(f"{count} hosts measured", file=sys.stderr, flush=True)
    report(found)


def report(found: dict[int, dict[str, Spent]]) -> None:
    for what in next(iter(found.values())):
        print(f"\n{what:28}{'hosts':>6}{'seconds':>9}{'processor, s':>14}{'a host, ms':>12}{'of ping':>9}{'MiB':>7}")
        for count, measured in found.items():
            spent = measured[what]
            ratio = spent.processor / measured["ping"].processor
            each = spent.processor / count * 1000
            print(f"{'':28}{count:6}{spent.seconds:9.1f}{spent.processor:14.1f}{each:12.0f}{ratio:9.2f}{spent.memory / 2**20:7.0f}")


if __name__ == "__main__":
    main()
