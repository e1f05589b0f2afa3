# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove a node from its host, in an order that may be interrupted at any point."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .._ctr import calls_to_remove, ctr
from .._firewall.iptables_rules import words_of
from .._host.commands import Commands
from .._host.files import HostFiles, Trees
from .._host.mark import MARKER, read_mark
from .._json import read_json
from .._refusal import Refusal
from .join_steps import LOCK, Ways

# The remains of Kubernetes and Calico on a host, identified by the names that they use

# iptables chains of Kubernetes and Calico, and one transaction that removes only these
#
# kube-proxy and kubelet use the prefix KUBE-, Calico's Felix cali-; Felix marks its rules in other chains by a comment.

OURS = ("KUBE-", "cali-")
_FELIX = re.compile(r"cali:\S+")


def ours_in(saved: str) -> tuple[str, ...]:
    """Return a line for each such chain, and each such rule in another chain, in iptables-save output."""
    found = []
    for table, line in _lines(saved):
        if _is_chain(line):
            found.append(f"chain {_name(line)} of table {table}")
        elif _is_rule_elsewhere(line):
            found.append(f"rule `{line}` of table {table}")
    return tuple(found)


def removal(saved: str) -> str:
    """Return the input of iptables-restore --noflush that removes them; empty if there is nothing."""
    tables: dict[str, tuple[list[str], list[str]]] = {}
    for table, line in _lines(saved):
        rules, chains = tables.setdefault(table, ([], []))
        if _is_chain(line):
            chains.append(_name(line))
        elif _is_rule_elsewhere(line):
            rules.append(f"-D{line[len('-A') :]}")
    text = ""
    for table, (rules, chains) in tables.items():
        if rules or chains:
            lines = [*rules, *(f"-F {chain}" for chain in chains), *(f"-X {chain}" for chain in chains)]
            text += "\n".join([f"*{table}", *lines, "COMMIT", ""])
    return text


def _lines(saved: str) -> list[tuple[str, str]]:
    table, found = "", []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith((":", "-A ")):
            found.append((table, line))
    return found


def _is_chain(line: str) -> bool:
    return line.startswith(":") and _name(line).startswith(OURS)


def _name(line: str) -> str:
    return line[1:].split(" ", 1)[0]


def _is_rule_elsewhere(line: str) -> bool:
    if not line.startswith("-A "):
        return False
    words = words_of(line)
    if words[1].startswith(OURS):
        return False
    pairs = list(zip(words, words[1:]))
    jumps = any(option in ("-j", "-g") and target.startswith(OURS) for option, target in pairs)
    return jumps or any(option == "--comment" and _FELIX.fullmatch(text) for option, text in pairs)


# Remains of a cluster on a host: only what Kubernetes and Calico created, identified by name

Network = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]

KUBERNETES = "/etc/kubernetes"
KUBELET = "/var/lib/kubelet"
ETCD = "/var/lib/etcd"
CNI_CONFIGURATION = "/etc/cni/net.d/10-calico.conflist"
PLUGINS = "/opt/cni/bin"

PATHS = (
    KUBELET,
    ETCD,
    CNI_CONFIGURATION,
    "/etc/cni/net.d/calico-kubeconfig",
    "/var/lib/calico",
    "/run/calico",
    "/var/log/calico",
    "/var/log/pods",
    "/var/log/containers",
    "/var/log/kubernetes/audit",
    "/usr/libexec/kubernetes/kubelet-plugins",
    "/var/log/vmstation-kubeadm-init.log",
    "/var/log/vmstation-kubeadm-upgrade.log",
    "/run/vmstation-kubectl",
    # left by runs that were killed; each holds the cluster's keys
    "/var/lib/vmstation/backup",
    "/var/lib/vmstation/restore",
    "/var/lib/vmstation-images",
    KUBERNETES,  # last: it holds the marker file
)
"""What kubeadm, kubelet, etcd, Calico and our own modules write. Monitoring and applications store their data elsewhere."""

CACHES = {
    "/var/lib/cni/results": ("k8s-pod-network-", "cni-loopback-"),
    "/var/lib/cni/cache/results": ("k8s-pod-network-", "cni-loopback-"),
    "/var/lib/cni/networks": ("k8s-pod-network",),
}
"""Directories of libcni -> prefixes of the entries of our networks."""

DIRECTORIES = (
    PLUGINS,
    "/opt/cni",
    "/var/lib/cni/results",
    "/var/lib/cni/cache/results",
    "/var/lib/cni/cache",
    "/var/lib/cni/networks",
    "/var/lib/cni",
    "/var/log/kubernetes",
    "/usr/libexec/kubernetes",
    "/run/nodeagent",
    "/var/lib/vmstation",
)
"""Parent directories of what is removed; removed only if empty, deepest first.

/etc/cni/net.d stays: containerd watches that directory, and its CRI service fails without it.
"""

INSTALLED_PLUGINS = ("bandwidth", "calico", "calico-ipam", "flannel", "host-local", "install", "loopback", "portmap", "tuning")
"""What Calico's CNI container copies. Plugins from a package stay."""

MOUNTS_BELOW = (KUBELET, "/run/calico")
NETWORK_NAMESPACES = "/run/netns"

SETS = re.compile(r"(KUBE-.*|cali[46][0t].*)")
NFT_TABLES = frozenset({("ip", "kube-proxy"), ("ip6", "kube-proxy"), ("ip", "calico"), ("ip6", "calico")})
UNITS = re.compile(r"kubepods[^/\s]*\.slice")
TUNNEL = "tunl0"
_INTERFACES = re.compile(r"(cali[0-9a-f]{11}|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|kube-ipvs0)")
_ROUTE_MAKERS = frozenset({"80", "bird"})
_OCTAL = re.compile(r"\\([0-7]{3})")
_EVIDENCE = ("admin.conf", "super-admin.conf", "kubelet.conf", "bootstrap-kubelet.conf", "controller-manager.conf", "scheduler.conf")


@dataclass(frozen=True)
class Route:
    """A route that Calico created. words: the arguments of `ip route del` after the family."""

    family: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"route {' '.join(self.words)}"


@dataclass(frozen=True)
class Remains:
    """The remains of a cluster on a host.

    mark: the cluster that the marker file names; None: there is none. evidence: files that only a cluster host has.
    chains: program that saves a family's tables -> its chains and rules, as lines. mounts: deepest first.
    """

    mark: Optional[str] = None
    evidence: Sequence[str] = ()
    kubelet_is_active: bool = False
    containers: Sequence[str] = ()
    mounts: Sequence[str] = ()
    paths: Sequence[str] = ()
    interfaces: Sequence[str] = ()
    tunnel_addresses: Sequence[str] = ()
    namespaces: Sequence[str] = ()
    routes: Sequence[Route] = ()
    chains: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tables: Sequence[tuple[str, str]] = ()
    sets: Sequence[str] = ()
    units: Sequence[str] = ()

    def lines(self) -> list[str]:
        """Return a line for each item."""
        found = ["running kubelet"] if self.kubelet_is_active else []
        found += [f"container {name[:13]}" for name in self.containers]
        found += [f"mount {path}" for path in self.mounts]
        found += [f"unit {name}" for name in self.units]
        found += [f"interface {name}" for name in self.interfaces]
        found += [f"address {address} of {TUNNEL}" for address in self.tunnel_addresses]
        found += [f"network namespace {name}" for name in self.namespaces]
        found += [str(route) for route in self.routes]
        found += [f"{line} ({program})" for program, lines in self.chains.items() for line in lines]
        found += [f"table {family} {name} (nftables)" for family, name in self.tables]
        found += [f"set {name} (ipset)" for name in self.sets]
        return [*found, *self.paths]


def refuse_others(remains: Remains, cluster: str, host: str, force: bool) -> None:
    """Reject a host of another cluster and, unless forced, one whose cluster this collection did not create."""
    if remains.mark is not None and remains.mark != cluster:
        raise Refusal(
            f"host {host}",
            f"a member of the cluster {remains.mark or 'without a name'} ({MARKER})",
            f"a host of {cluster}, or of none",
            "Pass the name of that cluster if it is what you want to remove.",
        )
    if remains.mark is None and remains.evidence and not force:
        raise Refusal(
            f"host {host}",
            f"a cluster that vmstation.cluster did not create: {', '.join(remains.evidence)}, and no {MARKER}",
            f"a host of {cluster}, or of none",
            "Find out what it is. If you want to remove it, pass `force: true` (playbooks/reset.yml: `-e reset_force=true`).",
        )


def is_evidence(name: str) -> bool:
    """Return whether a file of /etc/kubernetes exists only on a cluster host."""
    return name in _EVIDENCE


def interfaces_of(names: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if _INTERFACES.fullmatch(name))


def mounts_below(mountinfo: str, directories: Sequence[str]) -> tuple[str, ...]:
    """Return the mounts below the directories, deepest first. A mount at a directory itself is the user's own."""
    points = [_unescaped(line.split()[4]) for line in mountinfo.splitlines() if len(line.split()) > 4]
    below = [point for point in points if any(point.startswith(f"{directory}/") for directory in directories)]
    return tuple(sorted(below, key=lambda point: point.count("/"), reverse=True))


def _unescaped(field_: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field_)


def routes_of(text: str, family: int, networks: Sequence[str]) -> Iterator[Route]:
    """Return Calico's routes into the pod networks, from `ip -json route show table all`."""
    pods = [ipaddress.ip_network(network) for network in networks]
    for entry in _objects(text):
        if str(entry.get("protocol")) not in _ROUTE_MAKERS:
            continue
        try:
            destination = ipaddress.ip_network(str(entry.get("dst")))
        except ValueError:
            continue
        if any(_within(destination, pod) for pod in pods):
            kind = [str(entry["type"])] if entry.get("type") not in (None, "unicast") else []
            options = [word for key in ("dev", "table") if entry.get(key) for word in (key, str(entry[key]))]
            yield Route(family, (*kind, str(entry["dst"]), *options, "proto", str(entry["protocol"])))


def _within(inner: Network, outer: Network) -> bool:
    if isinstance(inner, ipaddress.IPv4Network):
        return isinstance(outer, ipaddress.IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, ipaddress.IPv6Network) and inner.subnet_of(outer)


def addresses_of_tunnel(text: str, networks: Sequence[str]) -> tuple[str, ...]:
    """Return the pod network addresses in `ip -json address show dev tunl0`, with their prefix length."""
    pods = [ipaddress.ip_network(network) for network in networks]
    found = [(str(info.get("local")), info.get("prefixlen")) for entry in _objects(text) for info in entry.get("addr_info") or () if info]
    return tuple(f"{local}/{length}" for local, length in found if any(ipaddress.ip_address(local) in pod for pod in pods))


def tables_of(text: str) -> tuple[tuple[str, str], ...]:
    """Return kube-proxy's and Calico's tables in `nft --json list tables`."""
    try:
        entries = read_json(text).get("nftables", ())
        found = [(str(one["table"]["family"]), str(one["table"]["name"])) for one in entries if "table" in one]
    except (ValueError, AttributeError, KeyError, TypeError):
        return ()
    return tuple(table for table in found if table in NFT_TABLES)


def _objects(text: str) -> list[Mapping[str, Any]]:
    try:
        entries = read_json(text or "[]")
    except ValueError:
        return []
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []


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
        mounts=mounts_below(files.read("/proc/self/mountinfo") or "", MOUNTS_BELOW),
        paths=tuple(_paths(host)),
        interfaces=interfaces_of(files.entries("/sys/class/net")),
        tunnel_addresses=_tunnel(commands, wish) if has_ip else (),
        namespaces=tuple(name for name in files.entries(NETWORK_NAMESPACES) if name.startswith("cni-")),
        routes=tuple(_routes(commands, wish)) if has_ip else (),
        chains={program: lines for program in _filters(commands) if (lines := ours_in(_saved(commands, program)))},
        tables=tables_of(_output(commands, ["nft", "--json", "list", "tables"])),
        sets=tuple(name for name in _output(commands, ["ipset", "list", "-name"]).split() if SETS.fullmatch(name)),
        units=_units(commands),
    )


def remove(host: Host, wish: Wish, remains: Remains) -> None:
    """Remove what was found, the marker file last. Items that are already gone are no error: the next read shows what is left."""
    commands = host.commands
    if remains.kubelet_is_active or remains.containers:
        commands.run(["systemctl", "stop", "kubelet"], timeout=120.0, check=False)
    if remains.containers and host.files.exists(CNI_CONFIGURATION):
        host.replace({CNI_CONFIGURATION: json.dumps(NO_PLUGIN)})
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
        (host.trees.remove_empty if path in DIRECTORIES else host.trees.remove)(path)


def _evidence(files: HostFiles) -> tuple[str, ...]:
    found = [f"{KUBERNETES}/{name}" for name in files.entries(KUBERNETES) if is_evidence(name)]
    found += [f"{KUBERNETES}/manifests/{name}" for name in files.entries(f"{KUBERNETES}/manifests")]
    return (*found, *(f"{ETCD}/{name}" for name in files.entries(ETCD)))


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
    for point in mounts_below(host.files.read("/proc/self/mountinfo") or "", MOUNTS_BELOW):
        if host.commands.run(["umount", point], check=False).status != 0:
            host.commands.run(["umount", "--lazy", point], check=False)


def _remove_network(host: Host, wish: Wish) -> None:
    commands = host.commands
    if not commands.has("ip"):
        return
    for name in host.files.entries(NETWORK_NAMESPACES):
        if name.startswith("cni-"):
            commands.run(["ip", "netns", "delete", name], check=False)
    for name in interfaces_of(host.files.entries("/sys/class/net")):
        commands.run(["ip", "link", "delete", name], check=False)
    for address in _tunnel(commands, wish):
        commands.run(["ip", "address", "delete", address, "dev", TUNNEL], check=False)
        commands.run(["ip", "link", "set", TUNNEL, "down"], check=False)
    for route in _routes(commands, wish):
        commands.run(["ip", f"-{route.family}", "route", "delete", *route.words], check=False)


def _remove_rules(commands: Commands) -> None:
    for program in _filters(commands):
        text = removal(_saved(commands, program))
        if text:
            commands.run([f"{program}-restore", "--noflush", "--wait", "20"], stdin=text)
    for family, name in tables_of(_output(commands, ["nft", "--json", "list", "tables"])):
        commands.run(["nft", "delete", "table", family, name], check=False)
    for name in _output(commands, ["ipset", "list", "-name"]).split():
        if SETS.fullmatch(name):
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
        for route in routes_of(_output(commands, ["ip", "-json", f"-{family}", "route", "show", "table", "all"]), family, wish.networks)
    ]


def _tunnel(commands: Commands, wish: Wish) -> tuple[str, ...]:
    return addresses_of_tunnel(_output(commands, ["ip", "-json", "address", "show", "dev", TUNNEL]), wish.networks)


def _units(commands: Commands) -> tuple[str, ...]:
    listed = _output(commands, ["systemctl", "list-units", "--plain", "--no-legend", "--full", "kubepods*.slice"])
    names = (line.split()[0] for line in listed.splitlines() if line.split())
    return tuple(sorted((name for name in names if UNITS.fullmatch(name)), key=len, reverse=True))


def _paths(host: Host) -> list[str]:
    """Return the paths to remove, the marker's directory last.

    A directory that has to stay, such as a mount point, counts until it is empty.
    """
    files = host.files
    found = [f"{directory}/{name}" for directory, starts in CACHES.items() for name in files.entries(directory) if name.startswith(starts)]
    found += _plugins(host)
    points = _mount_points(files)
    for path in PATHS:
        stays = path in points or files.target(path) is not None
        if files.entries(path) if stays else files.exists(path):
            found.append(path)
    return sorted([*found, *_empty_without(host, found, points)], key=lambda path: path == KUBERNETES)


def _empty_without(host: Host, gone: Sequence[str], points: frozenset[str]) -> list[str]:
    """Return directories that are empty after the removal, except those that a package owns."""
    empty: list[str] = []
    for directory in DIRECTORIES:
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
    there = [f"{PLUGINS}/{name}" for name in INSTALLED_PLUGINS if name in host.files.entries(PLUGINS)]
    if f"{PLUGINS}/calico" not in there:
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
