# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""node_preflight_check on a host that has networks of its own: a real kernel's routes, in a network namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = CHECKOUT / "plugins" / "modules" / "node_preflight_check.py"
PLAN = {"pod_cidr": "10.244.0.0/16", "service_cidr": "10.96.0.0/12", "dns_service_ip": "10.96.0.10", "kubernetes_version": "1.36"}
RULE = "host_networks_are_apart_from_the_clusters"
HOST = """
set -e
ip link set lo up
ip link add lan type bridge; ip address add 192.168.4.62/24 dev lan; ip link set lan up; ip route add default via 192.168.4.1
"""
CASES = {
    "nothing of its own": ("", {}),
    "a compose network without a container": (
        "ip link add br-d710 type bridge; ip address add 10.244.0.1/24 dev br-d710; ip link set br-d710 up",
        {"network 10.244.0.0/24 of br-d710": "error"},
    ),
    "a VPN's route in a table of its own": (
        "ip link add tun0 type veth peer name tun0p; ip link set tun0 up; ip route add 10.96.0.0/16 dev tun0 table 52",
        {"network 10.96.0.0/16 of tun0": "error"},
    ),
    "a VPN that covers all": (
        "ip link add tun0 type veth peer name tun0p; ip link set tun0 up; ip route add 10.0.0.0/8 dev tun0",
        {"network 10.0.0.0/8 of tun0": "warning"},
    ),
    "an address of a second card": (
        "ip link add lan2 type bridge; ip address add 10.97.0.9/32 dev lan2; ip link set lan2 up",
        {"network 10.97.0.9/32 of lan2": "error"},
    ),
    "a node of a running cluster": (
        "ip link add cali1 type veth peer name c1; ip link set cali1 up; ip route add 10.244.7.3 dev cali1; "
        "ip link add vxlan.calico type bridge; ip address add 10.244.7.1/32 dev vxlan.calico; ip link set vxlan.calico up; "
        "ip route add blackhole 10.244.7.0/26 proto 80; ip route add 10.244.8.0/26 via 192.168.4.61 proto bird",
        {},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_network_in_a_range_of_the_cluster_is_named(case: str) -> None:
    own, named = CASES[case]
    options = {"role": "worker", "name": "homelab", "plan": PLAN, "fail_on": "never"}
    script = f'{HOST}{own}\nexec "$0" "$1"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script, sys.executable, str(MODULE)],
        input=json.dumps({"ANSIBLE_MODULE_ARGS": options}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT / "collections")},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    findings: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    found = {one["subject"]: one["severity"] for one in findings if one["rule"] == RULE and not one["subject"].startswith("address pool")}
    assert found == named
