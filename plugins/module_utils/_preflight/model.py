# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The expected and the actual state of a host."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Optional

from .._network_plan.model import Network
from .._network_plan.ranges import extra_service_ranges
from .._network_plan.reading import read_cluster
from .._refusal import Refusal

# The state of a host, and what is expected of it

Role = Literal["control_plane", "worker"]
ModuleState = Literal["present", "loadable", "absent"]


@dataclass(frozen=True)
class Listener:
    """A TCP port in use. process: its command name, at most 15 characters (kernel limit); empty: unknown. in_pod: of a Pod's container."""

    port: int
    process: str = ""
    pid: int = 0
    in_pod: bool = False


@dataclass(frozen=True)
class CniConfiguration:
    """A file of /etc/cni/net.d. types: its plugins; empty: the file cannot be parsed."""

    file: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """Values that must be unique for each node. None: unknown."""

    name: str
    hostname: Optional[str] = None
    machine_id: Optional[str] = None
    product_uuid: Optional[str] = None


@dataclass(frozen=True)
class Distribution:
    """The distribution from os-release. name: for messages. version: may be empty. like: the distributions that it is based on."""

    id: str
    version: str
    name: str
    like: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Simulation:
    """The result of a simulated installation. removed: packages that it would remove. command: what was simulated.

    missing: the message if the package lists lack a package. problem: the message of any other error.
    nothing_to_do: all packages are installed, nothing would change. is_final: updated package lists lack it too.
    """

    removed: tuple[str, ...] = ()
    missing: str = ""
    problem: str = ""
    command: str = ""
    nothing_to_do: bool = False
    is_final: bool = False


@dataclass(frozen=True)
class Packages:
    """Installed and wanted packages.

    manager: apt-get or dnf; empty: neither. installed_containerd: the package that owns /usr/bin/containerd; empty: none.
    containerd: the wanted package. wanted: packages to install, in the manager's notation.
    adds_repository: Docker's repository is to be added, or was added by us.
    """

    manager: str = ""
    installed_containerd: str = ""
    containerd: str = ""
    wanted: tuple[str, ...] = ()
    simulation: Simulation = Simulation()
    adds_repository: bool = False


@dataclass(frozen=True)
class Software:
    """Installed software. None, or a missing entry: not installed, or unknown.

    machine: the kernel's name of the processor architecture. containerd: its version, or that of the package to install.
    releases: of kubeadm and kubelet. owners: program -> the package that owns it.
    api_servers: address -> its release; empty: it answers without a release.
    containerd_directories: root and state, if containerd's configuration sets them.
    """

    distribution: Optional[Distribution] = None
    machine: Optional[str] = None
    containerd: Optional[str] = None
    releases: Mapping[str, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    api_servers: Mapping[str, str] = field(default_factory=dict)
    packages: Packages = Packages()
    containerd_directories: Mapping[str, str] = field(default_factory=dict)


NETWORK_MANAGERS: Mapping[str, str] = {"NetworkManager": "NetworkManager", "systemd-network": "systemd-networkd"}
"""Process names, truncated to the kernel's 15 characters, and the services."""
WATCHED_DIRECTORIES: Mapping[str, str] = {"/var/lib/kubelet": "nodefs", "/var/lib/containerd": "imagefs"}
"""Directories whose file systems kubelet monitors, and its names for them."""


@dataclass(frozen=True)
class Disk:
    """The file system of a directory, mounted at ``mount``.

    size, available: bytes, for users other than root. inodes: 0 if the file system does not count them.
    """

    directory: str
    mount: str
    size: int
    available: int
    inodes: int = 0
    free_inodes: int = 0

    @property
    def used(self) -> int:
        """Percent, rounded as in kubelet."""
        return 100 - self.available * 100 // self.size if self.size else 0

    @property
    def inodes_used(self) -> int:
        return 100 - self.free_inodes * 100 // self.inodes if self.inodes else 0


@dataclass(frozen=True)
class HostNetwork:
    """A network that the host has a route to. device: its interface; empty: a route without one."""

    network: Network
    device: str


@dataclass(frozen=True)
class Member:
    """What the host has as a member of a cluster.

    hosts_file: address and names of each line of /etc/hosts. interfaces: address -> its interface. links: interface -> its MTU.
    forwards: IP version -> whether the kernel forwards packets. certificates: path -> the end of validity; None: unreadable.
    external: certificates of a CA whose key is not on this control plane host.
    largest_packet: bytes that Pods make it send to another host; 0: unknown. paths: address of a host that answers small packets -> whether
    it answers those.
    """

    hosts_file: tuple[tuple[str, tuple[str, ...]], ...] = ()
    interfaces: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)
    forwards: Mapping[int, bool] = field(default_factory=dict)
    certificates: Mapping[str, Optional[datetime]] = field(default_factory=dict)
    largest_packet: int = 0
    paths: Mapping[str, bool] = field(default_factory=dict)
    external: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Images:
    """lost: names of images in use that are gone and that no registry brings. silent: registries that do not answer.

    proxy: of containerd, through which registries cannot be asked; empty without one.
    """

    lost: tuple[str, ...] = ()
    silent: tuple[str, ...] = ()
    proxy: str = ""


@dataclass(frozen=True)
class HostState:
    """The state of a host. None means unknown, never "fine".

    cluster_files: existing CLUSTER_FILES. manifests, etcd_entries: file names in /etc/kubernetes/manifests and /var/lib/etcd.
    is_ours: this collection made the host a node, or started to. modules: kernel modules: present (loaded or built in), loadable or
    absent. kernel: the release of the running kernel; empty: unknown.
    foreign_tables: tables of nftables that iptables shares and cannot read, with the reason.
    rp_filter: net.ipv4.conf.all.rp_filter. selinux: enforcing, permissive or disabled; empty: unknown.
    controllers: enabled cgroup controllers. memory: MiB.
    networks: the host's own, without the cluster's. docker_pools: from which Docker takes networks; (): no Docker.
    disks: readable WATCHED_DIRECTORIES. clock: Unix time in seconds.
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
    kernel: str = ""
    rp_filter: Optional[int] = None
    foreign_tables: Mapping[str, str] = field(default_factory=dict)
    selinux: str = ""
    cpus: int = 0
    memory: Optional[int] = None
    disks: tuple[Disk, ...] = ()
    networks: Optional[tuple[HostNetwork, ...]] = None
    docker_pools: tuple[Network, ...] = ()
    software: Software = field(default_factory=Software)
    member: Member = field(default_factory=Member)
    images: Images = Images()

    @property
    def kubelet_is_live(self) -> bool:
        """Whether kubelet is running. One that systemd restarts every ten seconds is sometimes a process, but has no port."""
        return any(listener.process == "kubelet" for listener in self.listeners)

    @property
    def network_managers(self) -> list[str]:
        """Return the running programs that manage network interfaces, and that must not manage Calico's."""
        return [name for process, name in NETWORK_MANAGERS.items() if process in self.processes]

    @property
    def has_a_node(self) -> bool:
        """Whether kubeadm's files here are in use. Our own are completed or repaired by the modules that created them."""
        return self.kubelet_is_live or self.is_ours


@dataclass(frozen=True)
class Expectations:
    """What is expected of the host.

    name: its name in the inventory. addresses: from the plan, canonical; empty: not checked.
    modules, encapsulation_modules, netfilter_modules: kernel modules for Kubernetes, for Calico's encapsulation, and for the rules of
    kube-proxy and Calico. installs_modules: whether a package with missing modules may be installed.
    peers: the other hosts of the cluster. controller_clock: Unix time of the controller; None: not compared. clock_drift: seconds.
    kubernetes_release: what to install; empty: not checked. installation_kind, architecture: of the source.
    containerd_package: containerd's package; empty: the installed one, or else the distribution's. containerd_version: of that package;
    empty: any. containerd_source: distribution or docker, for Docker's repository. packages: others to install.
    api_servers: addresses of the control plane. is_upgrade: installed programs and the API server may be one minor version older.
    kubelet_configuration: fields of KubeletConfiguration, for its thresholds. networks: of Pods and Services, by name; (): not checked.
    hosts: all hosts of the cluster and their addresses. certificate_days: how long certificates must stay valid; 0: not checked.
    containerd_socket: of the containerd whose images are checked; empty: not checked.
    monitoring: whether Pods with ports of the host, as node exporter's, will run on it.
    """

    role: Role
    name: str
    addresses: tuple[str, ...] = ()
    modules: tuple[str, ...] = ("br_netfilter", "overlay")
    encapsulation_modules: tuple[str, ...] = ()
    netfilter_modules: tuple[str, ...] = ()
    installs_modules: bool = False
    peers: tuple[Identity, ...] = ()
    controller_clock: Optional[float] = None
    clock_drift: float = 30.0
    kubernetes_release: str = ""
    installation_kind: str = ""
    architecture: str = ""
    containerd_package: str = ""
    containerd_version: str = ""
    containerd_source: str = "distribution"
    packages: tuple[str, ...] = ()
    api_servers: tuple[str, ...] = ()
    is_upgrade: bool = False
    kubelet_configuration: Mapping[str, Any] = field(default_factory=dict, hash=False)
    monitoring: bool = False
    networks: tuple[tuple[str, Network], ...] = ()
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    certificate_days: int = 0
    containerd_socket: str = ""


# Validation of the module's options

ENCAPSULATION_MODULES: Mapping[str, tuple[str, ...]] = {
    "IPIP": ("ipip",),
    "IPIPCrossSubnet": ("ipip",),
    "VXLAN": ("vxlan",),
    "VXLANCrossSubnet": ("vxlan",),
    "None": (),
}
PROXY_MODULES: Mapping[str, tuple[str, ...]] = {
    "iptables": (
        "nft_compat", "xt_comment", "xt_addrtype", "xt_mark", "xt_conntrack", "xt_nat", "xt_MASQUERADE", "xt_statistic", "xt_multiport",
    ),
    "nftables": ("nf_tables", "nft_ct", "nft_nat", "nft_masq", "nft_numgen", "nft_fib_ipv4", "nft_reject_ipv4"),
}  # fmt: skip
"""What the rules of each mode of kube-proxy use."""
CALICO_MODULES = (
    "nft_compat",
    "xt_comment",
    "xt_mark",
    "xt_conntrack",
    "xt_multiport",
    "xt_set",
    "ip_set",
    "ip_set_hash_net",
    "ipt_rpfilter",
)
"""What Calico's rules use, except with ``nftablesMode: Enabled``."""
# the setup module writes NA if the firmware has no value
UNKNOWN = frozenset({"", "NA", "None"})


def expectations(options: Mapping[str, Any]) -> Expectations:
    """Validate the options of node_preflight_check. Raises Refusal for an invalid address, an empty name or a negative drift."""
    if not options["name"].strip():
        raise Refusal("name", "an empty string", "the host's name in the inventory", "Pass `inventory_hostname`.")
    if options["max_clock_drift"] < 0:
        raise Refusal("max_clock_drift", f"{options['max_clock_drift']:g}", "0 or more seconds", "Pass 30, for example.")
    return Expectations(
        role=options["role"],
        name=options["name"],
        addresses=tuple(_address(index, text) for index, text in enumerate(options["addresses"])),
        modules=tuple(options["kernel_modules"]),
        encapsulation_modules=ENCAPSULATION_MODULES[options["encapsulation"]],
        netfilter_modules=_netfilter_modules(options["kube_proxy_mode"], options["calico_felix"]),
        installs_modules=options["install_kernel_modules"],
        peers=tuple(
            Identity(peer["name"], *(_known(peer[attribute]) for attribute in ("hostname", "machine_id", "product_uuid")))
            for peer in options["peers"]
        ),
        controller_clock=options["controller_time"],
        clock_drift=options["max_clock_drift"],
        kubernetes_release=options["kubernetes_release"],
        installation_kind=options["installation_kind"],
        architecture=options["architecture"],
        containerd_package=options["containerd_package"],
        containerd_version=options["containerd_version"],
        containerd_source=options["containerd_source"],
        packages=tuple(options["packages"]),
        api_servers=tuple(_address(index, text, "api_servers") for index, text in enumerate(options["api_servers"])),
        is_upgrade=options["upgrade"],
        monitoring=options["monitoring"],
        kubelet_configuration=options["kubelet_configuration"],
        networks=_networks(options["plan"]) if options["plan"] else (),
        hosts={
            host["name"]: tuple(_address(0, text, f"hosts[{index}].address") for text in _listed(host["address"]))
            for index, host in enumerate(options["hosts"])
        },
        certificate_days=options["certificate_days"],
        containerd_socket=options["containerd_socket"],
    )


def _netfilter_modules(kube_proxy_mode: str, felix: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the modules for the rules of kube-proxy and Calico. felix: fields of FelixConfiguration."""
    if not kube_proxy_mode:
        return ()
    calico = () if felix.get("nftablesMode") == "Enabled" else CALICO_MODULES
    return tuple(dict.fromkeys((*PROXY_MODULES[kube_proxy_mode], *calico)))


def _networks(plan: object) -> tuple[tuple[str, Network], ...]:
    """Return the names and networks of Pods and Services in the plan. What cannot be read is reported by the check of the plan."""
    known = read_cluster(plan)[0].plan
    named = (("pod_cidr", known.pod_cidr), ("service_cidr", known.service_cidr), ("dns_service_ip", extra_service_ranges(known)))
    return tuple((f"network_plan.{name}", network) for name, networks in named for network in networks or ())


def _address(index: int, text: str, option: str = "addresses") -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        fix = "Pass the host's address in the plan, without a prefix length."
        raise Refusal(f"{option}[{index}]", repr(text), "an IPv4 or IPv6 address", fix) from None


def _listed(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, (list, tuple)) else [str(value)]


def _known(text: Optional[str]) -> Optional[str]:
    return None if text is None or text in UNKNOWN else text
