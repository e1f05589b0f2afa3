# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for a host that is a node: read from a host made of a dictionary, with one change each."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.existing import neighbours
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.judge import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations

from tests.unit.health.objects import PEM
from tests.unit.preflight.test_preflight_reading import TREE, Files, Machine, Programs, Web

HOSTS = {"masternode": ("192.168.4.63",), "homelab": ("192.168.4.62",), "storagenodet3500": ("192.168.4.61",)}
WORKER = Expectations(role="worker", name="homelab", addresses=("192.168.4.62",), hosts=HOSTS, certificate_days=30)
RULES = {
    "the_host_is_the_planned_one",
    "addresses_belong_to_one_host",
    "hosts_file_has_the_planned_addresses",
    "pods_packets_fit_the_interface",
    "large_packets_reach_other_hosts",
    "packets_are_forwarded",
    "certificates_stay_valid",
}
END = datetime(2036, 11, 26, 18, 33, 59, tzinfo=timezone.utc).timestamp()
DAY = 86400.0
KUBECONFIG = f"users:\n- user:\n    client-certificate-data: {base64.b64encode(PEM.encode()).decode()}\n"
WELL = {
    **{path: text for path, text in TREE.items() if "cni" not in path},
    "/proc/99/comm": "kubelet",
    "/etc/hosts": "127.0.0.1 localhost\n127.0.1.1 homelab\n# 10.0.0.1 masternode\n192.168.4.63 masternode\n192.168.4.61 StorageNodeT3500\n",
    "/proc/sys/net/ipv4/ip_forward": "1\n",
    "/proc/sys/net/ipv6/conf/all/forwarding": "0\n",
    "/var/lib/kubelet/pki/kubelet-client-current.pem": PEM,
    "/etc/kubernetes/pki/ca.crt": PEM,
    "/etc/kubernetes/kubelet.conf": "client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem",
}
LINKS = [
    {"ifname": "eth0", "mtu": 1500, "addr_info": [{"local": "192.168.4.62"}]},
    {"ifname": "vxlan.calico", "mtu": 1450, "addr_info": [{"local": "10.244.1.0"}]},
]


class Clocked(Machine):
    def __init__(self, days: float, name: str) -> None:
        self._time, self._name = END - days * DAY, name

    def clock(self) -> float:
        return self._time

    def hostname(self) -> str:
        return self._name


class Paths:
    """Hosts that answer small packets: address -> the largest packet that it answers."""

    def __init__(self, **largest: int) -> None:
        self.largest = {HOSTS[name][0]: size for name, size in largest.items()}

    def paths(self, addresses: Sequence[str], size: int) -> dict[str, bool]:
        return {address: size <= self.largest[address] for address in addresses if address in self.largest}


def told(
    tree: dict[str, str] | None = None,
    links: list[dict[str, Any]] | None = None,
    days: float = 100,
    name: str = "homelab",
    paths: Paths | None = None,
) -> list[Finding]:
    programs = Programs(ip=(0, json.dumps(links or LINKS)), modprobe=(0, ""))
    state = look_at_host(
        WORKER, Files({**WELL, **(tree or {})}), programs, Clocked(days, name), Web(), echoes=paths or Paths(masternode=1500)
    )
    return judge(state, WORKER).findings


def of_member(*arguments: Any, **options: Any) -> list[Finding]:
    return [finding for finding in told(*arguments, **options) if finding.rule in RULES]


def test_a_node_that_is_well_has_no_finding() -> None:
    assert of_member() == []


def test_another_host_at_the_address_is_not_told_to_be_renamed() -> None:
    """The advice for one host would be followed on the other."""
    [finding] = told(name="storagenodet3500", days=1)
    assert finding.rule == "the_host_is_the_planned_one"
    assert "named storagenodet3500, which is another host of the inventory" in finding.found
    assert "set-hostname" not in finding.fix
    assert finding.fix.startswith("Do not rename it. On storagenodet3500, see `ip address`: if it has 192.168.4.62 besides")
    # a name that is no host's is only a name
    assert [one.rule for one in told(name="other") if one.subject == "hostname"] == ["hostname_is_the_inventory_name"]


CASES: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "an address of another host": (
        {"links": [*LINKS, {"ifname": "eth1", "mtu": 1500, "addr_info": [{"local": "192.168.4.61"}]}]},
        "address 192.168.4.61",
        "on homelab, too",
        "ip address delete 192.168.4.61/PREFIX",
    ),
    "a wrong line in /etc/hosts": (
        {"tree": {"/etc/hosts": "192.168.4.99 x masternode\n"}},
        "/etc/hosts, masternode",
        "192.168.4.99",
        # the line has another name, too, which is the owner's
        "Remove masternode from this line of /etc/hosts. If it is in the block of vmstation.cluster, `ansible-playbook site.yml --limit ",
    ),
    "another host at a loopback address": (
        {"tree": {"/etc/hosts": "127.0.1.1 masternode\n"}},
        "/etc/hosts, masternode",
        "127.0.1.1",
        "Remove",
    ),
    "an interface that is too small": (
        {"links": [{**LINKS[0], "mtu": 1400}, LINKS[1]]},
        "interface eth0",
        "MTU 1400, and the Pods' packets of up to 1450 bytes need 50 more",
        "ip link set eth0 mtu 1500",
    ),
    "a kernel that forwards nothing": (
        {"tree": {"/proc/sys/net/ipv4/ip_forward": "0\n"}},
        "net.ipv4.ip_forward",
        "0",
        "sysctl --write net.ipv4.ip_forward=1",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_fault_of_a_node_is_found(name: str) -> None:
    change, subject, found, fix = CASES[name]
    [finding] = of_member(**change)
    assert (finding.severity, finding.subject, finding.found) == ("error", subject, found)
    assert fix in finding.fix


def test_a_path_that_loses_large_packets_is_found_with_the_other_host() -> None:
    [finding] = of_member(paths=Paths(masternode=1400, storagenodet3500=1500))
    assert (finding.severity, finding.subject) == ("error", "path to masternode")
    assert finding.found == "packets of 1500 bytes are not answered, small ones are"
    assert "`ping -M do -s 1472 192.168.4.63`" in finding.fix
    # without a tunnel, Pods have the MTU of the interface
    [finding] = of_member(links=[{**LINKS[0], "mtu": 9000}], paths=Paths(masternode=1500))
    assert finding.found.startswith("packets of 9000 bytes")


def test_each_host_tries_the_paths_to_the_next_ones() -> None:
    hosts = {f"h{number}": (f"192.168.4.{number}", f"fd00::{number}") for number in range(1, 9)}
    wanted = replace(WORKER, name="h7", hosts=hosts)
    assert neighbours(wanted) == ["192.168.4.8", "192.168.4.1", "192.168.4.2", "192.168.4.3"]
    assert neighbours(replace(wanted, hosts={"h7": hosts["h7"]})) == []


CLIENT = "certificate /var/lib/kubelet/pki/kubelet-client-current.pem"


@pytest.mark.parametrize(
    ("days", "severity", "found", "fix"),
    [
        (29, "warning", "expires in 29.0 days", "systemctl restart kubelet"),
        (3, "error", "expires in 3.0 days", "systemctl restart kubelet"),
        (-1, "error", "has expired", "kubeadm kubeconfig user --org system:nodes --client-name system:node:homelab > kubelet.conf"),
    ],
)
def test_a_kubelets_certificate_that_ends_soon_is_found(days: float, severity: str, found: str, fix: str) -> None:
    finding = next(one for one in of_member(days=days) if one.subject == CLIENT)
    assert (finding.severity, finding.found) == (severity, found)
    assert fix in finding.fix


def test_certificates_with_one_next_step_are_one_finding() -> None:
    several = {f"/etc/kubernetes/pki/{name}": PEM for name in ("apiserver.crt", "front-proxy-client.crt", "etcd/server.crt")}
    several |= {f"/etc/kubernetes/pki/{name}ca.key": "key" for name in ("", "etcd/", "front-proxy-")}
    findings = of_member({**several, "/etc/kubernetes/scheduler.conf": KUBECONFIG}, days=5)
    assert [one.subject for one in findings] == [
        CLIENT,
        "certificate /etc/kubernetes/pki/ca.crt",
        "certificate /etc/kubernetes/pki/etcd/server.crt, and 2 more",
    ]
    assert "`ansible-playbook site.yml` renews it" in findings[-1].fix


def test_a_certificate_whose_ca_has_its_key_elsewhere_is_not_said_to_be_renewed() -> None:
    pki = "/etc/kubernetes/pki"
    tree = {f"{pki}/apiserver.crt": PEM, f"{pki}/front-proxy-client.crt": PEM, f"{pki}/etcd/server.crt": PEM, f"{pki}/etcd/ca.key": "key"}
    fixes = {one.subject: one.fix for one in of_member(tree, days=20)}
    assert "Issue it again with your CA" in fixes[f"certificate {pki}/front-proxy-client.crt"]
    assert fixes[f"certificate {pki}/etcd/server.crt"].startswith("`ansible-playbook site.yml` renews it")
    fixes = {one.subject: one.fix for one in of_member({**tree, f"{pki}/front-proxy-ca.key": "key"}, days=20)}
    assert not [fix for fix in fixes.values() if "your CA" in fix]


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_certificate_that_cannot_be_read_is_found(text: str) -> None:
    [finding] = of_member({"/var/lib/kubelet/pki/kubelet-client-current.pem": text})
    assert (finding.severity, finding.subject, finding.found) == ("error", CLIENT, "cannot be read")


def test_nothing_of_it_is_checked_before_a_host_is_a_node() -> None:
    wanted = replace(WORKER, hosts={}, certificate_days=0)
    tree = {**WELL, "/proc/sys/net/ipv4/ip_forward": "0", "/etc/hosts": "10.0.0.1 masternode"}
    state = look_at_host(wanted, Files(tree), Programs(ip=(0, json.dumps(LINKS)), modprobe=(0, "")), Clocked(-1, "masternode"), Web())
    assert {one.rule for one in judge(state, wanted).findings} & RULES == set()
