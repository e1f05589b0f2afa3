# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of the three hosts after site.yml, read by testinfra on each host and by packets between them."""

from __future__ import annotations

import re
from itertools import permutations

import pytest
import testinfra

from tests.lab import SPECIFIED_HOSTS, HostSpec
from tests.lab.verifying import connect, reached

# Which ports of a host its neighbours reach. Nothing listens on many of them, so a refused connection counts as reached.
NODE = dict.fromkeys([22, 9091, 9100, 10249, 10250], True)
CONTROL_PLANE = {**NODE, **dict.fromkeys([2381, 6443, 10257, 10259, 30000, 32767], True)}
WORKER = {**NODE, 30300: True, **dict.fromkeys([2381, 6443, 10257, 10259], False)}
# 179 is the port of BGP, which VXLAN in the lab does not use
STALE = {179: False, 8472: False, 10251: False, 10252: False, 29999: False, 32768: False}

SYSCTLS = ("net.ipv4.ip_forward", "net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


@pytest.fixture(scope="module", params=SPECIFIED_HOSTS, ids=lambda spec: spec.name)
def spec(request: pytest.FixtureRequest) -> HostSpec:
    return request.param


@pytest.fixture(scope="module")
def host(spec: HostSpec) -> testinfra.host.Host:
    return connect(spec)


def test_it_carries_the_address_and_the_mac_of_the_specification(host: testinfra.host.Host, spec: HostSpec) -> None:
    assert spec.address in host.interface("eth0").addresses
    assert host.file("/sys/class/net/eth0/address").content_string.strip() == spec.mac


def test_containerd_runs_now_and_after_a_boot(host: testinfra.host.Host) -> None:
    assert host.service("containerd").is_running
    assert host.service("containerd").is_enabled
    # Debian's default configuration disables the CRI plugin, which crictl and kubelet need
    assert re.search(r"io\.containerd\.grpc\.v1\s+cri\s+\S+\s+ok\b", host.check_output("ctr plugins ls"))


@pytest.mark.parametrize("setting", SYSCTLS)
def test_the_kernel_passes_pod_traffic(host: testinfra.host.Host, setting: str) -> None:
    assert host.sysctl(setting) == 1
    assert setting in host.check_output("cat /etc/sysctl.d/*.conf")


def test_every_host_knows_every_name(host: testinfra.host.Host) -> None:
    for other in SPECIFIED_HOSTS:
        assert other.address in host.check_output(f"getent ahostsv4 {other.name}")


def test_its_own_firewall_is_still_the_one_in_force(host: testinfra.host.Host, spec: HostSpec) -> None:
    assert host.service(spec.firewall).is_running
    assert host.service(spec.firewall).is_enabled


@pytest.mark.parametrize(
    ("sender", "target"), [pytest.param(*pair, id=f"{pair[0].name} to {pair[1].name}") for pair in permutations(SPECIFIED_HOSTS, 2)]
)
def test_neighbours_reach_what_the_plan_needs_and_nothing_else(sender: HostSpec, target: HostSpec) -> None:
    expected = {**(WORKER if target.sleeps else CONTROL_PLANE), **STALE}
    # only the control plane itself may reach 2379
    expected[2379] = False
    assert reached(sender, target, expected) == expected


def test_the_tunnel_of_the_pods_leads_to_both_neighbours(host: testinfra.host.Host, spec: HostSpec) -> None:
    neighbours = [other.address for other in SPECIFIED_HOSTS if other != spec]
    forwarding = host.check_output("bridge fdb show dev vxlan.calico")
    assert {line.split()[2] for line in forwarding.splitlines() if " dst " in f" {line} "} == set(neighbours)
