# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host is read: the kernel's texts, and one whole look at a host made of a dictionary."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Optional

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import Answer
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight import parse
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import LocalMachine, look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import (
    CniConfiguration,
    Disk,
    Distribution,
    Expectations,
    Identity,
    Listener,
    Packages,
    Simulation,
    Software,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.parse import apt_simulation, dnf_simulation

from tests.unit.fakes import AnsweringHost

TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:280A 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 501 1 0000000000000000 100 0 0 10 0
   3: 00000000:238C 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 506 1 0000000000000000 100 0 0 10 0
   1: 3E04A8C0:280A 3F04A8C0:C350 01 00000000:00000000 00:00000000 00000000     0        0 502 1 0000000000000000 20 4 30 10 -1
   2: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 503 1 0000000000000000 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:280A 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 504 1 0
   1: 00000000000000000000000000000000:00B3 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 505 1 0
"""  # noqa: E501 - as the kernel writes it
ROUTE = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0104A8C0\t{flags}\t0\t0\t100\t{mask}\t0\t0\t0
eth0\t0004A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""
ZEROS = "0" * 32
ROUTE6 = "{destination} {length} {zeros} 00 fe800000000000000000000000000001 00000400 00000001 00000000 {flags} {device}\n"
CGROUPS = """\
#subsys_name\thierarchy\tnum_cgroups\tenabled
cpuset\t3\t15\t1
memory\t0\t1\t0
pids\t8\t15\t1
"""
MOUNTS = """\
496 453 0:150 / /sys/fs/cgroup rw,nosuid - tmpfs tmpfs rw,mode=755
497 496 0:29 / /sys/fs/cgroup/cpu ro,nosuid - cgroup cgroup rw,cpu,cpuacct
534 496 0:37 / /sys/fs/cgroup/systemd ro,nosuid - cgroup cgroup rw,name=systemd
23 1 0:22 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
"""


def test_listening_sockets_are_those_in_state_listen() -> None:
    assert parse.listening_sockets(TCP) == [(10250, "501"), (9100, "506"), (22, "503")]
    assert parse.listening_sockets(TCP6) == [(10250, "504"), (179, "505")]
    assert parse.listening_sockets("") == []


def test_swaps_are_named() -> None:
    assert parse.swaps("Filename\tType\tSize\tUsed\tPriority\n/dev/dm-1 partition 8 0 -2\n/swap.img file 8 0 -3\n") == (
        "/dev/dm-1",
        "/swap.img",
    )
    assert parse.swaps("Filename\t\t\t\tType\n") == ()


@pytest.mark.parametrize(("text", "mib"), [("MemTotal:       24684084 kB\nMemFree: 1 kB\n", 24105), ("MemFree: 1 kB\n", None), ("", None)])
def test_memory_is_in_mib(text: str, mib: Optional[int]) -> None:
    assert parse.memory_mib(text) == mib


def test_controllers_of_version_1() -> None:
    assert parse.enabled_controllers(CGROUPS) == {"cpuset", "pids"}
    assert parse.mounted_controllers(MOUNTS) == {"cpu", "cpuacct"}


@pytest.mark.parametrize(
    ("flags", "mask", "there"),
    [("0003", "00000000", True), ("0201", "00000000", False), ("0002", "00000000", False), ("0003", "00FFFFFF", False)],
)
def test_a_default_route_of_ipv4_is_up_and_passes(flags: str, mask: str, there: bool) -> None:
    assert parse.has_default_route_ipv4(ROUTE.format(flags=flags, mask=mask)) is there


@pytest.mark.parametrize(
    ("change", "there"),
    [
        ({}, True),
        ({"device": "lo"}, False),
        ({"flags": "00200200"}, False),
        ({"length": "40"}, False),
        ({"destination": "fd" + "0" * 30}, False),
    ],
)
def test_a_default_route_of_ipv6_is_up_and_passes(change: dict[str, str], there: bool) -> None:
    line = {"destination": ZEROS, "length": "00", "zeros": ZEROS, "flags": "00000003", "device": "eth0", **change}
    assert parse.has_default_route_ipv6(ROUTE6.format(**line)) is there


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (json.dumps([{"addr_info": [{"local": "192.168.4.62"}, {"local": "FD00:0:0::1"}]}, {}]), ("192.168.4.62", "fd00::1")),
        ("[]", ()),
        ("", None),
        ('Object "-json" is unknown', None),
        ("[1]", None),
        ('[{"addr_info": [{"local": "x"}]}]', None),
    ],
)
def test_addresses_are_canonical_or_unknown(text: str, found: Optional[tuple[str, ...]]) -> None:
    assert parse.addresses(text) == found


@pytest.mark.parametrize(
    ("text", "types"),
    [
        ('{"type": "bridge"}', ("bridge",)),
        ('{"plugins": [{"type": "calico"}, {"type": "portmap"}]}', ("calico", "portmap")),
        ("", ()),
        ("{", ()),
        ("[]", ()),
        ('{"name": "x"}', ()),
        ('{"plugins": null}', ()),
        ('{"plugins": [1]}', ()),
    ],
)
def test_a_cni_configuration_is_read_or_not_understood(text: str, types: tuple[str, ...]) -> None:
    assert parse.cni_configuration("f", text) == CniConfiguration("f", types)


def test_modules_are_named_as_the_kernel_names_them() -> None:
    assert parse.loaded_modules("br_netfilter 32768 0 - Live 0x0\nbridge 1 1 br_netfilter, Live 0x0\n") == {"br_netfilter", "bridge"}
    assert parse.builtin_modules("kernel/fs/overlayfs/overlay.ko\nkernel/x/nf-x.ko.xz\n\n") == {"overlay", "nf_x"}


class Files:
    """A host made of a dictionary: path -> text; a text that begins with -> is a link."""

    def __init__(self, tree: dict[str, str]) -> None:
        self.tree = tree

    def read(self, path: str) -> Optional[str]:
        return self.tree.get(path)

    def entries(self, path: str) -> tuple[str, ...]:
        return tuple(sorted({key[len(path) + 1 :].split("/")[0] for key in self.tree if key.startswith(f"{path}/")}))

    def target(self, path: str) -> Optional[str]:
        return self.tree.get(path, "").removeprefix("->") or None

    def exists(self, path: str) -> bool:
        return path in self.tree or bool(self.entries(path))


class Programs(AnsweringHost):
    """A host's programs: program -> (status, output)."""

    def __init__(self, **programs: tuple[int, str]) -> None:
        self.programs = programs

    def has(self, program: str) -> bool:
        return program in self.programs

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        return *self.programs[argv[0]], ""


class Web:
    """Servers by their URL; others do not answer."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers

    def get(self, url: str, *, authority: str = "", certificate: str = "", key: str = "", token: str = "") -> Answer:
        return self.answers.get(url, Answer(0))


class Machine:
    def processor(self) -> str:
        return "x86_64"

    def hostname(self) -> str:
        return "homelab"

    def cpus(self) -> int:
        return 4

    def disk(self, path: str) -> Optional[Disk]:
        return Disk(path, "/var", 100, 25) if path == "/var/lib/containerd" else None

    def clock(self) -> float:
        return 1_800_000_000.0

    def clock_is_synchronised(self) -> Optional[bool]:
        return True


TREE = {
    "/etc/machine-id": "33c8\n",
    "/etc/kubernetes/kubelet.conf": "x",
    "/etc/kubernetes/manifests/etcd.yaml": "x",
    "/var/lib/etcd/member": "x",
    "/etc/cni/net.d/10-flannel.conflist": '{"plugins": [{"type": "flannel"}]}',
    "/etc/cni/net.d/README": "x",
    "/run/systemd/container": "podman",
    "/sys/class/net/cni0": "",
    "/sys/class/net/lo": "",
    "/sys/fs/cgroup/cgroup.controllers": "cpuset cpu io memory pids\n",
    "/proc/sys/kernel/osrelease": "6.1.0\n",
    "/lib/modules/6.1.0/modules.builtin": "kernel/fs/overlayfs/overlay.ko\n",
    "/proc/modules": "bridge 1 0 - Live 0x0\n",
    "/proc/meminfo": "MemTotal: 2097152 kB\n",
    "/proc/net/tcp": TCP,
    "/proc/net/tcp6": TCP6,
    "/proc/net/route": ROUTE.format(flags="0003", mask="00000000"),
    "/proc/1/comm": "systemd\n",
    "/proc/99/comm": "nc\n",
    "/proc/99/fd/3": "->socket:[501]",
    "/proc/99/fd/4": "->socket:[504]",
    "/proc/99/fd/0": "->/dev/null",
    "/proc/100/comm": "child\n",
    "/proc/100/fd/3": "->socket:[501]",
    "/proc/101/comm": "node_exporter\n",
    "/proc/101/fd/3": "->socket:[506]",
    "/proc/101/cgroup": "0::/kubepods.slice/kubepods-besteffort.slice/cri-containerd-1.scope\n",
    "/proc/102/comm": "NetworkManager\n",
    "/proc/sys/net/ipv4/conf/all/rp_filter": "2\n",
    "/sys/fs/selinux/enforce": "1",
    "/proc/self/mountinfo": "",
}
WORKER = Expectations(role="worker", name="homelab", encapsulation_modules=("ipip",))


def test_one_look_at_a_host() -> None:
    address = json.dumps([{"addr_info": [{"local": "192.168.4.62"}]}])
    state = look_at_host(WORKER, Files(TREE), Programs(ip=(0, address), modprobe=(0, "")), Machine(), Web())
    assert state.identity == Identity("homelab", "homelab", "33c8")
    assert state.in_container
    # 22 is not watched; one socket of two families is one listener; the parent is named, not its child; 179's holder is not to be seen
    assert state.listeners == (Listener(179), Listener(10250, "nc", 99))
    assert state.cluster_files == ("/etc/kubernetes/kubelet.conf",)
    assert state.manifests == ("etcd.yaml",)
    assert state.etcd_entries == ("member",)
    assert state.interfaces == ("cni0", "lo")
    assert state.cni_configurations == (CniConfiguration("10-flannel.conflist", ("flannel",)),)
    assert (state.cgroup_version, state.controllers) == (2, {"cpuset", "cpu", "io", "memory", "pids"})
    assert state.addresses == ("192.168.4.62",)
    assert state.default_routes == {4}
    assert state.modules == {"br_netfilter": "loadable", "overlay": "present", "ipip": "loadable"}
    assert state.kernel == "6.1.0"
    assert (state.cpus, state.memory, state.disks) == (4, 2048, (Disk("/var/lib/containerd", "/var", 100, 25),))
    assert not state.kubelet_is_live
    assert (state.network_managers, state.rp_filter, state.selinux) == (["NetworkManager"], 2, "enforcing")
    monitored = look_at_host(replace(WORKER, monitoring=True), Files(TREE), Programs(), Machine(), Web())
    assert monitored.listeners == (Listener(179), Listener(9100, "node_exporter", 101, in_pod=True), Listener(10250, "nc", 99))


def test_a_disk_is_that_of_the_nearest_parent_and_of_the_end_of_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc/self")
    missing, linked = (LocalMachine().disk(str(tmp_path / name)) for name in ("a/b", "link"))
    assert missing is not None
    assert (missing.directory, os.path.ismount(missing.mount)) == (str(tmp_path / "a/b"), True)
    assert 0 < missing.used <= 100
    # which has no size
    assert linked is None


def test_a_host_that_tells_nothing_is_unknown() -> None:
    state = look_at_host(WORKER, Files({}), Programs(), Machine(), Web())
    assert (state.addresses, state.cgroup_version, state.memory, state.identity.machine_id) == (None, None, None, None)
    assert state.modules == {"br_netfilter": None, "overlay": None, "ipip": None}
    assert state.default_routes == frozenset()
    assert (state.network_managers, state.rp_filter, state.selinux) == ([], None, "disabled")


def test_a_module_that_modprobe_does_not_find_is_absent() -> None:
    assert look_at_host(WORKER, Files({}), Programs(modprobe=(1, "")), Machine(), Web()).modules["ipip"] == "absent"


def test_cgroup_version_1_is_what_is_mounted_or_enabled() -> None:
    state = look_at_host(WORKER, Files({"/proc/self/mountinfo": MOUNTS, "/proc/cgroups": CGROUPS}), Programs(), Machine(), Web())
    assert (state.cgroup_version, state.controllers) == (1, {"cpu", "cpuacct", "cpuset", "pids"})


DEBIAN = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_ID="12"\nID=debian\n'
ROCKY = 'NAME="Rocky Linux"\nID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\nPRETTY_NAME="Rocky Linux 9.4 (Blue Onyx)"\nBAD="\n'


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (DEBIAN, Distribution("debian", "12", "Debian GNU/Linux 12 (bookworm)")),
        (ROCKY, Distribution("rocky", "9.4", "Rocky Linux 9.4 (Blue Onyx)", frozenset({"rhel", "centos", "fedora"}))),
        ("ID=arch\n", Distribution("arch", "", "arch ")),
        ("# nothing\n", None),
        ("", None),
    ],
)
def test_a_distribution_is_read_from_os_release(text: str, found: Optional[Distribution]) -> None:
    assert parse.distribution(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Kubernetes v1.36.4\n", "1.36.4"),
        ("v1.36.4\n", "1.36.4"),
        ("v1.37.0-rc.1", "1.37.0-rc.1"),
        ("github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n", "1.6.20~ds1"),
        ("github.com/containerd/containerd/v2 v2.3.4 abc\n", "2.3.4"),
        ("no such thing", None),
        ("", None),
    ],
)
def test_a_version_is_what_looks_like_one(text: str, found: Optional[str]) -> None:
    assert parse.version(text) == found


def test_a_candidate_is_what_apt_would_install() -> None:
    policy = "containerd:\n  Installed: (none)\n  Candidate: 1.6.20~ds1-1+deb12u3\n  Version table:\n     1.6.20~ds1-1+deb12u3 500\n"
    assert parse.candidate(policy) == "1.6.20~ds1-1+deb12u3"
    assert parse.candidate(policy.replace("1.6.20~ds1-1+deb12u3\n  V", "(none)\n  V")) is None
    assert parse.candidate("") is None


@pytest.mark.parametrize(
    ("text", "directories"),
    [
        ('#root = "/a"\ndisabled_plugins = ["cri"]\n', {}),
        ("root = '/srv/containerd' # mine\n  state=\"/run/x\"\n[grpc]\nroot = '/no'\n", {"root": "/srv/containerd", "state": "/run/x"}),
        ('version = 2\n  [plugins."x"]\n    root = "/no"\n', {}),
    ],
)
def test_where_containerd_has_its_data(text: str, directories: dict[str, str]) -> None:
    assert parse.containerd_directories(text) == directories


def test_software_is_looked_at_for_a_release() -> None:
    installing = replace(
        WORKER,
        kubernetes_release="1.36.4",
        installation_kind="directory",
        containerd_package="containerd",
        api_servers=("192.168.4.63", "fd00::63", "192.168.4.64", "192.168.4.65"),
    )
    programs = Programs(
        **{
            "kubelet": (0, "Kubernetes v1.36.3\n"),
            "kubeadm": (1, "v9.9.9"),
            "apt-cache": (0, "  Candidate: 1.7.24\n"),
            "apt-get": (0, "Remv containerd.io [2.2.1-1]\nInst containerd (1.7.24 Debian [amd64])\n"),
            "dpkg-query": (0, "kubelet: /usr/bin/kubelet\n"),
        }
    )
    answers = {
        "https://192.168.4.63:6443/version": Answer(200, {"gitVersion": "v1.36.4"}),
        "https://[fd00::63]:6443/version": Answer(200, {"gitVersion": "v1.35.1"}),
        "https://192.168.4.64:6443/version": Answer(403, {"kind": "Status"}),
    }
    state = look_at_host(installing, Files({"/etc/os-release": DEBIAN, "/usr/bin/kubelet": ""}), programs, Machine(), Web(**answers))
    assert state.software == Software(
        distribution=Distribution("debian", "12", "Debian GNU/Linux 12 (bookworm)"),
        machine="x86_64",
        containerd="1.7.24",
        releases={"kubelet": "1.36.3"},
        owners={"/usr/bin/kubelet": "kubelet"},
        api_servers={"192.168.4.63": "v1.36.4", "fd00::63": "v1.35.1", "192.168.4.64": ""},
        packages=Packages(
            "apt-get",
            "",
            "containerd",
            ("containerd",),
            Simulation(("containerd.io",), command="apt-get --simulate --no-install-recommends --no-upgrade install containerd"),
        ),
    )
    unasked = look_at_host(WORKER, Files({"/usr/lib/os-release": ROCKY}), programs, Machine(), Web(**answers)).software
    assert unasked == Software(distribution=parse.distribution(ROCKY), machine="x86_64")


def test_apt_is_asked_about_the_version_of_containerd_and_what_is_missing() -> None:
    programs = Programs(
        **{"apt-get": (0, ""), "apt-cache": (0, ""), "dpkg-query": (1, "conntrack installed\nsocat config-files\nlibc6 not-installed\n")}
    )
    installing = replace(
        WORKER,
        kubernetes_release="1.36.4",
        containerd_package="containerd",
        containerd_version="1.7*",
        packages=("conntrack", "socat", "ethtool"),
    )
    simulation = look_at_host(installing, Files({"/etc/os-release": DEBIAN}), programs, Machine(), Web()).software.packages.simulation
    assert simulation.command == "apt-get --simulate --no-install-recommends install containerd=1.7* socat ethtool"


class PackageManager(AnsweringHost):
    """A package manager whose first answer is that a package is missing. answers: what each later command says, by its first words."""

    def __init__(self, *programs: str, **answers: tuple[int, str, str]) -> None:
        self.programs, self.answers, self.ran = programs, {key.replace("_", " "): said for key, said in answers.items()}, list[str]()

    def has(self, program: str) -> bool:
        return program in self.programs

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        line = " ".join(argv)
        self.ran.append(line)
        return next((said for words, said in self.answers.items() if all(word in line for word in words.split())), (0, "", ""))


NO_MATCH = (1, "", "Error: Unable to find a match: containerd.io\n")
NOT_LOCATED = (100, "", "E: Unable to locate package containerd\n")


@pytest.mark.parametrize(
    ("release", "manager", "final"),
    [
        (ROCKY, PackageManager("dnf", "rpm", **{"rpm": (1, "package containerd.io is not installed\n", ""), "assumeno": NO_MATCH}), True),
        (
            ROCKY,
            PackageManager(
                "dnf",
                "rpm",
                **{
                    "rpm": (1, "package containerd.io is not installed\n", ""),
                    "assumeno_cacheonly": NO_MATCH,
                    "assumeno": (1, "", "Error: Failed to download metadata for repo 'baseos'\n"),
                },
            ),
            False,
        ),
        (DEBIAN, PackageManager("apt-get", "dpkg-query", mktemp=(0, "/tmp/lists\n", ""), install=NOT_LOCATED), True),
        (
            DEBIAN,
            PackageManager(
                "apt-get", "dpkg-query", mktemp=(0, "/tmp/lists\n", ""), install=NOT_LOCATED, update=(0, "", "W: Failed to fetch x\n")
            ),
            False,
        ),
    ],
)
def test_a_package_is_missing_for_good_only_if_updated_lists_lack_it(release: str, manager: PackageManager, final: bool) -> None:
    installing = replace(WORKER, kubernetes_release="1.36.4")
    simulation = look_at_host(installing, Files({"/etc/os-release": release}), manager, Machine(), Web()).software.packages.simulation
    assert simulation.missing
    assert simulation.is_final is final
    if manager.has("apt-get"):
        assert manager.ran[-1] == "rm --recursive --force /tmp/lists"


def test_a_package_that_only_the_old_lists_lack_is_no_problem() -> None:
    lists = {"mktemp": (0, "/tmp/lists\n", ""), "Lists_install": (0, "Inst containerd\n", ""), "install": NOT_LOCATED}
    manager = PackageManager("apt-get", "dpkg-query", **lists)
    state = look_at_host(replace(WORKER, kubernetes_release="1.36.4"), Files({"/etc/os-release": DEBIAN}), manager, Machine(), Web())
    assert state.software.packages.simulation.missing == ""


OURS = "/etc/apt/sources.list.d/vmstation-docker.sources"
CONFLICTING = (0, "containerd installed\nrunc installed\n", "")


@pytest.mark.parametrize(
    ("files", "answers", "adds", "removed"),
    [
        ({}, {}, True, ()),
        ({}, {"apt-cache": (0, "Candidate: 2.2.1\n", "")}, False, ()),
        ({OURS: ""}, {"apt-cache": (0, "Candidate: 2.2.1\n", "")}, True, ()),
        ({}, {"dpkg-query_containerd_runc": CONFLICTING}, True, ("containerd", "runc")),
    ],
)
def test_dockers_repository_is_added_where_no_other_has_its_containerd(
    files: dict[str, str], answers: dict[str, tuple[int, str, str]], adds: bool, removed: tuple[str, ...]
) -> None:
    manager = PackageManager("apt-get", "dpkg-query", "apt-cache", **answers)
    installing = replace(WORKER, kubernetes_release="1.36.4", containerd_source="docker", packages=("socat",))
    packages = look_at_host(installing, Files({"/etc/os-release": DEBIAN, **files}), manager, Machine(), Web()).software.packages
    assert (packages.adds_repository, packages.wanted, packages.simulation.removed) == (adds, ("containerd.io", "socat"), removed)
    assert not packages.simulation.nothing_to_do


def test_an_installed_containerd_counts_and_not_the_one_that_apt_has() -> None:
    programs = Programs(
        **{"containerd": (0, "containerd github.com/containerd/containerd/v2 v2.3.4 x\n"), "apt-cache": (0, "Candidate: 1.6\n")}
    )
    installing = replace(WORKER, kubernetes_release="1.36.4", containerd_package="containerd")
    assert look_at_host(installing, Files({}), programs, Machine(), Web()).software.containerd == "2.3.4"


DOCKER_GOES = """\
NOTE: This is only a simulation!
      apt-get needs root privileges for real execution.
Reading package lists...
The following packages will be REMOVED:
  containerd.io docker-ce
The following NEW packages will be installed:
  containerd runc
0 upgraded, 2 newly installed, 2 to remove and 0 not upgraded.
Remv docker-ce [5:29.1.3-1~debian.12~bookworm]
Remv containerd.io [2.2.1-1~debian.12~bookworm] [docker-ce:amd64 ]
Purg libold:i386 [1.0-1]
Inst runc (1.1.5+ds1-1+deb12u1 localhost [amd64])
Conf runc (1.1.5+ds1-1+deb12u1 localhost [amd64])
"""
NOTHING = "0 upgraded, 0 newly installed, 0 to remove and 9 not upgraded.\n"
MISSING_FROM_APT = "E: Unable to locate package containerd.io\nE: Couldn't find any package by glob 'containerd.io'"


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "simulation"),
    [
        (0, DOCKER_GOES, "", Simulation(("docker-ce", "containerd.io", "libold:i386"))),
        (0, f"socat is already the newest version (1.7.4).\n{NOTHING}", "", Simulation(nothing_to_do=True)),
        (0, "", "", Simulation()),
        (0, f"socat set to manually installed.\n{NOTHING}", "", Simulation()),
        (0, f"Inst socat (1.7.4 Debian:12.5/stable [amd64])\n{NOTHING.replace('0 newly', '1 newly')}", "", Simulation()),
        (0, f"{NOTHING.replace('0 to remove', '1 downgraded, 0 to remove')}", "", Simulation()),
        # a killed run has unpacked it
        (0, f"{NOTHING}1 not fully installed or removed.\nConf socat (1.7.4 Debian:12.5/stable [amd64])\n", "", Simulation()),
        (100, "Reading package lists...\n", MISSING_FROM_APT, Simulation(missing=MISSING_FROM_APT.replace("\n", " "))),
        (100, "", "E: Version '9*' for 'containerd' was not found\n", Simulation(missing="E: Version '9*' for 'containerd' was not found")),
        (100, "", "W: x\nE: Unmet dependencies.\n", Simulation(problem="E: Unmet dependencies.")),
        (100, "Remv docker-ce [5:29]\n", "", Simulation(problem="it reports no reason")),
    ],
)
def test_what_apt_would_remove(status: int, stdout: str, stderr: str, simulation: Simulation) -> None:
    assert apt_simulation(status, stdout, stderr) == simulation


RUNC_GOES = """\
Last metadata expiration check: 0:01:02 ago on Sat.
Dependencies resolved.
================================================================================
 Package            Arch     Version              Repository               Size
================================================================================
Installing:
 containerd.io      x86_64   2.2.1-1.el9          docker-ce-stable         33 M
     replacing  runc.x86_64 4:1.2.5-2.el9
Installing dependencies:
 container-selinux  noarch   4:2.237.0-1.el9      appstream                60 k
Removing:
 a-package-with-a-very-long-name-that-takes-a-line-of-its-own
                    x86_64   1.0-1                @System                  10 k
Removing dependent packages:
 buildah            x86_64   2:1.39.4-1.el9       @appstream               30 M

Transaction Summary
================================================================================
Install  2 Packages
Remove   2 Packages

Total download size: 33 M
"""
LONG = "a-package-with-a-very-long-name-that-takes-a-line-of-its-own"


@pytest.mark.parametrize(
    ("status", "stdout", "stderr", "simulation"),
    [
        (1, RUNC_GOES, "Operation aborted.\n", Simulation(("runc.x86_64", LONG, "buildah"))),
        (0, "Package socat-1.7.4 is already installed.\nDependencies resolved.\nNothing to do.\nComplete!\n", "", Simulation()),
        (
            1,
            "No match for argument: containerd.io\n",
            "Error: Unable to find a match: containerd.io\n",
            Simulation(missing="Error: Unable to find a match: containerd.io"),
        ),
        (
            1,
            "",
            "Unable to detect release version\nFailed loading plugin x\nError: Unable to find a match: nftables\n",
            Simulation(missing="Error: Unable to find a match: nftables"),
        ),
        (1, "", "Error: Cache-only enabled but no cache for 'x'\n", Simulation(missing="Error: Cache-only enabled but no cache for 'x'")),
        (1, "", "Error: \n Problem: a conflicts with b\n", Simulation(problem="Error: Problem: a conflicts with b")),
    ],
)
def test_what_dnf_would_remove(status: int, stdout: str, stderr: str, simulation: Simulation) -> None:
    assert dnf_simulation(status, stdout, stderr) == simulation


@pytest.mark.parametrize(
    ("programs", "manager", "installed", "removed"),
    [
        ({"apt-get": (0, "Remv x [1]\n"), "dpkg-query": (0, "containerd.io: /usr/bin/containerd\n")}, "apt-get", "containerd.io", ("x",)),
        ({"apt-get": (0, ""), "dpkg-query": (1, "")}, "apt-get", "", ()),
        # apt and dpkg can be installed on RHEL, too
        (
            {
                "apt-get": (100, ""),
                "dnf": (1, "Removing:\n x  y\nOperation aborted.\n"),
                # to both of its questions
                "rpm": (0, "containerd.io: \npackage socat is not installed\n"),
            },
            "dnf",
            "containerd.io",
            ("x",),
        ),
        ({"dnf": (1, ""), "rpm": (0, "containerd.io: ")}, "dnf", "containerd.io", ()),
        ({}, "", "", ()),
    ],
)
def test_the_package_manager_of_the_distribution_is_asked(
    programs: dict[str, tuple[int, str]], manager: str, installed: str, removed: tuple[str, ...]
) -> None:
    files = Files({"/etc/os-release": ROCKY if manager == "dnf" else DEBIAN, "/usr/bin/containerd": ""})
    installing = replace(WORKER, kubernetes_release="1.36.4")
    packages = look_at_host(installing, files, Programs(**programs), Machine(), Web()).software.packages
    assert (packages.manager, packages.installed_containerd, packages.simulation.removed) == (manager, installed, removed)


@pytest.mark.parametrize(("status", "said", "is_done"), [(0, "socat-1.7.4\n", True), (1, "error: cannot open Packages database\n", False)])
def test_rpm_knows_what_is_installed_only_if_it_can_read_its_database(status: int, said: str, is_done: bool) -> None:
    files = Files({"/etc/os-release": ROCKY})
    packages = look_at_host(
        replace(WORKER, kubernetes_release="1.36.4"), files, Programs(dnf=(1, ""), rpm=(status, said)), Machine(), Web()
    )
    assert packages.software.packages.simulation.nothing_to_do == is_done
