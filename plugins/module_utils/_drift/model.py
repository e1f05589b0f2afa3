# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live cluster and how it is read, the cluster that the plan asks for, and how two values are compared."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Optional, Protocol, TypeVar, Union

from .._calico.documents import API_VERSION, LivePool, read_plan, read_pools
from .._calico.facts import FLANNEL
from .._calico.preflight import other_pod_network
from .._cluster.api import ClusterReader
from .._conditions import condition
from .._dns.coredns import NETWORKING, Service, is_dns, is_foreign, service_of
from .._dns.model import NAME, DnsPlan, dns_plan
from .._findings import Severity
from .._kubeadm.configuration import ControlPlane, document_of, extra_service_cidrs, init_documents, node_addresses
from .._kubeadm.state import CONFIGURATION
from .._network_plan.model import Plan
from .._refusal import Refusal, Unavailable

# What was seen of the cluster.

Object = Mapping[str, Any]

T = TypeVar("T")
# what was read, or why it could not be
Seen = Union[T, Refusal]

# for the answers of all kubelets together
SECONDS = 15.0


@dataclass(frozen=True)
class Sight:
    """Everything that was read, in the order of reading.

    Configurations are {} when there is none. programs: the commands of the control plane's Pods, by component and then by Pod.
    service_ranges: the ServiceCIDR objects, None when the API server knows no such kind. corefile: None without one.
    pools: None with another pod network than Calico. dns_is_foreign: the role dns applied neither the Corefile nor a DNS Service.
    kubelets: the real configuration of those that were asked, by node.
    """

    nodes: Seen[Sequence[Object]]
    server_version: Seen[str]
    cluster_configuration: Seen[Object]
    kubelet_configuration: Seen[Object]
    kube_proxy_configuration: Seen[Object]
    corefile: Seen[Optional[str]]
    programs: Seen[Mapping[str, Mapping[str, Sequence[str]]]]
    service_ranges: Seen[Optional[Sequence[Object]]]
    dns_services: Seen[Sequence[Service]]
    pools: Seen[Optional[Sequence[LivePool]]]
    dns_is_foreign: bool
    kubelets: Mapping[str, Seen[Object]] = field(default_factory=dict)

    @property
    def is_of_kubeadm(self) -> bool:
        """Whether kubeadm made the cluster, or that cannot be read. Other installers have neither its ConfigMap nor static Pods."""
        return bool(self.cluster_configuration) or bool(self.programs)

    @property
    def has_calico(self) -> bool:
        """Whether Calico is the pod network, or that cannot be read."""
        return self.pools is not None


# The settings of a cluster that would be made from the plan now.


@dataclass(frozen=True)
class Host:
    """A host of the inventory. addresses: those that its node must have."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """cluster, kubelet, kube_proxy: kubeadm's documents. extra_ranges: service ranges beyond service_cidr.

    ask_kubelets: whether each kubelet is asked; seconds: how long that may take for all of them together. nat_outgoing: whether Pods
    leave the cluster under their node's address.
    """

    plan: Plan
    dns: DnsPlan
    cluster: Mapping[str, Any]
    kubelet: Mapping[str, Any]
    kube_proxy: Mapping[str, Any]
    extra_ranges: tuple[str, ...]
    hosts: tuple[Host, ...]
    asleep: frozenset[str] = frozenset()
    ask_kubelets: bool = True
    seconds: float = SECONDS
    nat_outgoing: bool = True

    @property
    def version(self) -> tuple[int, int]:
        return self.plan.kubernetes_version or (0, 0)


def read_wanted(params: Mapping[str, Any]) -> Wanted:
    """The module's options, read. A plan without what is compared is an error."""
    plan = read_plan(params["plan"], "cluster_drift_check")
    if params["timeout"] <= 0:
        raise Refusal("timeout", f"{params['timeout']:g}", "a number of seconds above 0", "Remove it for the default of 15 seconds.")
    # nothing that depends on a host is compared in these documents
    anywhere = ControlPlane("anywhere", ("127.0.0.1", "::1"), "{}.{}.0".format(*plan.kubernetes_version or (0, 0)))
    documents = init_documents(params["plan"], anywhere)
    # it is read again for each host: without what no address depends on
    of_addresses = {key: value for key, value in params["plan"].items() if key not in ("services", "extra_ports", "declared_ports")}
    return Wanted(
        plan=plan,
        dns=dns_plan(params["plan"]),
        cluster=document_of(documents, "ClusterConfiguration"),
        kubelet=document_of(documents, "KubeletConfiguration"),
        kube_proxy=document_of(documents, "KubeProxyConfiguration"),
        extra_ranges=tuple(extra_service_cidrs(params["plan"])),
        hosts=tuple(_host(of_addresses, one) for one in params["nodes"]),
        asleep=frozenset(name.lower() for name in params["asleep"]),
        ask_kubelets=params["kubelets"],
        seconds=float(params["timeout"]),
        nat_outgoing=params["nat_outgoing"],
    )


def _host(plan: object, entry: Mapping[str, Any]) -> Host:
    given = entry["address"]
    addresses = [str(one) for one in (given if isinstance(given, (list, tuple)) else [given])]
    return Host(entry["name"].lower(), tuple(node_addresses(plan, addresses, entry["name"])))


# How two values are compared, and how they are written.

NOTHING, UNKNOWN = "nothing", "unknown"
KUBE_SYSTEM = "kube-system"


@dataclass(frozen=True)
class Comparison:
    """One value of the plan beside the same of the cluster. equal: None when it is not known; why: then what keeps it from being known."""

    point: Point
    planned: str
    live: str
    equal: Optional[bool]
    why: Optional[Refusal] = None


@dataclass(frozen=True)
class Point:
    """What is compared. subject: the thing that has the value. source: where in it. The others are those of the finding when it differs."""

    rule: str
    subject: str
    source: str
    fix: str = ""
    severity: Severity = "error"
    hosts: tuple[str, ...] = ()

    def compare(self, planned: object, live: object) -> Comparison:
        """live: a Refusal when it could not be read."""
        if isinstance(live, Refusal):
            return self.unknown(planned, live)
        return self.judged(planned, live, written(planned) == written(live))

    def judged(self, planned: object, live: object, equal: bool) -> Comparison:
        return Comparison(self, written(planned), written(live), equal)

    def unknown(self, planned: object, why: Optional[Refusal], live: str = UNKNOWN) -> Comparison:
        return Comparison(self, written(planned), live, None, why)


def written(value: object) -> str:
    """A value in the one spelling in which it is compared: networks, addresses and names may be written in several."""
    entries = [str(one) for one in value] if isinstance(value, (list, tuple)) else str("" if value is None else value).split(",")
    return ", ".join(_normal(one.strip()) for one in entries if one.strip()) or NOTHING


def at(document: Object, path: str) -> object:
    """The value at a path of a document; None if there is none."""
    value: object = document
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def phase_of_kubeadm(*words: str) -> str:
    return f"`kubeadm init phase {' '.join(words)} --config {CONFIGURATION}`"


@lru_cache(maxsize=1024)
def _normal(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False) if "/" in text else ipaddress.ip_address(text))
    except ValueError:
        return text.rstrip(".")


CALICO_API = "projectcalico.org/v3"
_KUBELETS_PERMISSION = "get nodes/proxy"

ReadYaml = Callable[[str], object]


class Kubelets(Protocol):
    """Who asks kubelets through the API server; tests pass a scripted fake."""

    def ask(self, nodes: Sequence[str], seconds: float) -> Mapping[str, Seen[dict[str, Any]]]:
        """What ``/configz`` of each answers, all at once."""


def look(wanted: Wanted, cluster: ClusterReader, kubelets: Kubelets, read_yaml: ReadYaml) -> Sight:
    """The state of the cluster. What the API server forbids is noted as such; one that does not answer at all ends the look."""

    def configuration(name: str, key: str) -> Seen[Object]:
        return _unless_refused(lambda: _mapping(read_yaml(_data(cluster, name).get(key, ""))))

    nodes = _unless_refused(lambda: [_of_interest(one) for one in cluster.items("v1", "Node")])
    corefile = _unless_refused(lambda: cluster.get("v1", "ConfigMap", NAME, KUBE_SYSTEM))
    services = _unless_refused(lambda: [one for one in cluster.items("v1", "Service", KUBE_SYSTEM) if is_dns(one)])
    return Sight(
        nodes=nodes,
        server_version=_unless_refused(lambda: str(cluster.read("/version").get("gitVersion", ""))),
        cluster_configuration=configuration("kubeadm-config", "ClusterConfiguration"),
        kubelet_configuration=configuration("kubelet-config", "kubelet"),
        kube_proxy_configuration=configuration("kube-proxy", "config.conf"),
        corefile=corefile if isinstance(corefile, Refusal) else ((corefile or {}).get("data") or {}).get("Corefile"),
        programs=_unless_refused(lambda: _programs(cluster)),
        service_ranges=_unless_refused(lambda: _service_ranges(cluster)),
        dns_services=services if isinstance(services, Refusal) else [service_of(one) for one in services],
        dns_is_foreign=not isinstance(corefile, Refusal)
        and not isinstance(services, Refusal)
        and is_foreign(one for one in (corefile, *services) if one),
        pools=_pools(cluster, nodes),
        kubelets=_kubelets(wanted, nodes, kubelets),
    )


def _unless_refused(read: Callable[[], T]) -> Seen[T]:
    try:
        return read()
    except Unavailable:
        raise
    except Refusal as refusal:
        return refusal


def _of_interest(node: Object) -> Object:
    """A node without its images and the like, which make up most of it."""
    status = node.get("status") or {}
    kept = {key: status.get(key) for key in ("addresses", "conditions", "nodeInfo")}
    metadata = {"name": node["metadata"]["name"], "annotations": node["metadata"].get("annotations") or {}}
    return {"metadata": metadata, "spec": node.get("spec") or {}, "status": kept}


def _data(cluster: ClusterReader, config_map: str) -> Mapping[str, str]:
    return (cluster.get("v1", "ConfigMap", config_map, KUBE_SYSTEM) or {}).get("data") or {}


def _mapping(value: object) -> Object:
    return value if isinstance(value, Mapping) else {}


def _programs(cluster: ClusterReader) -> Mapping[str, Mapping[str, Sequence[str]]]:
    found: dict[str, dict[str, Sequence[str]]] = {}
    for pod in cluster.items("v1", "Pod", KUBE_SYSTEM, "tier=control-plane"):
        metadata, containers = pod["metadata"], pod["spec"].get("containers") or [{}]
        words = [*(containers[0].get("command") or ()), *(containers[0].get("args") or ())]
        found.setdefault(metadata["labels"].get("component", ""), {})[metadata["name"]] = words
    return found


def _service_ranges(cluster: ClusterReader) -> Optional[Sequence[Object]]:
    return list(cluster.items(NETWORKING, "ServiceCIDR")) if cluster.serves(NETWORKING, "ServiceCIDR") else None


def _pools(cluster: ClusterReader, nodes: Seen[Sequence[Object]]) -> Seen[Optional[Sequence[LivePool]]]:
    """None with another pod network than Calico. Calico's own API server may be down when all else answers."""
    try:
        version = next((one for one in (CALICO_API, API_VERSION) if cluster.serves(one, "IPPool")), "")
        if version:
            return read_pools(list(cluster.items(version, "IPPool")))
        annotated = not isinstance(nodes, Refusal) and any(FLANNEL in one["metadata"]["annotations"] for one in nodes)
        names = ((one["metadata"]["namespace"], one["metadata"]["name"]) for one in cluster.items("apps/v1", "DaemonSet"))
        return None if other_pod_network(names, annotated) else ()
    except Refusal as refusal:
        return refusal


def _kubelets(wanted: Wanted, nodes: Seen[Sequence[Object]], kubelets: Kubelets) -> Mapping[str, Seen[Object]]:
    """Of the nodes that are awake. One that is known to be silent is not asked, as the API server would wait for it."""
    if not wanted.ask_kubelets or isinstance(nodes, Refusal):
        return {}
    awake = {str(one["metadata"]["name"]): one for one in nodes if one["metadata"]["name"] not in wanted.asleep}
    silent = {name: _silence(name) for name, node in awake.items() if _is_silent(node)}
    answers = kubelets.ask([name for name in awake if name not in silent], wanted.seconds)
    return {**silent, **{name: _configuration(name, answer) for name, answer in answers.items()}}


def _is_silent(node: Object) -> bool:
    return condition(node, "Ready").get("status") == "Unknown"


def _silence(node: str) -> Refusal:
    return Refusal(
        f"node {node}, configuration of its kubelet",
        "a kubelet that has fallen silent",
        "a kubelet that reports",
        f"Check that {node} is on, and its kubelet: `systemctl status kubelet`. If it is asleep, wake it with playbooks/wake.yml.",
    )


def _configuration(node: str, answer: Seen[Object]) -> Seen[Object]:
    subject = f"node {node}, configuration of its kubelet"
    if isinstance(answer, Refusal):
        if '"nodes/proxy"' not in answer.found:
            return Refusal(subject, answer.found, answer.required, f"Check the kubelet of {node}, and that 10250/tcp is open there.")
        # the same for every node, so that it is reported once
        return Refusal(
            "configuration of the kubelets",
            "HTTP status 403",
            f"the permission to {_KUBELETS_PERMISSION}",
            f"Allow the kubeconfig's user to {_KUBELETS_PERMISSION} (a ClusterRole with that verb, bound), or set kubelets to false.",
        )
    found = answer.get("kubeletconfig")
    if not isinstance(found, Mapping):
        return Refusal(subject, "an answer without kubeletconfig", "the KubeletConfiguration", f"See `journalctl -u kubelet` on {node}.")
    return {key: found.get(key) for key in ("clusterDNS", "clusterDomain")}
