# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a node from its host, in an order that may be interrupted at any point."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._ctr import calls_to_remove, ctr
from .._host.commands import Commands
from .._host.files import HostFiles, Trees
from .._host.mark import MARKER, read_mark
from .._refusal import Refusal
from . import reset
from .join_steps import LOCK, Ways
from .reset import Remains, Route, ours_in, refuse_others, removal

# Find the remains of a cluster and remove them. All I/O is passed in.

FILTERS = ("iptables", "ip6tables")
KINDS = ("nft", "legacy")

# the CNI configuration's plugin removes a pod's network; Calico's would ask an API server that no longer exists
NO_PLUGIN = {"cniVersion": "0.3.1", "name": "k8s-pod-network", "plugins": [{"type": "loopback"}]}
KUBEADM_SECONDS = 300.0

Replace = Callable[[Mapping[str, Optional[str]]], None]


@dataclass(frozen=True)
class Host:
    """I/O of the host."""

    commands: Commands
    files: HostFiles
    trees: Trees
    replace: Replace


@dataclass(frozen=True)
class Wish:
    """What to remove. networks: the pod networks. force: also a cluster that this collection did not create."""

    cluster: str
    host: str
    cri_socket: str
    networks: Sequence[str]
    force: bool


def look(host: Host, wish: Wish) -> Remains:
    """Read the remains on the host."""
    commands, files = host.commands, host.files
    mark = read_mark(files.read(MARKER))
    has_ip = commands.has("ip")
    return Remains(
        mark=mark.cluster if mark else None,
        evidence=_evidence(files),
        kubelet_is_active=_kubelet_is_active(commands),
        containers=_containers(commands, wish),
        mounts=reset.mounts_below(files.read("/proc/self/mountinfo") or "", reset.MOUNTS_BELOW),
        paths=tuple(_paths(host)),
        interfaces=reset.interfaces_of(files.entries("/sys/class/net")),
        tunnel_addresses=_tunnel(commands, wish) if has_ip else (),
        namespaces=tuple(name for name in files.entries(reset.NETWORK_NAMESPACES) if name.startswith("cni-")),
        routes=tuple(_routes(commands, wish)) if has_ip else (),
        chains={program: lines for program in _filters(commands) if (lines := ours_in(_saved(commands, program)))},
        tables=reset.tables_of(_output(commands, ["nft", "--json", "list", "tables"])),
        sets=tuple(name for name in _output(commands, ["ipset", "list", "-name"]).split() if reset.SETS.fullmatch(name)),
        units=_units(commands),
    )


def remove(host: Host, wish: Wish, remains: Remains) -> None:
    """Remove what was found, the marker file last. Items that are already gone are no error: the next read shows what is left."""
    commands = host.commands
    if remains.kubelet_is_active or remains.containers:
        commands.run(["systemctl", "stop", "kubelet"], timeout=120.0, check=False)
    if remains.containers and host.files.exists(reset.CNI_CONFIGURATION):
        host.replace({reset.CNI_CONFIGURATION: json.dumps(NO_PLUGIN)})
    _unmount(host)
    if commands.has("kubeadm") and (remains.containers or remains.evidence):
        argv = ["kubeadm", "reset", "--force", "--cri-socket", wish.cri_socket, "--ignore-preflight-errors=all"]
        commands.run(argv, timeout=KUBEADM_SECONDS, check=False)
    _remove_containers(commands, wish)
    _unmount(host)
    for unit in remains.units:
        commands.run(["systemctl", "stop", unit], check=False)
    _remove_network(host, wish)
    _remove_rules(commands)
    for path in _paths(host):
        (host.trees.remove_empty if path in reset.DIRECTORIES else host.trees.remove)(path)


def _evidence(files: HostFiles) -> tuple[str, ...]:
    found = [f"{reset.KUBERNETES}/{name}" for name in files.entries(reset.KUBERNETES) if reset.is_evidence(name)]
    found += [f"{reset.KUBERNETES}/manifests/{name}" for name in files.entries(f"{reset.KUBERNETES}/manifests")]
    return (*found, *(f"{reset.ETCD}/{name}" for name in files.entries(reset.ETCD)))


def _kubelet_is_active(commands: Commands) -> bool:
    shown = _output(commands, ["systemctl", "show", "kubelet", "--property=ActiveState", "--value"]).strip()
    return shown in ("active", "activating", "reloading")


def _containers(commands: Commands, wish: Wish) -> tuple[str, ...]:
    return tuple(sorted(_output(commands, ctr(_containerd(wish), "containers", "list", "--quiet")).split()))


def _containerd(wish: Wish) -> str:
    return wish.cri_socket[len("unix://") :]


def _remove_containers(commands: Commands, wish: Wish) -> None:
    """Remove containers that kubeadm left, or all without kubeadm. A restart makes containerd forget their pods."""
    left = _containers(commands, wish)
    for name in left:
        for argv in calls_to_remove(_containerd(wish), name):
            commands.run(argv, check=False)
    if left:
        commands.run(["systemctl", "restart", "containerd"], timeout=120.0, check=False)


def _unmount(host: Host) -> None:
    """Unmount lazily what is in use: it goes with its last user, and nothing below it can be removed by mistake."""
    for point in reset.mounts_below(host.files.read("/proc/self/mountinfo") or "", reset.MOUNTS_BELOW):
        if host.commands.run(["umount", point], check=False).status != 0:
            host.commands.run(["umount", "--lazy", point], check=False)


def _remove_network(host: Host, wish: Wish) -> None:
    commands = host.commands
    if not commands.has("ip"):
        return
    for name in host.files.entries(reset.NETWORK_NAMESPACES):
        if name.startswith("cni-"):
            commands.run(["ip", "netns", "delete", name], check=False)
    for name in reset.interfaces_of(host.files.entries("/sys/class/net")):
        commands.run(["ip", "link", "delete", name], check=False)
    for address in _tunnel(commands, wish):
        commands.run(["ip", "address", "delete", address, "dev", reset.TUNNEL], check=False)
        commands.run(["ip", "link", "set", reset.TUNNEL, "down"], check=False)
    for route in _routes(commands, wish):
        commands.run(["ip", f"-{route.family}", "route", "delete", *route.words], check=False)


def _remove_rules(commands: Commands) -> None:
    for program in _filters(commands):
        text = removal(_saved(commands, program))
        if text:
            commands.run([f"{program}-restore", "--noflush", "--wait", "20"], stdin=text)
    for family, name in reset.tables_of(_output(commands, ["nft", "--json", "list", "tables"])):
        commands.run(["nft", "delete", "table", family, name], check=False)
    for name in _output(commands, ["ipset", "list", "-name"]).split():
        if reset.SETS.fullmatch(name):
            commands.run(["ipset", "destroy", name], check=False)


def _filters(commands: Commands) -> list[str]:
    """Return programs with their own rules and -save and -restore commands. If nft and legacy exist, the plain name is one of them."""
    found = []
    for program in FILTERS:
        kinds = [f"{program}-{kind}" for kind in KINDS if commands.has(f"{program}-{kind}-save")]
        found += kinds or [program]
    return found


def _saved(commands: Commands, program: str) -> str:
    return _output(commands, [f"{program}-save"])


def _routes(commands: Commands, wish: Wish) -> list[Route]:
    return [
        route
        for family in (4, 6)
        for route in reset.routes_of(
            _output(commands, ["ip", "-json", f"-{family}", "route", "show", "table", "all"]), family, wish.networks
        )
    ]


def _tunnel(commands: Commands, wish: Wish) -> tuple[str, ...]:
    return reset.addresses_of_tunnel(_output(commands, ["ip", "-json", "address", "show", "dev", reset.TUNNEL]), wish.networks)


def _units(commands: Commands) -> tuple[str, ...]:
    listed = _output(commands, ["systemctl", "list-units", "--plain", "--no-legend", "--full", "kubepods*.slice"])
    names = (line.split()[0] for line in listed.splitlines() if line.split())
    return tuple(sorted((name for name in names if reset.UNITS.fullmatch(name)), key=len, reverse=True))


def _paths(host: Host) -> list[str]:
    """Return the paths to remove, the marker's directory last.

    A directory that has to stay, such as a mount point, counts until it is empty.
    """
    files = host.files
    found = [
        f"{directory}/{name}" for directory, starts in reset.CACHES.items() for name in files.entries(directory) if name.startswith(starts)
    ]
    found += _plugins(host)
    points = _mount_points(files)
    for path in reset.PATHS:
        stays = path in points or files.target(path) is not None
        if files.entries(path) if stays else files.exists(path):
            found.append(path)
    return sorted([*found, *_empty_without(host, found, points)], key=lambda path: path == reset.KUBERNETES)


def _empty_without(host: Host, gone: Sequence[str], points: frozenset[str]) -> list[str]:
    """Return directories that are empty after the removal, except those that a package owns."""
    empty: list[str] = []
    for directory in reset.DIRECTORIES:
        leads_elsewhere = directory in points or host.files.target(directory) is not None
        if host.files.exists(directory) and not leads_elsewhere:
            names = host.files.entries(directory)
            if all(f"{directory}/{name}" in (*gone, *empty) for name in names) and not _is_packaged(host, directory):
                empty.append(directory)
    return empty


def _mount_points(files: HostFiles) -> frozenset[str]:
    lines = (files.read("/proc/self/mountinfo") or "").splitlines()
    return frozenset(line.split()[4] for line in lines if len(line.split()) > 4)


def _plugins(host: Host) -> list[str]:
    """Return Calico's CNI plugins, except those that a package owns."""
    there = [f"{reset.PLUGINS}/{name}" for name in reset.INSTALLED_PLUGINS if name in host.files.entries(reset.PLUGINS)]
    if f"{reset.PLUGINS}/calico" not in there:
        return []
    return [path for path in there if not _is_packaged(host, path)]


def _is_packaged(host: Host, path: str) -> bool:
    asked = ["dpkg-query", "--search", path] if host.commands.has("dpkg-query") else ["rpm", "--query", "--file", path]
    return host.commands.has(asked[0]) and host.commands.run(asked, check=False).status == 0


def _output(commands: Commands, argv: Sequence[str]) -> str:
    """Return a program's output; empty if the host does not have it or it fails."""
    if not commands.has(argv[0]):
        return ""
    done = commands.run(argv, timeout=60.0, check=False)
    return done.stdout if done.status == 0 else ""


# The reset: read, plan, apply, verify

LOCK_SECONDS = 600.0


def read_wish(options: Mapping[str, Any]) -> Wish:
    """Validate the options of kubeadm_reset."""
    for index, network in enumerate(options["pod_networks"]):
        try:
            ipaddress.ip_network(network)
        except ValueError:
            raise Refusal(f"pod_networks[{index}]", repr(network), "a network", "Pass `pod_cidr` of the network plan.") from None
    if not options["cri_socket"].startswith("unix:///"):
        raise Refusal("cri_socket", repr(options["cri_socket"]), "unix:// and a path", "Pass unix:///run/containerd/containerd.sock.")
    return Wish(options["cluster_name"], options["name"], options["cri_socket"], options["pod_networks"], options["force"])


def ensure_removed(host: Host, wish: Wish, ways: Ways, predict: bool) -> tuple[Remains, Remains]:
    """Return what was there, and what is left."""
    if predict:
        found = look(host, wish)
        refuse_others(found, wish.cluster, wish.host, wish.force)
        return found, Remains()
    with ways.alone(LOCK, LOCK_SECONDS):
        found = look(host, wish)
        refuse_others(found, wish.cluster, wish.host, wish.force)
        if found.lines():
            ways.detached(lambda: remove(host, wish, found))
        return found, look(host, wish)


def result(found: Remains, left: Remains) -> dict[str, Any]:
    """Return the module's result."""
    gone = [line for line in found.lines() if line not in left.lines()]
    return {
        "changed": bool(gone),
        "removed": gone,
        "leftovers": left.lines(),
        "diff": {"before": "".join(f"{line}\n" for line in found.lines()), "after": "".join(f"{line}\n" for line in left.lines())},
    }


def refuse_leftovers(left: Remains, wish: Wish) -> None:
    if left.lines():
        raise Refusal(
            f"host {wish.host}",
            f"{len(left.lines())} left over: {'; '.join(left.lines())}",
            "nothing left of the cluster",
            "Find out what still uses it, then run again.",
        )
