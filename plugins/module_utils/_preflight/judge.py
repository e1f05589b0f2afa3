# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All rules of the preflight check, and their findings for one host."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from .._findings import Finding, LookedAt, Severity, state_of
from .._versions import minor_of
from . import existing, parse, software
from .model import WATCHED_DIRECTORIES, Disk, Expectations, HostState

# Free space on the file systems that kubelet monitors
#
# kubelet 1.36 deletes unused images when ``imageGCHighThresholdPercent`` of the image file system is used, 85 by default
# (``pkg/kubelet/apis/config/v1beta1/defaults.go``). Below a threshold of ``evictionHard`` (``pkg/kubelet/eviction/defaults_linux.go``) it
# deletes all unused images, then evicts Pods, and the node accepts no new ones (DiskPressure). nodefs is the file system of
# /var/lib/kubelet, imagefs that of containerd's data.

MARGIN = 5
"""Percent of a file system: warn this much before a threshold, while there is time to free space."""
_IMAGE_GC = 85
_HARD = {"nodefs.available": "10%", "nodefs.inodesFree": "5%", "imagefs.available": "15%", "imagefs.inodesFree": "5%"}
_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(%|[kKMGT]?i?)")
_POWERS = {letter: power for power, letter in enumerate("KMGT", 1)}
_NEVER = 200.0  # percent


def disk_has_room(state: HostState, expected: Expectations) -> Iterator[Finding]:
    by_mount: dict[str, list[Disk]] = {}
    for disk in state.disks:
        by_mount.setdefault(disk.mount, []).append(disk)
    for mount, disks in by_mount.items():
        subject = f"file system {mount} with {' and '.join(disk.directory for disk in disks)}"
        limits = [_limits(disk, expected.kubelet_configuration) for disk in disks]
        for what, limit, used in (
            ("space", min(space for space, _inodes in limits), disks[0].used),
            ("inodes", min(inodes for _space, inodes in limits), disks[0].inodes_used),
        ):
            if used >= limit - MARGIN:
                yield Finding(
                    "disk_has_room",
                    "warning",
                    subject,
                    f"{used} % of its {what} used",
                    f"less than {limit - MARGIN:g} %: at {limit:g} % kubelet deletes unused images or evicts Pods",
                    f"Delete what is not needed (`du --one-file-system --max-depth 2 {mount} | sort --numeric-sort` shows what is large), "
                    "or enlarge the file system.",
                )
    for directory in WATCHED_DIRECTORIES:
        if directory not in [disk.directory for disk in state.disks]:
            fix = f"Run `df {directory}` on the host, and correct what it reports."
            yield Finding("disk_has_room", "unknown", f"file system of {directory}", "unreadable", "a file system that can be read", fix)


def _limits(disk: Disk, configuration: Mapping[str, Any]) -> tuple[float, float]:
    """Return the use of space and of inodes, in percent, at which kubelet acts; above 100 if never."""
    hard = configuration.get("evictionHard")
    if hard is None or configuration.get("mergeDefaultEvictionSettings"):
        hard = {**_HARD, **(hard or {})}
    signal = WATCHED_DIRECTORIES[disk.directory]
    space = _threshold(hard.get(f"{signal}.available"), disk.size)
    if signal == "imagefs":
        # 100 disables kubelet's image garbage collection
        collection = float(configuration.get("imageGCHighThresholdPercent", _IMAGE_GC))
        space = min(space, collection if collection < 100 else _NEVER)
    return space, _threshold(hard.get(f"{signal}.inodesFree"), disk.inodes)


def _threshold(minimum: object, total: int) -> float:
    """Return the use in percent at which less than ``minimum``, a percentage or a quantity, is left of ``total``."""
    match = _QUANTITY.fullmatch(str(minimum).strip())
    if not match or not total:
        return _NEVER
    number, unit = float(match[1]), match[2]
    if unit != "%":
        number *= (1024 if unit.endswith("i") else 1000) ** _POWERS.get(unit[:1].upper(), 0) * 100 / total
    # 0 % and 100 % disable a threshold
    return 100 - number if 0 < number < 100 else _NEVER


# Identity of a node: names and IDs that must be unique, addresses and routes
#
# Node names are DNS subdomains of RFC 1123 (``k8s.io/apimachinery/pkg/util/validation``); kubelet lowercases the hostname. kubeadm's
# installation guide requires a unique hostname, MAC address and product_uuid of every node.

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
MAXIMUM_NAME = 253
ONE_OF_ITS_OWN = "one of its own on every host"


def hostname_is_a_node_name(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    hostname = state.identity.hostname or ""
    labels = hostname.lower().split(".")
    valid = len(hostname) <= MAXIMUM_NAME and all(DNS_LABEL.fullmatch(label) for label in labels)
    if not valid or labels[0] == "localhost":
        yield Finding(
            "hostname_is_a_node_name",
            "error",
            "hostname",
            repr(hostname),
            "a DNS name of letters, digits and hyphens that is not localhost",
            "Set it with `hostnamectl set-hostname NAME`.",
        )


def hostname_is_the_inventory_name(state: HostState, expected: Expectations) -> Iterator[Finding]:
    hostname = state.identity.hostname or ""
    if expected.name not in (hostname.lower(), hostname.lower().split(".")[0]):
        yield Finding(
            "hostname_is_the_inventory_name",
            "warning",
            "hostname",
            repr(hostname),
            f"{expected.name}, its name in the inventory: the node will be called by its hostname",
            f"Set it with `hostnamectl set-hostname {expected.name}`, or rename the host in the inventory.",
        )


def hostname_is_unique(state: HostState, expected: Expectations) -> Iterator[Finding]:
    for found in _shared("hostname", state, expected):
        fix = "Set another one with `hostnamectl set-hostname NAME`: the second host that joins would replace the first."
        yield Finding("hostname_is_unique", "error", "hostname", found, ONE_OF_ITS_OWN, fix)


def machine_id_is_unique(state: HostState, expected: Expectations) -> Iterator[Finding]:
    for found in _shared("machine_id", state, expected):
        fix = "This host is a clone: run `rm /etc/machine-id && systemd-machine-id-setup`, then reboot it."
        yield Finding("machine_id_is_unique", "error", "machine id", found, ONE_OF_ITS_OWN, fix)


def product_uuid_is_unique(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if state.in_container:
        return  # it belongs to the machine and is the same in all its containers
    for found in _shared("product_uuid", state, expected):
        # some boards are shipped with the same UUID, and clusters of them work
        fix = "Give a virtual machine a UUID of its own; for a board, see its vendor's tool."
        yield Finding("product_uuid_is_unique", "warning", "product UUID", found, ONE_OF_ITS_OWN, fix)


def _shared(attribute: str, state: HostState, expected: Expectations) -> Iterator[str]:
    """Yield a shared value and the hosts that share it; nothing if it is unique or unknown."""
    own: Optional[str] = getattr(state.identity, attribute)
    if not own:
        return
    same = [peer.name for peer in expected.peers if peer.name != expected.name and (getattr(peer, attribute) or "").lower() == own.lower()]
    if same:
        yield f"{own}, as on {', '.join(same)}"


def address_is_on_the_host(state: HostState, expected: Expectations) -> Iterator[Finding]:
    required = "on an interface of this host, as in the plan"
    for address in expected.addresses:
        subject = f"address {address}"
        if state.addresses is None:
            yield Finding(
                "address_is_on_the_host",
                "unknown",
                subject,
                "no addresses from `ip -json`",
                required,
                "Install iproute2 (RHEL: iproute).",
            )
        elif address not in state.addresses:
            others = ", ".join(other for other in state.addresses if not ipaddress.ip_address(other).is_loopback) or "no address at all"
            yield Finding(
                "address_is_on_the_host",
                "error",
                subject,
                f"not on this host, which has {others}",
                required,
                "Correct the host's address in the inventory, or its network settings or DHCP lease.",
            )


def default_route_is_there(state: HostState, expected: Expectations) -> Iterator[Finding]:
    families = {ipaddress.ip_address(address).version for address in expected.addresses} or {4}
    for family in sorted(families - state.default_routes):
        yield Finding(
            "default_route_is_there",
            "error",
            f"default route (IPv{family})",
            "none",
            "a default route: without it the kernel rejects Service addresses before kube-proxy can translate them",
            "Set the host's gateway; on a network without one, `ip route add default dev INTERFACE` is enough.",
        )


# Requirements on kernel, clock and size of a host
#
# kubeadm 1.36 rejects a control plane with fewer than 2 CPUs or 1700 MB (``ControlPlaneNumCPU`` and ``ControlPlaneMem`` in
# ``cmd/kubeadm/app/constants``) and lists the required cgroup controllers in ``k8s.io/system-validators``. kubelet does not start with
# swap on (``failSwapOn``) and, since 1.35, on cgroup v1 (``failCgroupV1``).

CONTROL_PLANE_CPUS = 2
CONTROL_PLANE_MEMORY = 1700
KUBELET_REFUSES_CGROUP_V1 = (1, 35)
CONTROLLERS: Mapping[int, frozenset[str]] = {
    1: frozenset({"cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}),
    # devices and freezer are no controllers in version 2: every group has these functions
    2: frozenset({"cpu", "cpuset", "memory", "pids"}),
}


def swap_is_off(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    for swap in state.swaps:
        yield Finding(
            "swap_is_off",
            # a running kubelet is configured to accept swap
            "warning" if state.kubelet_is_live else "error",
            f"swap on {swap}",
            "in use",
            "no swap: kubelet does not start with it",
            "Run `swapoff -a` and remove it from /etc/fstab (zram: disable its unit), or set failSwapOn to false and accept this rule.",
        )


def cgroup_controllers_are_there(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.cgroup_version is None:
        yield Finding(
            "cgroup_controllers_are_there",
            "error",
            "/sys/fs/cgroup",
            "no cgroup tree is mounted",
            "cgroup version 2, or 1",
            "Boot the host with systemd's default cgroup settings.",
        )
        return
    missing = CONTROLLERS[state.cgroup_version] - state.controllers
    if missing:
        yield Finding(
            "cgroup_controllers_are_there",
            "error",
            f"cgroup version {state.cgroup_version}",
            f"without {', '.join(sorted(missing))}",
            f"the controllers {', '.join(sorted(CONTROLLERS[state.cgroup_version]))}",
            "Enable them on the kernel's command line (for memory: `cgroup_enable=memory`) and reboot.",
        )


def cgroup_version_is_2(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if state.cgroup_version == 1:
        wanted = minor_of(expected.kubernetes_release)
        refused = wanted is not None and wanted >= KUBELET_REFUSES_CGROUP_V1
        yield Finding(
            "cgroup_version_is_2",
            # a running kubelet is configured to accept version 1
            "error" if refused and not state.kubelet_is_live else "warning",
            "cgroup version",
            "1",
            "2: kubelet 1.35 and later do not start on version 1",
            "Boot with `systemd.unified_cgroup_hierarchy=1`, or set failCgroupV1 to false in kubelet's configuration and accept this rule.",
        )


def clock_is_synchronised(state: HostState, expected: Expectations) -> Iterator[Finding]:
    severity: Severity = "unknown"
    if state.in_container:
        # a container cannot read this from the kernel; the comparison with the controller shows whether its clock is right
        if expected.controller_clock is not None:
            return
        found, fix = "a container, which has the clock of its host", "Check that the container's host synchronises its clock."
    elif state.clock_is_synchronised is None:
        found, fix = "no report of the kernel", "Install and start chrony or systemd-timesyncd."
    elif not state.clock_is_synchronised:
        severity, found, fix = (
            "warning",
            "not synchronised",
            "Install and start chrony or systemd-timesyncd; it synchronises the clock soon after its start.",
        )
    else:
        return
    yield Finding("clock_is_synchronised", severity, "clock", found, "synchronised: certificates and etcd's leases depend on it", fix)


def clock_agrees_with_the_controller(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if expected.controller_clock is None:
        return
    drift = state.clock - expected.controller_clock
    if abs(drift) > expected.clock_drift:
        yield Finding(
            "clock_agrees_with_the_controller",
            "error",
            "clock",
            f"{abs(drift):.0f} s {'ahead of' if drift > 0 else 'behind'} the controller's",
            f"at most {expected.clock_drift:g} s apart, or certificates are not yet valid or have expired",
            "Synchronise both clocks with the same time servers.",
        )


def cpus_suffice(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if expected.role == "control_plane" and state.cpus < CONTROL_PLANE_CPUS:
        yield Finding(
            "cpus_suffice",
            "error",
            "CPUs",
            str(state.cpus),
            f"at least {CONTROL_PLANE_CPUS}: kubeadm rejects a control plane with fewer",
            "Give the host more CPUs, or choose another control plane.",
        )


def memory_suffices(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if state.memory is None or state.memory >= CONTROL_PLANE_MEMORY:
        return
    control_plane = expected.role == "control_plane"
    yield Finding(
        "memory_suffices",
        "error" if control_plane else "warning",
        "memory",
        f"{state.memory} MiB",
        f"at least {CONTROL_PLANE_MEMORY} MiB"
        + (": kubeadm rejects a control plane with less" if control_plane else ", or little room is left for pods"),
        "Give the host more memory.",
    )


# All rules, and the findings for one host

Rule = Callable[[HostState, Expectations], Iterator[Finding]]

RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        existing.kubelet_files_belong_to_a_running_kubelet,
        existing.certificates_belong_to_a_running_kubelet,
        existing.static_pods_belong_to_a_running_kubelet,
        existing.etcd_data_belongs_to_a_running_etcd,
        existing.interfaces_belong_to_no_other_cni,
        existing.cni_configuration_is_calicos,
        existing.ports_are_free,
        swap_is_off,
        cgroup_controllers_are_there,
        cgroup_version_is_2,
        clock_is_synchronised,
        clock_agrees_with_the_controller,
        software.kernel_modules_can_be_loaded,
        software.encapsulation_modules_can_be_loaded,
        software.netfilter_modules_can_be_loaded,
        software.tables_are_readable_by_iptables,
        software.packets_are_filtered_by_their_route,
        software.selinux_permits_the_cluster,
        cpus_suffice,
        memory_suffices,
        disk_has_room,
        hostname_is_a_node_name,
        hostname_is_the_inventory_name,
        hostname_is_unique,
        machine_id_is_unique,
        product_uuid_is_unique,
        address_is_on_the_host,
        default_route_is_there,
        existing.host_networks_are_apart_from_the_clusters,
        software.distribution_is_supported,
        software.architecture_is_supported,
        software.containerd_suits_the_kubelet,
        software.containerd_keeps_its_directories,
        software.installed_release_is_of_the_wanted_version,
        software.kubelet_suits_the_api_server,
        software.programs_are_no_packages,
        parse.packages_can_be_installed,
        parse.no_package_would_be_removed,
        existing.the_host_is_the_planned_one,
        existing.addresses_belong_to_one_host,
        existing.hosts_file_has_the_planned_addresses,
        existing.pods_packets_fit_the_interface,
        existing.large_packets_reach_other_hosts,
        existing.packets_are_forwarded,
        existing.certificates_stay_valid,
        software.images_can_be_had,
    )
}


@dataclass(frozen=True)
class Judgement:
    """findings: problems of the host. accepted: problems that the user accepts."""

    findings: list[Finding]
    accepted: list[Finding]

    def looked_at(self, host: str) -> list[LookedAt]:
        facts = f"{len(RULES)} rules checked" if self.findings else "no problems"
        return [LookedAt(f"host {host}: software and leftovers", facts, state_of(self.findings))]


def judge(state: HostState, expected: Expectations, accept: Collection[str] = ()) -> Judgement:
    """Run all rules in the order of RULES. accept: names of rules whose findings do not count."""
    # what the other rules advise would be done to the wrong host
    wrong_host = list(existing.the_host_is_the_planned_one(state, expected))
    every = wrong_host or [finding for rule in RULES.values() for finding in rule(state, expected)]
    return Judgement([finding for finding in every if finding.rule not in accept], [finding for finding in every if finding.rule in accept])
