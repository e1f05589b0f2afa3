# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks that a host has already, beside those of Pods and Services."""

from __future__ import annotations

import json
from dataclasses import replace
from ipaddress import ip_network

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.existing import docker_pools, host_networks
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.judge import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostNetwork, HostState, expectations

from tests.unit.preflight.test_preflight_reading import Files, Machine, Programs
from tests.unit.preflight.test_preflight_rules import LIVE, OPTIONS, READY, WORKER

PLAN = {
    "node_cidr": "192.168.4.0/24",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.233.0.3",
    "kubernetes_version": "1.36",
}
EXPECTED = replace(WORKER, networks=expectations({**OPTIONS, "plan": PLAN}).networks)


def with_networks(*networks: tuple[str, str], host: HostState = READY) -> HostState:
    return replace(host, networks=tuple(HostNetwork(ip_network(network), device) for network, device in networks))


def test_the_networks_of_a_plan_are_those_of_pods_and_services() -> None:
    assert [(name, str(network)) for name, network in EXPECTED.networks] == [
        ("network_plan.pod_cidr", "10.244.0.0/16"),
        ("network_plan.service_cidr", "10.96.0.0/12"),
        ("network_plan.dns_service_ip", "10.233.0.0/24"),
    ]
    assert expectations(OPTIONS).networks == ()


@pytest.mark.parametrize(
    ("network", "device", "severity", "words"),
    [
        ("10.244.0.0/24", "br-d710e33f6c1a", "error", "default-address-pools"),
        ("10.244.0.0/16", "docker0", "error", "`bip` in /etc/docker/daemon.json"),
        ("10.100.7.0/24", "virbr0", "error", "virsh net-edit"),
        ("10.99.0.1/32", "wg0", "error", "AllowedIPs"),
        ("10.233.0.0/28", "eno2", "error", "ip route show table all dev eno2"),
        ("10.0.0.0/8", "tun0", "warning", "AllowedIPs"),
        ("192.168.4.0/24", "eno1", None, ""),
        ("172.17.0.0/16", "docker0", None, ""),
        ("fd00::/8", "wg0", None, ""),
    ],
)
def test_a_network_of_the_host_in_a_range_of_the_cluster_is_named(network: str, device: str, severity: str | None, words: str) -> None:
    findings = judge(with_networks((network, device)), EXPECTED).findings
    if severity is None:
        assert findings == []
        return
    assert {(one.severity, one.subject) for one in findings} == {(severity, f"network {network} of {device}")}
    assert all(words in one.fix for one in findings)


def test_a_running_cluster_is_warned_and_not_told_to_move_its_ranges() -> None:
    (finding,) = judge(with_networks(("10.244.0.0/24", "br-d710e33f6c1a"), host=LIVE), EXPECTED).findings
    assert finding.severity == "warning"
    assert "inventory" not in finding.fix


def test_without_a_plan_nothing_is_compared_and_an_unknown_host_is_no_pass() -> None:
    assert judge(with_networks(("10.244.0.0/24", "eno2")), WORKER).findings == []
    (finding,) = judge(READY, EXPECTED).findings
    assert (finding.severity, finding.found) == ("unknown", "no routes from `ip -json`")


def test_a_pool_of_docker_is_a_warning_before_there_is_a_network_in_it() -> None:
    state = replace(with_networks(), docker_pools=(ip_network("172.18.0.0/16"), ip_network("10.244.0.0/14")))
    (finding,) = judge(state, EXPECTED).findings
    assert (finding.severity, finding.subject) == ("warning", "address pool 10.244.0.0/14 of Docker")


@pytest.mark.parametrize(
    ("configuration", "pools"),
    [
        (None, "172.17.0.0/16"),
        ('{"default-address-pools": [{"base": "10.10.0.0/16", "size": 24}]}', "10.10.0.0/16"),
        ("{", "172.17.0.0/16"),
        ('{"default-address-pools": [1]}', "172.17.0.0/16"),
    ],
)
def test_pools_are_those_of_dockers_configuration(configuration: str | None, pools: str) -> None:
    files = Files({"/etc/docker/daemon.json": configuration} if configuration else {})
    assert str(docker_pools(files, Programs(dockerd=(0, "")))[0]) == pools
    assert docker_pools(files, Programs()) == ()


ROUTES: list[dict[str, object]] = [
    {"dst": "default", "gateway": "192.168.4.1", "dev": "eno1"},
    {"dst": "192.168.4.0/24", "dev": "eno1", "protocol": "kernel"},
    {"type": "local", "dst": "192.168.4.62", "dev": "eno1", "table": "local"},
    {"type": "broadcast", "dst": "10.244.0.255", "dev": "br-d710"},
    {"dst": "10.244.0.0/24", "dev": "br-d710", "protocol": "kernel", "flags": ["linkdown"]},
    {"dst": "10.96.0.0/16", "dev": "tailscale0", "table": "52"},
    {"type": "local", "dst": "10.96.0.9", "dev": "lo", "table": "local"},
    {"dst": "10.98.0.0/24", "nexthops": [{"dev": "wg1", "weight": 1}, {"dev": "wg2"}]},
    {"type": "blackhole", "dst": "10.97.0.0/24"},
    {"type": "multicast", "dst": "ff00::/8", "dev": "eno1"},
    {},
    # of a running cluster
    {"type": "blackhole", "dst": "10.244.9.0/26", "protocol": "80"},
    {"dst": "10.244.7.0/26", "gateway": "192.168.4.61", "dev": "eno1", "protocol": "bird"},
    {"dst": "10.244.9.3", "dev": "cali1234", "scope": "link"},
    {"type": "local", "dst": "10.244.9.1", "dev": "vxlan.calico"},
    {"type": "local", "dst": "10.96.0.1", "dev": "kube-ipvs0"},
    {"dst": "10.244.0.0/16", "dev": "flannel.1"},
]


def test_the_networks_of_a_host_are_those_of_its_routes_without_the_clusters() -> None:
    found = host_networks(json.dumps(ROUTES))
    assert found is not None
    assert [(str(one.network), one.device) for one in found] == [
        ("192.168.4.0/24", "eno1"),
        ("10.244.0.0/24", "br-d710"),
        ("10.96.0.0/16", "tailscale0"),
        ("10.96.0.9/32", "lo"),
        ("10.98.0.0/24", "wg1"),
        ("10.97.0.0/24", ""),
    ]


@pytest.mark.parametrize("text", ["", "?", "[1]", '[{"dev": "x"}]', '[{"dst": "x"}]'])
def test_routes_that_cannot_be_read_are_unknown(text: str) -> None:
    assert host_networks(text) is None


def test_a_host_is_asked_for_its_routes_only_for_a_plan() -> None:
    programs = Programs(ip=(0, json.dumps(ROUTES)), modprobe=(0, ""), dockerd=(0, ""))
    state = look_at_host(EXPECTED, Files({}), programs, Machine())
    assert state.networks == host_networks(json.dumps(ROUTES))
    assert state.docker_pools
    unasked = look_at_host(Expectations(role="worker", name="homelab"), Files({}), programs, Machine())
    assert (unasked.networks, unasked.docker_pools) == (None, ())
