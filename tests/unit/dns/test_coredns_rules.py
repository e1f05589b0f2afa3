# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of the cluster's DNS: what one change to a healthy one brings. The API server's objects are read in tests/cluster."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_rules import RULES, Wanted, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_state import CoreDnsState, Replica, Service, ServiceRange
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.corefile import corefile
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan

from tests.unit.network_plan.plans import SPECIFICATION

PLAN = dns_plan(SPECIFICATION)
WANTED = Wanted(PLAN, corefile(PLAN), frozenset({"storagenodet3500", "homelab"}))
RANGES = (ServiceRange("kubernetes", (ip_network("10.96.0.0/12"),)), ServiceRange("dns", (ip_network("10.233.0.0/24"),)))
HEALTHY = CoreDnsState(
    services=(Service("kube-dns", ("10.233.0.3",)),),
    ranges=RANGES,
    kubelet={"clusterDNS": ["10.233.0.3"], "clusterDomain": "cluster.local"},
    has_deployment=True,
    corefile=corefile(PLAN),
    replicas=(Replica("coredns-a", "masternode", True), Replica("coredns-b", "homelab", True)),
    wanted_replicas=2,
    nodes=frozenset({"masternode", "storagenodet3500", "homelab"}),
)
BARE = replace(HEALTHY, services=(), has_deployment=False, corefile=None, replicas=(), wanted_replicas=0)
ON_MASTER = (Replica("coredns-a", "masternode", True), Replica("coredns-b", "masternode", True))
ON_WORKERS = (Replica("coredns-a", "storagenodet3500", True), Replica("coredns-b", "homelab", True))
NOT_READY = (Replica("coredns-a", "masternode", False), Replica("coredns-b", "", False))


def rules(state: CoreDnsState, deployed: bool = True) -> set[str]:
    return {finding.rule for finding in judge(state, WANTED, deployed)}


def test_a_healthy_one_has_no_findings() -> None:
    assert judge(HEALTHY, WANTED, True) == []


def test_nothing_is_in_the_way_of_a_bare_cluster() -> None:
    assert judge(BARE, WANTED, False) == []


CHANGES = [
    ({"services": (Service("kube-dns", ("10.96.0.10",)),)}, "the_dns_service_has_the_planned_addresses"),
    ({"services": (*HEALTHY.services, Service("dns", ("10.96.0.10",)))}, "no_second_service_is_dns"),
    ({"holders": (("10.233.0.3", "services default/web"),)}, "the_dns_addresses_are_not_taken"),
    ({"services": (), "ranges": RANGES[:1]}, "the_dns_addresses_are_in_ready_service_ranges"),
    ({"services": (), "ranges": (RANGES[0], replace(RANGES[1], trouble="not ready yet"))}, "the_dns_addresses_are_in_ready_service_ranges"),
    ({"kubelet": None}, "kubelets_are_told_the_dns_addresses"),
    ({"kubelet": {**HEALTHY.kubelet, "clusterDNS": ["10.96.0.10"]}}, "kubelets_are_told_the_dns_addresses"),
    ({"kubelet": {**HEALTHY.kubelet, "clusterDNS": ["10.233.0.3", "10.96.0.10"]}}, "kubelets_are_told_the_dns_addresses"),
    ({"kubelet": {**HEALTHY.kubelet, "clusterDomain": "home.arpa"}}, "kubelets_are_told_the_dns_addresses"),
    ({"services": ()}, "the_dns_service_is_there"),
    ({"has_deployment": False}, "coredns_is_there"),
    ({"corefile": None}, "the_corefile_is_the_wanted_one"),
    ({"corefile": HEALTHY.corefile + "# mine\n"}, "the_corefile_is_the_wanted_one"),
    ({"replicas": ()}, "a_replica_is_ready"),
    ({"replicas": NOT_READY}, "a_replica_is_ready"),
    ({"replicas": ON_MASTER}, "replicas_are_on_different_nodes"),
    ({"replicas": ON_WORKERS}, "a_replica_is_where_nobody_sleeps"),
]


@pytest.mark.parametrize(("change", "rule"), CHANGES, ids=[f"{rule}: {', '.join(change)}" for change, rule in CHANGES])
def test_one_change_brings_one_finding(change: dict[str, object], rule: str) -> None:
    assert rule in rules(replace(HEALTHY, **change))


def test_every_rule_is_tested() -> None:
    assert {rule for _change, rule in CHANGES} == set(RULES)


@pytest.mark.parametrize(
    "change",
    [
        {"ranges": None},
        {"kubelet": {"clusterDNS": ["10.233.0.3"], "clusterDomain": "cluster.local."}},
        {"replicas": ON_MASTER, "nodes": frozenset({"masternode"})},
        {"replicas": ON_MASTER[:1], "wanted_replicas": 1},
        {"replicas": ON_WORKERS, "nodes": frozenset({"storagenodet3500", "homelab"})},
        # while Pods are being made, their places are no matter
        {"replicas": (*ON_MASTER[:1], NOT_READY[1])},
        {"replicas": (*ON_MASTER, Replica("coredns-c", "homelab", True))},
    ],
    ids=["no ServiceCIDRs", "final dot", "one node", "one replica", "no other node", "one is late", "rolling"],
)
def test_what_cannot_be_otherwise_is_fine(change: dict[str, object]) -> None:
    assert rules(replace(HEALTHY, **change)) == set()


def test_a_range_that_went_is_no_trouble_for_a_service_that_has_its_address() -> None:
    assert rules(replace(HEALTHY, ranges=RANGES[:1])) == set()


def test_the_first_line_that_differs_is_named() -> None:
    (found,) = judge(replace(HEALTHY, corefile=HEALTHY.corefile.replace("cache 30", "cache 5")), WANTED, True)
    assert (found.found, found.expected) == ("line 16: `cache 5`", "`cache 30`")


def test_the_wanted_corefile_may_be_unknown() -> None:
    assert judge(replace(HEALTHY, corefile="something else"), replace(WANTED, corefile=""), True) == []


def test_a_rule_can_be_accepted() -> None:
    assert judge(replace(HEALTHY, replicas=ON_MASTER), WANTED, True, ["replicas_are_on_different_nodes"]) == []
