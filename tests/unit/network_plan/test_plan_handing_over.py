# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters hand over, and what they refuse."""

from __future__ import annotations

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import Opening, parse
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import (
    hosts_of,
    outside_networks,
    ports_for,
    protected_networks,
    trusted_networks,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.network_plan.plans import DUAL, HOSTS, SPECIFICATION, extra, hosts, plan, service

GROUPS = {
    "control_plane": ["masternode"],
    "workers": ["storagenodet3500", "homelab"],
    "all": ["masternode", "storagenodet3500", "homelab", "nas"],
}
HOSTVARS = {
    "masternode": {"ansible_host": "192.168.4.63"},
    "storagenodet3500": {"ansible_host": "192.168.4.61", "mac": "b8:ac:6f:7e:6c:9d", "sleeps": True},
    "homelab": {"address": "192.168.4.62", "ansible_host": "homelab.lan", "mac": "d0:94:66:30:d6:63", "sleeps": True},
    "nas": {"ansible_host": "192.168.4.5"},
}


def test_ports_are_what_firewall_ports_takes():
    ports = ports_for(SPECIFICATION, "worker", HOSTS, 2222)
    assert [set(port) for port in ports if port["protocol"] == "4"] == [{"protocol", "sources", "comment"}]
    assert [set(port) for port in ports if port["protocol"] != "4"] == [{"port", "protocol", "sources", "comment"}] * (len(ports) - 1)
    node_ports = ["30000-30089", 30090, "30091-31099", 31100, "31101-32767"]
    assert [port["port"] for port in ports if "port" in port] == [2222, 10250, 10249, 9091, 179, *node_ports, 9100]


def test_extra_ports_are_what_firewall_ports_takes():
    longest = extra(name="n" * 63, reason="r" * 35, port="7000-7010", sources=["10.8.0.0/24"])
    *_others, last = ports_for(plan(extra_ports=longest), "worker", HOSTS)
    assert parse([last], []).openings == (Opening("tcp", 7000, 7010, ("10.8.0.0/24",), f"{'n' * 63}: {'r' * 35}"),)


def test_the_ssh_port_may_be_the_text_that_an_inventory_has():
    assert ports_for(SPECIFICATION, "worker", ssh_port="2222")[0]["port"] == 2222


@pytest.mark.parametrize(
    ("one_plan", "role", "some_hosts", "ssh_port", "said"),
    [
        (plan(), "workers", HOSTS, 22, "network_plan_ports: role: found 'workers'; required: one of control_plane, worker. Write worker."),
        (plan(), None, HOSTS, 22, "network_plan_ports: role: found nothing (null)"),
        (plan(), "worker", HOSTS, 0, "network_plan_ports: ssh_port: found the number 0"),
        (plan(), "worker", HOSTS, "ssh", "network_plan_ports: ssh_port: found 'ssh'"),
        (plan(), "worker", HOSTS, True, "network_plan_ports: ssh_port: found true"),
        (None, "worker", HOSTS, 22, "network_plan_ports: network_plan: found nothing (null)"),
        (plan(encapsulation="ipip"), "worker", HOSTS, 22, "network_plan_ports: network_plan.encapsulation: found 'ipip'"),
        (plan(node_cidr="192.168.4.1/24"), "worker", HOSTS, 22, "network_plan_ports: network_plan.node_cidr: found '192.168.4.1/24'"),
        (plan(node_port_range="30000:32767"), "worker", HOSTS, 22, "network_plan_ports: network_plan.node_port_range: found"),
        (plan(services="grafana"), "worker", HOSTS, 22, "network_plan_ports: network_plan.services: found 'grafana'"),
        (
            plan(extra_ports=extra(port="http")),
            "worker",
            HOSTS,
            22,
            "network_plan_ports: network_plan.extra_ports[0] (syncthing).port",
        ),
        (
            plan(extra_ports=extra(sources=[])),
            "worker",
            HOSTS,
            22,
            "network_plan_ports: network_plan.extra_ports[0] (syncthing).sources",
        ),
        (
            plan(admin_sources=["192.168.4.9"]),
            "worker",
            HOSTS,
            22,
            "network_plan_ports: network_plan.admin_sources[0]: found '192.168.4.9'",
        ),
        (plan(unlisted_node_ports="shut"), "worker", HOSTS, 22, "network_plan_ports: network_plan.unlisted_node_ports: found 'shut'"),
        (
            plan(services=service(sources=["lan"])),
            "worker",
            HOSTS,
            22,
            "network_plan_ports: network_plan.services[0] (grafana).sources[0]: found 'lan'",
        ),
        (plan(), "worker", hosts(address="homelab"), 22, "network_plan_ports: host homelab.address: found 'homelab'"),
        (plan(), "worker", hosts(address=["192.168.4.62", "x"]), 22, "network_plan_ports: host homelab.address[1]: found 'x'"),
        (plan(), "worker", hosts(role="master"), 22, "network_plan_ports: host homelab.role: found 'master'"),
        (plan(), "worker", [*HOSTS, 7], 22, "network_plan_ports: hosts[3]: found the number 7"),
        (plan(), "worker", "homelab", 22, "network_plan_ports: hosts: found 'homelab'"),
    ],
)
def test_ports_are_refused_when_the_plan_does_not_say_what_they_depend_on(one_plan, role, some_hosts, ssh_port, said):
    with pytest.raises(Refusal) as refusal:
        ports_for(one_plan, role, some_hosts, ssh_port)
    assert str(refusal.value).startswith(said)


def test_other_faults_of_a_plan_are_for_the_check_to_tell():
    assert ports_for(plan(dns_domain="A B", gateway="nonsense", colour="red"), "worker") == ports_for(plan(), "worker")
    assert ports_for(plan(), "worker", hosts(mac="-", name="Home_Lab")) == ports_for(plan(), "worker", HOSTS)


def test_trusted_networks_are_those_of_the_pods():
    assert trusted_networks(SPECIFICATION) == ["10.244.0.0/16"]
    assert trusted_networks(DUAL) == ["10.244.0.0/16", "fd00:10:244::/56"]


def test_the_networks_of_pods_and_services_are_for_the_hosts_only():
    nodes = ["192.168.4.61/32", "192.168.4.62/32", "192.168.4.63/32"]
    assert protected_networks(SPECIFICATION, HOSTS) == [
        {"network": network, "sources": nodes} for network in ("10.244.0.0/16", "10.96.0.0/12", "10.233.0.0/24")
    ]
    assert protected_networks(DUAL) == [
        {"network": network, "sources": ["192.168.4.0/24", "fd00:4::/64"]}
        for network in ("10.244.0.0/16", "fd00:10:244::/56", "10.96.0.0/12", "fd00:10:96::/112")
    ]


def test_addresses_from_which_hosts_send_as_well_are_the_hosts():
    more = plan(host_sources=["192.168.4.70/32", "fd00:4::70/128"])
    every = ["192.168.4.61/32", "192.168.4.62/32", "192.168.4.63/32", "192.168.4.70/32"]
    assert [entry["sources"] for entry in protected_networks(more, HOSTS)] == [[*every, "fd00:4::70/128"]] * 2
    sources = {str(port.get("port", port["protocol"])): port["sources"] for port in ports_for(more, "control_plane", HOSTS)}
    assert (sources["179"], sources["4"], sources["2379-2380"]) == ([*every, "fd00:4::70/128"], every, ["192.168.4.63/32"])
    with pytest.raises(Refusal, match=r"network_plan\.host_sources: found"):
        protected_networks(plan(host_sources="192.168.4.70/32"), HOSTS)


@pytest.mark.parametrize("key", ["node_cidr", "pod_cidr", "service_cidr"])
def test_networks_that_nobody_can_read_are_not_left_open(key):
    with pytest.raises(Refusal, match=rf"network_plan_protected: network_plan\.{key}: found"):
        protected_networks(plan(**{key: "10.0.0.1/8"}), HOSTS)


@pytest.mark.parametrize("pod_cidr", [None, "10.244.0.1/16", 7, []])
def test_a_plan_without_readable_pod_networks_is_refused(pod_cidr):
    with pytest.raises(Refusal, match=r"network_plan_trusted: network_plan\.pod_cidr: found"):
        trusted_networks(plan(pod_cidr=pod_cidr))


def test_hosts_come_from_the_groups_in_their_order():
    assert hosts_of(HOSTVARS, GROUPS) == [
        {"name": "masternode", "role": "control_plane", "sleeps": False, "address": "192.168.4.63"},
        {"name": "storagenodet3500", "role": "worker", "sleeps": True, "address": "192.168.4.61", "mac": "b8:ac:6f:7e:6c:9d"},
        {"name": "homelab", "role": "worker", "sleeps": True, "address": "192.168.4.62", "mac": "d0:94:66:30:d6:63"},
    ]


def test_a_host_in_both_groups_is_a_control_plane_host():
    both = hosts_of(HOSTVARS, {**GROUPS, "workers": ["masternode", "homelab"]})
    assert [(host["name"], host["role"]) for host in both] == [("masternode", "control_plane"), ("homelab", "worker")]


@pytest.mark.parametrize(
    ("text", "sleeps"),
    [
        *((text, True) for text in ("true", "True", "TRUE", "yes", "on")),
        *((text, False) for text in ("false", "False", "no", "off")),
        # the check reports these
        *((value, value) for value in ("", "maybe", "1", 1, 0, None, [])),
    ],
)
def test_an_ini_inventory_has_its_booleans_as_text(text, sleeps):
    """Of `sleeps=false`, Ansible makes the text `false`; of `sleeps=False`, a boolean."""
    (host,) = hosts_of({"homelab": {"sleeps": text}}, {"workers": ["homelab"]})
    assert host["sleeps"] is sleeps


def test_what_the_inventory_does_not_say_is_left_out():
    assert hosts_of({"homelab": {}}, {"workers": ["homelab"]}) == [{"name": "homelab", "role": "worker", "sleeps": False}]
    assert hosts_of(HOSTVARS, {}) == []


@pytest.mark.parametrize(
    ("hostvars", "groups", "said"),
    [
        (None, GROUPS, "cluster_hosts: found nothing"),
        ([], GROUPS, "cluster_hosts: found a list of 0"),
        (HOSTVARS, ["workers"], "cluster_hosts: groups: found a list of 1"),
        (HOSTVARS, {"workers": "homelab"}, "cluster_hosts: groups.workers: found 'homelab'"),
        ({}, GROUPS, "cluster_hosts: host masternode: found no variables"),
    ],
)
def test_other_shapes_are_refused(hostvars, groups, said):
    with pytest.raises(Refusal) as refusal:
        hosts_of(hostvars, groups)
    assert str(refusal.value).startswith(said)


def test_outside_is_everything_but_hosts_pods_and_services() -> None:
    hosts = ["192.168.4.61/32", "192.168.4.62/32", "192.168.4.63/32"]
    (outside,) = outside_networks(SPECIFICATION, HOSTS)
    assert (outside["cidr"], sorted(outside["except"])) == ("0.0.0.0/0", sorted([*hosts, "10.244.0.0/16", "10.96.0.0/12", "10.233.0.0/24"]))
    (outside,) = outside_networks(SPECIFICATION)
    assert "192.168.4.0/24" in outside["except"]
    assert [block["cidr"] for block in outside_networks(DUAL)] == ["0.0.0.0/0", "::/0"]
    assert all((":" in net) is (block["cidr"] == "::/0") for block in outside_networks(DUAL) for net in block["except"])


@pytest.mark.parametrize("key", ["node_cidr", "pod_cidr", "service_cidr", "dns_service_ip"])
def test_outside_needs_the_networks_of_the_plan(key: str) -> None:
    with pytest.raises(Refusal, match=rf"network_plan_outside: network_plan\.{key}: found"):
        outside_networks({name: value for name, value in SPECIFICATION.items() if name != key})


def test_a_plan_of_another_installers_cluster_has_no_networks_to_leave_out() -> None:
    assert outside_networks({"services": SPECIFICATION["services"]}) == []
