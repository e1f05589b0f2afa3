# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault of a host in tests/faults.py: injected, found, and ended by the fix or, where that needs a person, by the test."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.faults import FAR, FAR_ADDRESS, HOST_FAULTS, MEDIA, NEAR, NEAR_ADDRESS, STATE, Expected, HostFault
from tests.lab import Lab
from tests.lab.hosts import Host

PLANNED = {
    "role": "worker",
    "name": NEAR,
    "addresses": [NEAR_ADDRESS],
    "hosts": [{"name": NEAR, "address": NEAR_ADDRESS}, {"name": FAR, "address": FAR_ADDRESS}],
    "certificate_days": 30,
}
# a kubelet is what has that name and listens at its port
PREPARED = f"""
sysctl --quiet --write net.ipv4.ip_forward=1
cp "$(readlink -f "$(command -v nc)")" /usr/local/bin/kubelet
systemd-run --unit=kubelet-stand-in /usr/local/bin/kubelet -l -k -p 10250
mkdir -p {MEDIA} {STATE}
mount -t tmpfs none {MEDIA}
mount -t tmpfs -o nr_inodes=1000 none {STATE}
touch {MEDIA}/film
"""


@pytest.fixture(scope="module")
def host(lab: Lab) -> Iterator[Host]:
    made = lab.start(NEAR, address=NEAR_ADDRESS, mac="02:00:c0:a8:04:7d", firewall="none", kubernetes=True)  # it may mount
    made.run(["sh", "-ec", PREPARED])
    yield made
    lab.remove(made)


def found(lab: Lab, host: Host, fault: HostFault) -> dict[Expected, str]:
    """The fix of each finding."""
    options = PLANNED if fault.check == "node_preflight_check" else fault.options
    told = lab.module(host, fault.check, {**options, "fail_on": "never"})
    lines: list[dict[str, str]] = told["findings"]
    return {Expected(fault.expected.group, one["rule"], one["subject"], one["severity"]): one["fix"] for one in lines}


@pytest.mark.parametrize("name", HOST_FAULTS)
def test_a_fault_of_a_host_is_found_and_its_fix_works(lab: Lab, host: Host, name: str) -> None:
    fault = HOST_FAULTS[name]
    assert fault.expected not in found(lab, host, fault)
    host.run(["sh", "-ec", fault.commands])
    try:
        told = found(lab, host, fault)
        assert fault.expected in told, told
        if fault.fix:
            [command] = [one for one in re.findall(r"`([^`]+)`", told[fault.expected]) if one.startswith(fault.fix)]
            # what only the reader knows
            host.run(["sh", "-ec", command.replace("PREFIX", "24").replace("INTERFACE", "eth0")])
    finally:
        if fault.restore:
            host.run(["sh", "-ec", fault.restore])
    assert fault.expected not in found(lab, host, fault)
