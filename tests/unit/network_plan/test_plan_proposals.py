# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free ranges and addresses in fixes. Integers and ipaddress check them: they share no code with netaddr, which computes them."""

from __future__ import annotations

import random
import re
import subprocess
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge

from tests.unit.network_plan.plans import ABSENT, DUAL, FLAWLESS, HOSTS, IPV6, hosts, plan

PRIVATE = [ip_network(net) for net in ("10.0.0.0/8", "172.16.0.0/16", "100.64.0.0/10", "fd00::/8")]
AT_10 = {"node_cidr": "10.0.0.0/8", "gateway": "10.0.0.1", "upstream_dns": ["10.0.0.1"], "dns_service_ip": ABSENT}
AT_10_HOSTS = [{**host, "address": f"10.0.1.{at}"} for at, host in enumerate(HOSTS)]
VIP = "api_vip_is_a_free_address_of_the_node_network"


def many(count):
    names = [{"name": f"worker{at}", "address": f"10.20.{at // 200}.{at % 200 + 10}", "role": "worker"} for at in range(count - 1)]
    return [{"name": "masternode", "address": "10.20.9.10", "role": "control_plane"}, *names]


def at_20(**changes):
    return plan(node_cidr="10.20.0.0/16", gateway="10.20.0.1", upstream_dns=["10.20.0.1"], **changes)


def fixes(one_plan, some_hosts=None):
    """The next step of each finding by rule; of each rule the first one."""
    return {finding.rule: finding.fix for finding in reversed(judge(one_plan, some_hosts).findings)}


def proposed(fix):
    """The range or address that a fix names, or None."""
    found = re.search(r"for example to (\S+?)[.,]?(?: |$)|In the plan, (\S+) is free", fix)
    return found and (found[1] or found[2])


@pytest.mark.parametrize(
    ("rule", "one_plan", "some_hosts", "fix"),
    [
        ("pods_are_apart_from_services", plan(pod_cidr="10.100.0.0/16"), HOSTS, "Move pod_cidr, for example to 10.244.0.0/16."),
        # the usual range is the home network's
        (
            "services_are_apart_from_nodes",
            plan(node_cidr="10.96.4.0/24", gateway="10.96.4.1", upstream_dns=ABSENT),
            None,
            "Move service_cidr, for example to 10.255.0.0/16.",
        ),
        # it is the network of a device in admin_sources, or has the DNS server
        (
            "pods_are_apart_from_services",
            plan(pod_cidr="10.100.0.0/16", admin_sources=["10.244.7.0/24"]),
            HOSTS,
            "Move pod_cidr, for example to 10.255.0.0/16.",
        ),
        (
            "pods_are_apart_from_services",
            plan(pod_cidr="10.100.0.0/16", upstream_dns=["10.244.0.53"]),
            HOSTS,
            "Move pod_cidr, for example to 10.255.0.0/16.",
        ),
        (
            "pods_are_apart_from_services",
            plan(pod_cidr="10.100.0.0/16", admin_sources=["0.0.0.0/0"]),
            HOSTS,
            "Move pod_cidr, for example to 10.244.0.0/16.",
        ),
        # the home network has all of 10.0.0.0/8: the range for Services leaves the one for Pods free
        ("pods_are_apart_from_nodes", plan(**AT_10), AT_10_HOSTS, "Move pod_cidr, for example to 172.16.0.0/16."),
        ("services_are_apart_from_nodes", plan(**AT_10), AT_10_HOSTS, "Move service_cidr, for example to 100.127.0.0/16."),
        (
            "pods_are_apart_from_services",
            plan(DUAL, service_cidr=["10.96.0.0/12", "fd00:10:244:1::/112"]),
            HOSTS,
            "Move pod_cidr, for example to fd00:10:ffff:ff00::/56.",
        ),
        ("networks_are_private", plan(pod_cidr="8.8.0.0/16"), HOSTS, "Move pod_cidr, for example to 10.244.0.0/16."),
        (
            "networks_are_for_machines",
            plan(IPV6, service_cidr="fe80::/112", dns_service_ip=ABSENT),
            None,
            "Move service_cidr, for example to fd00:10:96::/112.",
        ),
        ("pod_cidr_suits_kubeadm", plan(pod_cidr="10.244.0.0/25"), None, "Move pod_cidr, for example to 10.244.0.0/16."),
        ("service_cidr_suits_kubeadm", plan(service_cidr="10.96.0.0/11"), None, "Move service_cidr, for example to 10.96.0.0/12."),
        # a block of 4096 addresses for each of 300 hosts, 110 addresses for each of 700
        (
            "pools_have_a_block_for_every_node",
            at_20(block_size=20),
            many(300),
            "Enlarge pod_cidr, for example to 10.224.0.0/11, or raise block_size.",
        ),
        ("pools_hold_all_pods_of_full_nodes", at_20(), many(700), "Enlarge pod_cidr, for example to 10.254.0.0/15."),
    ],
)
def test_a_fix_names_a_range_that_is_free(rule, one_plan, some_hosts, fix):
    assert fixes(one_plan, some_hosts)[rule] == fix


def overlaps(one, other):
    return one.version == other.version and int(one[0]) <= int(other[-1]) and int(other[0]) <= int(one[-1])


def some_plan(source):
    nets = {}
    for key, (shortest, longest) in {"node_cidr": (8, 28), "pod_cidr": (9, 22), "service_cidr": (12, 26)}.items():
        start = source.choice((10 << 24, (172 << 24) + (16 << 16), (100 << 24) + (64 << 16), (192 << 24) + (168 << 16)))
        nets[key] = ip_network((start + source.getrandbits(22), source.randint(shortest, longest)), strict=False)
    return nets


def test_a_range_that_is_proposed_is_private_and_apart_from_all_others():
    """300 plans of three random networks."""
    source, seen = random.Random(1918), 0
    for _round in range(300):
        nets = some_plan(source)
        one = plan(**{key: str(net) for key, net in nets.items()}, dns_service_ip=ABSENT, gateway=ABSENT, upstream_dns=ABSENT)
        steps = {fix.split()[1].strip(","): proposed(fix) for fix in fixes(one).values() if fix.startswith("Move ")}
        found = {key: ip_network(step) for key, step in steps.items() if step}
        for key, net in found.items():
            others = {**nets, **found}
            assert any(net.version == private.version and net.subnet_of(private) for private in PRIVATE), (nets, net)
            assert not [other for other, theirs in others.items() if other != key and overlaps(net, theirs)], (nets, found)
            assert not [rule for rule in fixes({**one, key: str(net)}) if rule.startswith("pods_") and len(found) == 1], (nets, found)
            seen += 1
    assert seen > 100


@pytest.mark.parametrize("count", [3, 64, 100, 300, 500, 1000])
@pytest.mark.parametrize("block_size", [20, 24, 26, 29, 32])
def test_a_pool_that_is_proposed_has_room_for_all_hosts(count, block_size):
    small = at_20(pod_cidr=f"10.244.0.0/{min(24, block_size)}", block_size=block_size)
    steps = [fix for fix in fixes(small, many(count)).values() if fix.startswith("Enlarge")]
    assert steps
    for fix in steps:
        larger = {**small, "pod_cidr": proposed(fix)}
        assert not [rule for rule in fixes(larger, many(count)) if rule.startswith(("pool", "pod"))]


@pytest.mark.parametrize(
    ("changes", "some_hosts", "free"),
    [
        ({}, HOSTS, "192.168.4.254"),
        ({"gateway": "192.168.4.254"}, HOSTS, "192.168.4.253"),
        ({"dhcp_range": "192.168.4.100-192.168.4.254"}, HOSTS, "192.168.4.99"),
        ({"dhcp_range": "192.168.4.64-192.168.4.254"}, HOSTS, "192.168.4.60"),
        ({"dhcp_range": "192.168.4.2-192.168.4.254"}, HOSTS, None),
        ({"node_cidr": "192.168.4.60/30", "gateway": ABSENT}, HOSTS, None),
    ],
)
def test_the_fix_of_an_address_that_is_taken_names_one_that_is_free(changes, some_hosts, free):
    assert proposed(fixes(plan(api_vip="192.168.4.61", **changes), some_hosts)[VIP]) == free


def test_a_free_ipv6_address_is_one_of_the_first():
    one = plan(IPV6, api_vip="fd00:4::1")
    assert proposed(fixes(one, [{**host, "address": f"fd00:4::{at + 2}"} for at, host in enumerate(HOSTS)])[VIP]) == "fd00:4::5"


def test_an_address_that_is_proposed_is_the_last_that_nothing_has():
    """300 plans with random hosts and DHCP ranges, against a set of integers."""
    source = random.Random(4_254)
    for _round in range(300):
        home = ip_network(("192.168.4.0", source.randint(24, 29)))
        addresses = [str(source.choice(list(home.hosts()))) for _host in HOSTS]
        first, last = sorted(source.sample(range(int(home[1]), int(home[-1])), 2))
        one = plan(node_cidr=str(home), gateway=str(home[1]), upstream_dns=[str(home[2])], api_vip=addresses[0])
        one["dhcp_range"] = f"{ip_address(first)}-{ip_address(last)}"
        free = set(range(int(home[3]), int(home[-1]))) - {int(ip_address(one)) for one in addresses} - set(range(first, last + 1))
        found = proposed(fixes(one, [{**host, "address": address} for host, address in zip(HOSTS, addresses)])[VIP])
        assert found == (str(ip_address(max(free))) if free else None)


def test_a_fix_without_a_free_range_is_that_of_the_rule():
    everything = plan(pod_cidr="10.100.0.0/16", host_sources=["0.0.0.0/1", "128.0.0.0/1"])
    assert fixes(everything, HOSTS)["pods_are_apart_from_services"] == "Move one of the two."


def test_without_netaddr_fixes_have_no_examples(monkeypatch):
    monkeypatch.setitem(sys.modules, "netaddr", None)
    found = fixes(plan(pod_cidr="10.100.0.0/16", api_vip="192.168.4.61"), hosts(mac="b8:ac:6f:7e:6c:9d"))
    assert found["pods_are_apart_from_services"] == "Move one of the two."
    assert found[VIP] == "Choose an address that no device has, and that DHCP never gives away."
    [finding] = judge(plan(), hosts(mac="b8:ac:6f:7e:6c:9d")).findings
    assert finding.found == "MAC b8:ac:6f:7e:6c:9d, which host storagenodet3500 has too"


def test_a_plan_without_findings_does_not_import_netaddr():
    judged = f"import sys; from {judge.__module__} import judge; print(judge({FLAWLESS!r}, {HOSTS!r}).findings, 'netaddr' in sys.modules)"
    collections = Path(__file__).resolve().parents[3] / "collections"
    done = subprocess.run([sys.executable, "-c", judged], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(collections)})
    assert done.stdout == "[] False\n"
