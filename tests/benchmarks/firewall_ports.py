# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long it takes to open 24 ports: one firewall_ports task, the usual loops, and the floor of them all.

    sudo .venv/bin/python tests/benchmarks/firewall_ports.py [REPETITIONS [BACKEND...]]

Every figure is a whole ansible-playbook run over SSH with pipelining, first and second, and the median of REPETITIONS (3). The floor is a
playbook that only pings the host, plus the firewall's own single transaction, timed on the host. The hosts are made for this and removed.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT))

from tests.lab import Lab  # noqa: E402 (found by the line above)
from tests.lab.hosts import FIREWALLS, Host  # noqa: E402

NUMBERS = {
    "tcp": (6443, 2379, 2380, 10250, 10257, 10259, 10256, 179, 5473, 9100, 9099, 4240, 4244, 8080, 80, 443, 53, 7946),
    "udp": (8472, 4789, 51820, 51821, 53, 7946),
}
PORTS = [f"{number}/{protocol}" for protocol, numbers in NUMBERS.items() for number in numbers]
RULESET = (
    "#!/usr/sbin/nft -f\nflush ruleset\ntable inet filter {\n  chain input {\n    type filter hook input priority filter; policy drop;\n"
    "    iif lo accept\n    ct state established,related accept\n    tcp dport 22 accept\n"
    "{% for port in ports %}    {{ port.split('/')[1] }} dport {{ port.split('/')[0] }} accept\n{% endfor %}  }\n}\n"
)
IPTABLES = """
iptables -P INPUT ACCEPT; iptables -F
iptables -A INPUT -i lo -j ACCEPT
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport 22 -j ACCEPT
iptables -P INPUT DROP
ip6tables -P INPUT DROP
"""
OURS = [
    {
        "name": "Open the ports",
        "vmstation.cluster.firewall_ports": {
            "name": "bench",
            "ports": [{"port": port.split("/")[0], "protocol": port.split("/")[1]} for port in PORTS],
        },
    }
]
OURS_GONE = [{"name": "Close the ports", "vmstation.cluster.firewall_ports": {"name": "bench", "state": "absent"}}]
PING = [{"name": "Do nothing", "ansible.builtin.ping": {}}]
# how long a command takes on the host, without the way to it
CLOCK = (
    "import subprocess,sys,time; t=time.monotonic(); subprocess.run(sys.argv[1:],check=True,capture_output=True); print(time.monotonic()-t)"
)


def loop(module: str, options: dict[str, object]) -> list[dict[str, object]]:
    return [{"name": "Open the ports", module: options, "loop": "{{ ports }}"}]


@dataclass(frozen=True)
class Backend:
    """A firewall: what makes its host as new, the usual way to open ports, and its own single transaction."""

    name: str
    reset: str
    usual: str
    tasks: list[dict[str, object]]
    transaction: str
    files: dict[str, str] = field(default_factory=dict)


BACKENDS = [
    Backend(
        "firewalld",
        "systemctl start firewalld; rm -f /etc/firewalld/zones/*; firewall-cmd -q --reload",
        "ansible.posix.firewalld, looped",
        loop("ansible.posix.firewalld", {"port": "{{ item }}", "state": "enabled", "permanent": True, "immediate": True}),
        "firewall-cmd -q --reload",
    ),
    Backend(
        "ufw",
        "ufw --force reset; rm -f /etc/ufw/*.rules.2*; ufw allow 22/tcp; ufw --force enable",
        "community.general.ufw, looped",
        loop("community.general.ufw", {"rule": "allow", "port": "{{ item.split('/')[0] }}", "proto": "{{ item.split('/')[1] }}"}),
        "ufw reload",
    ),
    Backend(
        "nftables",
        FIREWALLS["nftables"],
        "template and nft -f",
        [
            {
                "name": "Write the rules",
                "ansible.builtin.copy": {"content": RULESET, "dest": "/etc/nftables.conf", "mode": "0644", "validate": "nft -c -f %s"},
                "register": "written",
            },
            {"name": "Load the rules", "ansible.builtin.command": "nft -f /etc/nftables.conf", "when": "written is changed"},
        ],
        "nft -f /etc/nftables.conf",
    ),
    Backend(
        "iptables",
        IPTABLES,
        "ansible.builtin.iptables, looped",
        loop(
            "ansible.builtin.iptables",
            {"chain": "INPUT", "protocol": "{{ item.split('/')[1] }}", "destination_port": "{{ item.split('/')[0] }}", "jump": "ACCEPT"},
        ),
        "iptables-restore --noflush /root/bench.rules",
        {
            "/root/bench.rules": "*filter\n"
            + "".join(f"-A INPUT -p {port.split('/')[1]} --dport {port.split('/')[0]} -j ACCEPT\n" for port in PORTS)
            + "COMMIT\n"
        },
    ),
]


def seconds_for(lab: Lab, host: Host, tasks: list[dict[str, object]], *, changed: bool | None = None) -> float:
    """A whole ansible-playbook run, which must succeed, and change something or nothing if ``changed`` says so."""
    with tempfile.NamedTemporaryFile("w", suffix=".yml") as playbook:
        json.dump([{"hosts": host.name, "gather_facts": False, "vars": {"ports": PORTS}, "tasks": tasks}], playbook)  # JSON is YAML
        playbook.flush()
        began = time.monotonic()
        done = lab.playbook(playbook.name, check=True)
        spent = time.monotonic() - began
    recap = done.stdout.rpartition("PLAY RECAP")[2]
    if changed is not None and ("changed=0" in recap) == changed:
        raise SystemExit(f"{tasks[0]['name']} on {host.name}: expected changed={changed}, got\n{done.stdout}")
    return spent


def measure(lab: Lab, host: Host, backend: Backend, repetitions: int) -> dict[str, float]:
    """The medians, in seconds."""
    readings: dict[str, list[float]] = {}
    for path, text in backend.files.items():
        host.write(path, text)
    host.run(["sh", "-ec", backend.reset], timeout=120)
    seconds_for(lab, host, PING)  # the SSH connection stands, as it does in the middle of a play
    for repetition in range(repetitions):
        print(f"{backend.name}: repetition {repetition + 1} of {repetitions}", file=sys.stderr)

        def note(what: str, seconds: float) -> None:
            readings.setdefault(what, []).append(seconds)

        note("ping", seconds_for(lab, host, PING))
        note("ours, first", seconds_for(lab, host, OURS, changed=True))
        note("ours, second", seconds_for(lab, host, OURS, changed=False))
        transaction = host.run(["python3", "-c", CLOCK, *backend.transaction.split()], timeout=120).stdout
        note("transaction", float(transaction))
        if backend.name == "iptables":  # what has been restored beside ours goes first
            host.run(["sh", "-ec", "sed 's/^-A/-D/' /root/bench.rules | iptables-restore --noflush"])
        seconds_for(lab, host, OURS_GONE, changed=True)
        note("usual, first", seconds_for(lab, host, backend.tasks, changed=True))
        note("usual, second", seconds_for(lab, host, backend.tasks, changed=False))
        host.run(["sh", "-ec", backend.reset], timeout=120)
    return {what: statistics.median(seconds) for what, seconds in readings.items()}


def main() -> None:
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    names = sys.argv[2:] or [backend.name for backend in BACKENDS]
    chosen = [backend for backend in BACKENDS if backend.name in names]
    lab = Lab(f"bench-{os.getpid()}")
    rows = []
    try:
        lab.prepare()
        for number, backend in enumerate(chosen):
            octet = 130 + number
            host = lab.start(f"bench{backend.name}", address=f"192.168.4.{octet}", mac=f"02:00:c0:a8:04:{octet:02x}")
            rows.append((backend, measure(lab, host, backend, repetitions)))
            lab.remove(host)
    finally:
        lab.down()
    print(f"24 ports, seconds, median of {repetitions}; ratios in brackets")
    for backend, found in rows:
        floor = found["ping"] + found["transaction"]
        print(f"\n{backend.name}")
        print(f"  {'ping play':34}{found['ping']:8.2f}")
        print(f"  {'floor: ping + ' + backend.transaction.split(' /')[0]:34}{floor:8.2f}")
        for run, against, name in (("first", floor, "floor"), ("second", found["ping"], "ping play")):
            ours, usual = found[f"ours, {run}"], found[f"usual, {run}"]
            print(f"  {f'firewall_ports, {run} run':34}{ours:8.2f}  ({ours / against:.2f} times the {name})")
            print(f"  {f'{backend.usual}, {run}':34}{usual:8.2f}  ({usual / ours:.1f} times firewall_ports)")


if __name__ == "__main__":
    main()
