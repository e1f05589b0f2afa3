# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one look at a host tells, and what is expected of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

Role = Literal["control_plane", "worker"]
ModuleState = Literal["present", "loadable", "absent"]


@dataclass(frozen=True)
class Listener:
    """A bound TCP port. process: its command name, at most 15 characters as the kernel keeps it; empty: not to be seen."""

    port: int
    process: str = ""
    pid: int = 0


@dataclass(frozen=True)
class CniConfiguration:
    """A file of /etc/cni/net.d. types: its plugins; empty: the file is not to be understood."""

    file: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """What must tell one node from every other one. None: the host does not say."""

    name: str
    hostname: Optional[str] = None
    machine_id: Optional[str] = None
    product_uuid: Optional[str] = None


@dataclass(frozen=True)
class Distribution:
    """What os-release says. name: for people. version: empty where it says none. like: the distributions that it was made from."""

    id: str
    version: str
    name: str
    like: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Simulation:
    """What the package manager would do. removed: packages that would go. command: what was simulated.

    missing: its message where its lists do not have a package. problem: its message where it refuses for another reason.
    """

    removed: tuple[str, ...] = ()
    missing: str = ""
    problem: str = ""
    command: str = ""


@dataclass(frozen=True)
class Packages:
    """What is installed as packages, and what is to be.

    manager: apt-get or dnf; empty: neither. installed_containerd: the package that /usr/bin/containerd is part of; empty: none.
    containerd: the package that is to be there. wanted: what the manager is asked to install, in its own words.
    """

    manager: str = ""
    installed_containerd: str = ""
    containerd: str = ""
    wanted: tuple[str, ...] = ()
    simulation: Simulation = Simulation()


@dataclass(frozen=True)
class Software:
    """What is installed. None, and a missing entry: not there, or unknown.

    machine: the kernel's word for the processor. containerd: its version, or that of the package that would be installed.
    releases: of kubeadm and kubelet. owners: program -> the package that it is part of.
    api_servers: address -> the release that serves there; empty: it answers, and does not tell.
    containerd_directories: root and state, as far as containerd's configuration sets them.
    """

    distribution: Optional[Distribution] = None
    machine: Optional[str] = None
    containerd: Optional[str] = None
    releases: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    api_servers: Mapping[str, str] = field(default_factory=dict)
    packages: Packages = Packages()
    containerd_directories: Mapping[str, str] = field(default_factory=dict)


WATCHED_DIRECTORIES: Mapping[str, str] = {"/var/lib/kubelet": "nodefs", "/var/lib/containerd": "imagefs"}
"""What kubelet watches the file systems of, and what it calls them."""


@dataclass(frozen=True)
class Disk:
    """The file system of a directory, mounted at ``mount``. size, available: bytes, as those who are not root see them. inodes: 0 where
    they are not counted."""

    directory: str
    mount: str
    size: int
    available: int
    inodes: int = 0
    free_inodes: int = 0

    @property
    def used(self) -> int:
        """Percent, rounded as kubelet does."""
        return 100 - self.available * 100 // self.size if self.size else 0

    @property
    def inodes_used(self) -> int:
        return 100 - self.free_inodes * 100 // self.inodes if self.inodes else 0


@dataclass(frozen=True)
class HostState:
    """One look at a host. None means unknown, never "fine".

    cluster_files: those of CLUSTER_FILES that exist. manifests, etcd_entries: file names in /etc/kubernetes/manifests and /var/lib/etcd.
    is_ours: this collection has made a node of the host, or has begun to. modules: kernel modules, each loaded or built in, loadable, or
    neither. controllers: cgroup controllers that are enabled. memory: MiB.
    disks: those of WATCHED_DIRECTORIES that could be read. clock: Unix time in seconds.
    """

    identity: Identity
    in_container: bool = False
    processes: frozenset[str] = frozenset()
    listeners: tuple[Listener, ...] = ()
    interfaces: tuple[str, ...] = ()
    addresses: Optional[tuple[str, ...]] = None
    default_routes: frozenset[int] = frozenset()
    is_ours: bool = False
    cluster_files: tuple[str, ...] = ()
    manifests: tuple[str, ...] = ()
    etcd_entries: tuple[str, ...] = ()
    cni_configurations: tuple[CniConfiguration, ...] = ()
    swaps: tuple[str, ...] = ()
    cgroup_version: Optional[int] = None
    controllers: frozenset[str] = frozenset()
    clock: float = 0.0
    clock_is_synchronised: Optional[bool] = None
    modules: Mapping[str, Optional[ModuleState]] = field(default_factory=dict)
    cpus: int = 0
    memory: Optional[int] = None
    disks: tuple[Disk, ...] = ()
    software: Software = field(default_factory=Software)

    @property
    def kubelet_is_live(self) -> bool:
        """Whether a kubelet serves here. One that systemd restarts every ten seconds is a process now and then, but binds no port."""
        return any(listener.process == "kubelet" for listener in self.listeners)

    @property
    def has_a_node(self) -> bool:
        """Whether kubeadm's files here belong to something. Those of ours are for the modules that made them to complete or repair."""
        return self.kubelet_is_live or self.is_ours

    def modules_to_load(self, wanted: Iterable[str]) -> list[str]:
        """Of the wanted kernel modules those that are to be had and not there yet."""
        return [name for name in wanted if self.modules.get(name) == "loadable"]


@dataclass(frozen=True)
class Expectations:
    """What this host is to become.

    name: its name in the inventory. addresses: those of the plan, canonical; empty: not judged.
    modules, encapsulation_modules: kernel modules that Kubernetes and that Calico's encapsulation need.
    peers: the other hosts of the cluster. controller_clock: Unix time of the controller; None: not compared. clock_drift: seconds.
    kubernetes_release: what is to be installed; empty: not judged. installation_kind, architecture: of its source.
    containerd_package: containerd's package; empty: the one that is installed, or else the distribution's. containerd_version: of that
    package; empty: any. packages: what is to be installed beside it. api_servers: addresses of the control plane.
    is_upgrade: what is installed, and what the API server is of, may be one minor version older.
    kubelet_configuration: fields of KubeletConfiguration, for its thresholds.
    """

    role: Role
    name: str
    addresses: tuple[str, ...] = ()
    modules: tuple[str, ...] = ("br_netfilter", "overlay")
    encapsulation_modules: tuple[str, ...] = ()
    peers: tuple[Identity, ...] = ()
    controller_clock: Optional[float] = None
    clock_drift: float = 30.0
    kubernetes_release: str = ""
    installation_kind: str = ""
    architecture: str = ""
    containerd_package: str = ""
    containerd_version: str = ""
    packages: tuple[str, ...] = ()
    api_servers: tuple[str, ...] = ()
    is_upgrade: bool = False
    kubelet_configuration: Mapping[str, Any] = field(default_factory=dict, hash=False)
