# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Zones of a real firewalld: which one a set is in, what other zones keep, and what is left of a set that has gone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.integration import firewall_direct, firewall_guests
from tests.integration.firewall_managed import GONE, OTHER, POD_NETWORK, SET
from tests.integration.firewall_wire import listening, pods_on, reached
from tests.integration.firewalld_hosts import HAND_WRITTEN, ZONE, OnFirewalld, hosts

# the gate has firewalld with one zone
pytestmark = pytest.mark.thorough

__all__ = ["hosts"]


def knows_our_service(host, owner: str = "worker") -> bool:
    """Whether firewalld remembers the service's file, which is another thing than whether it is there."""
    return f"vmstation-{owner}" in host.run(["firewall-cmd", "--permanent", "--get-services"]).stdout.split()


def wait_until(condition: Callable[[], object]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


class TestZones(OnFirewalld):
    @pytest.mark.parametrize("written", [HAND_WRITTEN, None], ids=["written by hand", "as shipped"])
    def test_a_removal_without_a_reload_leaves_the_zone_as_it_was_also_when_firewalld_has_noticed(self, host, written):
        """Seconds after a service's file is gone, firewalld writes each zone anew that it remembers with the service."""
        zones = ["sh", "-c", "cd /etc/firewalld/zones && grep -r '' . | sort"]
        if written is None:
            host.run(["rm", ZONE])
        host.run(["sh", "-c", "rm -f /etc/firewalld/zones/*.old; firewall-cmd --reload"])
        host.run(["sh", "-ec", self.made_by_hand])  # they are why nothing is reloaded
        try:
            before = host.run(zones, check=False).stdout
            firewall_direct.run(host, SET)
            assert "vmstation-worker" in host.read(ZONE)
            assert knows_our_service(host)
            assert firewall_direct.run(host, GONE)["changed"] is True
            wait_until(lambda: not knows_our_service(host))
            assert host.run(zones, check=False).stdout == before
        finally:
            host.write(ZONE, HAND_WRITTEN)
            host.run(["firewall-cmd", "--reload"])

    def test_a_change_that_nobody_confirms_goes_without_a_reload_and_without_a_trace(self, host):
        firewall_direct.run(host, SET)
        firewall_direct.run(host, GONE)
        wait_until(lambda: not knows_our_service(host))
        before = self.standing(host)
        assert firewall_direct.run(host, {**SET, "confirm_within": 9})["confirmation_pending"] is True
        wait_until(lambda: knows_our_service(host))
        wait_until(lambda: not knows_our_service(host))
        wait_until(lambda: host.run(["test", "-e", "/var/lib/vmstation/firewall/worker.pyz"], check=False).returncode)
        assert self.standing(host) == before
        assert host.read(ZONE) == HAND_WRITTEN

    @pytest.mark.parametrize("with_reload", [False, True], ids=["without a reload", "with a reload"])
    def test_a_set_moves_from_zone_to_zone(self, lab, host, peer, with_reload):
        """Judged by packets: without a reload the new zone has rich rules, with one it has the service."""
        firewall_direct.run(host, SET)
        add_source = ["--zone=internal", f"--add-source={peer.address}"]
        if with_reload:
            host.run(["firewall-cmd", "-q", "--permanent", *add_source])
            host.run(["firewall-cmd", "-q", "--reload"])
        else:  # what only runs is why nothing is reloaded
            host.run(["firewall-cmd", "-q", *add_source])
        try:
            with listening(host, ("tcp", 6443)):
                port = ("tcp", host.address, 6443)
                assert (reached(lab, port), reached(peer, port)) == ([True], [False])
                moved = firewall_direct.run(host, {**SET, "zone": "internal"})
                assert moved["changed"] is True, moved
                assert (reached(lab, port), reached(peer, port)) == ([False], [True])
                assert '<service name="vmstation-worker"/>' in host.read("/etc/firewalld/zones/internal.xml")
                assert host.read(ZONE) == HAND_WRITTEN
                running = host.run(["firewall-cmd", "--zone=internal", "--list-services"]).stdout.split()
                assert ("vmstation-worker" in running) is with_reload
                # what a change leaves that is killed between its files and firewalld: no file names the old zone any more
                host.run(["firewall-cmd", "-q", "--zone=public", "--add-service=vmstation-worker"])
                assert reached(lab, port) == [True]
                assert firewall_direct.run(host, {**SET, "zone": "internal"})["changed"] is True
                assert (reached(lab, port), reached(peer, port)) == ([False], [True])
                # no zone named: it stays where it is
                assert firewall_direct.run(host, SET, check=True)["changed"] is False
                host.run(["firewall-cmd", "-q", "--reload"])
                assert reached(lab, port) == [False]
                assert reached(peer, port) == [with_reload]  # the source goes, unless it is permanent
            assert firewall_direct.run(host, GONE)["changed"] is True
        finally:
            firewall_direct.run(host, GONE)
            host.run(["sh", "-c", "rm -f /etc/firewalld/zones/internal.xml; firewall-cmd -q --reload"])

    @pytest.mark.parametrize("named", [False, True], ids=["unnamed", "eth0 in a zone by name"])
    def test_pods_of_one_host_reach_each_other_and_the_host(self, lab, host, peer, pod, named):
        """firewalld 2 leads no packet between two interfaces that no zone names to any policy; a zone of ours does."""
        if named:
            host.run(["firewall-cmd", "-q", "--zone=public", "--add-interface=eth0"])
        try:
            with pods_on(lab, host, peer, pod) as (first, second), listening(pod, ("tcp", 7777)), listening(host, ("tcp", 8099)):
                from_pod = [("tcp", second, 7777, first), ("tcp", host.address, 8099, first)]
                assert reached(peer, *from_pod) == [False, False]
                assert firewall_direct.run(host, SET)["changed"] is True
                assert reached(peer, *from_pod) == [True, True]
                assert firewall_direct.run(host, SET)["changed"] is False
                assert firewall_direct.run(host, GONE)["changed"] is True
                assert reached(peer, *from_pod) == [False, False]
        finally:
            host.run(["firewall-cmd", "-q", "--zone=public", "--remove-interface=eth0"], check=False)

    def test_a_trusted_network_that_is_a_source_of_another_zone_stays_there(self, lab, host, peer, pod):
        is_2 = host.run(["firewall-cmd", "--version"]).stdout.startswith("2.")
        for option in (f"--add-source={POD_NETWORK}", "--remove-forward"):
            host.run(["firewall-cmd", "-q", "--permanent", "--zone=work", option])
        host.run(["firewall-cmd", "-q", "--reload"])
        try:
            with pods_on(lab, host, peer, pod) as (first, second), listening(pod, ("tcp", 7777)):
                assert reached(peer, ("tcp", second, 7777, first)) == [False]
                warnings = lab.module(host, "firewall_ports", SET, check=True).get("warnings", [])
                assert any(f"{POD_NETWORK} is already a source of another firewalld zone" in warning for warning in warnings) is is_2
                assert firewall_direct.run(host, SET)["changed"] is True
                assert firewall_direct.run(host, SET)["changed"] is False
                assert reached(peer, ("tcp", second, 7777, first)) == [True]
                assert host.run(["firewall-cmd", "--get-zone-of-source", POD_NETWORK]).stdout.strip() == "work"
            firewall_direct.run(host, GONE)
        finally:
            host.run(["sh", "-c", "rm -f /etc/firewalld/zones/work.xml; firewall-cmd -q --reload"])

    def test_another_zone_with_a_part_of_a_trusted_network_keeps_its_denials(self, lab, host, peer, pod):
        with pods_on(lab, host, peer, pod) as (first, second), listening(host, ("tcp", 8099)):
            firewall_direct.run(host, SET)
            host.run(["firewall-cmd", "-q", "--zone=work", f"--add-source={first}"])
            host.run(["firewall-cmd", "-q", "--zone=work", f"--add-rich-rule=rule family=ipv4 source address={first} drop"])
            try:
                assert reached(peer, ("tcp", host.address, 8099, first)) == [False]
                assert reached(pod, ("tcp", host.address, 8099, second)) == [True]
            finally:
                host.run(["firewall-cmd", "-q", "--reload"])

    @pytest.mark.parametrize("by_hand", ["firewall-cmd -q --add-port=8082/tcp", "true"], ids=["without a reload", "with reloads"])
    def test_two_owners_come_change_and_go_in_any_order(self, host, by_hand):
        """Within the 5 seconds in which firewalld has not looked at the files of the change before."""
        second = {"name": "monitoring", "ports": [{"port": 9100}], "trusted": ["10.245.0.0/16"]}
        second_gone = {"name": "monitoring", "state": "absent"}
        for wanted in (SET, second):  # their policies, which take a reload
            firewall_direct.run(host, wanted)
        steps = [
            (OTHER, second), (second, OTHER), (SET, second), ({**second, "ports": []}, SET), (second_gone, SET), (second, SET),
            (GONE, second), (SET, second), (second_gone, SET), (second, SET), (GONE, second), (second_gone, GONE),
        ]  # fmt: skip
        try:
            for round_number, (change, standing) in enumerate(steps):
                host.run(["sh", "-c", by_hand])
                done = firewall_direct.run(host, change)
                assert "failed" not in done, (round_number, done)
                for each in (change, standing):
                    again = firewall_direct.run(host, each, check=True)
                    assert again["changed"] is False, (round_number, again)
            wait_until(lambda: not [name for name in ("worker", "monitoring") if knows_our_service(host, name)])
            assert host.read(ZONE) == HAND_WRITTEN
        finally:
            firewall_direct.run(host, second_gone)
            host.run(["firewall-cmd", "-q", "--reload"])

    def test_strict_forward_ports_are_named_with_advice_that_helps(self, lab, host, peer, pod):
        configuration, strict = "/etc/firewalld/firewalld.conf", "sed -i s/^StrictForwardPorts=.*/StrictForwardPorts={}/ {}"
        if "\nStrictForwardPorts=" not in host.read(configuration):
            pytest.skip("firewalld before 2.3 has no StrictForwardPorts")
        host.run(["sh", "-ec", strict.format("yes", configuration)])
        try:
            host.run(["firewall-cmd", "--reload"])
            with firewall_guests.cluster_on(lab, host, peer, pod):
                grafana = ("tcp", host.address, firewall_guests.GRAFANA, peer.address)
                result = firewall_direct.run(host, firewall_guests.worker_set(host, peer))
                assert "Write StrictForwardPorts=no there, and run `firewall-cmd --reload`." in " ".join(result["warnings"])
                assert reached(peer, grafana) == [False]
                host.run(["sh", "-ec", strict.format("no", configuration)])
                host.run(["firewall-cmd", "--reload"])
                assert reached(peer, grafana) == [True]
                result = firewall_direct.run(host, firewall_guests.worker_set(host, peer))
                assert "StrictForwardPorts" not in " ".join(result.get("warnings", []))
        finally:
            host.run(["sh", "-ec", strict.format("no", configuration)])
            firewall_direct.run(host, GONE)
            host.run(["sh", "-ec", "firewall-cmd --reload" + self.made_by_hand])
