# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every firewall that manages the rules of its host: the same tests for ufw and firewalld.

The module of the class that inherits these has ``hosts`` of ``prepare``, the first with the firewall on, and the class says how to
reload and restart that. A class with other tests on such a host inherits ``OnManaged``.
"""

from __future__ import annotations

import difflib
import re
from typing import ClassVar

import pytest

from tests.integration import firewall_direct, firewall_guests, firewall_kubernetes
from tests.integration.firewall_wire import listening, passes_protocol_4, reached

POD = "10.244.7.2"
POD_NETWORK = "10.244.0.0/16"
HOST_6, PEER_6 = "fd04::61", "fd04::62"
PORTS = [
    {"port": 6443, "comment": "API server"},
    {"port": "2379-2380"},
    {"port": 5300, "protocol": "udp"},
    {"port": 10250, "sources": ["192.168.4.0/28", "fd04::/64"]},
    {"protocol": 4, "sources": ["192.168.4.0/24"]},
]
SET = {"name": "worker", "ports": PORTS, "trusted": [POD_NETWORK, "fd00:10:244::/56"]}
OTHER = {"name": "worker", "ports": [{"port": 6444}], "trusted": []}
COUNTERS = re.compile(r"counter packets \d+ bytes \d+|\[\d+:\d+\]")
GONE = {"name": "worker", "state": "absent"}
HEARD = [("tcp", 6443), ("tcp", 6444), ("tcp", 2380), ("tcp", 2381), ("udp", 5300), ("udp", 5301), ("tcp", 10250)]


class OnManaged:
    files: ClassVar[list[str]]  # directories whose bytes are compared
    reload: ClassVar[list[str]]
    unit: ClassVar[str]
    backend: ClassVar[str]
    made_by_hand: ClassVar[str]
    # tests whose own reload, restart or boot brings what is permanent, and no rule that somebody made by hand
    loses_rules_made_by_hand: ClassVar[tuple[str, ...]] = ("reboot", "kubernetes")

    @pytest.fixture
    def host(self, hosts):
        return hosts[0]

    @pytest.fixture
    def peer(self, hosts):
        return hosts[1]

    @pytest.fixture
    def pod(self, hosts):
        return hosts[2]

    @pytest.fixture(autouse=True)
    def _clean(self, host, request):
        """Whatever a test does, what is left after the removal is what was there before, byte for byte."""
        before = self.standing(host)
        yield
        assert firewall_direct.run(host, GONE)["backend"] == self.backend
        files, rules = self.standing(host)
        assert files == before[0], self.difference(before[0], files)
        if any(word in request.node.name for word in self.loses_rules_made_by_hand):
            host.run(["sh", "-ec", self.made_by_hand])
        else:
            assert rules == before[1], self.difference(before[1], rules)

    def standing(self, host) -> tuple[str, str]:
        """Every byte of the firewall's files, and every rule in force."""
        files = host.run(["sh", "-c", f"find {' '.join(self.files)} -type f ! -name '*.old' | sort | xargs sha256sum"]).stdout
        saved = host.run(["sh", "-c", "iptables-save; ip6tables-save"]).stdout
        others = host.run(["nft", "list", "ruleset", "inet"]).stdout
        return files, COUNTERS.sub("", "\n".join([*by_chain(saved), *sorted(re.split(r"(?m)^(?=table )", others))]))

    def difference(self, before: str, after: str) -> str:
        return "\n".join(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))


class Managed(OnManaged):
    def test_check_apply_check_apply(self, lab, host):
        before = self.standing(host)
        foreseen = lab.module(host, "firewall_ports", SET, check=True, diff=True)
        assert foreseen["changed"] is True
        assert self.standing(host) == before
        applied = lab.module(host, "firewall_ports", SET, diff=True)
        assert applied["changed"] is True, applied
        assert applied["diff"] == foreseen["diff"]
        assert applied["backend"] == self.backend
        assert "6443/tcp" in applied["added"]
        # the way in that this test uses was not asked for and is part of the set all the same
        assert 22 in [int(port["port"]) for port in applied["ports"] if port["port"].isdigit()]
        after = self.standing(host)
        for check in (True, False):
            again = lab.module(host, "firewall_ports", SET, check=check)
            assert (again["changed"], again["added"], again["removed"]) == (False, [], [])
        assert self.standing(host) == after
        assert lab.module(host, "firewall_ports", GONE)["changed"] is True
        assert lab.module(host, "firewall_ports", GONE)["changed"] is False

    def test_packets_pass_or_do_not(self, host, peer):
        questions = [
            *((protocol, host.address, port) for protocol, port in HEARD),
            *((protocol, HOST_6, port) for protocol, port in HEARD),
        ]
        with listening(host, *HEARD):
            assert not any(reached(peer, *questions))
            assert not passes_protocol_4(peer, host)
            firewall_direct.run(host, SET)
            # 10250 is open to others: the peer's IPv4 address is none of them, its IPv6 address is
            v4 = [True, False, True, False, True, False, False]
            assert reached(peer, *questions) == [*v4, *v4[:-1], True]
            assert passes_protocol_4(peer, host)
            firewall_direct.run(host, OTHER)
            assert reached(peer, *questions) == [False, True, False, False, False, False, False] * 2
            assert not passes_protocol_4(peer, host)

    def test_trusted_networks_pass_on_forward_both_ways(self, host, peer, pod):
        there = ("tcp", POD, 7777)
        back = ("tcp", peer.address, 7778, POD)
        with listening(pod, ("tcp", 7777)), listening(peer, ("tcp", 7778)):
            assert reached(peer, there) == [False]
            assert reached(pod, back) == [False]
            firewall_direct.run(host, SET)
            assert reached(peer, there) == [True]
            assert reached(pod, back) == [True]

    def test_a_node_port_with_sources_is_shut_to_others_before_the_dnat(self, lab, host, peer, pod):
        rule = ["PREROUTING", "-p", "tcp", "--dport", "30300", "-j", "DNAT", "--to-destination", f"{POD}:8080"]
        host.run(["iptables", "-t", "nat", "-A", *rule])
        masquerade = ["POSTROUTING", "-d", POD, "-j", "MASQUERADE"]
        host.run(["iptables", "-t", "nat", "-A", *masquerade])
        try:
            with listening(pod, ("tcp", 8080)):
                node_port = ("tcp", host.address, 30300)
                firewall_direct.run(host, SET)
                assert reached(peer, node_port) == reached(lab, node_port) == [True]
                restricted = {**SET, "ports": [*PORTS, {"port": 30300, "sources": [f"{peer.address}/32"]}]}
                assert firewall_direct.run(host, restricted)["changed"] is True
                assert firewall_direct.run(host, restricted)["changed"] is False
                assert (reached(peer, node_port), reached(lab, node_port)) == ([True], [False])
                host.run(self.reload)
                for each in (rule, masquerade):  # firewalld's reload takes them
                    if host.run(["iptables", "-t", "nat", "-C", *each], check=False).returncode:
                        host.run(["iptables", "-t", "nat", "-A", *each])
                assert (reached(peer, node_port), reached(lab, node_port)) == ([True], [False])
        finally:
            host.run(["iptables", "-t", "nat", "-D", *rule], check=False)
            host.run(["iptables", "-t", "nat", "-D", *masquerade], check=False)

    def test_guests_reach_what_the_plan_opens_and_no_more(self, lab, host, peer, pod):
        firewall_guests.guests_reach_what_the_plan_opens_and_no_more(lab, host, peer, pod)

    def test_without_nft_check_mode_predicts_the_run_that_installs_it(self, host):
        """The role node installs nftables before; without it, the module names the package."""
        guarded = {**SET, "protected": [{"network": POD_NETWORK, "sources": [f"{host.address}/32"]}]}
        nft = host.run(["sh", "-c", "command -v nft"]).stdout.strip()
        host.run(["mv", nft, f"{nft}.away"])
        try:
            assert firewall_direct.run(host, guarded, check=True)["changed"] is True
            assert "Install nftables" in firewall_direct.run(host, guarded)["msg"]
        finally:
            host.run(["mv", f"{nft}.away", nft])

    def test_only_hosts_carry_packets_of_pods(self, host, peer):
        firewall_guests.only_hosts_carry_packets_of_pods(host, peer)

    def test_it_survives_a_reload_a_restart_and_another_owner(self, host):
        firewall_direct.run(host, SET)
        stands = self.standing(host)
        host.run(self.reload)
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        host.run(["systemctl", "restart", self.unit])
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        second = {"name": "monitoring", "ports": [{"port": 9100}], "trusted": ["10.244.0.0/16"]}
        assert firewall_direct.run(host, second)["changed"] is True
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        assert firewall_direct.run(host, {"name": "monitoring", "state": "absent"})["changed"] is True
        assert firewall_direct.run(host, SET, check=True)["changed"] is False
        assert self.standing(host)[0] == stands[0]

    def test_kubernetes_and_calicos_rules_stay_and_do_not_matter(self, host):
        firewall_kubernetes.they_stay_and_do_not_matter(host, SET, OTHER, GONE)

    def test_it_survives_a_reboot(self, host, peer, pod):
        guarded = {
            "ports": [*PORTS, {"port": 22}, {"port": 30300, "sources": [f"{peer.address}/32"]}],
            "protected": [{"network": POD_NETWORK, "sources": [host.address]}, {"network": "fd00:10:244::/56"}],
        }
        wanted = {**SET, **guarded}
        firewall_direct.run(host, wanted)
        host.run(["nft", "flush", "ruleset"])  # so that nothing but the files can bring it back
        host.reboot()
        routes(host, peer, pod)
        again = firewall_direct.run(host, wanted, check=True)
        assert again["changed"] is False, again
        with listening(host, ("tcp", 6443), ("tcp", 6444)):
            assert reached(peer, ("tcp", host.address, 6443), ("tcp", host.address, 6444)) == [True, False]
        with listening(pod, ("tcp", 7777)):
            assert reached(peer, ("tcp", POD, 7777)) == [False]

    def test_the_number_of_processes_does_not_grow_with_the_ports(self, host):
        def started(count: int) -> tuple[int, int]:
            ports = [{"port": 20000 + 2 * number} for number in range(count)]
            firewall_direct.run(host, GONE)
            numbers = []
            for _round in range(2):
                before = last_process(host)
                assert "failed" not in firewall_direct.run(host, {"name": "worker", "ports": ports})
                numbers.append(last_process(host) - before)
            return numbers[0], numbers[1]

        # firewalld has threads of its own, which the kernel counts as well
        one, many = started(1), started(200)
        assert abs(many[0] - one[0]) <= 6 and abs(many[1] - one[1]) <= 6, (one, many)


def by_chain(saved: str) -> list[str]:
    """The rules of `iptables-save`, each chain's in their order; the order of the chains is nobody's concern, and a reload changes it."""
    lines = []
    table = ""
    for line in saved.splitlines():
        table = line if line.startswith("*") else table
        if line.startswith("-A "):
            lines.append((table, line.split()[1], line))
        elif line.startswith(":") and " - " in line:
            lines.append((table, line[1:].split()[0], line))
    return [" ".join(line) for line in sorted(lines, key=lambda line: line[:2])]


def last_process(host) -> int:
    """The number of the process or thread that the host started last."""
    return int(host.run(["cut", "-d ", "-f5", "/proc/loadavg"]).stdout)


def prepare(lab, prefix: str, number: int, image: str):
    """A host with something to defend, a peer, and a pod behind the host: three hosts on the LAN, the third with an address of a pod."""
    made = []
    for offset, name in enumerate(("host", "peer", "pod")):
        address = number + offset
        made.append(lab.start(f"{prefix}{name}", address=f"192.168.4.{address}", mac=f"02:00:c0:a8:04:{address:02x}", image=image))
    host, peer, pod = made
    routes(host, peer, pod)
    firewall_direct.install(host)
    return host, peer, pod


def routes(host, peer, pod) -> None:
    host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0"])
    for each, address in ((host, HOST_6), (peer, PEER_6)):
        each.run(["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0", "net.ipv6.conf.eth0.disable_ipv6=0"])
        each.run(["ip", "address", "replace", f"{address}/64", "dev", "eth0", "nodad"])
    pod.run(["ip", "address", "replace", f"{POD}/32", "dev", "eth0"])
    host.run(["ip", "route", "replace", f"{POD}/32", "via", pod.address])
    peer.run(["ip", "route", "replace", f"{POD}/32", "via", host.address])
    pod.run(["ip", "route", "replace", f"{peer.address}/32", "via", host.address])
