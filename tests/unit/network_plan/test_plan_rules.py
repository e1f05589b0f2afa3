# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule with a plan that breaks it and the smallest mended one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import RULES, judge

from tests.unit.network_plan.plans import (
    ABSENT,
    DUAL,
    FLAWLESS,
    HOSTS,
    IPV6,
    IPV6_HOSTS,
    SERVICES,
    SPECIFICATION,
    extra,
    hosts,
    plan,
    rules_broken,
    service,
)

VIP = "192.168.4.60"
THREE_CONTROL_PLANES = [{**host, "role": "control_plane", "sleeps": False} for host in HOSTS]
TWO_SERVICES = [SERVICES[0], {**SERVICES[1], "node_port": 30300}]
DECLARED = {"workers": ["22/tcp", "179/tcp", "protocol 4", "10250/tcp", "30000-32767/tcp", "9091/tcp", "9100/tcp", "10249/tcp"]}


def declared(*more, without=()):
    return {"workers": [port for port in DECLARED["workers"] if port not in without] + list(more)}


def many(count, sleepers=0, **changes):
    workers = [
        {
            "name": f"worker{at}",
            "address": f"192.168.4.{at + 70}",
            "role": "worker",
            "mac": f"52:54:00:00:00:{at:02x}",
            "sleeps": at < sleepers,
        }
        for at in range(count - 1)
    ]
    return [{**HOSTS[0], **changes}, *workers]


def test_a_plan_for_three_control_planes_has_no_findings():
    assert judge(plan(api_vip=VIP, dhcp_range="192.168.4.100-192.168.4.199"), THREE_CONTROL_PLANES).findings == []


# rule, broken plan, broken hosts, mended plan, mended hosts
CASES = [
    # pods inside services and services inside pods, pods and services over the LAN
    ("pods_are_apart_from_services", plan(pod_cidr="10.100.0.0/16"), HOSTS, plan(pod_cidr="10.112.0.0/16"), HOSTS),
    ("pods_are_apart_from_services", plan(pod_cidr="10.64.0.0/10"), HOSTS, plan(pod_cidr="10.64.0.0/11"), HOSTS),
    ("pods_are_apart_from_services", plan(pod_cidr="10.96.0.0/12"), HOSTS, plan(pod_cidr="10.80.0.0/12"), HOSTS),
    (
        "pods_are_apart_from_services",
        plan(DUAL, service_cidr=["10.96.0.0/12", "fd00:10:244:1::/112"]),
        HOSTS,
        plan(DUAL, service_cidr=["10.96.0.0/12", "fd00:10:244:100::/112"]),
        HOSTS,
    ),
    (
        "pods_are_apart_from_services",
        plan(IPV6, service_cidr="fd00:10:244:1::/112", dns_service_ip="fd00:10:244:1::a"),
        IPV6_HOSTS,
        IPV6,
        IPV6_HOSTS,
    ),
    ("pods_are_apart_from_nodes", plan(pod_cidr="192.168.0.0/16"), HOSTS, plan(pod_cidr="192.167.0.0/16", services=[]), None),
    ("pods_are_apart_from_nodes", plan(pod_cidr="192.168.4.0/22"), HOSTS, plan(pod_cidr="192.168.8.0/22"), HOSTS),
    ("pods_are_apart_from_nodes", plan(node_cidr="10.244.4.0/24", gateway="10.244.4.1", upstream_dns=ABSENT), None, plan(), None),
    ("services_are_apart_from_nodes", plan(service_cidr="192.168.0.0/16", dns_service_ip="192.168.0.10"), HOSTS, plan(), HOSTS),
    ("services_are_apart_from_nodes", plan(service_cidr="192.168.4.128/25", dns_service_ip="192.168.4.138"), HOSTS, plan(), HOSTS),
    ("networks_are_apart_from_dockers_bridge", plan(pod_cidr="172.16.0.0/12"), HOSTS, plan(pod_cidr="172.18.0.0/16"), HOSTS),
    ("networks_are_apart_from_dockers_bridge", plan(service_cidr="172.17.4.0/24", dns_service_ip="172.17.4.10"), HOSTS, plan(), HOSTS),
    ("networks_are_apart_from_dockers_bridge", plan(dns_service_ip="172.17.0.10"), HOSTS, plan(dns_service_ip="172.18.0.10"), HOSTS),
    (
        "extra_service_ranges_are_apart_from_everything",
        plan(service_cidr="10.96.0.0/28", dns_service_ip="10.96.0.20"),
        HOSTS,
        plan(service_cidr="10.96.0.0/28", dns_service_ip="10.96.1.20"),
        HOSTS,
    ),
    (
        "extra_service_ranges_are_apart_from_everything",
        plan(node_cidr="192.168.4.0/25", dns_service_ip="192.168.4.200"),
        HOSTS,
        plan(node_cidr="192.168.4.0/25", dns_service_ip="192.168.5.200"),
        HOSTS,
    ),
    ("networks_are_for_machines", plan(pod_cidr="169.254.0.0/16"), HOSTS, plan(), HOSTS),
    ("networks_are_for_machines", plan(pod_cidr="224.0.0.0/16"), HOSTS, plan(), HOSTS),
    ("networks_are_for_machines", plan(pod_cidr="127.0.0.0/16"), HOSTS, plan(), HOSTS),
    ("networks_are_for_machines", plan(pod_cidr="240.0.0.0/16"), HOSTS, plan(), HOSTS),
    ("networks_are_for_machines", plan(service_cidr="169.254.0.0/20", dns_service_ip="169.254.0.10"), HOSTS, plan(), HOSTS),
    ("networks_are_for_machines", plan(IPV6, pod_cidr="fe80::/56"), IPV6_HOSTS, IPV6, IPV6_HOSTS),
    ("networks_are_private", plan(pod_cidr="11.244.0.0/16"), HOSTS, plan(pod_cidr="100.64.0.0/16"), HOSTS),
    ("networks_are_private", plan(service_cidr="203.0.113.0/24", dns_service_ip="203.0.113.10"), HOSTS, plan(), HOSTS),
    ("pod_cidr_suits_kubeadm", plan(pod_cidr="10.244.0.0/25", block_size=28), None, plan(pod_cidr="10.244.0.0/24"), None),
    ("pod_cidr_suits_kubeadm", plan(IPV6, pod_cidr="fd00:10::/47"), IPV6_HOSTS, plan(IPV6, pod_cidr="fd00:20::/48"), IPV6_HOSTS),
    ("service_cidr_suits_kubeadm", plan(service_cidr="10.0.0.0/11", dns_service_ip="10.0.0.10"), HOSTS, plan(), HOSTS),
    (
        "service_cidr_suits_kubeadm",
        plan(service_cidr="10.96.0.0/29", dns_service_ip="10.96.0.3"),
        HOSTS,
        plan(service_cidr="10.96.0.0/28"),
        HOSTS,
    ),
    ("service_cidr_suits_kubeadm", plan(IPV6, service_cidr="fd00:10:96::/64"), IPV6_HOSTS, IPV6, IPV6_HOSTS),
    ("pods_and_services_have_the_same_families", plan(DUAL, service_cidr="10.96.0.0/12"), HOSTS, DUAL, HOSTS),
    ("pods_and_services_have_the_same_families", plan(DUAL, service_cidr=DUAL["service_cidr"][::-1]), HOSTS, DUAL, HOSTS),
    ("nodes_have_the_families_of_pods", plan(DUAL, node_cidr="192.168.4.0/24"), HOSTS, DUAL, HOSTS),
    ("gateway_is_outside_pods_and_services", plan(gateway="10.244.0.1"), HOSTS, plan(), HOSTS),
    ("gateway_is_outside_pods_and_services", plan(gateway="10.96.0.1"), HOSTS, plan(), HOSTS),
    ("gateway_is_a_node_network_address", plan(gateway="192.168.5.1"), HOSTS, plan(gateway="192.168.4.254"), HOSTS),
    ("gateway_is_a_node_network_address", plan(gateway="192.168.4.255"), HOSTS, plan(), HOSTS),
    ("gateway_is_a_node_network_address", plan(gateway="192.168.4.0"), HOSTS, plan(), HOSTS),
    ("gateway_is_a_node_network_address", plan(IPV6, gateway="fd00:5::1"), IPV6_HOSTS, plan(IPV6, gateway="fe80::1"), IPV6_HOSTS),
    # DNS
    ("dns_service_ip_is_outside_nodes_and_pods", plan(dns_service_ip="10.244.0.10"), HOSTS, plan(), HOSTS),
    ("dns_service_ip_is_outside_nodes_and_pods", plan(dns_service_ip="192.168.4.53"), HOSTS, plan(), HOSTS),
    (
        "dns_service_ip_is_a_service_address",
        plan(dns_service_ip="10.233.0.3", kubernetes_version="1.32"),
        HOSTS,
        plan(dns_service_ip="10.233.0.3", kubernetes_version="1.33"),
        HOSTS,
    ),
    (
        "dns_service_ip_is_a_service_address",
        plan(dns_service_ip="10.233.0.3", kubernetes_version="1.29.4"),
        HOSTS,
        plan(dns_service_ip="10.111.255.254", kubernetes_version="1.29.4"),
        HOSTS,
    ),
    (
        "dns_service_ip_is_not_a_network_or_broadcast_address",
        plan(dns_service_ip="10.96.0.0"),
        HOSTS,
        plan(dns_service_ip="10.96.0.2"),
        HOSTS,
    ),
    ("dns_service_ip_is_not_a_network_or_broadcast_address", plan(dns_service_ip="10.111.255.255"), HOSTS, plan(), HOSTS),
    (
        "dns_service_ip_is_not_a_network_or_broadcast_address",
        plan(dns_service_ip="10.233.0.0"),
        HOSTS,
        plan(dns_service_ip="10.233.0.1"),
        HOSTS,
    ),
    ("dns_service_ip_is_not_a_network_or_broadcast_address", plan(dns_service_ip="10.233.0.255"), HOSTS, plan(), HOSTS),
    (
        "dns_service_ip_is_not_a_network_or_broadcast_address",
        plan(IPV6, dns_service_ip="fd00:10:96::"),
        IPV6_HOSTS,
        plan(IPV6, dns_service_ip="fd00:10:96::ffff"),
        IPV6_HOSTS,
    ),
    ("dns_service_ip_is_not_the_api_servers", plan(dns_service_ip="10.96.0.1"), HOSTS, plan(dns_service_ip="10.96.0.2"), HOSTS),
    ("dns_service_ip_is_not_the_api_servers", plan(IPV6, dns_service_ip="fd00:10:96::1"), IPV6_HOSTS, IPV6, IPV6_HOSTS),
    ("dns_service_ip_has_a_family_of_services", plan(dns_service_ip="fd00:10:96::a"), HOSTS, plan(), HOSTS),
    ("dns_service_ip_is_for_machines", plan(dns_service_ip="127.0.0.53"), HOSTS, plan(), HOSTS),
    ("upstream_dns_is_outside_the_cluster", plan(upstream_dns=["10.96.0.10"]), HOSTS, plan(upstream_dns=["9.9.9.9"]), HOSTS),
    ("upstream_dns_is_outside_the_cluster", plan(upstream_dns=["192.168.4.1", "10.244.3.3"]), HOSTS, plan(), HOSTS),
    ("upstream_dns_is_reachable_from_pods", plan(upstream_dns=["127.0.0.53"]), HOSTS, plan(), HOSTS),
    *(
        (
            "upstream_dns_on_a_host_is_open_to_pods",
            plan(upstream_dns=["192.168.4.63"], extra_ports=too_few),
            HOSTS,
            plan(upstream_dns=["192.168.4.63"], extra_ports=extra(name="dns", port=53, protocol="udp", sources=sources)),
            HOSTS,
        )
        for too_few, sources in (
            ([], "hosts"),
            (extra(name="dns", port=53, protocol="udp"), ["192.168.4.0/24", "10.244.0.0/16"]),
            (extra(name="dns", port=53, protocol="tcp", sources="anyone"), "anyone"),
            (extra(name="dns", port=53, protocol="udp", sources="hosts", roles=["worker"]), "hosts"),
        )
    ),
    # hosts
    (
        "hosts_are_in_the_node_network",
        plan(),
        hosts(address="192.168.5.62"),
        plan(node_cidr="192.168.4.0/23"),
        hosts(address="192.168.5.62"),
    ),
    ("host_addresses_are_not_reserved", plan(), hosts(address="192.168.4.0"), plan(), HOSTS),
    ("host_addresses_are_not_reserved", plan(), hosts(address="192.168.4.255"), plan(), HOSTS),
    ("host_addresses_are_not_reserved", plan(), hosts(address="192.168.4.1"), plan(), HOSTS),
    ("host_addresses_are_unique", plan(), hosts(address="192.168.4.61"), plan(), HOSTS),
    ("host_macs_are_unique", plan(), hosts(mac="B8-AC-6F-7E-6C-9D"), plan(), HOSTS),
    ("host_names_are_unique", plan(), hosts(name="masternode"), plan(), HOSTS),
    ("sleeping_hosts_have_a_mac", plan(), hosts(mac=ABSENT), plan(), hosts(mac=ABSENT, sleeps=False)),
    ("there_is_a_control_plane", plan(), hosts(of="masternode", role="worker"), plan(), HOSTS),
    ("there_is_a_control_plane", plan(), [], plan(), HOSTS),
    ("the_control_plane_never_sleeps", plan(), hosts(of="masternode", sleeps=True, mac="52:54:00:00:00:01"), plan(), HOSTS),
    ("there_is_only_one_control_plane", plan(), hosts(role="control_plane", sleeps=False), plan(), HOSTS),
    ("there_is_only_one_control_plane", plan(), THREE_CONTROL_PLANES, plan(api_vip=VIP), THREE_CONTROL_PLANES),
    ("control_planes_have_a_majority", plan(api_vip=VIP), hosts(role="control_plane", sleeps=False), plan(api_vip=VIP), HOSTS),
    ("control_planes_have_a_majority", plan(api_vip=VIP), hosts(role="control_plane", sleeps=False), plan(), HOSTS),
    *[
        ("api_vip_is_a_free_address_of_the_node_network", plan(**broken), HOSTS, plan(**{**broken, "api_vip": VIP}), HOSTS)
        for broken in (
            {"api_vip": "192.168.5.60"},
            {"api_vip": "192.168.4.0"},
            {"api_vip": "192.168.4.255"},
            {"api_vip": "192.168.4.1"},
            {"api_vip": "192.168.4.62"},
            {"api_vip": "192.168.4.2", "upstream_dns": ["192.168.4.2"]},
            {"api_vip": "192.168.4.150", "dhcp_range": "192.168.4.100-192.168.4.199"},
            {"api_vip": "10.244.7.1"},
            {"api_vip": "10.96.0.1"},
        )
    ],
    ("api_vip_has_the_family_of_the_api", plan(DUAL, api_vip="fd00:4::60"), HOSTS, plan(DUAL, api_vip=VIP), HOSTS),
    ("dhcp_range_is_of_the_node_network", plan(dhcp_range="192.168.5.1-192.168.5.9"), HOSTS, plan(dhcp_range="192.168.4.9"), HOSTS),
    # Calico
    ("block_sizes_are_calicos", plan(block_size=19), HOSTS, plan(block_size=20), HOSTS),
    ("block_sizes_are_calicos", plan(block_size=33), HOSTS, plan(block_size=32), HOSTS),
    ("block_sizes_are_calicos", plan(block_size=122), HOSTS, plan(), HOSTS),
    ("block_sizes_are_calicos", plan(IPV6, block_size=115), IPV6_HOSTS, plan(IPV6, block_size=116), IPV6_HOSTS),
    ("block_sizes_are_calicos", plan(DUAL, block_size=[26, 27]), HOSTS, plan(DUAL, block_size=[26, 122]), HOSTS),
    (
        "blocks_fit_in_their_pool",
        plan(pod_cidr="10.244.0.0/24", block_size=22),
        HOSTS,
        plan(pod_cidr="10.244.0.0/22", block_size=24),
        HOSTS,
    ),
    (
        "pools_have_a_block_for_every_node",
        plan(pod_cidr="10.244.0.0/20", block_size=20),
        HOSTS,
        plan(pod_cidr="10.244.0.0/18", block_size=20),
        HOSTS,
    ),
    ("pools_have_a_block_for_every_node", plan(pod_cidr="10.244.0.0/24"), many(5), plan(pod_cidr="10.244.0.0/22"), many(5)),
    ("pools_hold_all_pods_of_full_nodes", plan(pod_cidr="10.244.0.0/24"), HOSTS, plan(pod_cidr="10.244.0.0/23"), HOSTS),
    ("large_clusters_use_typha", plan(typha="absent"), many(51), plan(typha="absent"), many(50)),
    ("large_clusters_use_typha", plan(typha="absent"), many(51), plan(), many(51)),
    ("typha_has_hosts_that_never_sleep", plan(), many(51, 49), plan(), many(51, 48)),
    ("typha_has_hosts_that_never_sleep", plan(), many(51, 49), plan(), many(50, 49)),
    ("typha_has_hosts_that_never_sleep", plan(typha="present"), HOSTS, plan(), HOSTS),
    ("typha_has_hosts_that_never_sleep", plan(typha="present"), HOSTS, plan(typha="present"), many(2)),
    ("ipip_has_an_ipv4_pool", plan(IPV6, encapsulation="IPIP"), IPV6_HOSTS, plan(IPV6, encapsulation="None"), IPV6_HOSTS),
    ("ipip_has_an_ipv4_pool", plan(IPV6, encapsulation="IPIPCrossSubnet"), IPV6_HOSTS, IPV6, IPV6_HOSTS),
    # services
    ("node_port_range_avoids_local_ports", plan(node_port_range="30000-33000"), HOSTS, plan(node_port_range="30000-32767"), HOSTS),
    ("node_port_range_avoids_local_ports", plan(local_port_range="15000-60999"), HOSTS, plan(local_port_range="33000-60999"), HOSTS),
    ("node_port_range_avoids_host_ports", plan(node_port_range="10000-32767"), HOSTS, plan(node_port_range="10260-32767"), HOSTS),
    ("node_ports_are_in_the_range", plan(services=service(node_port=29999)), HOSTS, plan(services=service(node_port=30000)), HOSTS),
    ("node_ports_are_in_the_range", plan(services=service(node_port=32768)), HOSTS, plan(services=service(node_port=32767)), HOSTS),
    (
        "node_ports_are_taken_once",
        plan(services=TWO_SERVICES),
        HOSTS,
        plan(services=[TWO_SERVICES[0], {**TWO_SERVICES[1], "protocol": "udp"}]),
        HOSTS,
    ),
    ("services_are_listed_once", plan(services=[SERVICES[0], {**SERVICES[0], "node_port": 30301}]), HOSTS, plan(), HOSTS),
    ("services_need_no_load_balancer", plan(services=service(type="LoadBalancer")), HOSTS, plan(services=service(type="NodePort")), HOSTS),
    (
        "cluster_ip_services_have_no_node_port",
        plan(services=service(type="ClusterIP")),
        HOSTS,
        plan(services=service(type="ClusterIP", node_port=ABSENT)),
        HOSTS,
    ),
    # extra ports
    *[
        ("extra_ports_are_listed_once", plan(extra_ports=extra(*extra(name="again", **second))), HOSTS, plan(extra_ports=mended), HOSTS)
        for second, mended in (
            ({}, extra(*extra(name="again", protocol="udp"))),
            ({"port": "21990-22000", "roles": ["worker"]}, extra(*extra(name="again", port="21990-21999"))),
            ({"roles": ["worker"]}, extra(*extra(name="again", roles=["worker"]), roles=["control_plane"])),
        )
    ],
    *[
        ("extra_ports_are_not_the_clusters", plan(extra_ports=extra(**broken)), HOSTS, plan(extra_ports=extra(**mended)), HOSTS)
        for broken, mended in (
            ({"port": 10250}, {"port": 10250, "protocol": "udp"}),
            ({"port": 22}, {"port": 23}),
            ({"port": "6000-7000"}, {"port": "6000-7000", "roles": ["worker"]}),
            ({"port": 2380, "roles": ["control_plane"]}, {"port": 2382}),
        )
    ],
    ("extra_ports_are_no_node_ports", plan(extra_ports=extra(port=30000)), HOSTS, plan(extra_ports=extra(port=29999)), HOSTS),
    ("extra_ports_are_no_node_ports", plan(extra_ports=extra(port="29000-30000", protocol="udp")), HOSTS, plan(), HOSTS),
    ("extra_ports_avoid_local_ports", plan(extra_ports=extra(port=60999)), HOSTS, plan(extra_ports=extra(port=61000)), HOSTS),
    *[
        (
            "extra_ports_are_for_your_networks",
            plan(extra_ports=extra(sources=[public])),
            HOSTS,
            plan(extra_ports=extra(sources=["10.8.0.0/24", "fd00:9::/64", "2001:db8:9::/64"])),
            HOSTS,
        )
        for public in ("0.0.0.0/0", "::/0", "203.0.113.0/24", "192.0.0.0/8")
    ],
    (
        "extra_ports_are_for_your_networks",
        plan(extra_ports=extra(sources=["::/0"])),
        HOSTS,
        plan(extra_ports=extra(sources="anyone")),
        HOSTS,
    ),
    # declared ports
    (
        "declared_ports_are_needed",
        plan(declared_ports=declared("22000/tcp")),
        HOSTS,
        plan(extra_ports=extra(), declared_ports=DECLARED),
        HOSTS,
    ),
    (
        "declared_ports_are_complete",
        plan(extra_ports=extra(), declared_ports=DECLARED),
        HOSTS,
        plan(extra_ports=extra(), declared_ports=declared("22000/tcp")),
        HOSTS,
    ),
    ("declared_ports_are_not_stale", plan(declared_ports=declared("8472/udp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    ("declared_ports_are_not_stale", plan(declared_ports=declared("10251/tcp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    ("declared_ports_are_not_stale", plan(declared_ports=declared("10252/tcp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    ("declared_ports_are_not_stale", plan(declared_ports=declared("10255/tcp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    ("declared_ports_are_not_stale", plan(declared_ports=declared("4789/udp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    ("declared_ports_are_not_stale", plan(declared_ports=declared("protocol 94")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    (
        "declared_ports_are_not_stale",
        plan(declared_ports=declared("4789/udp"), encapsulation="VXLAN"),
        HOSTS,
        plan(declared_ports=declared("4789/udp", without=("179/tcp", "protocol 4")), encapsulation="VXLAN"),
        HOSTS,
    ),
    ("declared_ports_are_needed", plan(declared_ports=declared("8096/tcp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    ("declared_ports_are_needed", plan(declared_ports=declared("6443/tcp")), HOSTS, plan(declared_ports=DECLARED), HOSTS),
    *[
        ("declared_ports_are_complete", plan(declared_ports=declared(without=(port,))), HOSTS, plan(declared_ports=DECLARED), HOSTS)
        for port in DECLARED["workers"]
    ],
    (
        "declared_ports_are_complete",
        plan(declared_ports=declared("30000-31000/tcp", "31002-32767/tcp", without=("30000-32767/tcp",))),
        HOSTS,
        plan(declared_ports=declared("30000-31001/tcp", "31002-32767/tcp", without=("30000-32767/tcp",))),
        HOSTS,
    ),
]


def test_the_next_step_for_a_port_that_nothing_needs_works_when_followed():
    declared_alone = plan(declared_ports=declared("22000/tcp"))
    (finding,) = judge(declared_alone, HOSTS).findings
    assert finding.fix == "Remove it from declared_ports, or add it to extra_ports, which are opened."
    assert judge({**declared_alone, "extra_ports": extra()}, HOSTS).findings == []


@pytest.mark.parametrize(("rule", "broken", "broken_hosts", "mended", "mended_hosts"), CASES)
def test_a_rule_finds_what_breaks_it_and_nothing_once_it_is_mended(rule, broken, broken_hosts, mended, mended_hosts):
    assert rules_broken(broken, broken_hosts) == {rule}
    assert rule not in rules_broken(mended, mended_hosts)


@pytest.mark.parametrize(
    ("changes", "broken"),
    [
        ({"node_port_range": "30000-32768"}, {"node_port_range_avoids_local_ports"}),
        ({"node_port_range": "61000-65535", "services": []}, set()),
        ({"node_port_range": "60999-65535", "services": []}, {"node_port_range_avoids_local_ports"}),
        ({"services": service(port=1)}, set()),
        ({"services": service(port=65535)}, set()),
    ],
)
def test_both_ends_of_a_range_belong_to_it(changes, broken):
    assert rules_broken(plan(**changes), HOSTS) == broken


def test_every_rule_has_a_case():
    assert {rule.name for rule in RULES} - {case[0] for case in CASES} == {"every_pool_is_encapsulated", "the_bgp_mesh_is_small"}


def test_an_ipv6_pool_beside_ipip_is_told_but_no_fault():
    found = judge(plan(DUAL, encapsulation="IPIP"), HOSTS).findings
    assert [(finding.rule, finding.severity) for finding in found] == [("every_pool_is_encapsulated", "info")]


@pytest.mark.parametrize(("good", "good_hosts"), [(FLAWLESS, HOSTS), (DUAL, HOSTS), (IPV6, IPV6_HOSTS), (FLAWLESS, None)])
def test_a_flawless_plan_has_no_findings(good, good_hosts):
    assert judge(good, good_hosts).findings == []


def test_the_specification_has_warnings_about_declared_ports_and_no_errors():
    findings = judge(SPECIFICATION, HOSTS).findings
    assert {finding.rule for finding in findings if finding.severity == "warning"} == {
        "declared_ports_are_not_stale",
        "declared_ports_are_complete",
    }
    assert not [finding for finding in findings if finding.severity == "error"]
    assert [finding.found for finding in findings if finding.severity == "info"] == ["10.233.0.3, outside 10.96.0.0/12"]


def test_the_inventory_of_this_repository_has_the_plan_of_the_specification():
    inventory = Path(__file__).resolve().parents[3] / "inventory" / "group_vars" / "all" / "network_plan.yml"
    assert yaml.safe_load(inventory.read_text())["network_plan"] == {**SPECIFICATION, "admin_sources": []}


def test_below_1_33_a_dns_address_outside_the_services_names_the_two_ways_out():
    [finding] = judge(plan(dns_service_ip="10.233.0.3", kubernetes_version="1.32"), HOSTS).findings
    assert finding.fix == 'Either set dns_service_ip to an address inside, like 10.96.0.10; or set kubernetes_version to "1.33" or newer.'


def test_an_overlap_is_told_with_a_range_that_is_free():
    [finding] = judge(plan(node_cidr="10.244.4.0/24", gateway="10.244.4.1", upstream_dns=ABSENT), None).findings
    assert finding.found == "10.244.0.0/16, which covers node_cidr 10.244.4.0/24"
    assert finding.fix == "Move pod_cidr, for example to 10.255.0.0/16."


def test_all_problems_come_in_one_run_errors_first():
    bad = plan(
        pod_cidr="192.168.0.0/16", service_cidr="10.96.0.1/12", block_size="26", encapsulation="ipip", gateway="192.168.9.1", colour="red"
    )
    bad_hosts = [{**HOSTS[0], "address": "192.168.4.999"}, HOSTS[1], {**HOSTS[1], "name": "Homelab", "role": "master"}, 7]
    findings = judge(bad, bad_hosts).findings
    assert {finding.rule for finding in findings} == {
        "pods_are_apart_from_nodes",
        "networks_have_no_host_bits",
        "block_sizes_are_numbers",
        "encapsulation_is_calicos_word",
        "gateway_is_outside_pods_and_services",
        "keys_are_known",
        "addresses_are_well_formed",
        "host_addresses_are_unique",
        "host_macs_are_unique",
        "names_are_dns_names",
        "roles_are_known",
        "entries_are_mappings",
    }
    assert all(finding.fix and finding.found and finding.expected and finding.subject for finding in findings)
    order = [finding.severity for finding in findings]
    assert order == sorted(order, key=["error", "warning", "info"].index)


def test_what_two_hosts_share_is_told_with_what_each_needs():
    [found] = judge(plan(), hosts(address="192.168.4.61")).findings
    assert (found.found, found.expected) == ("address 192.168.4.61, which host storagenodet3500 has too", "its own address")


def test_a_mac_that_two_hosts_share_is_told_with_its_vendor():
    [found] = judge(plan(), hosts(mac="b8:ac:6f:7e:6c:9d")).findings
    assert found.found == "MAC b8:ac:6f:7e:6c:9d (Dell Inc.), which host storagenodet3500 has too"


def test_hosts_that_sleep_are_told_by_name():
    [finding] = judge(plan(), hosts(mac=ABSENT)).findings
    assert str(finding).startswith("error: host homelab: found sleeps: true without a mac; expected the MAC address of its network card.")


def test_three_hundred_hosts_are_not_passed_without_a_word():
    hundreds = [{"name": f"worker{at}", "address": f"10.20.{at // 200}.{at % 200 + 10}", "role": "worker"} for at in range(300)] + [
        {"name": "masternode", "address": "10.20.4.10", "role": "control_plane"}
    ]
    network = {"node_cidr": "10.20.0.0/16", "gateway": "10.20.0.1", "upstream_dns": ["10.20.0.1"]}
    assert rules_broken(plan(**network), hundreds) == {"the_bgp_mesh_is_small"}
    assert rules_broken(plan(**network, encapsulation="VXLAN"), hundreds) == set()
    [mesh] = judge(plan(**network), hundreds).findings
    assert "encapsulation: VXLAN" in mesh.fix
    assert "route reflectors" in mesh.fix
