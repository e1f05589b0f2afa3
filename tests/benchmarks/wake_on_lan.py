# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes to wake hosts with one wake_on_lan call, and with community.general.wakeonlan and wait_for in loops.

    sudo .venv/bin/python tests/benchmarks/wake_on_lan.py [HOSTS [SECONDS_TO_BOOT]]

The hosts (100 unless told otherwise) live in a network namespace of their own, and each opens its SSH port when the magic packet for its
MAC has been seen on the wire. Both ways run on the same machine right after each other, as whole ansible-playbook runs; beside them stands
a playbook that does nothing, the floor of them all. Everything is removed at the end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "tests" / "integration"))

from sleeping_lan import BROADCAST, SleepingHost, SleepingLan, many_hosts, missing_requirement  # noqa: E402 (found by the line above)

LONGEST = 900  # seconds that any playbook may take
LOOP_LABEL = {"loop_control": {"label": "{{ item.name }}"}}


def one_call(hosts: list[dict[str, object]]) -> list[dict[str, object]]:
    return [
        {
            "name": "Wake all hosts and wait for them",
            "vmstation.cluster.wake_on_lan": {"broadcast": BROADCAST, "hosts": hosts},
        }
    ]


def loops(hosts: list[dict[str, object]]) -> list[dict[str, object]]:
    return [
        {
            "name": "Send a packet to each host",
            "community.general.wakeonlan": {"mac": "{{ item.mac }}", "broadcast": BROADCAST},
            "loop": hosts,
            **LOOP_LABEL,
        },
        {
            "name": "Wait for each host",
            "ansible.builtin.wait_for": {"host": "{{ item.address }}", "port": "{{ item.port }}", "timeout": 60},
            "loop": hosts,
            **LOOP_LABEL,
        },
    ]


def nothing(_hosts: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{"name": "Do nothing", "ansible.builtin.ping": {}}]


def seconds_for(lan: SleepingLan, tasks: list[dict[str, object]]) -> float:
    """A whole ansible-playbook run on the LAN's controller, which must succeed."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as playbook:
        json.dump([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}], playbook)  # JSON is YAML
        playbook.flush()
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", "localhost,", "-c", "local"]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}", playbook.name]
        began = time.monotonic()
        done = lan.run(
            argv, check=False, cwd=CHECKOUT, timeout=LONGEST, env={**os.environ, "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
        )
        spent = time.monotonic() - began
    if done.returncode != 0:
        raise SystemExit(f"the playbook failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return spent


def main() -> None:
    reason = missing_requirement()
    if reason:
        raise SystemExit(reason)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    boot = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    sleeping: list[SleepingHost] = many_hosts(count, wakes_after=boot)
    print(f"{count} sleeping hosts, each up {boot:g} s after its magic packet; whole ansible-playbook runs", flush=True)
    rows = []
    for name, tasks, hosts in (
        ("a playbook that does nothing", nothing, sleeping),
        ("one wake_on_lan call, all asleep", one_call, sleeping),
        ("wakeonlan + wait_for in loops, all asleep", loops, sleeping),
        ("one wake_on_lan call, all awake", one_call, [dataclasses.replace(host, up=True) for host in sleeping]),
        ("wakeonlan + wait_for in loops, all awake", loops, [dataclasses.replace(host, up=True) for host in sleeping]),
    ):
        with SleepingLan(hosts) as lan:
            spent = seconds_for(lan, tasks([host.option() for host in hosts]))
            rows.append((name, spent, len(lan.frames())))
        print(f"  done: {name}, {spent:.1f} s", flush=True)
    report(rows)


def report(rows: list[tuple[str, float, int]]) -> None:
    spent = {name: seconds for name, seconds, _packets in rows}
    print(f"\n{'':44}{'seconds':>8}{'packets':>9}{'of the loops':>14}")
    for name, seconds, packets in rows:
        loops_beside = next(
            (row for row in spent if "loops" in row and row.rsplit(",", maxsplit=1)[-1] == name.rsplit(",", maxsplit=1)[-1]), None
        )
        ratio = f"{seconds / spent[loops_beside]:.2f}" if loops_beside else ""
        print(f"{name:44}{seconds:8.1f}{packets:9}{ratio:>14}")
    for state in ("asleep", "awake"):
        faster = spent[f"wakeonlan + wait_for in loops, all {state}"] / spent[f"one wake_on_lan call, all {state}"]
        print(f"all {state}: one call is {faster:.1f} times as fast as the loops")


if __name__ == "__main__":
    try:
        main()
    except subprocess.TimeoutExpired as late:
        raise SystemExit(f"given up after {LONGEST} s: {late.cmd[-1]}") from late
