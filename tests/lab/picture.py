# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a lab, for a person: one line for each host, read from the hosts themselves."""

from __future__ import annotations

from tests.lab.hosts import Host
from tests.lab.lab import Lab
from tests.lab.say import say

# one line for each thing that the role `node` brings; an empty output means prepared
UNPREPARED = """
systemctl is-active -q containerd || echo 'containerd not running'
[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ] || echo 'ip_forward off'
"""
HEADER = ("host", "address", "power", "firewall", "ports", "prepared")


def show(lab: Lab) -> None:
    """Print the table of a lab's hosts."""
    specs = lab.specs()
    if not specs:
        say(f"lab {lab.name}: no hosts")
        return
    rows = [HEADER, *(_row(lab.host(spec.name)) for spec in specs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    print()
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)


def _row(host: Host) -> tuple[str, ...]:
    if not host.is_up():
        return (host.name, host.address, "asleep", host.spec.firewall, "-", "-")
    missing = host.run(["sh", "-c", UNPREPARED]).stdout.split("\n")[:-1]
    backend, ports = _opened(host)
    return (host.name, host.address, "up", backend, ports, ", ".join(missing) or "yes")


def _opened(host: Host) -> tuple[str, str]:
    # what removing the role's set would close is what stands
    result = host.lab.module(host, "firewall_ports", {"name": "node", "state": "absent"}, check=True)
    if "removed" not in result:
        return host.spec.firewall, f"unknown: {result.get('msg')}"
    return str(result["backend"]), " ".join(map(str, result["removed"])) or "none opened"
