# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of a host for the preflight check, and send echo requests (ICMP, RFC 792) to other hosts."""

from __future__ import annotations

import ctypes
import os
import select
import socket
import struct
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Optional, Protocol, Union

from .._host.commands import Commands
from .._host.files import HostFiles
from .._host.web import Answer, WebClient
from .._notation import in_url
from .._refusal import Refusal
from .._timing import ask_all
from .._x509 import KUBELET_PKI, first_certificate, not_after
from . import parse
from .existing import CLUSTER_FILES, OUR_MARK, docker_pools, largest_packet, look_at_networks, neighbours, watched_ports
from .model import (
    WATCHED_DIRECTORIES,
    CniConfiguration,
    Disk,
    Expectations,
    HostState,
    Identity,
    Images,
    Listener,
    Member,
    ModuleState,
    Software,
)
from .parse import look_at_packages, package_of
from .software import CONTAINERD_CONFIGURATION, family, foreign_rules, look_at_images, shared_tables

CLOCK_IS_WRONG = 5
CNI_DIRECTORY = "/etc/cni/net.d"
CNI_SUFFIXES = (".conf", ".conflist", ".json")
KERNEL = "/proc/sys/kernel/osrelease"
KUBELET, KUBEADM = "/usr/bin/kubelet", "/usr/bin/kubeadm"
API_PORT = 6443
PKI = "/etc/kubernetes/pki"
FORWARDING = {4: "/proc/sys/net/ipv4/ip_forward", 6: "/proc/sys/net/ipv6/conf/all/forwarding"}


# seconds for the answers of all registries and mirrors
REGISTRY_SECONDS, REGISTRIES_AT_ONCE = 15.0, 8


def _ask_at_once(web: WebClient, urls: Sequence[str]) -> list[Optional[Union[Answer, Refusal]]]:
    return ask_all(urls, web.get, REGISTRY_SECONDS, REGISTRIES_AT_ONCE)


class Machine(Protocol):
    """Kernel information; tests pass plain values."""

    def processor(self) -> str:
        """The kernel's name of the processor architecture."""

    def hostname(self) -> str:
        """The kernel's hostname."""

    def cpus(self) -> int:
        """CPUs that this process may use."""

    def disk(self, path: str) -> Optional[Disk]:
        """The file system of a directory, or of its nearest existing parent."""

    def clock(self) -> float:
        """Unix time in seconds."""

    def clock_is_synchronised(self) -> Optional[bool]:
        """Whether the kernel's clock is synchronised; None: unknown."""


class Echoing(Protocol):
    """Sends packets to other hosts; tests pass plain values."""

    def paths(self, addresses: Sequence[str], size: int) -> Mapping[str, bool]:
        """Whether a packet of this size reaches each host that answers a small one."""


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
        # adjtimex(2) without changes: it works for chrony, ntpd and systemd-timesyncd
        timex = (ctypes.c_long * 64)()
        try:
            answer = int(ctypes.CDLL(None).adjtimex(ctypes.byref(timex)))
        except (OSError, AttributeError):
            return None
        return None if answer < 0 else answer != CLOCK_IS_WRONG


def look_at_host(
    expected: Expectations,
    files: HostFiles,
    commands: Commands,
    machine: Machine,
    web: Optional[WebClient] = None,
    *,
    echoes: Optional[Echoing] = None,
) -> HostState:
    """Read the state of the host for ``expected``. Runs at most one command per kernel module and program."""
    ports = set(watched_ports(expected.role, monitoring=expected.monitoring))
    shown = commands.run(["ip", "-json", "address", "show"], timeout=10.0, check=False).stdout if commands.has("ip") else None
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
        addresses=None if shown is None else parse.addresses(shown),
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
        modules=_module_states((*expected.modules, *expected.encapsulation_modules, *expected.netfilter_modules), files, commands),
        kernel=_line(files, KERNEL) or "",
        rp_filter=_number(_line(files, "/proc/sys/net/ipv4/conf/all/rp_filter")),
        selinux=_selinux(files),
        foreign_tables=_foreign_tables(commands) if "nft_compat" in expected.netfilter_modules else {},
        cpus=machine.cpus(),
        memory=parse.memory_mib(files.read("/proc/meminfo") or ""),
        disks=tuple(disk for directory in WATCHED_DIRECTORIES if (disk := machine.disk(directory))),
        networks=look_at_networks(commands) if expected.networks else None,
        docker_pools=docker_pools(files, commands) if expected.networks else (),
        member=_member(expected, files, shown or "", echoes),
        images=look_at_images(files, commands, partial(_ask_at_once, web), expected.containerd_socket, CONTAINERD_CONFIGURATION)
        if web and expected.containerd_socket
        else Images(),
        software=_software(expected, files, commands, machine, web),
    )


def _software(expected: Expectations, files: HostFiles, commands: Commands, machine: Machine, web: Optional[WebClient]) -> Software:
    distribution = parse.distribution(files.read("/etc/os-release") or files.read("/usr/lib/os-release") or "")
    if not expected.kubernetes_release:
        return Software(distribution, machine.processor())
    said = {"kubeadm": _said(commands, "kubeadm", "version", "--output", "short"), "kubelet": _said(commands, "kubelet", "--version")}
    is_rhel = distribution is not None and family(distribution) == "rhel"
    packages = look_at_packages(expected, is_rhel, files, commands)
    answers = {address: web.get(f"https://{in_url(address)}:{API_PORT}/version") for address in expected.api_servers} if web else {}
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
    """Return a program's output; empty if it is missing or fails."""
    if not commands.has(argv[0]):
        return ""
    try:
        completed = commands.run(argv, timeout=20.0, check=False)
    except OSError:  # the file is not a program
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


def _line(files: HostFiles, path: str) -> Optional[str]:
    return (files.read(path) or "").strip() or None


def _number(text: Optional[str]) -> Optional[int]:
    return int(text) if text is not None and text.isdigit() else None


def _foreign_tables(commands: Commands) -> dict[str, str]:
    if not commands.has("nft"):
        return {}
    tables = shared_tables(commands.run(["nft", "--json", "list", "tables"], timeout=10.0, check=False).stdout)
    # not the whole ruleset: other tables may have thousands of rules
    listed = [commands.run(["nft", "--json", "list", "table", *table], timeout=30.0, check=False).stdout for table in tables]
    return {name: reason for text in listed for name, reason in foreign_rules(text).items()}


def _selinux(files: HostFiles) -> str:
    if not files.exists("/sys/fs/selinux/enforce"):
        return "disabled"
    return {"0": "permissive", "1": "enforcing"}.get(_line(files, "/sys/fs/selinux/enforce") or "", "")


def _processes(files: HostFiles) -> list[str]:
    return sorted((name for name in files.entries("/proc") if name.isdigit()), key=int)


def _listeners(files: HostFiles, ports: set[int]) -> tuple[Listener, ...]:
    bound: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        bound.update({inode: port for port, inode in parse.listening_sockets(files.read(table) or "") if port in ports})
    if not bound:
        return ()
    holders: dict[str, tuple[str, int, bool]] = {}
    for pid in _processes(files):
        for descriptor in files.entries(f"/proc/{pid}/fd"):
            target = files.target(f"/proc/{pid}/fd/{descriptor}") or ""
            inode = target[len("socket:[") : -1] if target.startswith("socket:[") else ""
            # forked servers share a socket: report the first process, the parent
            if inode in bound and inode not in holders:
                in_pod = "kubepods" in (files.read(f"/proc/{pid}/cgroup") or "")
                holders[inode] = (_line(files, f"/proc/{pid}/comm") or "", int(pid), in_pod)
    # one entry for a server that listens on IPv4 and IPv6
    return tuple(
        sorted({Listener(port, *holders.get(inode, ("", 0, False))) for inode, port in bound.items()}, key=lambda it: (it.port, it.pid))
    )


def _member(expected: Expectations, files: HostFiles, shown: str, echoes: Optional[Echoing]) -> Member:
    ends = dict(_certificates(files)) if expected.certificate_days else {}
    external = frozenset(path for path in ends if files.exists(f"{PKI}/apiserver.crt") and not files.exists(_key_of_its_ca(path)))
    if not expected.hosts:
        return Member(certificates=ends, external=external)
    interfaces, links = parse.links(shown)
    forwards = {version: value == "1" for version, path in FORWARDING.items() if (value := _line(files, path)) is not None}
    hosts_file = tuple(parse.hosts_file(files.read("/etc/hosts") or ""))
    size = largest_packet(expected, interfaces, links)
    paths = echoes.paths(neighbours(expected), size) if echoes and size else {}
    return Member(hosts_file, interfaces, links, forwards, ends, size, paths, external)


def _key_of_its_ca(path: str) -> str:
    """https://kubernetes.io/docs/setup/best-practices/certificates/#all-certificates"""
    if path.startswith(f"{PKI}/etcd/") or path.endswith("/apiserver-etcd-client.crt"):
        return f"{PKI}/etcd/ca.key"
    return f"{PKI}/front-proxy-ca.key" if path.endswith("/front-proxy-client.crt") else f"{PKI}/ca.key"


def _certificates(files: HostFiles) -> Iterator[tuple[str, Optional[datetime]]]:
    """Yield when each certificate of the host expires; None if it cannot be read. cluster_health_check reads the API server's."""
    paths = [f"{KUBELET_PKI}/kubelet-{name}-current.pem" for name in ("client", "server")]
    paths += [f"{PKI}/{name}" for name in files.entries(PKI) if name.endswith(".crt") and name != "apiserver.crt"]
    paths += [f"{PKI}/etcd/{name}" for name in files.entries(f"{PKI}/etcd") if name.endswith(".crt")]
    paths += [f"/etc/kubernetes/{name}" for name in files.entries("/etc/kubernetes") if name.endswith(".conf")]
    for path in paths:
        text = files.read(path)
        if text is None and not files.exists(path):
            continue
        try:
            der = first_certificate(text or "")
            end = not_after(der) if der else None
        except ValueError:
            der, end = b"", None
        # kubelet's kubeconfig names a file of the list
        if der is not None or not path.endswith(".conf"):
            yield path, end


def _cni_configurations(files: HostFiles) -> tuple[CniConfiguration, ...]:
    return tuple(
        parse.cni_configuration(file, files.read(f"{CNI_DIRECTORY}/{file}") or "")
        for file in files.entries(CNI_DIRECTORY)
        if file.endswith(CNI_SUFFIXES)
    )


def _module_states(names: Iterable[str], files: HostFiles, commands: Commands) -> dict[str, Optional[ModuleState]]:
    release = _line(files, KERNEL) or ""
    there = parse.loaded_modules(files.read("/proc/modules") or "") | parse.builtin_modules(
        files.read(f"/lib/modules/{release}/modules.builtin") or ""
    )
    found: dict[str, Optional[ModuleState]] = {name: "present" if name.replace("-", "_") in there else None for name in names}
    others = [name for name, standing in found.items() if standing is None]
    if others and commands.has("modprobe"):
        all_there = _is_loadable(others, commands)
        found.update({name: "loadable" if all_there or _is_loadable([name], commands) else "absent" for name in others})
    return found


def _is_loadable(names: list[str], commands: Commands) -> bool:
    argv = ["modprobe", "--dry-run", "--quiet", "--all", *names]
    return commands.run(argv, timeout=10.0, check=False).status == 0


SECONDS, ATTEMPTS = 1.0, 3
SMALL = 64
_HEADERS = 28  # of IPv4 and ICMP
_DISCOVER, _DO = 10, 2  # IP_MTU_DISCOVER and IP_PMTUDISC_DO of <linux/in.h>: never fragment
_REQUEST, _REPLY = 8, 0


class Echoes:
    """Sends from this host. Only root may open the socket."""

    def paths(self, addresses: Sequence[str], size: int) -> Mapping[str, bool]:
        """Return whether a packet of this size, headers included, reaches each host that answers a small one. IPv4 only."""
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
                raw.setsockopt(socket.IPPROTO_IP, _DISCOVER, _DO)
                near = _answering(raw, addresses, SMALL)
                far: set[str] = set()
                # one lost packet is not a path that is too small
                for _attempt in range(ATTEMPTS):
                    far |= _answering(raw, sorted(near - far), size)
        except OSError:
            return {}
        return {address: address in far for address in addresses if address in near}


def _answering(raw: socket.socket, addresses: Sequence[str], size: int) -> set[str]:
    identity = int.from_bytes(os.urandom(2), "big")
    for sequence, address in enumerate(addresses):
        try:
            raw.sendto(_request(identity, sequence, size - _HEADERS), (address, 0))
        except OSError:
            continue
    found: set[str] = set()
    until = time.monotonic() + SECONDS
    # this socket also gets the packets that others send to this host
    while len(found) < len(addresses) and (left := until - time.monotonic()) > 0 and select.select([raw], [], [], left)[0]:
        packet, (sender, *_port) = raw.recvfrom(65535)
        if _identity(packet) == identity and len(packet) >= size:
            found.add(sender)
    return found


def _request(identity: int, sequence: int, length: int) -> bytes:
    body = bytes(length)
    unsummed = struct.pack("!BBHHH", _REQUEST, 0, 0, identity, sequence) + body
    words = sum(struct.unpack(f"!{len(unsummed) // 2}H", unsummed[: len(unsummed) // 2 * 2]))
    words = (words >> 16) + (words & 0xFFFF)
    checksum = ~(words + (words >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", _REQUEST, 0, checksum, identity, sequence) + body


def _identity(packet: bytes) -> Optional[int]:
    """Return the identity of an echo reply; None for any other packet."""
    start = (packet[0] & 0xF) * 4
    if len(packet) < start + 8 or packet[start] != _REPLY:
        return None
    identity: int = struct.unpack_from("!H", packet, start + 4)[0]
    return identity
