# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a lab, for a person: one line for each host, read from the hosts themselves."""

from __future__ import annotations

from tests.lab.hosts import Host
from tests.lab.lab import Lab
from tests.lab.say import say

# one line for each thing that the role `node` brings and that is not there
UNPREPARED = """
systemctl is-active -q containerd || echo 'containerd not running'
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 'ip_forward off'
"""
SETS = ("control-plane", "worker")  # the sets of ports that the role opens, by a host's role
HEADER = ("host", "address", "power", "firewall", "prepared", "ports")


def show(lab: Lab) -> None:
    """Print the table of a lab's hosts."""
    hosts = [lab.host(spec.name) for spec in lab.specs()]
    if not hosts:
        say(f"lab {lab.name}: no hosts")
        return
    up = [host for host in hosts if host.is_up()]
    opened = _opened(lab, up)
    rows = [HEADER, *(_row(host, opened[host.name]) if host in up else _asleep(host) for host in hosts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)


def _asleep(host: Host) -> tuple[str, ...]:
    return (host.name, host.address, "asleep", host.spec.firewall, "-", "-")


def _row(host: Host, opened: list[dict[str, object]]) -> tuple[str, ...]:
    missing = host.run(["sh", "-c", UNPREPARED]).stdout.splitlines()
    failures = [str(result["msg"]) for result in opened if "removed" not in result]
    # what is open; to whom, site.yml's verdict says
    ports = [str(port).partition(" from ")[0] for result in opened if "removed" in result for port in result["removed"]]
    if not ports:
        missing.append("no ports opened")
    backends = {str(result["backend"]) for result in opened if "backend" in result}
    return (host.name, host.address, "up", ", ".join(backends), ", ".join(missing) or "yes", ", ".join(failures or ports) or "-")


def _opened(lab: Lab, hosts: list[Host]) -> dict[str, list[dict[str, object]]]:
    """What stands of each set on each host: what its removal would close."""
    pattern = ",".join(host.name for host in hosts)
    answers = [lab.module_on(pattern, "firewall_ports", {"name": name, "state": "absent"}, check=True) for name in SETS if hosts]
    return {host.name: [answer[host.name] for answer in answers] for host in hosts}
