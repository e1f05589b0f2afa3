# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of the cluster's DNS: what one change to a healthy one brings. The API server's objects are read in tests/cluster."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns import (
    RULES,
    CoreDnsState,
    Replica,
    Service,
    ServiceRange,
    Wanted,
    judge,
    looked_at,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan

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


DNS = {"k8s-app": "kube-dns"}
LABELLED = (Replica("coredns-a", "masternode", True, {**DNS, "hash": "1"}), Replica("coredns-b", "homelab", True, {**DNS, "hash": "1"}))


def policy(ingress: object, selector: object = None, types: object = None) -> dict[str, object]:
    spec = {"podSelector": {} if selector is None else selector, "policyTypes": types or ["Ingress"], "ingress": ingress}
    return {"metadata": {"name": "mine"}, "spec": spec}


BOTH = [{"port": 53, "protocol": "UDP"}, {"port": "dns-tcp", "protocol": "TCP"}]


@pytest.mark.parametrize(
    ("policies", "shut"),
    [
        ([policy(None)], "53/UDP and 53/TCP"),
        ([policy([{"ports": [{"port": 9153}]}], {"matchLabels": DNS})], "53/UDP and 53/TCP"),
        ([policy([{"ports": [{"port": 53}]}])], "53/UDP"),
        ([policy([{"ports": [{"port": 50, "endPort": 52, "protocol": "UDP"}]}, {"ports": BOTH[1:]}])], "53/UDP"),
        ([policy(None, {"matchExpressions": [{"key": "k8s-app", "operator": "In", "values": ["kube-dns"]}]})], "53/UDP and 53/TCP"),
        ([policy(None, {"matchExpressions": [{"key": "k8s-app", "operator": "Exists"}]})], "53/UDP and 53/TCP"),
        # together they let both in; without ports, all
        ([policy(None), policy([{"ports": BOTH}])], ""),
        ([policy([{}])], ""),
        ([policy([{"from": [{"namespaceSelector": {}}], "ports": BOTH}])], ""),
        ([policy([{"ports": [{"port": 1, "endPort": 99, "protocol": "UDP"}, {"port": 53}]}])], ""),
        # of other Pods, or of what leaves
        ([policy(None, {"matchLabels": {"k8s-app": "other"}})], ""),
        ([policy(None, {"matchExpressions": [{"key": "k8s-app", "operator": "DoesNotExist"}]})], ""),
        ([policy(None, {"matchExpressions": [{"key": "k8s-app", "operator": "NotIn", "values": ["kube-dns"]}]})], ""),
        ([policy(None, types=["Egress"])], ""),
    ],
)
def test_a_policy_that_isolates_coredns_is_named(policies: list[dict[str, object]], shut: str) -> None:
    findings = judge(replace(HEALTHY, replicas=LABELLED, policies=tuple(policies)), WANTED, True)
    names = ", ".join("mine" for _policy in policies)
    expected = [("NetworkPolicy kube-system/" + names, f"no rule lets {shut} in to the Pods of CoreDNS")] if shut else []
    assert [(one.subject, one.found) for one in findings] == expected


def test_a_service_that_selects_other_pods_is_named_with_the_right_selector() -> None:
    other = replace(HEALTHY, services=(Service("kube-dns", ("10.233.0.3",), {"k8s-app": "dns"}),), replicas=LABELLED)
    (finding,) = judge(other, WANTED, True)
    assert (finding.subject, finding.found) == ("Service kube-system/kube-dns", "selector k8s-app=dns, which no Pod of CoreDNS has")
    assert """--patch='[{"op":"replace","path":"/spec/selector","value":{"k8s-app":"kube-dns"}}]'`""" in finding.fix
    assert judge(replace(other, services=(replace(other.services[0], selector=DNS),)), WANTED, True) == []


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
    (
        {"services": (Service("kube-dns", ("10.233.0.3",), {"k8s-app": "dns"}),), "replicas": LABELLED},
        "the_dns_service_selects_coredns",
    ),
    ({"policies": (policy(None),)}, "policies_let_queries_in"),
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


OF_KUBESPRAY = replace(
    HEALTHY,
    is_foreign=True,
    services=(Service("coredns", ("10.233.0.3",), DNS),),
    holders=(("10.233.0.3", "services kube-system/coredns"),),
    kubelet={"clusterDNS": ["169.254.25.10"], "clusterDomain": "cluster.local"},
    corefile="of kubespray",
    replicas=LABELLED,
)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        # k3s and kubeadm call it as the role dns does; RKE2 has another Deployment
        ({"services": (Service("kube-dns", ("10.233.0.3",), DNS),), "holders": ()}, []),
        ({"kubelet": None, "has_deployment": False}, []),
        ({"services": (Service("coredns", ("10.96.0.10",), DNS),)}, [("Service kube-system/coredns", "clusterIP 10.96.0.10")]),
        (
            {"replicas": tuple(replace(one, is_ready=False) for one in LABELLED)},
            [("Deployment kube-system/coredns", "none of 2 Pods ready")],
        ),
    ],
)
def test_the_dns_of_another_installer_is_checked_by_whatever_name(change: dict[str, object], found: list[tuple[str, str]]) -> None:
    state = replace(OF_KUBESPRAY, **change)
    findings = judge(state, WANTED, True)
    assert [(one.subject, one.found) for one in findings] == found
    (item,) = looked_at(state, findings)
    assert "not installed by the role dns" in item.facts


def test_a_deleted_dns_service_is_missing_even_if_another_service_leads_to_coredns() -> None:
    others = replace(HEALTHY, services=(Service("stack-coredns", ("10.96.0.10",), DNS),), replicas=LABELLED)
    found = {(one.rule, one.subject) for one in judge(others, WANTED, True)}
    assert ("the_dns_service_is_there", "Service kube-system/kube-dns") in found
    assert ("no_second_service_is_dns", "Service kube-system/stack-coredns") in found
    # it answers where the hosts and Pods ask
    moved = replace(others, services=(*others.services, Service("coredns", ("10.233.0.3",), DNS)))
    assert [one.subject for one in judge(moved, WANTED, True)] == ["Service kube-system/stack-coredns"]


def test_the_role_dns_does_not_take_the_service_of_another_installer_for_its_own() -> None:
    found = {one.rule: one for one in judge(OF_KUBESPRAY, WANTED, False)}
    assert {"no_second_service_is_dns", "the_dns_addresses_are_not_taken", "kubelets_are_told_the_dns_addresses"} <= set(found)
