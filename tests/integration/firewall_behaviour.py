# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What firewall_ports does on nftables and on iptables alike, seen from other hosts; each function is one statement about a host."""

from __future__ import annotations

import json
from typing import Any

from tests.integration import firewall_direct
from tests.integration.firewall_packets import agent_on, ipv6_of
from tests.lab.hosts import Host

WORKER: dict[str, Any] = {
    "name": "worker",
    "ports": [
        {"port": 10250, "sources": ["192.168.4.91", "fd00:4::91"], "comment": "the owner's kubelet"},
        {"port": "9100-9101"},
        {"port": 4789, "protocol": "udp"},
        {"protocol": 4, "sources": ["192.168.4.0/24"]},
    ],
    "trusted": ["10.244.0.0/16"],
}
ABSENT = {"name": "worker", "state": "absent"}
OPENED = {
    "10250/tcp from 192.168.4.91/32, fd00:4::91/128",
    "9100-9101/tcp",
    "4789/udp",
    "protocol 4 from 192.168.4.0/24",
    "trusted 10.244.0.0/16",
}
SECOND = "192.168.4.190"  # an address of the host beside the one at which it is a node
POD, POD_ON_OTHER_SIDE = "10.244.1.1", "10.99.0.1"


def neighbour(lab, name: str) -> Host:
    """A host without a firewall, the same for every test of a session; the lab's end removes it."""
    last = {"friend": 91, "stranger": 92}[name]
    return lab.start(name, address=f"192.168.4.{last}", mac=f"02:00:c0:a8:04:{last:02x}")


def bans_of_an_address_of_the_host_and_whitelists_by_return_keep_their_effect(
    host: Host, friend: Host, stranger: Host, rules: list[str]
) -> None:
    """rules: commands that deny SECOND to everyone, and 9101/tcp to all but the friend."""
    host.run(["ip", "address", "add", f"{SECOND}/24", "dev", "eth0"])
    questions = [(host.address, 9100), (SECOND, 9100), (host.address, 9101)]
    try:
        host.run(["sh", "-ec", "\n".join(rules)])
        with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
            target.listen([9100, 9101], [])
            firewall_direct.run(host, WORKER)
            assert not firewall_direct.run(host, WORKER)["changed"]
            assert [near.connect(*question) for question in questions] == ["open", "dropped", "open"]
            assert [far.connect(*question) for question in questions] == ["open", "dropped", "dropped"]
    finally:
        host.run(["ip", "address", "delete", f"{SECOND}/24", "dev", "eth0"])


def it_predicts_applies_and_then_rests(lab, host: Host, backend: str) -> None:
    """Check, apply, check, apply, through Ansible over SSH; then the same for its removal."""
    predicted = lab.module(host, "firewall_ports", WORKER, check=True, diff=True)
    assert predicted["changed"], predicted
    # the connection's own port is part of the set, although nobody listed it
    assert set(predicted["added"]) == OPENED | {"22/tcp"}
    applied = lab.module(host, "firewall_ports", WORKER, diff=True)
    for key in ("changed", "backend", "added", "removed", "ports", "trusted", "diff"):
        assert applied[key] == predicted[key], key
    assert applied["backend"] == backend
    assert "22/tcp\n" in applied["diff"]["after"]
    for check in (True, False):
        again = lab.module(host, "firewall_ports", WORKER, check=check)
        assert not again["changed"], again
        assert again["ports"] == applied["ports"]
    gone = lab.module(host, "firewall_ports", ABSENT, check=True)
    assert gone["changed"]
    assert gone["removed"] == applied["added"]
    assert lab.module(host, "firewall_ports", ABSENT)["removed"] == applied["added"]
    assert not lab.module(host, "firewall_ports", ABSENT)["changed"]


def packets_pass_as_opened(host: Host, friend: Host, stranger: Host) -> None:
    """friend is 192.168.4.91, the only one that may reach 10250."""
    addresses = [host.address, ipv6_of(host)]
    ipv6_of(friend)
    ipv6_of(stranger)
    with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
        target.listen([10250, 9100, 9102], [4789, 4790])
        target.hear_protocol_4()
        for address in addresses:
            assert far.connect(address, 9100) == "dropped", address
        far.send_protocol_4(host.address, "before it is opened")
        assert not target.heard_protocol_4("before it is opened", 0.5)
        assert firewall_direct.run(host, WORKER)["changed"]
        for address in addresses:
            assert near.connect(address, 10250) == "open", address
            assert far.connect(address, 10250) == "dropped", address
            assert far.connect(address, 9100) == "open", address
            # open, and nobody listens
            assert far.connect(address, 9101) == "refused", address
            assert far.connect(address, 9102) == "dropped", address
            assert far.udp(address, 4789) == "open", address
            assert far.udp(address, 4790) == "dropped", address
        far.send_protocol_4(host.address, "after it is opened")
        assert target.heard_protocol_4("after it is opened", 5)
        assert firewall_direct.run(host, ABSENT)["changed"]
        for address in addresses:
            assert near.connect(address, 10250) == "dropped", address
            assert far.connect(address, 9100) == "dropped", address


def trusted_networks_are_forwarded_both_ways(host: Host, friend: Host, stranger: Host) -> None:
    """friend carries a pod's address, stranger one that is routed; host routes between them, as a node does between pods and services."""
    host.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    host.run(["ip", "route", "replace", POD, "via", friend.address])
    host.run(["ip", "route", "replace", POD_ON_OTHER_SIDE, "via", stranger.address])
    for end, own, other in ((friend, POD, POD_ON_OTHER_SIDE), (stranger, POD_ON_OTHER_SIDE, POD)):
        end.run(["ip", "address", "replace", f"{own}/32", "dev", "lo"])
        end.run(["ip", "route", "replace", other, "via", host.address, "src", own])
    with agent_on(friend) as pod, agent_on(stranger) as service:
        pod.listen([8081], [])
        service.listen([8080], [])
        assert pod.connect(POD_ON_OTHER_SIDE, 8080) == "dropped"
        firewall_direct.run(host, WORKER)
        assert pod.connect(POD_ON_OTHER_SIDE, 8080) == "open"
        assert service.connect(POD, 8081) == "open"
        firewall_direct.run(host, ABSENT)
        assert service.connect(POD, 8081) == "dropped"


def sources_of_a_node_port_hold_before_dnat(
    host: Host, friend: Host, stranger: Host, redirect: list[str], redirect_back: list[str]
) -> None:
    """redirect: what sends 30300 elsewhere before input, as kube-proxy does; here to a port that everyone may reach."""
    node_port = {**WORKER, "ports": [{"port": 8088}, {"port": 30300, "sources": ["192.168.4.91"]}]}
    open_to_all = {**WORKER, "ports": [{"port": 8088}, {"port": 30300}]}
    with agent_on(host) as target, agent_on(friend) as near, agent_on(stranger) as far:
        target.listen([8088], [])
        host.run(["sh", "-ec", *redirect])
        applied = firewall_direct.run(host, open_to_all)
        assert "neither opens nor closes" in applied["notes"][0]
        assert far.connect(host.address, 30300) == "open"
        applied = firewall_direct.run(host, node_port)
        assert "node ports 30300/tcp only from 192.168.4.91/32" in applied["added"]
        assert far.connect(host.address, 30300) == "dropped"
        assert near.connect(host.address, 30300) == "open"
        assert target.connect("127.0.0.1", 8088) == "open"
        # the rule is about the node port, not about where it leads
        assert far.connect(host.address, 8088) == "open"
        assert not firewall_direct.run(host, node_port)["changed"]
        firewall_direct.run(host, ABSENT)
        host.run(["sh", "-ec", *redirect_back])


def as_many_processes_for_200_ports_as_for_one(host: Host) -> None:
    """Counted by the numbers that the host's own kernel gave to processes."""
    script = """
import json, subprocess, sys
def last(): return int(open("/proc/loadavg").read().split()[-1])
argv, one, many, none = json.load(sys.stdin)
found = {}
for name, options in (("one", one), ("many", many)):
    counts = []
    for _ in range(5):
        subprocess.run(argv, input=json.dumps(none), text=True, capture_output=True, check=True)
        before = last()
        subprocess.run(argv, input=json.dumps(options), text=True, capture_output=True, check=True)
        counts.append(last() - before)
    found[name] = min(counts)
print(json.dumps(found))
"""
    one = {"name": "worker", "ports": [{"port": 10250}]}
    many = {"name": "worker", "ports": [{"port": port} for port in range(10000, 10400, 2)]}
    host.write("/opt/count.py", script)
    orders = [firewall_direct.command(), one, many, ABSENT]
    found = json.loads(host.run(["python3", "/opt/count.py"], stdin=json.dumps(orders)).stdout)
    assert found["one"] == found["many"], found
    assert found["many"] < 20, found


def two_owners_do_not_know_of_each_other(host: Host, state: Any) -> None:
    """state: a function of no arguments that tells all rules."""
    firewall_direct.run(host, WORKER)
    alone = state()
    other = {"name": "work", "ports": [{"port": 6443}], "trusted": ["10.245.0.0/16"]}
    assert firewall_direct.run(host, other)["added"] == ["6443/tcp", "trusted 10.245.0.0/16"]
    assert not firewall_direct.run(host, WORKER)["changed"]
    assert firewall_direct.run(host, {"name": "work", "state": "absent"})["removed"] == ["6443/tcp", "trusted 10.245.0.0/16"]
    assert state() == alone
    firewall_direct.run(host, ABSENT)
