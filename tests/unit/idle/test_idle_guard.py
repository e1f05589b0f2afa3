# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guard of a worker answers, and to whom it does not."""

from __future__ import annotations

import json

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import Knock, Question, answer, read_status
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.fakes import Script

WATCH = "192.168.4.63 50000 192.168.4.62 22"
ASKED = Question(1800, frozenset({"10.244.0.9"}), frozenset({"192.168.4.62", "192.168.4.63"}))
FILES = {
    "/proc/uptime": "7200.53 14000.10\n",
    "/proc/loadavg": "0.90 0.25 0.10 1/163 19395\n",
    "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_established": "86400\n",
}


def flow(source: str, destination: str, port: int, *, left: int = 86390, source_port: int = 40000, to: str = "192.168.4.62") -> str:
    began = f"src={source} dst={to} sport={source_port} dport=30096"
    return (
        f"ipv4 2 tcp 6 {left} ESTABLISHED {began} src={destination} dst={source} sport={port} dport={source_port} [ASSURED] mark=0 use=1\n"
    )


OURS = flow("192.168.4.63", "192.168.4.62", 22, source_port=50000)


def worker(*flows: str, ssh: str = "", who: str = "") -> Script:
    addresses = [{"addr_info": [{"local": "127.0.0.1"}]}, {"addr_info": [{"local": "192.168.4.62"}, {"local": "10.244.1.0"}]}]
    asking = '0 0 192.168.4.62:22 192.168.4.63:50000 users:(("sshd",pid=1,fd=4))\n'
    return Script(
        {
            "conntrack -L": OURS + "".join(flows),
            "ss -Htnp": asking + ssh,
            "ip -json address": json.dumps(addresses),
            "ip -json -4 route": '[{"dst":"10.244.1.5","dev":"cali1"},{"dst":"10.244.1.6","dev":"cali2"}]',
            "who": who,
        }
    )


def told(
    script: Script, command: str = "status", asked: str = ASKED.as_text(), connection: str = WATCH, unit: str = "poweroff.target"
) -> dict:
    return answer(Knock(command, connection, asked), unit, script, FILES.get)


FLOWS = {
    "a client of a Pod": (flow("192.168.4.20", "10.244.1.5", 8096), "192.168.4.20 of 10.244.1.5 port 8096"),
    "a client that another node's address stands for": (flow("192.168.4.63", "10.244.1.5", 8096), "192.168.4.63 of 10.244.1.5 port 8096"),
    "a client that another node's tunnel stands for": (flow("10.244.0.0", "10.244.1.5", 8096), "10.244.0.0 of 10.244.1.5 port 8096"),
    "a Pod elsewhere, which may stand for clients": (flow("10.244.0.7", "10.244.1.5", 8096), "10.244.0.7 of 10.244.1.5 port 8096"),
    "a client of the host": (flow("192.168.4.20", "192.168.4.62", 2049), "192.168.4.20 of 192.168.4.62 port 2049"),
    "a node that has mounted a file system of the host": (
        flow("192.168.4.63", "192.168.4.62", 2049),
        "192.168.4.63 of 192.168.4.62 port 2049",
    ),
    "a stranger at the kubelet": (flow("192.168.4.20", "192.168.4.62", 10250), "192.168.4.20 of 192.168.4.62 port 10250"),
    "data on its way": (flow("192.168.4.20", "10.244.1.5", 8096, left=299), "192.168.4.20 of 10.244.1.5 port 8096"),
    "a client that has gone away": (flow("192.168.4.20", "10.244.1.5", 8096, left=84000), ""),
    "a probe of the kubelet": (flow("192.168.4.62", "10.244.1.5", 8096), ""),
    "a probe from the tunnel's address": (flow("10.244.1.0", "10.244.1.5", 8096), ""),
    "a Pod of this node": (flow("10.244.1.6", "10.244.1.5", 8096), ""),
    "Prometheus at a Pod": (flow("10.244.0.9", "10.244.1.5", 12345), ""),
    "Prometheus at the host, by its node's address": (flow("192.168.4.63", "192.168.4.62", 9100), ""),
    "the API server at the kubelet": (flow("192.168.4.63", "192.168.4.62", 10250), ""),
    "this host at the API server": (flow("192.168.4.62", "192.168.4.63", 6443), ""),
    "a Pod of this node out in the world": (flow("10.244.1.5", "203.0.113.7", 443), ""),
    "what is forwarded elsewhere": (flow("192.168.4.20", "10.244.0.7", 3000), ""),
}


@pytest.mark.parametrize("case", FLOWS)
def test_who_uses_the_host(case: str) -> None:
    line, client = FLOWS[case]
    assert told(worker(line))["clients"] == ((client,) if client else ())


def test_a_status_tells_all_of_it() -> None:
    ssh = '0 0 192.168.4.62:22 192.168.4.20:50022 users:(("sshd",pid=2,fd=4))\n'
    script = worker(flow("192.168.4.20", "192.168.4.62", 22, source_port=50022), ssh=ssh, who="admin tty1 2026-11-26 14:12\n")
    status = told(script)
    assert status == {
        "uptime": 7200.53,
        "load": 0.25,
        "sessions": ("admin on tty1",),
        "ssh": ("192.168.4.20",),
        "clients": (),
        "told": False,
    }
    assert read_status(json.loads(json.dumps(status))).users == ["login session: admin on tty1", "SSH connection from 192.168.4.20"]


def test_an_answer_forges_no_line_of_the_journal_and_does_not_fill_it() -> None:
    forged = {"uptime": 1, "load": 0, "sessions": ["me\nhomelab is woken\x1b[2J"], "ssh": ["x" * 100_000], "clients": ["c"] * 100_000}
    somebody = read_status(forged).users
    assert all(line.isprintable() and len(line) < 300 for line in somebody)
    assert len(somebody) == 52
    assert somebody[0] == r"login session: 'me\nhomelab is woken\x1b[2J'"


@pytest.mark.parametrize("unit", ["poweroff.target", "suspend.target"])
def test_a_host_that_nobody_uses_is_put_to_sleep(unit: str) -> None:
    script = worker()
    assert told(script, "sleep", unit=unit)["told"]
    assert script.lines[-1] == f"systemctl start --no-block {unit}"


@pytest.mark.parametrize(
    "script",
    [
        worker(flow("192.168.4.20", "10.244.1.5", 8096)),
        worker(who="admin tty1 2026-11-26 14:12\n"),
        worker(ssh='0 0 192.168.4.62:22 192.168.4.63:50001 users:(("sshd",pid=2,fd=4))\n'),
    ],
)
def test_a_host_that_somebody_uses_is_not(script: Script) -> None:
    assert not told(script, "sleep")["told"]
    assert script.ran("systemctl") == []


def test_status_puts_nobody_to_sleep() -> None:
    script = worker()
    told(script)
    assert script.ran("systemctl") == []


@pytest.mark.parametrize("command", ["", "reboot", "sleep now", "sleep suspend.target", "status\n", "sleep;reboot", "/bin/sh", "SLEEP"])
def test_every_other_word_is_refused_before_anything_runs(command: str) -> None:
    script = worker()
    with pytest.raises(Refusal, match="status or sleep"):
        told(script, command)
    assert script.lines == []


@pytest.mark.parametrize("unit", ["", "reboot.target", "poweroff.target reboot.target"])
def test_another_unit_is_refused(unit: str) -> None:
    with pytest.raises(Refusal, match=r"poweroff\.target or suspend\.target"):
        told(worker(), "sleep", unit=unit)


@pytest.mark.parametrize(
    "asked", ["", "[]", "{}", '{"quiet": "soon", "pods": [], "nodes": []}', '{"quiet": 1, "pods": ["anyone"], "nodes": []}']
)
def test_a_question_that_is_none_is_refused(asked: str) -> None:
    script = worker()
    with pytest.raises(Refusal):
        told(script, "sleep", asked)
    assert script.lines == []


@pytest.mark.parametrize("connection", ["", "192.168.4.63 50001 192.168.4.62 22"])
def test_without_its_own_connection_in_conntrack_nobody_can_say_who_is_there(connection: str) -> None:
    with pytest.raises(Refusal):
        told(worker(), "sleep", connection=connection)
