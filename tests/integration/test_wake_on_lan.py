# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""wake_on_lan on a LAN whose hosts really sleep until their packet passes; the packets are compared to the byte."""

from __future__ import annotations

import collections
import dataclasses

import pytest
from sleeping_lan import BROADCAST, CABLE, CLOSED, SleepingHost, SleepingLan, many_hosts, missing_requirement

MODULE = "vmstation.cluster.wake_on_lan"
pytestmark = pytest.mark.skipif(missing_requirement() is not None, reason=missing_requirement() or "")

AWAKE = SleepingHost("masternode", "02:00:c0:a8:04:3f", "10.77.4.63", up=True)
STORAGE = SleepingHost("storagenodet3500", "b8:ac:6f:7e:6c:9d", "10.77.4.61")
HOMELAB = SleepingHost("homelab", "d0:94:66:30:d6:63", "10.77.4.62")
DEAF = SleepingHost("cellar", "02:00:00:00:00:99", "10.77.4.99", never_wakes=True)

# written out by hand, not with the code under test
STORAGE_PACKET = "ffffffffffff" + "b8ac6f7e6c9d" * 16
HOMELAB_PACKET = "ffffffffffff" + "d0946630d663" * 16


def ask(lan, *hosts, check=False, **options):
    return lan.module(MODULE, {"broadcast": BROADCAST, "hosts": [host.option() for host in hosts], **options}, check=check)


def by_name(result):
    return {host["name"]: host for host in result["hosts"]}


def test_check_apply_check_apply():
    with SleepingLan([AWAKE, STORAGE, HOMELAB]) as lan:
        predicted = ask(lan, AWAKE, STORAGE, HOMELAB, check=True)
        assert predicted["changed"] is True
        assert [host["was_up"] for host in predicted["hosts"]] == [True, False, False]
        assert lan.frames() == [], "check mode sends nothing"

        woken = ask(lan, AWAKE, STORAGE, HOMELAB)
        assert woken["changed"] is True
        assert set(woken["hosts"][0]) == {"name", "mac", "was_up", "packets_sent", "is_up", "seconds"}
        assert [(host["name"], host["was_up"], host["packets_sent"], host["is_up"]) for host in woken["hosts"]] == [
            ("masternode", True, 0, True),
            ("storagenodet3500", False, 1, True),
            ("homelab", False, 1, True),
        ]
        assert lan.frames() == [
            {"ethernet_destination": "ff:ff:ff:ff:ff:ff", "to": BROADCAST, "port": 9, "payload": STORAGE_PACKET},
            {"ethernet_destination": "ff:ff:ff:ff:ff:ff", "to": BROADCAST, "port": 9, "payload": HOMELAB_PACKET},
        ]

        assert ask(lan, AWAKE, STORAGE, HOMELAB, check=True)["changed"] is False
        again = ask(lan, AWAKE, STORAGE, HOMELAB)
        assert again["changed"] is False
        assert [host["packets_sent"] for host in again["hosts"]] == [0, 0, 0]
        assert len(lan.frames()) == 2, "nobody slept, nothing more was sent"


def test_a_packet_that_was_lost_is_sent_again_and_only_to_who_still_sleeps():
    hard_of_hearing = dataclasses.replace(HOMELAB, needs_packets=3)
    with SleepingLan([STORAGE, hard_of_hearing]) as lan:
        result = ask(lan, STORAGE, hard_of_hearing, repeat_every=3)
        assert {name: host["packets_sent"] for name, host in by_name(result).items()} == {"storagenodet3500": 1, "homelab": 3}
        assert collections.Counter(frame["payload"] for frame in lan.frames()) == {STORAGE_PACKET: 1, HOMELAB_PACKET: 3}


@pytest.mark.parametrize(("password", "octets"), [("aa:bb:cc:dd:ee:0f", "aabbccddee0f"), ("192.168.4.1", "c0a80401")])
def test_secure_on(password, octets):
    guarded = dataclasses.replace(HOMELAB, password=octets)
    with SleepingLan([guarded]) as lan:
        result = ask(lan, guarded, password=password, port=7, interface=CABLE)
        assert by_name(result)["homelab"]["is_up"]
        assert {(frame["payload"], frame["port"]) for frame in lan.frames()} == {(HOMELAB_PACKET + octets, 7)}
        assert password not in result["console"]


def test_without_waiting_each_sleeping_host_gets_one_packet():
    with SleepingLan([AWAKE, DEAF]) as lan:
        result = ask(lan, AWAKE, DEAF, wait=False)
        assert result["exit_status"] == 0
        assert {name: (host["packets_sent"], host["is_up"]) for name, host in by_name(result).items()} == {
            "masternode": (0, True),
            "cellar": (1, False),
        }


def test_a_host_that_does_not_wake_fails_the_task_and_the_result_still_tells_of_all():
    with SleepingLan([STORAGE, DEAF]) as lan:
        result = ask(lan, STORAGE, DEAF, timeout=4, repeat_every=1.5)
        assert result["failed"] is True
        sent = by_name(result)["cellar"]["packets_sent"]
        assert sent == len([frame for frame in lan.frames() if frame["payload"].endswith("020000000099")])
        assert f"- cellar (02:00:00:00:00:99, locally administered, 10.77.4.99:22): {sent} packets sent; no answer" in result["msg"]
        assert f"1 of 2 hosts did not come up within 4 s (magic packets to {BROADCAST}:9" in result["msg"]
        assert "ethtool" in result["msg"]
        assert "storagenodet3500" not in result["msg"]
        assert {name: host["is_up"] for name, host in by_name(result).items()} == {"storagenodet3500": True, "cellar": False}


def test_a_play_can_go_on_without_the_one_that_sleeps():
    with SleepingLan([STORAGE, DEAF]) as lan:
        result = ask(lan, STORAGE, DEAF, timeout=3, on_timeout="report")
        assert (result["exit_status"], result["changed"]) == (0, True)
        assert {name: host["is_up"] for name, host in by_name(result).items()} == {"storagenodet3500": True, "cellar": False}
        assert "WARNING]: 1 of 2 hosts did not come up within 3 s" in result["console"]


def test_a_refused_connection_is_an_answer_but_not_yet_a_host_to_work_on():
    closed = dataclasses.replace(AWAKE, port=CLOSED)
    with SleepingLan([closed]) as lan:
        result = ask(lan, closed, timeout=1)
        assert (result["failed"], result["changed"]) == (True, False)
        assert "0 packets sent; it is awake but refuses connections on port 2222" in result["msg"]
        assert (by_name(result)["masternode"]["was_up"], by_name(result)["masternode"]["is_up"]) == (True, True)
        assert lan.frames() == []


def test_hosts_are_probed_over_ipv6_too():
    awake = dataclasses.replace(AWAKE, address="fd77::63")
    sleeping = dataclasses.replace(HOMELAB, address="fd77::62")
    with SleepingLan([awake, sleeping]) as lan:
        result = ask(lan, awake, sleeping)
        assert [(host["was_up"], host["is_up"]) for host in result["hosts"]] == [(True, True), (False, True)]
        assert [frame["payload"] for frame in lan.frames()] == [HOMELAB_PACKET]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"broadcast": "192.168.4.255"}, "broadcast 192.168.4.255: found on no local network; this host has: 10.77.0.0/16 on lan0"),
        ({"interface": "eth7"}, "interface eth7: found no such interface with an IPv4 network; this host has: 10.77.0.0/16 on lan0"),
        ({"repeat_every": "nan"}, "repeat_every: found nan; required: a number of seconds"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_sent(options, message):
    with SleepingLan([HOMELAB]) as lan:
        result = ask(lan, HOMELAB, **options)
        assert result["failed"] is True
        assert message in result["msg"]
        assert lan.frames() == []


def test_every_bad_mac_of_a_list_is_named_in_one_message():
    bad = [
        "",
        "-",
        "d0:94:66:30:d6",
        "d0:94-66:30-d6:63",
        "zz:94:66:30:d6:63",
        "\u0660\u0661:94:66:30:d6:63",
        "FF:FF:FF:FF:FF:FF",
        "01:00:5e:00:00:01",
    ]
    bad += ["00:00:00:00:00:00", 41129895296, True, 5.5, "d0:94:66:30:d6:63\n", "{}", "0xd0946630d663"]
    hosts = [{"name": f"host{number}", "mac": mac, "address": f"10.77.4.{number}"} for number, mac in enumerate(bad, 1)]
    with SleepingLan([HOMELAB]) as lan:
        result = lan.module(MODULE, {"broadcast": BROADCAST, "hosts": [HOMELAB.option(), *hosts]})
        assert result["failed"] is True
        assert f"{len(bad)} problems" in result["msg"]
        assert [f"host {host['name']}: mac: found" in result["msg"] for host in hosts] == [True] * len(bad)
        assert "Traceback" not in result["console"]
        assert lan.frames() == []


def test_limited_broadcast_leaves_through_the_only_interface_without_any_default_route():
    with SleepingLan([HOMELAB]) as lan:
        result = ask(lan, HOMELAB, broadcast="255.255.255.255")
        assert by_name(result)["homelab"]["is_up"]
        assert {(frame["to"], frame["payload"]) for frame in lan.frames()} == {("255.255.255.255", HOMELAB_PACKET)}


def test_254_hosts_that_come_up_at_different_times_are_waited_for_together():
    hosts = [dataclasses.replace(host, wakes_after=number % 5) for number, host in enumerate(many_hosts(254))]
    with SleepingLan(hosts) as lan:
        result = ask(lan, *hosts, repeat_every=2, timeout=90)
        assert result["exit_status"] == 0, result.get("msg")
        reported = result["hosts"]
        slowest = max(host["seconds"] for host in reported)
        print(f"254 hosts: the first was up after {min(host['seconds'] for host in reported):.1f} s, the last after {slowest:.1f} s")
        assert [host["name"] for host in reported] == [host.name for host in hosts]
        assert all(host["is_up"] and not host["was_up"] for host in reported)
        # one common wait: no host got more packets than the slowest one had rounds, whatever its place in the list
        rounds = 1 + int(slowest // 2)
        assert max(host["packets_sent"] for host in reported) <= rounds
        assert sum(host["packets_sent"] for host in reported) == len(lan.frames())
        assert {frame["payload"] for frame in lan.frames()} == {"ffffffffffff" + host.mac.replace(":", "") * 16 for host in hosts}


def test_real_hosts_are_woken_from_the_controller_and_from_a_neighbour(lab):
    neighbour = lab.start("wakes", address="192.168.4.114", mac="02:00:c0:a8:04:72")
    sleepers = [lab.start(f"slept{i}", address=f"192.168.4.{i}", mac=f"02:00:c0:a8:04:{i}", sleeps=True) for i in (15, 16)]
    try:
        for sender, sleeper in zip((None, neighbour), sleepers):
            assert not sleeper.is_up()
            hosts = [{"name": host.name, "mac": host.mac, "address": host.address} for host in (neighbour, sleeper)]
            options = {"broadcast": "192.168.4.255", "timeout": 90, "hosts": hosts}
            result = lab.module(sender, "wake_on_lan", options)
            assert result["changed"] is True, result
            assert [(host["was_up"], host["packets_sent"] > 0, host["is_up"]) for host in result["hosts"]] == [
                (True, False, True),
                (False, True, True),
            ]
            assert lab.module(sleeper, "ansible.builtin.ping")["ping"] == "pong", "up is: a play can go on"
            assert lab.module(sender, "wake_on_lan", options)["changed"] is False
    finally:
        for host in [neighbour, *sleepers]:
            lab.remove(host)
