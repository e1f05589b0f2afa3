# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Kubernetes requires of a host's kernel, clock and size.

Facts: kubeadm 1.36 refuses a control plane with fewer than 2 CPUs or 1700 MB (``ControlPlaneNumCPU`` and ``ControlPlaneMem`` in
``cmd/kubeadm/app/constants``) and lists the cgroup controllers that it requires in ``k8s.io/system-validators``; kubelet refuses to start
with swap on (``failSwapOn``) and, since 1.35, on cgroup v1 (``failCgroupV1``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.release import minor_of
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostState, ModuleState

CONTROL_PLANE_CPUS = 2
CONTROL_PLANE_MEMORY = 1700
KUBELET_REFUSES_CGROUP_V1 = (1, 35)
CONTROLLERS: Mapping[int, frozenset[str]] = {
    1: frozenset({"cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids"}),
    # devices and freezer are no controllers of version 2: every group has them
    2: frozenset({"cpu", "cpuset", "memory", "pids"}),
}


def swap_is_off(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    for swap in state.swaps:
        yield Finding(
            "swap_is_off",
            # a kubelet that serves has been told to run with it
            "warning" if state.kubelet_is_live else "error",
            f"swap on {swap}",
            "in use",
            "no swap: kubelet refuses to start with it",
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
            # a kubelet that serves has been told to run on it
            "error" if refused and not state.kubelet_is_live else "warning",
            "cgroup version",
            "1",
            "2: kubelet 1.35 and later refuse to start on version 1",
            "Boot with `systemd.unified_cgroup_hierarchy=1`, or set failCgroupV1 to false in kubelet's configuration and accept this rule.",
        )


def clock_is_synchronised(state: HostState, _expected: Expectations) -> Iterator[Finding]:
    if state.in_container:
        found, fix = "unknown: a container has the clock of the machine under it", "See that the machine under it synchronises its clock."
    elif state.clock_is_synchronised is None:
        found, fix = "unknown: the kernel does not say", "Install and start chrony or systemd-timesyncd."
    elif not state.clock_is_synchronised:
        found, fix = (
            "not synchronised",
            "Install and start chrony or systemd-timesyncd; a moment after its start the clock is synchronised.",
        )
    else:
        return
    yield Finding("clock_is_synchronised", "warning", "clock", found, "synchronised: certificates and etcd's leases are judged by it", fix)


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
            f"at most {expected.clock_drift:g} s apart, or certificates are not valid yet or no longer",
            "Synchronise both clocks with the same time servers.",
        )


def kernel_modules_can_be_loaded(state: HostState, expected: Expectations) -> Iterator[Finding]:
    yield from _unloadable("kernel_modules_can_be_loaded", expected.modules, state.modules, "Kubernetes")


def encapsulation_modules_can_be_loaded(state: HostState, expected: Expectations) -> Iterator[Finding]:
    yield from _unloadable("encapsulation_modules_can_be_loaded", expected.encapsulation_modules, state.modules, "Calico's encapsulation")


def _unloadable(rule: str, names: Iterable[str], modules: Mapping[str, Optional[ModuleState]], purpose: str) -> Iterator[Finding]:
    for name in names:
        standing = modules.get(name)
        if standing in (None, "absent"):
            yield Finding(
                rule,
                "warning" if standing is None else "error",
                f"kernel module {name}",
                "unknown: this host has no modprobe" if standing is None else "neither built in nor loadable",
                f"to be there: {purpose} needs it",
                "Install kmod." if standing is None else f"Install the kernel's full set of modules, and see what `modprobe {name}` says.",
            )


def cpus_suffice(state: HostState, expected: Expectations) -> Iterator[Finding]:
    if expected.role == "control_plane" and state.cpus < CONTROL_PLANE_CPUS:
        yield Finding(
            "cpus_suffice",
            "error",
            "CPUs",
            str(state.cpus),
            f"at least {CONTROL_PLANE_CPUS}: kubeadm refuses a control plane with fewer",
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
        + (": kubeadm refuses a control plane with less" if control_plane else ", or little room is left for pods"),
        "Give the host more memory.",
    )
