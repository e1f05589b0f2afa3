# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The arithmetic of networks, against netaddr, which shares no code with it."""

from __future__ import annotations

import random
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import permutations

import netaddr
import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import (
    extra_service_range,
    home_of,
    is_network_or_broadcast,
    meets,
    relation,
)

from tests.unit.network_plan.plans import FLAWLESS, HOSTS, plan

random_source = random.Random(4_233_003)


def some_network(version, near=None):
    """A random network; near another one, so that about half of the pairs meet."""
    bits = 32 if version == 4 else 128
    prefix = random_source.randint(1, bits)
    start = random_source.getrandbits(bits)
    if near is not None:
        prefix = random_source.randint(max(1, near.prefixlen - 3), min(bits, near.prefixlen + 6))
        start = int(near[0]) ^ random_source.getrandbits(min(bits, bits - near.prefixlen + random_source.randint(0, 2)))
    start = (start >> (bits - prefix)) << (bits - prefix)
    return (IPv4Network if version == 4 else IPv6Network)((start, prefix))


def pairs(count):
    for _round in range(count):
        version = random_source.choice((4, 6))
        one = some_network(version)
        yield one, some_network(version, near=one)


PAIRS = list(pairs(600))


def as_netaddr(net):
    return netaddr.IPNetwork(str(net))


def test_networks_meet_when_netaddr_finds_a_common_address():
    met = 0
    for one, other in PAIRS:
        common = netaddr.IPSet([as_netaddr(one)]) & netaddr.IPSet([as_netaddr(other)])
        assert {meets(*pair) for pair in permutations((one, other))} == {bool(common)}, (one, other)
        met += bool(common)
    assert 100 < met < 500  # the table has both kinds


def test_the_relation_of_networks_that_meet_is_netaddrs():
    for one, other in PAIRS:
        if meets(one, other):
            first, second = as_netaddr(one), as_netaddr(other)
            expected = "is" if first == second else "lies inside" if first in second else "covers"
            assert relation(one, other) == expected, (one, other)


def test_networks_of_two_families_never_meet():
    assert not meets(ip_network("0.0.0.0/0"), ip_network("::/0"))


def test_the_home_of_an_address_is_the_network_that_netaddr_finds_it_in():
    for one, other in PAIRS:
        single = other[0]
        inside = netaddr.IPAddress(str(single)) in as_netaddr(one)
        assert (home_of(single, (one,)) == one) == inside


def test_network_and_broadcast_addresses_are_netaddrs():
    for one, _other in PAIRS:
        oracle = as_netaddr(one)
        reserved = {str(oracle.network): "network"} if oracle.size > 2 else {}
        if one.version == 4 and oracle.size > 2:
            reserved[str(oracle.broadcast)] = "broadcast"
        for single in (one[0], one[-1], one[one.num_addresses // 2]):
            assert is_network_or_broadcast(single, one) == reserved.get(str(netaddr.IPAddress(str(single)))), (single, one)


def test_the_extra_range_is_the_256_addresses_around_one():
    for one, _other in PAIRS:
        derived = extra_service_range(one[0])
        oracle = netaddr.IPNetwork(f"{one[0]}/{24 if one.version == 4 else 120}").cidr
        assert as_netaddr(derived) == oracle
        assert derived.num_addresses == 256
        assert one[0] in derived


@pytest.mark.parametrize(
    ("dns", "extra"),
    [
        ("10.233.0.3", ["10.233.0.0/24"]),
        ("10.96.0.10", []),
        ("10.112.0.9", ["10.112.0.0/24"]),
        ("10.244.0.3", []),
        ("192.168.4.53", []),
    ],
)
def test_the_extra_range_is_derived_only_for_an_address_outside_all_networks(dns, extra):
    assert judge(plan(dns_service_ip=dns), HOSTS).derived["extra_service_cidrs"] == extra


def test_no_extra_range_before_kubernetes_1_33():
    assert judge(plan(dns_service_ip="10.233.0.3", kubernetes_version="1.32"), HOSTS).derived["extra_service_cidrs"] == []


def test_overlap_rules_agree_with_netaddr_on_generated_plans():
    """300 plans of three random private networks: a rule fires exactly when netaddr finds a common address."""
    source, fired = random.Random(10_244), 0
    for _round in range(300):
        nets = {}
        for key, (shortest, longest) in {"node_cidr": (20, 28), "pod_cidr": (9, 22), "service_cidr": (12, 26)}.items():
            prefix = source.randint(shortest, longest)
            start = (10 << 24) + (source.getrandbits(24) & (0x3FFFFF if source.random() < 0.7 else 0xFFFFFF))
            nets[key] = netaddr.IPNetwork(f"{netaddr.IPAddress(start)}/{prefix}").cidr
        rules = {finding.rule for finding in judge({**FLAWLESS, **{key: str(net) for key, net in nets.items()}}).findings}
        for rule, one, other in (
            ("pods_are_apart_from_services", "pod_cidr", "service_cidr"),
            ("pods_are_apart_from_nodes", "pod_cidr", "node_cidr"),
            ("services_are_apart_from_nodes", "service_cidr", "node_cidr"),
        ):
            common = bool(netaddr.IPSet([nets[one]]) & netaddr.IPSet([nets[other]]))
            assert (rule in rules) == common, nets
            fired += common
    assert 100 < fired < 800
