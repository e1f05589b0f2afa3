# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of a call, on a simulated LAN where time passes only when somebody waits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import FIRST_PROBE, Heard, Request, Target, failure_message, wake


@dataclass
class Machine:
    """boots_in: seconds from the packet that it hears to its first answer; None: never. refuses_for: then, until its port opens."""

    target: Target
    awake_since: Optional[float] = None
    boots_in: Optional[float] = 0.0
    refuses_for: float = 0.0
    hears_packet: int = 1
    packets: list[float] = field(default_factory=list)

    def answer(self, now: float) -> str:
        if self.awake_since is None or now < self.awake_since:
            return "silent"
        return "refused" if now < self.awake_since + self.refuses_for else "accepted"


class SimulatedLan:
    """Is the clock and the network at once."""

    def __init__(self, *machines: Machine) -> None:
        self.time = 1000.0
        self.machines = {machine.target.name: machine for machine in machines}
        self.by_payload = {bytes.fromhex("ffffffffffff" + machine.target.mac.replace(":", "") * 16): machine for machine in machines}
        self.probes: list[int] = []

    def now(self):
        return self.time

    def sleep(self, seconds):
        assert seconds > 0
        self.time += seconds

    def probe(self, targets, seconds):
        self.probes.append(len(targets))
        began = self.time
        heard = {}
        for target in targets:
            answer = self.machines[target.name].answer(began)
            heard[target.name] = Heard(answer, seconds if answer == "silent" else 0.0, "timed out" if answer == "silent" else "")
        if any(one.answer == "silent" for one in heard.values()):
            self.time += seconds
        return heard

    def send(self, payloads):
        for payload in payloads:
            machine = self.by_payload[payload]
            machine.packets.append(self.time)
            if len(machine.packets) == machine.hears_packet and machine.boots_in is not None:
                machine.awake_since = self.time + machine.boots_in


def target(number):
    return Target(f"host{number}", f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", f"10.0.{number >> 8}.{number & 255}")


def request(lan, **options):
    return Request(tuple(machine.target for machine in lan.machines.values()), "10.0.255.255", **options)


def run(lan, *, predict_only=False, **options):
    return wake(request(lan, **options), lan, lan, predict_only=predict_only)


def sent(outcome):
    return [host["packets_sent"] for host in outcome.hosts]


def test_nobody_sleeps():
    lan = SimulatedLan(Machine(target(1), awake_since=0), Machine(target(2), awake_since=0))
    outcome = run(lan)
    assert (outcome.changed, outcome.missing, sent(outcome)) == (False, (), [0, 0])
    assert outcome.diff["before"] == outcome.diff["after"] == {"host1": "awake", "host2": "awake"}
    assert lan.probes == [2]


def test_no_hosts():
    outcome = run(SimulatedLan())
    assert (outcome.changed, outcome.hosts, outcome.missing) == (False, (), ())


def test_only_who_sleeps_is_sent_a_packet():
    lan = SimulatedLan(Machine(target(1), awake_since=0), Machine(target(2), boots_in=3))
    outcome = run(lan)
    assert (outcome.changed, outcome.missing, sent(outcome)) == (True, (), [0, 1])
    assert outcome.diff == {"before": {"host1": "awake", "host2": "asleep"}, "after": {"host1": "awake", "host2": "awake"}}


@pytest.mark.parametrize(("boots_in", "packets"), [(4, 1), (9, 2), (11, 3), (29, 6)])
def test_packets_are_repeated_until_the_host_answers(boots_in, packets):
    lan = SimulatedLan(Machine(target(1), boots_in=boots_in))
    outcome = run(lan, repeat_every=5)
    times = lan.machines["host1"].packets
    assert sent(outcome) == [packets] == [len(times)]
    assert all(later - earlier == pytest.approx(5, abs=0.01) for earlier, later in zip(times, times[1:]))


def test_a_lost_packet_costs_one_repetition():
    lan = SimulatedLan(Machine(target(1), boots_in=1, hears_packet=3))
    assert sent(run(lan, repeat_every=5)) == [3]


def test_254_hosts_take_as_long_as_the_slowest_one():
    slowest = SimulatedLan(Machine(target(1), boots_in=60))
    run(slowest)
    everybody = SimulatedLan(*(Machine(target(number), boots_in=number * 60 / 254) for number in range(1, 255)))
    outcome = run(everybody)
    assert outcome.missing == ()
    assert everybody.time == pytest.approx(slowest.time, abs=1.5)
    assert everybody.probes[0] == 254 and everybody.probes == sorted(everybody.probes, reverse=True), "who is up is not asked again"


def test_a_booting_host_that_refuses_gets_no_more_packets_and_is_waited_for():
    lan = SimulatedLan(Machine(target(1), boots_in=2, refuses_for=20))
    outcome = run(lan, repeat_every=5)
    assert (sent(outcome), outcome.missing, outcome.hosts[0]["is_up"]) == ([1], (), True)
    assert outcome.hosts[0]["seconds"] == pytest.approx(FIRST_PROBE + 22, abs=1.5)


def test_a_host_that_falls_silent_again_is_woken_again():
    lan = SimulatedLan(Machine(target(1), boots_in=1, refuses_for=30), Machine(target(2), boots_in=40))
    crashes = lan.machines["host1"]
    plain = crashes.answer
    crashes.answer = lambda now: plain(now) if now < 1008 or len(crashes.packets) > 1 else "silent"
    outcome = run(lan, repeat_every=5)
    assert (len(crashes.packets) > 1, outcome.missing) == (True, ())


def test_check_mode_probes_and_sends_nothing():
    lan = SimulatedLan(Machine(target(1), awake_since=0), Machine(target(2)))
    outcome = run(lan, predict_only=True)
    assert (outcome.changed, outcome.missing, sent(outcome), lan.probes) == (True, (), [0, 0], [2])
    assert [host["is_up"] for host in outcome.hosts] == [True, False]
    assert outcome.diff["after"] == {"host1": "awake", "host2": "awake"}


def test_without_waiting_one_packet_each():
    lan = SimulatedLan(Machine(target(1), awake_since=0, refuses_for=2000), Machine(target(2)), Machine(target(3)))
    outcome = run(lan, wait=False)
    assert (outcome.changed, outcome.missing, sent(outcome), lan.probes) == (True, (), [0, 1, 1], [3])


def test_waiting_ends_at_the_timeout_for_all_together():
    lan = SimulatedLan(*(Machine(target(number), boots_in=None) for number in range(3)))
    began = lan.time
    outcome = run(lan, timeout=30, repeat_every=5)
    assert lan.time - began == pytest.approx(FIRST_PROBE + 30, abs=0.01)
    assert sent(outcome) == [6, 6, 6], "none is sent at the very end, when nobody listens for the answer any more"
    assert [host["seconds"] for host in outcome.hosts] == [pytest.approx(32, abs=0.01)] * 3
    assert outcome.diff["after"] == {"host0": "asleep", "host1": "asleep", "host2": "asleep"}


def test_a_probe_is_never_so_short_that_everybody_seems_silent():
    lan = SimulatedLan(Machine(target(1), boots_in=1, refuses_for=8), Machine(target(2), boots_in=20))
    plain = lan.probe

    def probe(targets, seconds):
        assert seconds >= 0.25
        return plain(targets, seconds)

    lan.probe = probe
    assert sent(run(lan, repeat_every=1.1, timeout=30.05))[0] == 1


def test_a_timeout_shorter_than_a_repetition():
    lan = SimulatedLan(Machine(target(1), boots_in=None))
    assert sent(run(lan, timeout=0.5, repeat_every=5)) == [1]


def test_the_failure_names_each_missing_host_and_what_to_check():
    lan = SimulatedLan(
        Machine(target(1), boots_in=None), Machine(target(2), awake_since=0, refuses_for=10**6), Machine(target(3), boots_in=1)
    )
    outcome = run(lan, timeout=10, repeat_every=5, interface="eth1")
    message = failure_message(outcome)
    assert "2 of 3 hosts did not come up within 10 s (magic packets to 10.0.255.255:9 through eth1, every 5 s):" in message
    assert "- host1 (02:00:00:00:00:01, 10.0.0.1:22): 2 packets sent; no answer (timed out)" in message
    assert "- host2 (02:00:00:00:00:02, 10.0.0.2:22): 0 packets sent; it is awake but refuses connections on port 22" in message
    assert "host3" not in message
    assert all(word in message for word in ("firmware", "ethtool", "switch", "nic_wake_on_lan"))


def test_the_failure_shows_the_vendors_of_the_cards_that_do_not_answer():
    lan = SimulatedLan(
        Machine(target(1), boots_in=None), Machine(target(2), boots_in=None), Machine(target(3), awake_since=0, refuses_for=10**6)
    )
    message = failure_message(run(lan, timeout=10), {target(1).mac: "Dell Inc.", target(2).mac: ""}.__getitem__)
    assert "- host1 (02:00:00:00:00:01, Dell Inc., 10.0.0.1:22): " in message
    assert "- host2 (02:00:00:00:00:02, 10.0.0.2:22): " in message
    assert "- host3 (02:00:00:00:00:03, 10.0.0.3:22): " in message


def test_an_ipv6_endpoint_is_written_so_that_its_port_can_be_told():
    assert Target("a", "02:00:00:00:00:01", "fd00::1", 22).endpoint == "[fd00::1]:22"
