# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm-config, the flags of the control plane's programs, and its version."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import (
    KUBE_SYSTEM,
    NOTHING,
    Comparison,
    Point,
    at,
    minor_version,
    phase_of_kubeadm,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Object, Seen, Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import EXTEND_TOKENS
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

# what a running cluster keeps
FOR_GOOD = "A running cluster keeps it: write this value into network_plan, or make the cluster anew (reset.yml, then site.yml)."

_CONFIG_MAP = f"ConfigMap {KUBE_SYSTEM}/kubeadm-config"
_CONFIGURED, _FLAGS = "kubeadm_config_is_the_plans", "control_plane_flags_are_the_plans"
_API_SERVER, _MANAGER = "kube-apiserver", "kube-controller-manager"
_NODE_PORTS, _SERVICES, _NODE_CIDRS = "service-node-port-range", "service-cluster-ip-range", "allocate-node-cidrs"
_NETWORKS = {"networking.podSubnet": "pod_cidr", "networking.serviceSubnet": "service_cidr", "networking.dnsDomain": "dns_domain"}
_UPLOAD = f"Run on the control plane: {phase_of_kubeadm('upload-config', 'kubeadm')}."
_AGAIN = {
    component: f"Run on the control plane: {phase_of_kubeadm('control-plane', component.replace('kube-', ''))}."
    for component in (_API_SERVER, _MANAGER)
}
# https://kubernetes.io/docs/reference/command-line-tools-reference/
_DEFAULTS = {_NODE_PORTS: "30000-32767", _NODE_CIDRS: "false", "node-cidr-mask-size": "24", EXTEND_TOKENS: "true"}


def of_version(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    fix = "Upgrade the cluster to it, one minor version at a time (upgrade.yml), or correct network_plan.kubernetes_version."
    point = Point("the_control_plane_has_the_planned_version", "API server", "/version", fix)
    yield _version(point, wanted, seen.server_version)


def of_kubeadm_config(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    live = seen.cluster_configuration
    for path, name in _NETWORKS.items():
        fix = (
            "The next upgrade gives it to the control plane. If the flags of the API server and the controller manager are as planned, put "
            f"it right with `kubectl --namespace {KUBE_SYSTEM} edit configmap kubeadm-config`. Otherwise the cluster was made with another "
            f"{name}. {FOR_GOOD}"
        )
        yield Point(_CONFIGURED, _CONFIG_MAP, path, fix).compare(at(wanted.cluster, path), _of(live, path))
    node_ports = live if isinstance(live, Refusal) else _argument(at(live, "apiServer.extraArgs"), _NODE_PORTS)
    point = Point(_CONFIGURED, _CONFIG_MAP, f"apiServer.extraArgs {_NODE_PORTS}", _UPLOAD)
    yield point.compare(wanted.plan.node_port_range, node_ports)
    yield _version(Point(_CONFIGURED, _CONFIG_MAP, "kubernetesVersion", _UPLOAD), wanted, _of(live, "kubernetesVersion"))


def of_flags(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    services, pods = at(wanted.cluster, "networking.serviceSubnet"), at(wanted.cluster, "networking.podSubnet")
    for name, words in _pods(seen, _API_SERVER):
        yield _point(name, _SERVICES, FOR_GOOD).compare(services, _flag(words, _SERVICES))
        yield _point(name, _NODE_PORTS, _AGAIN[_API_SERVER]).compare(wanted.plan.node_port_range, _flag(words, _NODE_PORTS))
        fix = f"A token that another host has got is accepted for a year. {_AGAIN[_API_SERVER]}"
        tokens = _argument(at(wanted.cluster, "apiServer.extraArgs"), EXTEND_TOKENS)
        yield _point(name, EXTEND_TOKENS, fix, "warning").compare(tokens, _flag(words, EXTEND_TOKENS))
    for name, words in _pods(seen, _MANAGER):
        yield _point(name, _SERVICES, _AGAIN[_MANAGER]).compare(services, _flag(words, _SERVICES))
        yield _point(name, "cluster-cidr", _AGAIN[_MANAGER]).compare(pods, _flag(words, "cluster-cidr"))
        yield from _of_node_cidrs(wanted, name, words)


def _of_node_cidrs(wanted: Wanted, pod: str, words: Seen[Sequence[str]]) -> Iterator[Comparison]:
    """With more nodes than ranges for them, some nodes get none."""
    planned, live = _argument(at(wanted.cluster, "controllerManager.extraArgs"), _NODE_CIDRS), _flag(words, _NODE_CIDRS)
    fix = f"Calico needs no node CIDRs. {_AGAIN[_MANAGER]}"
    yield _point(pod, _NODE_CIDRS, fix, "warning").compare(planned, live)
    network = next((one for one in wanted.plan.pod_cidr or () if one.version == 4), None)
    size = str(_flag(words, "node-cidr-mask-size-ipv4") or _flag(words, "node-cidr-mask-size"))
    if live == "true" and network is not None and size.isdigit():
        room, count = 1 << max(0, int(size) - network.prefixlen), len(wanted.hosts)
        yield _point(pod, "node-cidr-mask-size", fix).judged(f"room for {count} nodes", f"{size}: room for {room} nodes", room >= count)


def _version(point: Point, wanted: Wanted, live: object) -> Comparison:
    planned = ".".join(map(str, wanted.version))
    return point.unknown(planned, live) if isinstance(live, Refusal) else point.judged(planned, live, minor_version(live) == wanted.version)


def _pods(seen: Sight, component: str) -> list[tuple[str, Seen[Sequence[str]]]]:
    """The words of each Pod of a component, or why they are not known."""
    if isinstance(seen.programs, Refusal):
        return [(component, seen.programs)]
    absent = Refusal(
        f"flags of {component}",
        f"no Pod in {KUBE_SYSTEM} with the labels tier=control-plane and component={component}",
        "the static Pod that kubeadm makes",
        f"Look at /etc/kubernetes/manifests/{component}.yaml on the control plane, whose kubelet shows it in the API.",
    )
    return list(seen.programs.get(component, {component: absent}).items())


def _point(pod: str, flag: str, fix: str, severity: Severity = "error") -> Point:
    return Point(_FLAGS, f"Pod {KUBE_SYSTEM}/{pod}", f"--{flag}", fix, severity)


def _of(live: Seen[Object], path: str) -> object:
    return live if isinstance(live, Refusal) else at(live, path)


def _argument(arguments: object, name: str) -> Optional[str]:
    """Of arguments as kubeadm writes them, a list of names and values or, before v1beta4, a mapping; else Kubernetes' default."""
    if isinstance(arguments, Mapping):
        return str(arguments.get(name, _DEFAULTS.get(name, NOTHING)))
    entries: Sequence[Object] = arguments if isinstance(arguments, list) else ()
    return next((str(one.get("value")) for one in entries if one.get("name") == name), _DEFAULTS.get(name))


def _flag(words: Seen[Sequence[str]], name: str) -> object:
    """The last one counts; one without a value is true; else Kubernetes' default."""
    if isinstance(words, Refusal):
        return words
    found = _DEFAULTS.get(name)
    for word in words:
        flag, equals, value = word.partition("=")
        if flag == f"--{name}":
            found = value if equals else "true"
    return found
