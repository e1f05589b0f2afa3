# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is derived: ports per role, MTU, capacity, and the rest."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports import PORT_FACTS

from tests.unit.network_plan.plans import ABSENT, DUAL, HOSTS, IPV6, IPV6_HOSTS, SPECIFICATION, extra, hosts, plan, service

LAN = "192.168.4.0/24"
NODES = ["192.168.4.61/32", "192.168.4.62/32", "192.168.4.63/32"]
MASTER = ["192.168.4.63/32"]
PODS = "10.244.0.0/16"
SCRAPERS = [*NODES, PODS]
ONLY_NODES = ["192.168.4.61/32", "192.168.4.62/31"]
ALWAYS = {"22/tcp": [], "10250/tcp": SCRAPERS, "9091/tcp": SCRAPERS, "9100/tcp": SCRAPERS, "10249/tcp": SCRAPERS}
# Prometheus and Loki ask for no password
NODE_PORTS = {
    "30000-30089/tcp": [LAN],
    "30090/tcp": ONLY_NODES,
    "30091-31099/tcp": [LAN],
    "31100/tcp": ONLY_NODES,
    "31101-32767/tcp": [LAN],
}
EVERY_NODE = {**ALWAYS, **NODE_PORTS}
ONLY_CONTROL_PLANE = {"6443/tcp": [], "2379-2380/tcp": MASTER, "2381/tcp": SCRAPERS, "10257/tcp": SCRAPERS, "10259/tcp": SCRAPERS}
BGP = {"179/tcp": NODES}
IPIP = {"protocol 4": NODES}
VXLAN = {"4789/udp": NODES}


def opened(role, one_plan, some_hosts=HOSTS):
    ports = judge(one_plan, some_hosts).derived["ports"][role]
    return {f"{port['port']}/{port['protocol']}" if "port" in port else f"protocol {port['protocol']}": port["sources"] for port in ports}


def test_control_planes_reach_one_another_for_etcd_and_vrrp():
    three = [{**host, "role": role, "sleeps": False} for host, role in zip(HOSTS, ("control_plane", "control_plane", "worker"))]
    others = ["192.168.4.61/32", "192.168.4.63/32"]
    before, with_vip = opened("control_plane", plan(), three), opened("control_plane", plan(api_vip="192.168.4.60"), three)
    assert with_vip["2379-2380/tcp"] == others
    assert with_vip == {**before, "protocol 112": others}
    assert opened("worker", plan(api_vip="192.168.4.60"), three) == opened("worker", plan(), three)


@pytest.mark.parametrize(
    ("encapsulation", "calico"),
    [
        ("IPIP", {**BGP, **IPIP}),
        ("IPIPCrossSubnet", {**BGP, **IPIP}),
        ("VXLAN", VXLAN),
        ("VXLANCrossSubnet", VXLAN),
        ("None", BGP),
    ],
)
def test_ports_follow_the_encapsulation_on_both_roles(encapsulation, calico):
    assert opened("worker", plan(encapsulation=encapsulation)) == {**EVERY_NODE, **calico}
    assert opened("control_plane", plan(encapsulation=encapsulation)) == {**EVERY_NODE, **ONLY_CONTROL_PLANE, **calico}


@pytest.mark.parametrize(
    ("changes", "more"),
    [
        ({"services": service(protocol="udp")}, {"30000-32767/udp": [LAN]}),
        ({"services": service(protocol="sctp")}, {"30000-32767/sctp": [LAN]}),
        ({"services": service(protocol="udp", type="ClusterIP", node_port=None)}, {}),
        ({"services": []}, {}),
    ],
)
def test_node_ports_are_open_over_udp_only_for_a_udp_service(changes, more):
    assert opened("worker", plan(**changes)) == {**ALWAYS, "30000-32767/tcp": [LAN], **BGP, **IPIP, **more}


PHONE, DESK = "192.168.4.20/32", "192.168.4.9/32"


@pytest.mark.parametrize(
    ("changes", "node_ports"),
    [
        ({"services": service(sources=[PHONE])}, {"30000-30299": [LAN], "30300": [PHONE, *ONLY_NODES], "30301-32767": [LAN]}),
        ({"services": service(sources=[])}, {"30000-30299": [LAN], "30300": ONLY_NODES, "30301-32767": [LAN]}),
        ({"services": service(sources=["0.0.0.0/0"])}, {"30000-30299": [LAN], "30300": ["0.0.0.0/0"], "30301-32767": [LAN]}),
        ({"services": service(sources=[PHONE], node_port=30000)}, {"30000": [PHONE, *ONLY_NODES], "30001-32767": [LAN]}),
        ({"services": service(sources=[PHONE], node_port=32767)}, {"30000-32766": [LAN], "32767": [PHONE, *ONLY_NODES]}),
        ({"services": service(sources=[PHONE], node_port=29999)}, {"30000-32767": [LAN]}),
        ({"services": service(sources=[PHONE], type="ClusterIP", node_port=ABSENT)}, {"30000-32767": [LAN]}),
        (
            {"services": service(name="loki"), "admin_sources": [DESK]},
            {"30000-30299": [LAN], "30300": [DESK, *ONLY_NODES], "30301-32767": [LAN]},
        ),
        ({"services": service(name="loki", sources=[LAN])}, {"30000-32767": [LAN]}),
        ({"services": service(), "unlisted_node_ports": "closed"}, {"30000-30299": ONLY_NODES, "30300": [LAN], "30301-32767": ONLY_NODES}),
        ({"services": [], "unlisted_node_ports": "closed"}, {"30000-32767": ONLY_NODES}),
    ],
)
def test_a_node_port_has_the_sources_of_its_service(changes, node_ports):
    found = {port.removesuffix("/tcp"): sources for port, sources in opened("worker", plan(**changes)).items()}
    assert {port: sources for port, sources in found.items() if port.startswith("3") or port.startswith("29")} == node_ports


def test_a_node_port_over_udp_keeps_its_sources_apart_from_tcp():
    ports = opened("worker", plan(services=service(protocol="udp", sources=[PHONE])))
    assert ports["30300/udp"] == [PHONE, *ONLY_NODES]
    assert ports["30000-32767/tcp"] == [LAN]


def test_without_hosts_the_node_network_is_the_source_and_never_anyone():
    sources = opened("control_plane", plan(), None)
    assert {port for port, networks in sources.items() if networks == []} == {"22/tcp", "6443/tcp"}
    assert sources["30000-32767/tcp"] == [LAN]
    assert (sources["10250/tcp"], sources["2379-2380/tcp"]) == ([LAN, PODS], [LAN])
    assert (sources["179/tcp"], sources["protocol 4"]) == ([LAN], [LAN])


@pytest.mark.parametrize(
    ("word", "count", "is_open"),
    [
        ("auto", 3, False),
        ("auto", 25, False),
        ("auto", 26, True),
        ("auto", 51, True),
        ("present", 3, True),
        ("present", 0, True),
        ("absent", 51, False),
        (ABSENT, 51, True),
    ],
)
def test_typha_is_open_to_the_hosts_wherever_it_may_run(word, count, is_open):
    known = [{"name": f"node{at}", "address": f"192.168.4.{at + 2}", "role": "worker"} for at in range(count)]
    for role in ("worker", "control_plane"):
        ports = opened(role, plan(typha=word), known or None)
        assert ("5473/tcp" in ports) is is_open
        assert ports.get("5473/tcp") == (ports["179/tcp"] if is_open else None)


def test_etcd_is_open_to_every_control_plane_host_only():
    three = [{**HOSTS[0], "name": f"master{last}", "address": f"192.168.4.{last}"} for last in (9, 10, 100)]
    assert opened("control_plane", plan(), [*three, *HOSTS[1:]])["2379-2380/tcp"] == [
        "192.168.4.9/32",
        "192.168.4.10/32",
        "192.168.4.100/32",
    ]


def test_a_plan_without_a_node_network_opens_to_nobody_what_only_nodes_may_reach():
    assert set(opened("worker", plan(node_cidr=None), [])) == {"22/tcp"}


def test_ipv6_hosts_and_networks_stand_as_sources():
    ports = opened("worker", IPV6, IPV6_HOSTS)
    assert ports["4789/udp"] == ["fd00:4::61/128", "fd00:4::62/128", "fd00:4::63/128"]
    assert ports["10250/tcp"] == ["fd00:4::61/128", "fd00:4::62/128", "fd00:4::63/128", "fd00:10:244::/56"]


def test_dual_stack_has_both_families_and_protocol_4_only_the_one_that_ipip_carries():
    both = [{**host, "address": [host["address"], f"fd00:4::{host['address'][-2:]}"]} for host in HOSTS]
    ports = opened("worker", plan(DUAL, encapsulation="IPIP"), both)
    assert ports["179/tcp"] == [*NODES, "fd00:4::61/128", "fd00:4::62/128", "fd00:4::63/128"]
    assert ports["protocol 4"] == NODES
    assert ports["10250/tcp"] == [*NODES, "fd00:4::61/128", "fd00:4::62/128", "fd00:4::63/128", PODS, "fd00:10:244::/56"]


@pytest.mark.parametrize(
    ("numbers", "wanted"),
    [
        (range(8, 24), [f"192.168.4.{at}/32" for at in range(8, 24)]),
        (range(8, 25), ["192.168.4.8/29", "192.168.4.16/29", "192.168.4.24/32"]),
        (range(1, 200, 2), [f"192.168.4.{at}/32" for at in range(1, 200, 2)]),
    ],
    ids=["few", "many in a row", "many apart"],
)
def test_many_addresses_in_a_row_are_one_source_that_holds_no_other_address(numbers, wanted):
    many = [{"name": f"n{at}", "address": f"192.168.4.{at}", "role": "worker"} for at in numbers]
    *sources, pods = opened("worker", plan(), many)["10250/tcp"]
    assert (sources, pods) == (wanted, PODS)
    assert [str(single) for network in sources for single in ip_network(network)] == [host["address"] for host in many]


@pytest.mark.parametrize(
    ("changes", "on_workers", "on_the_control_plane"),
    [
        ({}, {"22000/tcp": [LAN]}, {"22000/tcp": [LAN]}),
        ({"roles": ["worker"], "sources": "hosts"}, {"22000/tcp": SCRAPERS}, {}),
        ({"roles": ["control_plane"], "sources": "anyone"}, {}, {"22000/tcp": []}),
        ({"port": "7000-7010", "protocol": "udp"}, {"7000-7010/udp": [LAN]}, {"7000-7010/udp": [LAN]}),
        ({"sources": ["192.168.9.0/24", "10.8.0.0/24"]}, *[{"22000/tcp": ["10.8.0.0/24", "192.168.9.0/24"]}] * 2),
    ],
)
def test_extra_ports_are_opened_on_their_roles_to_their_sources(changes, on_workers, on_the_control_plane):
    for role, more in (("worker", on_workers), ("control_plane", on_the_control_plane)):
        assert opened(role, plan(extra_ports=extra(**changes))) == {**opened(role, plan()), **more}


def test_an_extra_port_names_its_place_in_the_plan():
    *_others, last = judge(plan(extra_ports=extra()), HOSTS).derived["ports"]["worker"]
    assert last == {
        "port": 22000,
        "protocol": "tcp",
        "sources": [LAN],
        "comment": "syncthing: phones send their photos",
        "name": "syncthing",
        "reason": "phones send their photos",
        "document": "network_plan.extra_ports[0] (syncthing)",
    }


@pytest.mark.parametrize("key", ["name", "port", "protocol", "roles", "sources", "reason"])
def test_an_extra_port_that_is_not_read_as_a_whole_is_not_opened(key):
    assert opened("worker", plan(extra_ports=extra(**{key: {}}))) == opened("worker", plan())


def test_every_port_has_a_reason_and_a_document():
    for port in [entry for ports in judge(SPECIFICATION, HOSTS).derived["ports"].values() for entry in ports]:
        assert port["reason"] in port["comment"]
        assert port["document"].startswith("https://")
    assert len({fact.name for fact in PORT_FACTS}) == len(PORT_FACTS)


@pytest.mark.parametrize(
    ("one_plan", "mtu"),
    [
        (plan(), 1480),
        (plan(encapsulation="IPIPCrossSubnet"), 1480),
        (plan(encapsulation="VXLAN"), 1450),
        (plan(encapsulation="VXLANCrossSubnet"), 1450),
        (plan(encapsulation="None"), 1500),
        (IPV6, 1430),
        (DUAL, 1430),
        (plan(DUAL, encapsulation="IPIP"), 1480),
        (plan(encapsulation="nonsense"), None),
    ],
)
def test_the_mtu_leaves_room_for_the_encapsulation(one_plan, mtu):
    assert judge(one_plan).derived["mtu"] == mtu


def test_the_specification_derives_what_the_roles_need():
    derived = judge(SPECIFICATION, HOSTS).derived
    assert {key: value for key, value in derived.items() if key != "ports"} == {
        "broadcast": "192.168.4.255",
        "gateway": ["192.168.4.1"],
        "upstream_dns": ["192.168.4.1"],
        "trusted": ["10.244.0.0/16"],
        "service_cidrs": ["10.96.0.0/12"],
        "extra_service_cidrs": ["10.233.0.0/24"],
        "dns_service_ips": ["10.233.0.3"],
        "dns_domain": "cluster.local",
        "api_server_address": "10.96.0.1",
        "mtu": 1480,
        "capacity": [
            {
                "cidr": "10.244.0.0/16",
                "block_size": 26,
                "blocks": 1024,
                "pods_per_block": 64,
                "nodes": 3,
                "encapsulation": "IPIP",
                "mtu": 1480,
            }
        ],
    }


def test_dual_stack_pools_have_a_block_size_of_their_family():
    pools = judge(DUAL, HOSTS).derived["capacity"]
    assert [(pool["cidr"], pool["block_size"], pool["blocks"]) for pool in pools] == [
        ("10.244.0.0/16", 26, 1024),
        ("fd00:10:244::/56", 122, 2**66),
    ]


@pytest.mark.parametrize(("node_cidr", "broadcast"), [("10.0.0.0/8", "10.255.255.255"), ("10.0.0.0/30", "10.0.0.3"), ("10.0.0.0/31", None)])
def test_magic_packets_go_to_the_broadcast_address_if_there_is_one(node_cidr, broadcast):
    assert judge(plan(node_cidr=node_cidr)).derived["broadcast"] == broadcast


def test_upstream_dns_is_the_gateway_unless_pods_cannot_ask_it():
    without = {key: value for key, value in DUAL.items() if key != "upstream_dns"}
    assert judge(without).derived["upstream_dns"] == ["192.168.4.1"]


def test_a_host_with_a_broken_address_is_no_source():
    assert opened("worker", plan(), hosts(address="nonsense"))["10250/tcp"] == ["192.168.4.61/32", "192.168.4.63/32", PODS]
