# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running SSH connection: found, kept in the set, and told from another."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import guard, notes
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import (
    SshConnection,
    admit,
    as_lines,
    made_by_ansible,
    parse,
    parse_connection,
    running_connection,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import ports_for

from tests.unit.network_plan.plans import HOSTS, SPECIFICATION

OVER_22 = SshConnection("192.168.4.1", 50000, 22)


@pytest.mark.parametrize(
    ("text", "connection"),
    [
        ("192.168.4.1 50000 192.168.4.61 22", OVER_22),
        ("fe80::1%eth0 50000 fe80::2%eth0 2222", SshConnection("fe80::1", 50000, 2222)),
        ("", None),
        ("192.168.4.1 50000 192.168.4.61", None),
        ("192.168.4.1 x 192.168.4.61 22", None),
        ("somewhere 50000 192.168.4.61 22", None),
        ("UNKNOWN 65535 UNKNOWN 65535", None),
    ],
)
def test_sshd_writes_a_connection(text, connection):
    assert parse_connection(text) == connection


@pytest.mark.parametrize(
    ("environments", "connection"),
    [
        ([], None),
        ([{}], None),
        ([{"SSH_CONNECTION": "192.168.4.1 50000 192.168.4.61 22"}], OVER_22),
        # sudo left it out, the shell above it has it
        ([{}, {"SUDO_USER": "me"}, {"SSH_CONNECTION": "192.168.4.1 50000 192.168.4.61 22"}], OVER_22),
        # the nearest, not the outermost
        ([{"SSH_CONNECTION": "192.168.4.1 50000 192.168.4.61 22"}, {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}], OVER_22),
        ([{"SSH_CONNECTION": "nonsense"}, {"SSH_CONNECTION": "192.168.4.1 50000 192.168.4.61 22"}], OVER_22),
    ],
)
def test_the_nearest_environment_names_it(environments, connection):
    assert running_connection(environments) == connection


@pytest.mark.parametrize(
    ("found", "is_local", "operator", "is_ansibles"),
    [
        (OVER_22, False, "", True),
        # Ansible is run in an SSH session itself, and connects from there
        (OVER_22, False, "10.0.0.5 41000", True),
        (OVER_22, False, "192.168.4.1 50001", True),
        (OVER_22, False, "192.168.4.1 50000", False),
        # su and sudo may hide the session from Ansible, and not from the module, which is root
        (OVER_22, True, "", False),
        (None, True, "", False),
        (None, False, "", False),
    ],
)
def test_only_a_connection_that_ansible_made_has_to_be_another_one(found, is_local, operator, is_ansibles):
    assert made_by_ansible(found, is_local=is_local, operator=operator) == (found if is_ansibles else None)


@pytest.mark.parametrize(
    ("ports", "connection", "lines"),
    [
        ([{"port": 80}], None, ["80/tcp"]),
        ([{"port": 80}], OVER_22, ["22/tcp", "80/tcp"]),
        ([{"port": 80}], SshConnection("192.168.4.1", 1, 2222), ["80/tcp", "2222/tcp"]),
        ([{"port": "20-25"}], OVER_22, ["20-25/tcp"]),
        ([{"port": 22, "sources": ["192.168.4.0/24"]}], OVER_22, ["22/tcp from 192.168.4.0/24"]),
        # restricted to others: this client is let in too, and nobody else
        ([{"port": 22, "sources": ["10.0.0.0/8"]}], OVER_22, ["22/tcp from 10.0.0.0/8, 192.168.4.1/32"]),
        ([{"port": 22, "sources": ["fd00::/8"]}], OVER_22, ["22/tcp from 192.168.4.1/32, fd00::/8"]),
        ([{"port": 22, "protocol": "udp"}], OVER_22, ["22/tcp", "22/udp"]),
    ],
)
def test_the_running_connection_stays_in_the_set(ports, connection, lines):
    assert as_lines(admit(parse(ports, []), connection)) == lines


@pytest.mark.parametrize(
    ("ports", "guarded"),
    [
        ([{"port": 80, "sources": ["10.0.0.0/8"]}], []),
        ([{"port": 30300}], []),
        ([{"protocol": 4, "sources": ["10.0.0.0/8"]}], []),
        ([{"port": 30300, "sources": ["10.0.0.0/8"]}], ["node ports 30300/tcp only from 10.0.0.0/8"]),
        ([{"port": 30300, "protocol": "udp", "sources": ["10.0.0.0/8"]}], ["node ports 30300/udp only from 10.0.0.0/8"]),
        ([{"port": "29000-30010", "sources": ["10.0.0.0/8"]}], ["node ports 30000-30010/tcp only from 10.0.0.0/8"]),
        ([{"port": "32767-33000", "sources": ["10.0.0.0/8"]}], ["node ports 32767/tcp only from 10.0.0.0/8"]),
        # open to everyone is open, whatever else is said of it
        ([{"port": "30000-30010", "sources": ["10.0.0.0/8"]}, {"port": "30000-32767"}], []),
        (
            [{"port": "30000-30002", "sources": ["10.0.0.0/8"]}, {"port": 30001, "sources": ["fd00::/8"]}],
            [
                "node ports 30000/tcp only from 10.0.0.0/8",
                "node ports 30001/tcp only from 10.0.0.0/8, fd00::/8",
                "node ports 30002/tcp only from 10.0.0.0/8",
            ],
        ),
    ],
)
def test_sources_of_node_ports_are_guarded_before_dnat(ports, guarded):
    found = guard(parse(ports, []), 30000, 32767)
    assert [line for line in as_lines(found) if line.startswith("node ports")] == guarded


def test_the_plan_lets_the_node_network_reach_node_ports_and_only_hosts_and_the_owner_what_asks_for_no_password():
    found = guard(parse(ports_for({**SPECIFICATION, "admin_sources": ["192.168.4.20/32"]}, "worker", HOSTS), []), 30000, 32767)
    owner = "192.168.4.20/32, 192.168.4.61/32, 192.168.4.62/31"
    assert [line for line in as_lines(found) if line.startswith("node ports")] == [
        "node ports 30000-30089/tcp only from 192.168.4.0/24",
        f"node ports 30090/tcp only from {owner}",
        "node ports 30091-31099/tcp only from 192.168.4.0/24",
        f"node ports 31100/tcp only from {owner}",
        "node ports 31101-32767/tcp only from 192.168.4.0/24",
    ]


def test_the_result_says_what_an_input_rule_means_for_a_node_port():
    told = notes(parse([{"port": 22}, {"port": 30090}, {"port": 30300, "sources": ["10.0.0.0/8"]}], []), 30000, 32767)
    assert len(told) == 2
    assert all("neither opens nor closes a NodePort" in line for line in told)
    assert "open to everyone" in told[0]
    assert "dropped before the DNAT" in told[1]
