# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remains of Kubernetes and Calico on a host, identified by the names that they use."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

from .._firewall.iptables_rules import words_of
from .._host.mark import MARKER
from .._refusal import Refusal

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
        entries = json.loads(text).get("nftables", ())
        found = [(str(one["table"]["family"]), str(one["table"]["name"])) for one in entries if "table" in one]
    except (ValueError, AttributeError, KeyError, TypeError):
        return ()
    return tuple(table for table in found if table in NFT_TABLES)


def _objects(text: str) -> list[Mapping[str, Any]]:
    try:
        entries = json.loads(text or "[]")
    except ValueError:
        return []
    return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
