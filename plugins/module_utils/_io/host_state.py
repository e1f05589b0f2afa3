# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks at a host once and tells what the preflight judges. What it reads from is passed in."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Iterable
from typing import Optional, Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import read_text
from ansible_collections.vmstation.cluster.plugins.module_utils._io.web_client import WebClient
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight import parse
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.leftovers import CLUSTER_FILES, OUR_MARK, watched_ports
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import (
    WATCHED_DIRECTORIES,
    CniConfiguration,
    Disk,
    Expectations,
    HostState,
    Identity,
    Listener,
    ModuleState,
    Software,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.package_manager import CONTAINERD, look_at_packages, package_of
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import CONTAINERD_CONFIGURATION, family

CLOCK_IS_WRONG = 5
CNI_DIRECTORY = "/etc/cni/net.d"
CNI_SUFFIXES = (".conf", ".conflist", ".json")
KUBELET, KUBEADM = "/usr/bin/kubelet", "/usr/bin/kubeadm"
API_PORT = 6443


class HostFiles(Protocol):
    """What the look is given of the host's files; tests pass a dictionary behind it."""

    def read(self, path: str) -> Optional[str]:
        """A file's text; None if it is not there or not to be read."""

    def entries(self, path: str) -> tuple[str, ...]:
        """A directory's names, sorted; empty if it is not there or not to be read."""

    def target(self, path: str) -> Optional[str]:
        """Where a symbolic link points to; None if it is none or gone."""

    def exists(self, path: str) -> bool:
        """Whether there is something of this name."""


class Machine(Protocol):
    """What the look asks the kernel for; tests pass plain values."""

    def processor(self) -> str:
        """The kernel's word for the processor's architecture."""

    def hostname(self) -> str:
        """The kernel's hostname."""

    def cpus(self) -> int:
        """CPUs that this process may use."""

    def disk(self, path: str) -> Optional[Disk]:
        """The file system of a directory, or of its nearest parent that exists."""

    def clock(self) -> float:
        """Unix time in seconds."""

    def clock_is_synchronised(self) -> Optional[bool]:
        """What the kernel knows of its clock; None: it does not say."""


class LocalFiles:
    """The files of this host."""

    def read(self, path: str) -> Optional[str]:
        try:
            return read_text(path)
        except OSError:  # a process ended meanwhile, or an attribute that the kernel does not give
            return None

    def entries(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(path)))
        except OSError:
            return ()

    def target(self, path: str) -> Optional[str]:
        try:
            return os.readlink(path)
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)


class LocalMachine:
    """The kernel of this host."""

    def processor(self) -> str:
        return os.uname().machine

    def hostname(self) -> str:
        return os.uname().nodename

    def cpus(self) -> int:
        return len(os.sched_getaffinity(0))

    def disk(self, path: str) -> Optional[Disk]:
        nearest = os.path.realpath(path)
        while not os.path.lexists(nearest):
            nearest = os.path.dirname(nearest)
        try:
            status = os.statvfs(nearest)
        except OSError:
            return None
        while not os.path.ismount(nearest):
            nearest = os.path.dirname(nearest)
        size = status.f_blocks * status.f_frsize
        return Disk(path, nearest, size, status.f_bavail * status.f_frsize, status.f_files, status.f_favail) if size else None

    def clock(self) -> float:
        return time.time()

    def clock_is_synchronised(self) -> Optional[bool]:
        # adjtimex(2) that sets nothing: true for chrony, ntpd and systemd-timesyncd alike
        timex = (ctypes.c_long * 64)()
        try:
            answer = int(ctypes.CDLL(None).adjtimex(ctypes.byref(timex)))
        except (OSError, AttributeError):
            return None
        return None if answer < 0 else answer != CLOCK_IS_WRONG


def look_at_host(
    expected: Expectations, files: HostFiles, commands: Commands, machine: Machine, web: Optional[WebClient] = None
) -> HostState:
    """One look, at what ``expected`` needs to be judged. Starts at most one command per kernel module, address and program."""
    ports = set(watched_ports(expected.role))
    controllers = files.read("/sys/fs/cgroup/cgroup.controllers")
    mounted = parse.mounted_controllers(files.read("/proc/self/mountinfo") or "")
    if controllers is not None:
        version, names = 2, frozenset(controllers.split())
    elif mounted:
        version, names = 1, mounted | parse.enabled_controllers(files.read("/proc/cgroups") or "")
    else:
        version, names = None, frozenset()
    routes = {
        4: parse.has_default_route_ipv4(files.read("/proc/net/route") or ""),
        6: parse.has_default_route_ipv6(files.read("/proc/net/ipv6_route") or ""),
    }
    return HostState(
        identity=Identity(
            expected.name,
            machine.hostname(),
            _line(files, "/etc/machine-id"),
            _line(files, "/sys/class/dmi/id/product_uuid"),
        ),
        in_container=files.exists("/run/systemd/container"),
        processes=frozenset(name for pid in _processes(files) if (name := _line(files, f"/proc/{pid}/comm"))),
        listeners=_listeners(files, ports),
        interfaces=files.entries("/sys/class/net"),
        addresses=_addresses(commands),
        default_routes=frozenset(family for family, there in routes.items() if there),
        is_ours=files.exists(OUR_MARK),
        cluster_files=tuple(path for path in CLUSTER_FILES if files.exists(path)),
        manifests=files.entries("/etc/kubernetes/manifests"),
        etcd_entries=files.entries("/var/lib/etcd"),
        cni_configurations=_cni_configurations(files),
        swaps=parse.swaps(files.read("/proc/swaps") or ""),
        cgroup_version=version,
        controllers=names,
        clock=machine.clock(),
        clock_is_synchronised=machine.clock_is_synchronised(),
        modules=_module_states((*expected.modules, *expected.encapsulation_modules), files, commands),
        cpus=machine.cpus(),
        memory=parse.memory_mib(files.read("/proc/meminfo") or ""),
        disks=tuple(disk for directory in WATCHED_DIRECTORIES if (disk := machine.disk(directory))),
        software=_software(expected, files, commands, machine, web),
    )


def _software(expected: Expectations, files: HostFiles, commands: Commands, machine: Machine, web: Optional[WebClient]) -> Software:
    distribution = parse.distribution(files.read("/etc/os-release") or files.read("/usr/lib/os-release") or "")
    if not expected.kubernetes_release:
        return Software(distribution, machine.processor())
    said = {"kubeadm": _said(commands, "kubeadm", "version", "--output", "short"), "kubelet": _said(commands, "kubelet", "--version")}
    is_rhel = distribution is not None and family(distribution) == "rhel"
    packages = look_at_packages(expected, is_rhel, files.exists(CONTAINERD), commands)
    answers = {address: web.get(f"https://{_in_url(address)}:{API_PORT}/version") for address in expected.api_servers} if web else {}
    return Software(
        distribution,
        machine.processor(),
        _containerd(packages.containerd, commands),
        {name: release for name, text in said.items() if (release := parse.version(text))},
        _owners(expected, files, commands),
        {address: str(answer.body.get("gitVersion", "")) for address, answer in answers.items() if answer.status},
        packages,
        parse.containerd_directories(files.read(CONTAINERD_CONFIGURATION) or ""),
    )


def _said(commands: Commands, *argv: str) -> str:
    """What a program says; nothing if there is none, or one that cannot be run."""
    if not commands.has(argv[0]):
        return ""
    try:
        completed = commands.run(argv, timeout=20.0, check=False)
    except OSError:  # overwritten with what is no program
        return ""
    return completed.stdout if completed.status == 0 else ""


def _containerd(package: str, commands: Commands) -> Optional[str]:
    if commands.has("containerd"):
        return parse.version(_said(commands, "containerd", "--version").partition(" ")[2])
    return parse.candidate(_said(commands, "apt-cache", "policy", package)) if package else None


def _owners(expected: Expectations, files: HostFiles, commands: Commands) -> dict[str, str]:
    if expected.installation_kind != "directory":
        return {}
    there = (path for path in (KUBEADM, KUBELET) if files.exists(path))
    return {path: package for path in there if (package := package_of(path, commands))}


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _line(files: HostFiles, path: str) -> Optional[str]:
    return (files.read(path) or "").strip() or None


def _processes(files: HostFiles) -> list[str]:
    return sorted((name for name in files.entries("/proc") if name.isdigit()), key=int)


def _listeners(files: HostFiles, ports: set[int]) -> tuple[Listener, ...]:
    bound: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        bound.update({inode: port for port, inode in parse.listening_sockets(files.read(table) or "") if port in ports})
    if not bound:
        return ()
    holders: dict[str, tuple[str, int]] = {}
    for pid in _processes(files):
        for descriptor in files.entries(f"/proc/{pid}/fd"):
            target = files.target(f"/proc/{pid}/fd/{descriptor}") or ""
            inode = target[len("socket:[") : -1] if target.startswith("socket:[") else ""
            # a forked server shares its socket: the first process, the parent, is the one to name
            if inode in bound and inode not in holders:
                holders[inode] = (_line(files, f"/proc/{pid}/comm") or "", int(pid))
    # one entry for a server that is bound to IPv4 and IPv6
    return tuple(sorted({Listener(port, *holders.get(inode, ("", 0))) for inode, port in bound.items()}, key=lambda it: (it.port, it.pid)))


def _addresses(commands: Commands) -> Optional[tuple[str, ...]]:
    if not commands.has("ip"):
        return None
    return parse.addresses(commands.run(["ip", "-json", "address", "show"], timeout=10.0, check=False).stdout)


def _cni_configurations(files: HostFiles) -> tuple[CniConfiguration, ...]:
    return tuple(
        parse.cni_configuration(file, files.read(f"{CNI_DIRECTORY}/{file}") or "")
        for file in files.entries(CNI_DIRECTORY)
        if file.endswith(CNI_SUFFIXES)
    )


def _module_states(names: Iterable[str], files: HostFiles, commands: Commands) -> dict[str, Optional[ModuleState]]:
    release = _line(files, "/proc/sys/kernel/osrelease") or ""
    there = parse.loaded_modules(files.read("/proc/modules") or "") | parse.builtin_modules(
        files.read(f"/lib/modules/{release}/modules.builtin") or ""
    )
    found: dict[str, Optional[ModuleState]] = {}
    for name in names:
        if name.replace("-", "_") in there:
            found[name] = "present"
        elif not commands.has("modprobe"):
            found[name] = None
        else:
            loadable = commands.run(["modprobe", "--dry-run", "--quiet", name], timeout=10.0, check=False).status == 0
            found[name] = "loadable" if loadable else "absent"
    return found
