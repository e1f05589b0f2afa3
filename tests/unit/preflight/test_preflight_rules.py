# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of the preflight: a host that is ready, and what one change to it brings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.judge import CONTROLLERS, RULES, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import (
    CniConfiguration,
    Disk,
    Distribution,
    Expectations,
    HostState,
    Identity,
    Listener,
    Packages,
    Simulation,
    Software,
    expectations,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.parse import wanted_packages
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

MODULE = Path(__file__).resolve().parents[3] / "plugins" / "modules" / "node_preflight_check.py"

WORKER = Expectations(
    role="worker",
    name="homelab",
    addresses=("192.168.4.62",),
    encapsulation_modules=("ipip",),
    controller_clock=1_800_000_000.0,
)
CONTROL_PLANE = replace(WORKER, role="control_plane")
KUBELET_DISK, IMAGE_DISK = (Disk(directory, "/var", 1000, 500, 1000, 500) for directory in ("/var/lib/kubelet", "/var/lib/containerd"))

READY = HostState(
    identity=Identity("homelab", "homelab", "33c804ce932b0118eb33e0e1e487296b", "4c4c4544-0042"),
    processes=frozenset({"systemd", "sshd"}),
    interfaces=("eno1", "lo"),
    addresses=("127.0.0.1", "192.168.4.62"),
    default_routes=frozenset({4}),
    cgroup_version=2,
    controllers=frozenset({"cpu", "cpuset", "io", "memory", "pids"}),
    clock=1_800_000_001.5,
    clock_is_synchronised=True,
    modules={"br_netfilter": "present", "overlay": "loadable", "ipip": "loadable"},
    cpus=2,
    memory=1700,
    disks=(KUBELET_DISK, IMAGE_DISK),
    software=Software(Distribution("debian", "12", "Debian GNU/Linux 12 (bookworm)"), "x86_64", "2.1.4"),
)
KUBELET = (Listener(10248, "kubelet", 900), Listener(10250, "kubelet", 900))
LIVE = replace(
    READY,
    listeners=(*KUBELET, Listener(179, "bird", 950), Listener(10256, "kube-proxy", 960)),
    processes=frozenset({"kubelet", "etcd", "kube-apiserver"}),
)
USED = {
    "cluster_files": ("/etc/kubernetes/kubelet.conf", "/etc/kubernetes/admin.conf", "/etc/kubernetes/pki/ca.crt"),
    "manifests": ("etcd.yaml", "kube-apiserver.yaml"),
    "etcd_entries": ("member",),
    "interfaces": ("cni0", "flannel.1", "lo", "tunl0"),
    "cni_configurations": (CniConfiguration("10-calico.conflist", ("calico", "portmap")),),
}


def found(state: HostState, expected: Expectations = WORKER) -> set[tuple[str, str, str]]:
    return {(finding.rule, finding.severity, finding.subject) for finding in judge(state, expected).findings}


@pytest.mark.parametrize("expected", [WORKER, CONTROL_PLANE], ids=["worker", "control plane"])
def test_a_ready_host_has_no_findings(expected: Expectations) -> None:
    assert judge(READY, expected).findings == []


@pytest.mark.parametrize("expected", [WORKER, CONTROL_PLANE], ids=["worker", "control plane"])
def test_a_host_whose_kubelet_serves_has_no_leftovers(expected: Expectations) -> None:
    assert judge(replace(LIVE, **USED), expected).findings == []


def test_what_an_interrupted_run_of_ours_left_is_no_leftover() -> None:
    left = replace(READY, is_ours=True, **{**USED, "interfaces": ("eno1", "lo")}, listeners=(Listener(2379, "etcd", 7),))
    assert judge(left, CONTROL_PLANE).findings == []
    assert judge(replace(left, is_ours=False), CONTROL_PLANE).findings != []


def test_a_foreign_network_and_a_foreign_process_are_leftovers_even_on_a_host_of_ours() -> None:
    other = CniConfiguration("05-cilium.conflist", ("cilium-cni",))
    state = replace(READY, is_ours=True, interfaces=("cni0",), listeners=(Listener(2379, "nc", 7),), cni_configurations=(other,))
    assert {subject for _rule, _severity, subject in found(state, CONTROL_PLANE)} == {
        "network interface cni0",
        "port 2379/tcp",
        "/etc/cni/net.d/05-cilium.conflist",
    }


def test_a_kubelet_that_systemd_restarts_again_and_again_is_not_live() -> None:
    crashing = replace(READY, processes=frozenset({"kubelet"}), cluster_files=("/etc/kubernetes/kubelet.conf",))
    assert found(crashing) == {("kubelet_files_belong_to_a_running_kubelet", "error", "/etc/kubernetes/kubelet.conf")}


CASES = {
    "stale kubelet.conf": (
        {"cluster_files": ("/etc/kubernetes/kubelet.conf",)},
        ("kubelet_files_belong_to_a_running_kubelet", "error", "/etc/kubernetes/kubelet.conf"),
    ),
    "stale bootstrap configuration": (
        {"cluster_files": ("/etc/kubernetes/bootstrap-kubelet.conf",)},
        ("kubelet_files_belong_to_a_running_kubelet", "error", "/etc/kubernetes/bootstrap-kubelet.conf"),
    ),
    "authority without a cluster": (
        {"cluster_files": ("/etc/kubernetes/pki/ca.crt",)},
        ("certificates_belong_to_a_running_kubelet", "warning", "/etc/kubernetes/pki/ca.crt"),
    ),
    "static pods": ({"manifests": ("etcd.yaml",)}, ("static_pods_belong_to_a_running_kubelet", "error", "/etc/kubernetes/manifests")),
    "etcd data": ({"etcd_entries": ("member",)}, ("etcd_data_belongs_to_a_running_etcd", "error", "/var/lib/etcd")),
    "cni0": ({"interfaces": ("lo", "cni0")}, ("interfaces_belong_to_no_other_cni", "error", "network interface cni0")),
    "flannel.1": ({"interfaces": ("flannel.1",)}, ("interfaces_belong_to_no_other_cni", "error", "network interface flannel.1")),
    "cilium": ({"interfaces": ("cilium_host",)}, ("interfaces_belong_to_no_other_cni", "error", "network interface cilium_host")),
    "cni configuration that sorts first": (
        {"cni_configurations": (CniConfiguration("05-cilium.conflist", ("cilium-cni",)),)},
        ("cni_configuration_is_calicos", "error", "/etc/cni/net.d/05-cilium.conflist"),
    ),
    "cni configuration that sorts last": (
        {"cni_configurations": (CniConfiguration("87-podman-bridge.conflist", ("bridge", "portmap")),)},
        ("cni_configuration_is_calicos", "warning", "/etc/cni/net.d/87-podman-bridge.conflist"),
    ),
    "unreadable cni configuration": (
        {"cni_configurations": (CniConfiguration("00-broken.conf"),)},
        ("cni_configuration_is_calicos", "error", "/etc/cni/net.d/00-broken.conf"),
    ),
    "Calico's of an earlier cluster": (
        {"cni_configurations": (CniConfiguration("10-calico.conflist", ("calico",)),)},
        ("cni_configuration_is_calicos", "warning", "/etc/cni/net.d/10-calico.conflist"),
    ),
    "bound kubelet port": ({"listeners": (Listener(10250, "nc", 4711),)}, ("ports_are_free", "error", "port 10250/tcp")),
    "port of a process that is not to be seen": ({"listeners": (Listener(179),)}, ("ports_are_free", "error", "port 179/tcp")),
    "swap": ({"swaps": ("/dev/sda2",)}, ("swap_is_off", "error", "swap on /dev/sda2")),
    "swap under a live kubelet": ({"swaps": ("/dev/zram0",), "listeners": KUBELET}, ("swap_is_off", "warning", "swap on /dev/zram0")),
    "no cgroups": ({"cgroup_version": None}, ("cgroup_controllers_are_there", "error", "/sys/fs/cgroup")),
    "memory controller off": (
        {"controllers": frozenset({"cpu", "cpuset", "io", "pids"})},
        ("cgroup_controllers_are_there", "error", "cgroup version 2"),
    ),
    "cgroup version 1": (
        {"cgroup_version": 1, "controllers": frozenset(["cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "blkio"])},
        ("cgroup_version_is_2", "warning", "cgroup version"),
    ),
    "clock not synchronised": ({"clock_is_synchronised": False}, ("clock_is_synchronised", "warning", "clock")),
    "clock unknown": ({"clock_is_synchronised": None}, ("clock_is_synchronised", "unknown", "clock")),
    "clock ahead": ({"clock": 1_800_000_031.0}, ("clock_agrees_with_the_controller", "error", "clock")),
    "clock behind": ({"clock": 1_799_999_000.0}, ("clock_agrees_with_the_controller", "error", "clock")),
    "module absent": (
        {"modules": {"br_netfilter": "absent", "overlay": "present", "ipip": "present"}},
        ("kernel_modules_can_be_loaded", "error", "kernel module br_netfilter"),
    ),
    "module unknown": (
        {"modules": {"br_netfilter": None, "overlay": "present", "ipip": "present"}},
        ("kernel_modules_can_be_loaded", "unknown", "kernel module br_netfilter"),
    ),
    "encapsulation absent": (
        {"modules": {"br_netfilter": "present", "overlay": "present", "ipip": "absent"}},
        ("encapsulation_modules_can_be_loaded", "error", "kernel module ipip"),
    ),
    "loose filter of routes": ({"rp_filter": 2}, ("packets_are_filtered_by_their_route", "warning", "net.ipv4.conf.all.rp_filter")),
    "SELinux": ({"selinux": "enforcing"}, ("selinux_permits_the_cluster", "info", "SELinux")),
    "little memory": ({"memory": 1699}, ("memory_suffices", "warning", "memory")),
    "unreadable disk": ({"disks": (KUBELET_DISK,)}, ("disk_has_room", "unknown", "file system of /var/lib/containerd")),
    "another name": (
        {"identity": Identity("homelab", "debian")},
        ("hostname_is_the_inventory_name", "warning", "hostname"),
    ),
    "address elsewhere": ({"addresses": ("127.0.0.1", "192.168.4.99")}, ("address_is_on_the_host", "error", "address 192.168.4.62")),
    "addresses unknown": ({"addresses": None}, ("address_is_on_the_host", "unknown", "address 192.168.4.62")),
    "no default route": ({"default_routes": frozenset({6})}, ("default_route_is_there", "error", "default route (IPv4)")),
}


def test_the_clock_of_a_container_is_unknown_unless_the_controller_compares_it() -> None:
    assert found(replace(READY, in_container=True)) == set()
    assert found(replace(READY, in_container=True), replace(WORKER, controller_clock=None)) == {
        ("clock_is_synchronised", "unknown", "clock")
    }
    ahead = replace(READY, in_container=True, clock=1_800_000_031.0)
    assert found(ahead) == {("clock_agrees_with_the_controller", "error", "clock")}


@pytest.mark.parametrize(("change", "finding"), CASES.values(), ids=CASES)
def test_a_change_to_a_ready_worker_brings_one_finding(change: dict[str, object], finding: tuple[str, str, str]) -> None:
    assert found(replace(READY, **change)) == {finding}


@pytest.mark.parametrize(
    ("listener", "is_named"),
    [
        (Listener(9100, "prometheus-node", 812), True),
        # the owner's, on a host of a running cluster
        (Listener(9100, "node_exporter", 812), True),
        (Listener(9100, "node_exporter", 812, in_pod=True), False),
    ],
)
def test_a_node_exporter_of_the_owner_is_in_the_way_of_monitoring_only(listener: Listener, is_named: bool) -> None:
    state = replace(LIVE, listeners=(*KUBELET, listener))
    named = {("ports_are_free", "error", "port 9100/tcp")} if is_named else set()
    assert found(state, replace(WORKER, monitoring=True)) == named
    assert found(state, WORKER) == set()


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"cpus": 1}, ("cpus_suffice", "error", "CPUs")),
        ({"memory": 1699}, ("memory_suffices", "error", "memory")),
        ({"listeners": (Listener(6443, "haproxy", 1),)}, ("ports_are_free", "error", "port 6443/tcp")),
        ({"listeners": (Listener(2379, "etcd", 1),)}, ("ports_are_free", "error", "port 2379/tcp")),
        ({"listeners": (*KUBELET, Listener(10257, "kube-scheduler", 1))}, ("ports_are_free", "error", "port 10257/tcp")),
    ],
)
def test_a_control_plane_needs_more(change: dict[str, object], finding: tuple[str, str, str]) -> None:
    assert found(replace(READY, **change), CONTROL_PLANE) == {finding}


def test_a_live_control_plane_holds_its_own_ports() -> None:
    ports = ((2379, "etcd"), (6443, "kube-apiserver"), (10257, "kube-controller"), (10259, "kube-scheduler"))
    assert found(replace(LIVE, listeners=(*KUBELET, *(Listener(*port, 1) for port in ports))), CONTROL_PLANE) == set()


@pytest.mark.parametrize(
    "hostname", ["", "home_lab", "-homelab", "homelab-", "a..b", "localhost", "localhost.localdomain", "x" * 64, "hömelab", "٣"]
)
def test_a_name_that_no_node_can_have(hostname: str) -> None:
    identity = Identity("homelab", hostname)
    assert ("hostname_is_a_node_name", "error", "hostname") in found(replace(READY, identity=identity))


@pytest.mark.parametrize("hostname", ["homelab", "HomeLab", "homelab.example.org", "homelab.LAN"])
def test_a_name_that_a_node_can_have(hostname: str) -> None:
    assert found(replace(READY, identity=Identity("homelab", hostname))) == set()


@pytest.mark.parametrize(
    ("peer", "rules"),
    [
        (Identity("other", "homelab", "m", "u"), {("hostname_is_unique", "error", "hostname")}),
        (Identity("other", "HOMELAB", "m", "u"), {("hostname_is_unique", "error", "hostname")}),
        (Identity("other", "other", "33c804ce932b0118eb33e0e1e487296b", "u"), {("machine_id_is_unique", "error", "machine id")}),
        (Identity("other", "other", "m", "4C4C4544-0042"), {("product_uuid_is_unique", "warning", "product UUID")}),
        (Identity("other", "other", "m", "u"), set()),
        (Identity("other"), set()),
        (READY.identity, set()),
    ],
)
def test_a_host_is_one_of_a_kind(peer: Identity, rules: set[tuple[str, str, str]]) -> None:
    assert found(READY, replace(WORKER, peers=(peer,))) == rules


def test_containers_of_one_machine_share_its_product_uuid() -> None:
    peer = Identity("other", "other", "m", "4c4c4544-0042")
    assert "product_uuid_is_unique" not in {
        rule for rule, *_rest in found(replace(READY, in_container=True), replace(WORKER, peers=(peer,)))
    }


def test_dual_stack_needs_both_addresses_and_both_routes() -> None:
    both = replace(WORKER, addresses=("192.168.4.62", "fd00:4::62"))
    assert found(READY, both) == {
        ("address_is_on_the_host", "error", "address fd00:4::62"),
        ("default_route_is_there", "error", "default route (IPv6)"),
    }


def test_an_accepted_rule_is_told_but_does_not_count() -> None:
    judgement = judge(replace(READY, swaps=("/dev/sda2",), memory=100), WORKER, accept=["swap_is_off"])
    assert [finding.rule for finding in judgement.accepted] == ["swap_is_off"]
    assert [finding.rule for finding in judgement.findings] == ["memory_suffices"]


def test_every_finding_bears_the_name_of_its_rule_and_a_next_step() -> None:
    broken = HostState(
        identity=Identity("homelab", "no_name"),
        swaps=("/swap",),
        listeners=(Listener(10250, "nc", 1),),
        memory=1,
        disks=(Disk("/var/lib/kubelet", "/", 1, 0),),
    )
    for name, rule in RULES.items():
        for finding in rule(broken, CONTROL_PLANE):
            assert finding.rule == name
            assert finding.fix.endswith(".")


def test_the_documentation_lists_every_rule() -> None:
    text = MODULE.read_text().partition('DOCUMENTATION = r"""')[2].partition('"""')[0]
    assert yaml.safe_load(text)["options"]["accept"]["choices"] == list(RULES)


GIB = 1024**3
SPACE, INODES = "of its space used", "of its inodes used"


@pytest.mark.parametrize(
    ("kubelet", "images", "configuration", "told"),
    [
        ((1000, 210), (1000, 210), {}, []),
        ((1000, 209), (1000, 209), {}, [("/var/lib/kubelet and /var/lib/containerd", f"80 % {SPACE}", "less than 80 %: at 85 %")]),
        ((1000, 160), ("/images", 1000, 900), {}, []),
        ((1000, 150), ("/images", 1000, 900), {}, [("/var/lib/kubelet", f"85 % {SPACE}", "less than 85 %: at 90 %")]),
        ((1000, 900), ("/images", 1000, 10), {}, [("/var/lib/containerd", f"99 % {SPACE}", "less than 80 %: at 85 %")]),
        ((1000, 900, 1000, 100), (1000, 900, 1000, 100), {}, [("/var/lib/kubelet and", f"90 % {INODES}", "less than 90 %: at 95 %")]),
        ((1000, 900, 0, 0), (1000, 900, 0, 0), {}, []),
        ((1000, 10), (1000, 10), {"imageGCHighThresholdPercent": 100, "evictionHard": {"memory.available": "1Gi"}}, []),
        ((1000, 209), (1000, 209), {"imageGCHighThresholdPercent": 100}, [("", f"80 % {SPACE}", "at 85 %")]),
        ((1000, 350), (1000, 350), {"imageGCHighThresholdPercent": 70}, [("", f"65 % {SPACE}", "less than 65 %: at 70 %")]),
        (
            (10 * GIB, 5 * GIB),
            ("/i", 10, 9),
            {"evictionHard": {"nodefs.available": "5Gi"}},
            [("/var/lib/kubelet", "50 %", "less than 45 %")],
        ),
        ((10**10, 10**9), ("/i", 10, 9), {"evictionHard": {"nodefs.available": "0%"}}, []),
        (
            (1000, 140),
            ("/i", 10, 9),
            {"evictionHard": {"imagefs.available": "5%"}, "mergeDefaultEvictionSettings": True},
            [("/var/lib/kubelet", "86 %", "at 90 %")],
        ),
    ],
)
def test_a_disk_near_a_threshold_of_kubelet_is_a_warning(
    kubelet: tuple[Any, ...], images: tuple[Any, ...], configuration: dict[str, object], told: list[tuple[str, str, str]]
) -> None:
    """kubelet, images: the disks: where mounted, if not at /var, size, available bytes, and the same of inodes."""
    directories = ("/var/lib/kubelet", "/var/lib/containerd")
    disks = [
        Disk(directory, *(given if isinstance(given[0], str) else ("/var", *given)))
        for directory, given in zip(directories, (kubelet, images))
    ]
    findings = judge(replace(READY, disks=tuple(disks)), replace(WORKER, kubelet_configuration=configuration)).findings
    assert [finding.rule for finding in findings] == ["disk_has_room"] * len(told)
    for finding, (subject, found, expected) in zip(findings, told):
        assert (finding.severity, subject in finding.subject, found in finding.found) == ("warning", True, True), finding
        assert expected in finding.expected


OPTIONS = {
    "role": "worker",
    "name": "homelab",
    "addresses": [],
    "encapsulation": "IPIP",
    "kernel_modules": [],
    "plan": None,
    "kube_proxy_mode": "",
    "calico_felix": {},
    "install_kernel_modules": False,
    "peers": [],
    "controller_time": None,
    "max_clock_drift": 30.0,
    "kubernetes_release": "1.36.4",
    "upgrade": False,
    "installation_kind": "directory",
    "architecture": "amd64",
    "containerd_package": "containerd",
    "containerd_version": "",
    "containerd_source": "distribution",
    "packages": [],
    "monitoring": False,
    "api_servers": [],
    "kubelet_configuration": {},
    "hosts": [],
    "certificate_days": 0,
    "containerd_socket": "",
}


@pytest.mark.parametrize(
    ("change", "subject"),
    [
        ({"name": " "}, "name"),
        ({"addresses": ["192.168.4.62/24"]}, "addresses[0]"),
        ({"addresses": ["192.168.4.62", "homelab"]}, "addresses[1]"),
        ({"addresses": [""]}, "addresses[0]"),
        ({"addresses": ["192.168.4.٣"]}, "addresses[0]"),
        ({"max_clock_drift": -1.0}, "max_clock_drift"),
        ({"hosts": [{"name": "a", "address": "192.168.4.1"}, {"name": "b", "address": ["b"]}]}, "hosts[1].address[0]"),
    ],
)
def test_options_of_no_sense_are_refused(change: dict[str, object], subject: str) -> None:
    with pytest.raises(Refusal) as refusal:
        expectations({**OPTIONS, **change})
    assert refusal.value.subject == subject


def test_what_setup_does_not_know_is_unknown() -> None:
    peers = [{"name": "other", "hostname": "other", "machine_id": "", "product_uuid": "NA"}]
    assert expectations({**OPTIONS, "peers": peers}).peers == (Identity("other", "other"),)


@pytest.mark.parametrize(("encapsulation", "modules"), [("IPIPCrossSubnet", ("ipip",)), ("VXLAN", ("vxlan",)), ("None", ())])
def test_the_encapsulation_says_which_module(encapsulation: str, modules: tuple[str, ...]) -> None:
    assert expectations({**OPTIONS, "encapsulation": encapsulation}).encapsulation_modules == modules


INSTALLING = replace(WORKER, kubernetes_release="1.36.4", installation_kind="directory", architecture="amd64")
MEMBER = replace(LIVE, cluster_files=USED["cluster_files"])


def software(**change: object) -> HostState:
    return replace(READY, software=replace(READY.software, **change))


@pytest.mark.parametrize(
    ("id_", "version", "like", "is_supported"),
    [
        ("debian", "12", "", True),
        ("debian", "13", "", True),
        ("debian", "11", "", False),
        ("debian", "", "", False),
        ("ubuntu", "24.04", "debian", False),
        ("rhel", "9.5", "fedora", True),
        ("rhel", "10.1", "fedora", True),
        ("rhel", "8.10", "fedora", False),
        ("rocky", "9.4", "rhel centos fedora", True),
        ("almalinux", "10.0", "rhel centos fedora", True),
        ("ol", "9.5", "fedora", True),
        ("centos", "10", "rhel fedora", True),
        ("eurolinux", "9.4", "rhel fedora centos", True),
        ("fedora", "42", "", False),
        ("arch", "", "", False),
    ],
)
def test_a_distribution_is_supported_or_named(id_: str, version: str, like: str, is_supported: bool) -> None:
    state = software(distribution=Distribution(id_, version, f"{id_} {version}", frozenset(like.split())))
    assert found(state) == (set() if is_supported else {("distribution_is_supported", "error", "distribution")})


def test_an_unknown_distribution_is_no_pass() -> None:
    assert found(software(distribution=None)) == {("distribution_is_supported", "unknown", "distribution")}


@pytest.mark.parametrize(
    ("machine", "of_the_source", "is_supported"),
    [
        ("x86_64", "amd64", True),
        ("x86_64", "", True),
        ("aarch64", "arm64", True),
        ("aarch64", "amd64", False),
        ("i686", "", False),
        ("riscv64", "amd64", False),
    ],
)
def test_an_architecture_is_that_of_the_source(machine: str, of_the_source: str, is_supported: bool) -> None:
    expected = replace(INSTALLING, architecture=of_the_source)
    assert found(software(machine=machine), expected) == (
        set() if is_supported else {("architecture_is_supported", "error", "processor architecture")}
    )


@pytest.mark.parametrize(
    ("containerd", "release", "severity"),
    [
        ("1.6.20~ds1", "1.36.4", "warning"),
        ("1.7.24", "1.37.2", "warning"),
        ("1.7.24", "1.38.0", "error"),
        ("1.6.20", "1.35.2", None),
        ("2.0.0", "1.38.0", None),
        (None, "1.38.0", None),
        ("1.6.20", "", None),
    ],
)
def test_containerd_must_keep_up_with_kubelet(containerd: str | None, release: str, severity: str | None) -> None:
    judged = found(software(containerd=containerd), replace(INSTALLING, kubernetes_release=release))
    assert judged == ({("containerd_suits_the_kubelet", severity, "containerd")} if severity else set())


@pytest.mark.parametrize(
    ("packages", "fix"),
    [
        (
            Packages("apt-get"),
            "Set node_containerd_source to docker, which adds Docker's package repository.",
        ),
        (
            Packages("apt-get", "containerd"),
            "Set node_containerd_source to docker, which adds Docker's package repository. containerd.io replaces containerd and "
            "runc: drain a node, then run `apt-get remove containerd runc` on it.",
        ),
        (Packages("apt-get", "containerd.io"), "Run `apt-get install --only-upgrade containerd.io` on the host."),
        (Packages("dnf", "containerd.io"), "Run `dnf upgrade containerd.io` on the host."),
    ],
)
def test_the_way_to_a_newer_containerd_is_of_the_installed_one(packages: Packages, fix: str) -> None:
    state = software(containerd="1.7.24", packages=packages)
    assert [finding.fix for finding in judge(state, replace(INSTALLING, kubernetes_release="1.38.0")).findings] == [fix]


@pytest.mark.parametrize(
    ("packages", "says"),
    [
        (
            Packages("apt-get", "containerd.io", "containerd", ("containerd", "runc", "socat"), Simulation(("containerd.io", "docker-ce"))),
            "packages to install: found containerd, runc, socat, which would remove containerd.io, docker-ce; expected packages that "
            "remove no other. To keep containerd.io, docker-ce, set node_containerd_package to containerd.io (installed) and remove runc "
            "from node_packages. If you do not need them, remove them yourself with `apt-get remove containerd.io docker-ce`.",
        ),
        (
            Packages("dnf", "", "containerd.io", ("containerd.io",), Simulation(("runc",))),
            "packages to install: found containerd.io, which would remove runc; expected packages that remove no other. To keep runc, "
            "change node_containerd_package or node_packages. If you do not need them, remove them yourself with `dnf remove runc`.",
        ),
    ],
)
def test_what_would_be_removed_is_named(packages: Packages, says: str) -> None:
    (finding,) = judge(software(packages=packages), INSTALLING).findings
    assert str(finding) == f"error: {says}"


@pytest.mark.parametrize(
    ("directories", "subjects"),
    [
        ({}, []),
        ({"root": "/var/lib/containerd", "state": "/run/containerd/"}, []),
        ({"root": "/srv/containerd", "state": "/run/containerd"}, ["root in /etc/containerd/config.toml"]),
        ({"state": "/tmp/x"}, ["state in /etc/containerd/config.toml"]),
    ],
)
def test_containers_of_the_owner_stay_in_reach(directories: dict[str, str], subjects: list[str]) -> None:
    findings = judge(software(containerd_directories=directories), INSTALLING).findings
    assert [(finding.severity, finding.subject) for finding in findings] == [("error", subject) for subject in subjects]


@pytest.mark.parametrize(
    ("simulation", "severity", "words"),
    [
        (Simulation(missing="E: Unable to locate package socat"), "unknown", "Run `apt-get update`"),
        (Simulation(missing="Unable to find a match: socat", is_final=True), "error", "Add a repository that has it"),
        (Simulation(problem="E: Unmet dependencies.", command="apt-get x"), "error", "Run `apt-get x` on the host"),
    ],
)
def test_packages_that_cannot_be_installed_are_no_pass(simulation: Simulation, severity: str, words: str) -> None:
    (finding,) = judge(software(packages=Packages("apt-get", wanted=("socat",), simulation=simulation)), INSTALLING).findings
    assert (finding.rule, finding.severity) == ("packages_can_be_installed", severity)
    assert words in finding.fix


def test_a_containerd_that_no_repository_has_is_named_with_dockers() -> None:
    simulation = Simulation(missing="Error: Unable to find a match: containerd.io", is_final=True)
    packages = Packages("dnf", "", "containerd.io", ("containerd.io",), simulation)
    (finding,) = judge(software(packages=packages), INSTALLING).findings
    assert (finding.severity, finding.fix) == (
        "error",
        "Set node_containerd_source to docker, which adds Docker's repository, or add a repository that has it.",
    )


@pytest.mark.parametrize(
    ("asked", "manager", "installed", "wanted"),
    [
        ("", "apt-get", "", ("containerd", "socat")),
        ("", "dnf", "", ("containerd.io", "socat")),
        ("", "apt-get", "containerd.io", ("containerd.io", "socat")),
        ("", "apt-get", "moby-containerd", ("moby-containerd", "socat")),
        ("containerd", "apt-get", "containerd.io", ("containerd", "socat")),
        ("", "", "", ("socat",)),
    ],
)
def test_the_containerd_that_is_installed_is_asked_for(asked: str, manager: str, installed: str, wanted: tuple[str, ...]) -> None:
    assert wanted_packages(replace(INSTALLING, containerd_package=asked, packages=("socat",)), manager, installed).wanted == wanted


@pytest.mark.parametrize(("manager", "wanted"), [("apt-get", "containerd=1.7*"), ("dnf", "containerd-1.7*")])
def test_a_version_is_written_as_the_package_manager_writes_it(manager: str, wanted: str) -> None:
    expected = replace(INSTALLING, containerd_package="containerd", containerd_version="1.7*")
    assert wanted_packages(expected, manager, "").wanted == (wanted,)


@pytest.mark.parametrize(
    ("host", "releases", "findings"),
    [
        (READY, {"kubelet": "v1.36.4", "kubeadm": "v1.36.1"}, set()),
        (READY, {"kubelet": "v1.35.2"}, {("warning", "installed kubelet")}),
        (MEMBER, {"kubelet": "v1.35.2", "kubeadm": "v1.36.4"}, {("error", "installed kubelet")}),
        (MEMBER, {"kubelet": "v1.37.0", "kubeadm": "v1.37.0"}, {("error", "installed kubelet"), ("error", "installed kubeadm")}),
        (replace(READY, is_ours=True), {"kubelet": "v1.35.2"}, {("error", "installed kubelet")}),
        (MEMBER, {"kubelet": "v1.36.1"}, set()),
    ],
)
def test_another_minor_version_of_a_member_is_refused(host: HostState, releases: dict[str, str], findings: set[tuple[str, str]]) -> None:
    state = replace(host, software=replace(READY.software, releases=releases))
    rule = "installed_release_is_of_the_wanted_version"
    assert found(state, INSTALLING) == {(rule, severity, subject) for severity, subject in findings}


@pytest.mark.parametrize(
    ("release", "severity"),
    [
        ("v1.36.0", None),
        ("v1.36.9", None),
        ("v1.39.0", None),
        ("v1.40.0", "error"),
        ("v1.35.9", "error"),
        ("", "unknown"),
        ("v2.36.4", "error"),
    ],
)
def test_a_kubelet_is_not_newer_than_the_api_server_nor_much_older(release: str, severity: str | None) -> None:
    judged = found(software(api_servers={"192.168.4.63": release}), INSTALLING)
    assert judged == ({("kubelet_suits_the_api_server", severity, "API server 192.168.4.63")} if severity else set())


def test_the_fix_of_a_version_skew_names_the_upgrade() -> None:
    state = replace(MEMBER, software=replace(READY.software, releases={"kubelet": "v1.35.2"}, api_servers={"192.168.4.63": "v1.35.2"}))
    fixes = [finding.fix for finding in judge(state, INSTALLING).findings]
    assert len(fixes) == 2
    assert all("playbooks/upgrade.yml" in fix for fix in fixes)


@pytest.mark.parametrize(("release", "is_next"), [("v1.35.2", True), ("v1.34.9", False), ("v1.37.0", False), ("v2.35.0", False)])
def test_an_upgrade_may_find_one_minor_version_less(release: str, is_next: bool) -> None:
    state = replace(MEMBER, software=replace(READY.software, releases={"kubelet": release, "kubeadm": release}))
    assert (found(state, replace(INSTALLING, is_upgrade=True)) == set()) is is_next
    served = replace(MEMBER, software=replace(READY.software, api_servers={"192.168.4.63": "v1.35.2"}))
    assert found(served, replace(INSTALLING, is_upgrade=True)) == set()


@pytest.mark.parametrize(("kind", "is_named"), [("directory", True), ("packages", False)])
def test_a_directory_installs_over_no_package(kind: str, is_named: bool) -> None:
    judged = found(software(owners={"/usr/bin/kubelet": "kubelet"}), replace(INSTALLING, installation_kind=kind))
    assert judged == ({("programs_are_no_packages", "error", "/usr/bin/kubelet")} if is_named else set())


@pytest.mark.parametrize(
    ("host", "release", "severity"),
    [(READY, "1.35.0", "error"), (READY, "1.34.9", "warning"), (READY, "", "warning"), (LIVE, "1.36.4", "warning")],
)
def test_a_kubelet_that_refuses_cgroup_v1_is_an_error_unless_it_serves(host: HostState, release: str, severity: str) -> None:
    state = replace(host, cgroup_version=1, controllers=CONTROLLERS[1])
    assert found(state, replace(INSTALLING, kubernetes_release=release)) == {("cgroup_version_is_2", severity, "cgroup version")}


@pytest.mark.parametrize(
    ("expected", "says"),
    [
        (
            CONTROL_PLANE,
            "memory: found 900 MiB; expected at least 1700 MiB: kubeadm rejects a control plane with less. Give the host more memory.",
        ),
        (WORKER, "memory: found 900 MiB; expected at least 1700 MiB, or little room is left for pods. Give the host more memory."),
    ],
)
def test_too_little_memory_is_told_with_both_figures(expected: Expectations, says: str) -> None:
    assert says in str(judge(replace(READY, memory=900), expected).findings[0])
