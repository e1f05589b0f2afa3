# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts' own tools print, as they printed it (conntrack-tools 1.4.7, iproute2 6.1, coreutils 9.1), read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._idle import guard
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import Flow
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CONNTRACK = """\
ipv4     2 tcp      6 431998 ESTABLISHED src=192.168.4.20 dst=192.168.4.62 sport=49964 dport=445 src=192.168.4.62 dst=192.168.4.20 \
sport=445 dport=49964 [ASSURED] mark=0 use=1
ipv6     10 tcp      6 431998 ESTABLISHED src=fd00::20 dst=fd00::62 sport=45318 dport=445 src=fd00::62 dst=fd00::20 sport=445 \
dport=45318 [ASSURED] mark=0 use=1
ipv4     2 tcp      6 299 ESTABLISHED src=192.168.4.20 dst=192.168.4.62 sport=42792 dport=30096 src=10.244.1.5 dst=192.168.4.62 \
sport=8096 dport=42792 [ASSURED] mark=0 use=1
"""


def test_a_flow_reaches_whoever_answers_it() -> None:
    assert list(guard.flows(CONNTRACK)) == [
        Flow("192.168.4.20", 49964, "192.168.4.62", 445, 431998),
        Flow("fd00::20", 45318, "fd00::62", 445, 431998),
        Flow("192.168.4.20", 42792, "10.244.1.5", 8096, 299),
    ]


@pytest.mark.parametrize(
    "line", ["tcp", "ipv4 2 tcp 6 3 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2", CONNTRACK.replace("::", "x")]
)
def test_a_line_that_is_none_is_refused(line: str) -> None:
    with pytest.raises(Refusal):
        list(guard.flows(line))


DAY = 86400


@pytest.mark.parametrize(
    ("left", "longest", "silent"),
    [
        (DAY, DAY, False),
        (DAY - 1799, DAY, False),
        (DAY - 1800, DAY, True),
        # data on its way, or about to be forgotten: nobody can say
        (300, DAY, False),
        (301, DAY, True),
        # somebody has changed the limit meanwhile, or nobody knows it
        (5 * DAY, DAY, False),
        (DAY, 0, False),
    ],
)
def test_a_flow_is_silent_when_no_packet_has_passed_for_long(left: int, longest: int, silent: bool) -> None:
    assert Flow("a", 1, "b", 2, left).is_silent(1800, longest) is silent


SS = """\
0      0                 [fd00::62]:445            [fd00::20]:45318 users:(("python3",pid=20830,fd=4))
0      0               192.168.4.62:22           192.168.4.20:50022 users:(("sshd",pid=812,fd=4),("sshd",pid=800,fd=4))
0      0      [::ffff:192.168.4.62]:2222 [::ffff:192.168.4.63]:50023 users:(("sshd-session",pid=813,fd=4))
0      0      [fe80::1%eth0]:22 [fe80::2%eth0]:50024 users:(("sshd",pid=814,fd=4))
"""


def test_connections_of_the_ssh_server_are_told_by_its_name_on_any_port() -> None:
    assert guard.ssh_peers(SS) == [("192.168.4.20", 50022), ("192.168.4.63", 50023), ("fe80::2", 50024)]
    assert guard.ssh_peers("") == []


@pytest.mark.parametrize(
    ("line", "session"),
    [
        ("admin    tty1         2026-11-26 14:12", ["admin on tty1"]),
        ("admin    :0           2026-11-26 14:12 (:0)", ["admin on :0"]),
        ("admin    pts/3        2026-11-26 14:12 (tmux(1234).%0)", ["admin on pts/3"]),
        ("admin    pts/4        2026-11-26 14:12 (192.168.4.20 via mosh [99])", ["admin on pts/4"]),
        ("root     pts/0        2026-11-26 14:12 (192.168.4.20)", []),
        # a who that asks systemd names the service of a session, and has one without a terminal, too
        ("root     sshd         2026-11-26 14:12 (laptop.home)", []),
        ("root     sshd pts/0   2026-11-26 14:12 (192.168.4.20)", []),
        ("root     sshd         2026-11-26 14:12 (admin@laptop.home)", []),
        ("root     pts/0        2026-11-26 14:12 (fe80::2%eth0)", []),
        ("", []),
    ],
)
def test_a_session_that_no_ssh_connection_tells_of(line: str, session: list[str]) -> None:
    assert guard.local_sessions(f"{line}\n") == session


def test_pods_of_this_node_are_told_by_their_routes() -> None:
    four = """[{"dst":"default","gateway":"192.168.4.1","dev":"eth0","flags":[]},
      {"dst":"10.244.1.5","dev":"cali123","scope":"link","flags":[]},{"type":"blackhole","dst":"10.244.1.0/26","flags":[]},
      {"dst":"10.244.0.0/26","gateway":"10.244.0.0","dev":"vxlan.calico","flags":["onlink"]}]"""
    six = '[{"dst":"fd00:10:244::5","dev":"cali123","metric":1024,"flags":[],"pref":"medium"}]'
    assert guard.own_pods(four, six, "") == {"10.244.1.5", "fd00:10:244::5"}


def test_addresses_of_this_host() -> None:
    links = '[{"ifname":"eth0","addr_info":[{"local":"192.168.4.62","prefixlen":24},{"local":"fd00::62"},{}]},{"ifname":"cali123"}]'
    assert guard.own_addresses(links) == {"192.168.4.62", "fd00::62"}


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (lambda text: list(guard.flows(text)), CONNTRACK.replace("49964", "4x")),
        (lambda text: list(guard.flows(text)), CONNTRACK.replace("431998", "soon")),
        (guard.ssh_peers, '0 0 users:(("sshd",pid=1,fd=4))'),
        (guard.ssh_peers, '0 0 1.2.3.4:22 1.2.3.4:ssh users:(("sshd",pid=1,fd=4))'),
        (guard.own_addresses, '[{"addr_info":[{"local":"127.0.0.1"}'),
        (guard.own_addresses, '[{"addr_info":7}]'),
        (guard.own_addresses, '[{"addr_info":[{"local":["127.0.0.1"]}]}]'),
        (guard.own_pods, '{"dst":"10.244.1.5"}'),
        (guard.own_pods, '[{"dev":"cali1"}]'),
        (guard.own_pods, "[" * 5000),
    ],
)
def test_damaged_output_is_refused_with_the_tool_that_printed_it(read: Callable[[str], object], text: str) -> None:
    with pytest.raises(Refusal, match=r"output of (conntrack|ss|ip -json): found"):
        read(text)


WELL = {"uptime": 9.0, "load": 0.1, "sessions": [], "ssh": [], "clients": []}


@pytest.mark.parametrize("change", [{"uptime": None}, {"load": "much"}, {"ssh": 7}, {"clients": {"a": 1}}, {"sessions": None}])
def test_an_answer_that_no_guard_gives_is_refused(change: dict[str, object]) -> None:
    assert guard.read_status(WELL).uptime == 9.0
    with pytest.raises(Refusal, match="the guard's answer: found not what a guard answers"):
        guard.read_status({**WELL, **change})
    with pytest.raises(Refusal, match=r"Run site\.yml"):
        guard.read_status({name: value for name, value in WELL.items() if name not in change})
