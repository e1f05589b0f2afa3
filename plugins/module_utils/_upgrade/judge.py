# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of an upgrade in order, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from .._cluster.api import ClusterReader
from .._cluster.nodes import finding_of_stranger, judge_node
from .._findings import Finding, LookedAt, state_of
from .._preflight.software import CONTAINERD_WITH_RUNTIME_CONFIG, KUBELET_REFUSES
from .._refusal import Refusal
from .._versions import OLDEST_KUBELET, configured_version, image_tag, minor_at_start, minor_text, release_of

# What is asked for, and what runs.

Release = tuple[int, int, int]


@dataclass(frozen=True)
class Host:
    """A host of the inventory, under its node's name."""

    name: str
    is_control_plane: bool


@dataclass(frozen=True)
class Request:
    """release: as in 1.36.4. asleep: hosts that are known to sleep."""

    release: str
    hosts: tuple[Host, ...]
    asleep: frozenset[str] = frozenset()

    @property
    def wanted(self) -> Release:
        return release_of(self.release) or (0, 0, 0)


@dataclass(frozen=True)
class Node:
    """A Node object. kubelet: its release. runtime: as in containerd://1.6.20. takes_pods: no taint keeps ordinary Pods away."""

    name: str
    kubelet: str
    ready: bool
    schedulable: bool
    takes_pods: bool
    runtime: str = ""


@dataclass(frozen=True)
class Sight:
    """What runs. configured: of kubeadm's ConfigMap. kube_proxy, calico, coredns: tags of their images; None: not there."""

    api_server: str
    nodes: Mapping[str, Node]
    configured: Optional[str] = None
    kube_proxy: Optional[str] = None
    calico: Optional[str] = None
    coredns: Optional[str] = None


@dataclass(frozen=True)
class Plan:
    """lines: the steps in their order; none if there is nothing to do. control_plane: whether its components are to be upgraded.

    nodes: those whose kubelet is to be upgraded now, the control plane first.
    """

    lines: Sequence[str] = ()
    control_plane: bool = False
    nodes: Sequence[str] = field(default_factory=tuple)


def read_request(options: Mapping[str, Any]) -> Request:
    """Options of upgrade_plan_check, as Ansible has typed them."""
    if release_of(options["release"]) is None:
        raise Refusal("release", repr(options["release"]), "a whole release such as 1.36.4", "Set node_kubernetes_release to one.")
    hosts = tuple(Host(str(host["name"]).lower(), host.get("role") == "control_plane") for host in options["nodes"])
    if sum(host.is_control_plane for host in hosts) != 1:
        names = [host.name for host in hosts if host.is_control_plane]
        raise Refusal(
            "nodes",
            f"{', '.join(names) or 'no host'} of the control plane",
            "one host of it",
            "Pass what the filter cluster_hosts returns.",
        )
    return Request(options["release"].lstrip("v"), hosts, frozenset(name.lower() for name in options["asleep"]))


def tag_of(image: str) -> Optional[str]:
    """``v1.36.4`` of ``registry.k8s.io/kube-proxy:v1.36.4``; None of an image without a tag."""
    return image_tag(image) or None


# The steps of an upgrade, in their order.


def plan(request: Request, seen: Sight) -> Plan:
    """Control plane, its kubelet, then workers one by one; a host that sleeps is left for the next run."""
    behind = [host for host in _in_order(request) if _is_behind(request, host, seen)]
    now = [host for host in behind if host.is_control_plane or seen.nodes[host.name].ready]
    components = list(_components(request, seen))
    lines = [f"control plane: {', '.join(components)}; its certificates are renewed"] if components else []
    lines += [_line(host, request, seen) for host in behind]
    if components or now:
        runs = [f"{name} {tag}" for name, tag in (("Calico", seen.calico), ("CoreDNS", seen.coredns)) if tag]
        lines.append(f"all: site.yml, which brings {', '.join(runs) or 'Calico, CoreDNS'} and the workloads to the releases of their roles")
    return Plan(lines, bool(components), [host.name for host in now])


def as_data(request: Request, seen: Sight, planned: Plan) -> dict[str, dict[str, Any]]:
    """Each node of the inventory that is there."""
    return {
        host.name: {
            "release": seen.nodes[host.name].kubelet,
            "ready": seen.nodes[host.name].ready,
            "schedulable": seen.nodes[host.name].schedulable,
            "takes_pods": seen.nodes[host.name].takes_pods,
            "upgrade": host.name in planned.nodes,
        }
        for host in request.hosts
        if host.name in seen.nodes
    }


def _in_order(request: Request) -> list[Host]:
    return sorted(request.hosts, key=lambda host: not host.is_control_plane)


def _is_behind(request: Request, host: Host, seen: Sight) -> bool:
    return host.name in seen.nodes and release_of(seen.nodes[host.name].kubelet) != request.wanted


def _components(request: Request, seen: Sight) -> Iterator[str]:
    """What of the control plane has another release. What is not there is site.yml's to make."""
    running: tuple[tuple[str, Optional[str]], ...] = (
        ("API server", seen.api_server),
        ("kubeadm's configuration", seen.configured),
        ("kube-proxy", seen.kube_proxy),
    )
    for name, release in running:
        if release is not None and release_of(release) != request.wanted:
            yield f"{name} {release} -> v{request.release}"


def _line(host: Host, request: Request, seen: Sight) -> str:
    node = seen.nodes[host.name]
    if host.is_control_plane:
        return f"{host.name}: kubelet {node.kubelet} -> v{request.release}"
    if not node.ready:
        return f"{host.name}: asleep, its kubelet {node.kubelet} is left for the next run"
    return f"{host.name}: its Pods move to other nodes, kubelet {node.kubelet} -> v{request.release}"


# Reads what runs: a fixed number of requests, and one list of nodes.

Object = Mapping[str, Any]

SYSTEM = "kube-system"


def look(cluster: ClusterReader) -> Sight:
    nodes = [node_of(one) for one in cluster.items("v1", "Node")]
    configuration = ((cluster.get("v1", "ConfigMap", "kubeadm-config", SYSTEM) or {}).get("data") or {}).get("ClusterConfiguration", "")
    return Sight(
        api_server=str(cluster.read("/version").get("gitVersion", "")),
        nodes={node.name: node for node in nodes},
        configured=configured_version(configuration),
        kube_proxy=_tag(cluster.get("apps/v1", "DaemonSet", "kube-proxy", SYSTEM)),
        calico=_tag(cluster.get("apps/v1", "DaemonSet", "calico-node", SYSTEM)),
        coredns=_tag(cluster.get("apps/v1", "Deployment", "coredns", SYSTEM)),
    )


def node_of(one: Object) -> Node:
    verdict = judge_node(str(one["metadata"]["name"]), one, False)
    info = (one.get("status") or {}).get("nodeInfo") or {}
    taints = (one.get("spec") or {}).get("taints") or ()
    # a cordon is a taint, too
    effects = [taint["effect"] for taint in taints if taint["key"] != "node.kubernetes.io/unschedulable"]
    return Node(
        verdict.name,
        str(info.get("kubeletVersion") or ""),
        verdict.ready,
        verdict.schedulable,
        takes_pods=not {"NoSchedule", "NoExecute"}.intersection(effects),
        runtime=str(info.get("containerRuntimeVersion") or ""),
    )


def _tag(workload: Optional[Object]) -> Optional[str]:
    """Of the first container's image."""
    containers = ((((workload or {}).get("spec") or {}).get("template") or {}).get("spec") or {}).get("containers") or ()
    return tag_of(str(containers[0].get("image"))) if containers else None


# What speaks against an upgrade.
#
# Facts: Kubernetes' version skew policy (https://kubernetes.io/releases/version-skew-policy/): kubeadm upgrades one minor version at a
# time, and a kubelet may be three minor versions older than the API server and never newer. There is no supported way back to an older
# release.

_WANTED = "node_kubernetes_release and network_plan.kubernetes_version"
_BACK = f"Set {_WANTED} to the running release or a newer one. To return to an older release, restore a backup: playbooks/restore.yml."


def judge(request: Request, seen: Sight) -> list[Finding]:
    """The API server first, then the nodes in the order of the inventory, then nodes that it does not name."""
    found = list(_of_api_server(request, seen))
    for host in request.hosts:
        node = seen.nodes.get(host.name)
        of_host = _of_absence(host) if node is None else _of_node(request, host, node)
        found += [replace(finding, hosts=(host.name,)) for finding in of_host]
    known = {host.name for host in request.hosts}
    return found + [finding_of_stranger(name) for name in seen.nodes if name not in known]


def looked_at(seen: Sight, found: Sequence[Finding]) -> list[LookedAt]:
    """The API server, and each node."""
    of_server = LookedAt("API server", f"release {seen.api_server}", state_of(one for one in found if not one.hosts))
    of_nodes = [
        LookedAt(f"node {name}", f"kubelet {node.kubelet}", state_of(one for one in found if name in one.hosts), (name,))
        for name, node in seen.nodes.items()
    ]
    return [of_server, *of_nodes]


def _of_api_server(request: Request, seen: Sight) -> Iterator[Finding]:
    serving = release_of(seen.api_server)
    if serving is None:
        yield Finding(
            "the_api_server_tells_its_release", "error", "API server", repr(seen.api_server), "a release such as v1.36.4",
            "Run `kubectl version`.",
        )  # fmt: skip
    elif request.wanted < serving:
        yield Finding("releases_go_forward", "error", "API server", seen.api_server, f"{request.release} or older", _BACK)
    elif _minor(request.wanted) not in (_minor(serving), (serving[0], serving[1] + 1)):
        following = minor_text((serving[0], serving[1] + 1))
        yield Finding(
            "one_minor_version_at_a_time", "error", "API server", f"{seen.api_server}, and {request.release} is wanted",
            f"the next minor version, {following}, or a later release of the present one",
            f"Set {_WANTED} to a release of {following} first, upgrade, and continue from there.",
        )  # fmt: skip
    elif seen.configured is not None and release_of(seen.configured) != serving:
        yield Finding(
            "kubeadm_knows_the_release", "info", "ConfigMap kube-system/kubeadm-config", seen.configured, seen.api_server,
            "An upgrade was interrupted; this one completes it.",
        )  # fmt: skip


def _of_absence(host: Host) -> Iterator[Finding]:
    yield Finding(
        "hosts_are_nodes", "error" if host.is_control_plane else "warning", f"host {host.name}", "no Node", "a node of the cluster",
        "Run site.yml, which joins it, with the running release.",
    )  # fmt: skip


def _of_node(request: Request, host: Host, node: Node) -> Iterator[Finding]:
    subject, kubelet, wanted = f"node {node.name}", release_of(node.kubelet), request.wanted
    if not node.ready:
        asleep = host.name in request.asleep and not host.is_control_plane
        yield Finding(
            "nodes_are_ready", "info" if asleep else "error", subject, "asleep" if asleep else "not ready", "ready",
            "The next run upgrades it." if asleep else f"See why: `kubectl describe node {node.name}`.",
        )  # fmt: skip
    if kubelet is None:
        yield Finding(
            "kubelets_tell_their_release", "error", subject, f"kubelet {node.kubelet!r}", "a release such as v1.36.4",
            f"Check its kubelet: `kubelet --version` on {node.name}.",
        )  # fmt: skip
    elif kubelet > wanted:
        yield Finding("releases_go_forward", "error", subject, f"kubelet {node.kubelet}", f"{request.release} or older", _BACK)
    elif kubelet[0] != wanted[0] or wanted[1] - kubelet[1] > OLDEST_KUBELET:
        yield Finding(
            "kubelets_are_not_too_old", "error", subject, f"kubelet {node.kubelet}",
            f"at most {OLDEST_KUBELET} minor versions older than the API server, which will be {request.release}",
            "Wake it, and first upgrade it to the API server's present release.",
        )  # fmt: skip
    yield from _of_runtime(request, node)
    if not node.schedulable and node.ready:
        yield Finding(
            "nodes_take_pods", "info", subject, "cordoned", "schedulable",
            "It stays cordoned, unless a playbook of this collection cordoned it.",
        )  # fmt: skip


def _of_runtime(request: Request, node: Node) -> Iterator[Finding]:
    kind, _colon, version = node.runtime.partition("://")
    found = minor_at_start(version)
    too_old = found is not None and found < CONTAINERD_WITH_RUNTIME_CONFIG
    if kind == "containerd" and too_old and _minor(request.wanted) >= KUBELET_REFUSES:
        yield Finding(
            "containerd_suits_the_kubelet", "error", f"node {node.name}", f"containerd {version}",
            f"2.0 or later: kubelet {minor_text(_minor(request.wanted))} does not start with an older one",
            "Set node_containerd_package to containerd.io, of Docker's package repository, and run site.yml with the running "
            "release. It reports the packages that must be removed first.",
        )  # fmt: skip


def _minor(release: Release) -> tuple[int, int]:
    return release[:2]
