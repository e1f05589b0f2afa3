# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_preflight_check between two hosts: real packets, which an interface that is too small loses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.lab import Lab
from tests.lab.hosts import Host

NEAR, FAR = "192.168.4.121", "192.168.4.122"
HOSTS = [{"name": "near", "address": NEAR}, {"name": "far", "address": FAR}, {"name": "silent", "address": "192.168.4.123"}]


@pytest.fixture(scope="module")
def hosts(lab: Lab) -> Iterator[list[Host]]:
    """Near and far; the third of the plan is off."""
    made = [
        lab.start(one["name"], address=one["address"], mac=f"02:00:c0:a8:04:{number:02x}", firewall="none")
        for number, one in enumerate(HOSTS[:2], 0x79)
    ]
    yield made
    for host in made:
        lab.remove(host)


def found(lab: Lab, host: Host, name: str = "near") -> list[tuple[str, str, str]]:
    address = next(one["address"] for one in HOSTS if one["name"] == name)
    options = {"role": "worker", "name": name, "addresses": [address], "hosts": HOSTS, "fail_on": "never"}
    rules = {"large_packets_reach_other_hosts", "pods_packets_fit_the_interface"}
    findings = lab.module(host, "node_preflight_check", options)["findings"]
    return [(one["severity"], one["subject"], one["found"]) for one in findings if one["rule"] in rules]


def test_packets_that_are_too_large_for_the_other_host_are_found(lab: Lab, hosts: list[Host]) -> None:
    near, far = hosts
    assert found(lab, near) == []
    far.run(["ip", "link", "set", "eth0", "mtu", "1400"])
    assert found(lab, near) == [("error", "path to far", "packets of 1500 bytes are not answered, small ones are")]
    # there, packets of Pods are as small as its interface, unless Calico's tunnel still has its old size
    assert found(lab, far, "far") == []
    far.run(["sh", "-ec", "ip link add vxlan.calico type veth peer name other; ip link set vxlan.calico mtu 1450"])
    told = [("error", "interface eth0", "MTU 1400, and the Pods' packets of up to 1450 bytes need 50 more")]
    assert found(lab, far, "far") == told
