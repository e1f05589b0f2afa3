# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The user's own ports in the network plan, through the firewall task of the role node on a real firewall."""

from __future__ import annotations

import json

import pytest

from tests.integration.firewall_wire import listening, reached
from tests.integration.playbook_output import recap
from tests.unit.network_plan.plans import FLAWLESS, extra

PLAYBOOK = """
- hosts: control_plane:workers
  gather_facts: false
  tasks:
    - ansible.builtin.include_role:
        name: vmstation.cluster.node
        tasks_from: firewall
"""
EXTRA = extra(
    {"name": "wireguard", "port": "7000-7010", "protocol": "udp", "sources": "anyone", "reason": "phones call from outside"},
    {"name": "elsewhere", "port": 7100, "sources": ["10.8.0.0/24"], "reason": "only over the VPN"},
    {"name": "master", "port": 7200, "roles": ["control_plane"], "reason": "not on a worker"},
)
HEARD = [("tcp", 22000), ("udp", 7000), ("udp", 7010), ("tcp", 7100), ("tcp", 7200)]
OPEN = {("tcp", 22000), ("udp", 7000), ("udp", 7010)}


@pytest.fixture(scope="module")
def hosts(lab):
    made = [
        lab.start("extra-ports", address="192.168.4.241", mac="02:00:c0:a8:04:f1", image="debian13", firewall="nftables"),
        lab.start("extra-peer", address="192.168.4.242", mac="02:00:c0:a8:04:f2", image="debian13"),
    ]
    yield made
    for host in made:
        lab.remove(host)


@pytest.fixture
def play(lab, hosts, tmp_path):
    host, peer = hosts

    def run(plan, *options):
        variables = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(lab.key),
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null -o StrictHostKeyChecking=no -o LogLevel=ERROR",
            "ansible_python_interpreter": "/usr/bin/python3",
            "network_plan": plan,
        }
        groups = {
            "control_plane": {"hosts": {peer.name: {"ansible_host": peer.address}}},
            "workers": {"hosts": {host.name: {"ansible_host": host.address}}},
        }
        (tmp_path / "hosts.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
        (tmp_path / "play.yml").write_text(PLAYBOOK)
        words = ["ansible-playbook", "-i", str(tmp_path / "hosts.json"), "--limit", host.name, str(tmp_path / "play.yml"), *options]
        process = lab.run(words, check=False, timeout=300)
        assert process.returncode == 0, process.stdout + process.stderr
        return recap(process)[host.name]["changed"], process.stdout

    return run


def test_extra_ports_are_opened_and_closed_again_when_they_leave_the_plan(hosts, play):
    host, peer = hosts
    planned = {**FLAWLESS, "extra_ports": EXTRA}

    def answering():
        with listening(host, *HEARD):
            answers = reached(peer, *((protocol, host.address, port) for protocol, port in HEARD))
        return {heard for heard, answer in zip(HEARD, answers, strict=True) if answer}

    play(FLAWLESS)
    assert answering() == set()
    changed, shown = play(planned, "--check", "--diff")
    assert changed == 1
    assert "+22000/tcp from 192.168.4.0/24" in shown
    assert answering() == set()
    assert play(planned)[0] == 1
    assert answering() == OPEN
    assert play(planned)[0] == 0
    assert play(FLAWLESS)[0] == 1
    assert answering() == set()
    assert play(FLAWLESS)[0] == 0
