# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the API server tells of the cluster's DNS and of what it stands on, in a number of requests that is always the same."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any, Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import NAME, NAMESPACE, SERVICE, DnsPlan, Network
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader

Object = dict[str, Any]

LABEL, LABEL_VALUE = "k8s-app", "kube-dns"
NETWORKING = "networking.k8s.io/v1"
TOLERATED_TAINTS = frozenset({"node-role.kubernetes.io/control-plane", "CriticalAddonsOnly"})


@dataclass(frozen=True)
class Service:
    """A Service of kube-system that is DNS, by its name or by the Pods that it leads to."""

    name: str
    addresses: tuple[str, ...]


@dataclass(frozen=True)
class ServiceRange:
    """A ServiceCIDR. trouble: why it gives no addresses; empty when it is ready."""

    name: str
    networks: tuple[Network, ...]
    trouble: str = ""


@dataclass(frozen=True)
class Replica:
    """A Pod of CoreDNS. Pods that are on their way out are none."""

    name: str
    node: str
    is_ready: bool


@dataclass(frozen=True)
class CoreDnsState:
    """ranges: None when the API server knows no ServiceCIDR. holders: who has the planned addresses, where that is not the DNS Service.

    kubelet: the KubeletConfiguration that nodes are made with; None without one. nodes: those that take a Pod of CoreDNS now.
    """

    services: tuple[Service, ...] = ()
    ranges: Optional[tuple[ServiceRange, ...]] = None
    holders: tuple[tuple[str, str], ...] = ()
    kubelet: Optional[Mapping[str, Any]] = None
    has_deployment: bool = False
    corefile: Optional[str] = None
    replicas: tuple[Replica, ...] = ()
    wanted_replicas: int = 0
    nodes: frozenset[str] = frozenset()

    @property
    def dns_service(self) -> Optional[Service]:
        return next((one for one in self.services if one.name == SERVICE), None)

    @property
    def is_deployed(self) -> bool:
        return self.dns_service is not None and self.has_deployment


def look(plan: DnsPlan, cluster: ClusterReader, read_yaml: Callable[[str], object]) -> CoreDnsState:
    deployment = cluster.get("apps/v1", "Deployment", NAME, NAMESPACE)
    return CoreDnsState(
        services=tuple(_service(one) for one in cluster.items("v1", "Service", NAMESPACE) if _is_dns(one)),
        ranges=_ranges(cluster),
        holders=_holders(plan, cluster),
        kubelet=_kubelet(cluster, read_yaml),
        has_deployment=deployment is not None,
        corefile=((cluster.get("v1", "ConfigMap", NAME, NAMESPACE) or {}).get("data") or {}).get("Corefile"),
        replicas=tuple(
            _replica(one)
            for one in cluster.items("v1", "Pod", NAMESPACE, f"{LABEL}={LABEL_VALUE}")
            if not one["metadata"].get("deletionTimestamp")
        ),
        wanted_replicas=int(deployment["spec"].get("replicas", 1)) if deployment else 0,
        nodes=frozenset(one["metadata"]["name"] for one in cluster.items("v1", "Node") if _takes_pods(one, TOLERATED_TAINTS)),
    )


def _is_dns(service: Object) -> bool:
    metadata, spec = service["metadata"], service["spec"]
    leads_to_dns = (spec.get("selector") or {}).get(LABEL) == LABEL_VALUE
    return metadata["name"] == SERVICE or leads_to_dns or (metadata.get("labels") or {}).get(LABEL) == LABEL_VALUE


def _service(service: Object) -> Service:
    spec = service["spec"]
    return Service(service["metadata"]["name"], tuple(spec.get("clusterIPs") or [spec.get("clusterIP", "")]))


def _ranges(cluster: ClusterReader) -> Optional[tuple[ServiceRange, ...]]:
    if not cluster.serves(NETWORKING, "ServiceCIDR"):
        return None
    return tuple(_range(one) for one in cluster.items(NETWORKING, "ServiceCIDR"))


def _range(service_cidr: Object) -> ServiceRange:
    conditions = (service_cidr.get("status") or {}).get("conditions") or ()
    ready: Object = next((one for one in conditions if one["type"] == "Ready"), {})
    trouble = "" if ready.get("status") == "True" else str(ready.get("message") or "not ready yet")
    if service_cidr["metadata"].get("deletionTimestamp"):
        trouble = "being deleted"
    return ServiceRange(service_cidr["metadata"]["name"], tuple(ip_network(one) for one in service_cidr["spec"]["cidrs"]), trouble)


def _holders(plan: DnsPlan, cluster: ClusterReader) -> tuple[tuple[str, str], ...]:
    if not cluster.serves(NETWORKING, "IPAddress"):
        return ()
    found = []
    for address in plan.addresses:
        parent = ((cluster.get(NETWORKING, "IPAddress", address) or {}).get("spec") or {}).get("parentRef") or {}
        holder = f"{parent.get('resource', '')} {parent.get('namespace', '')}/{parent.get('name', '')}"
        if parent and holder != f"services {NAMESPACE}/{SERVICE}":
            found.append((address, holder))
    return tuple(found)


def _kubelet(cluster: ClusterReader, read_yaml: Callable[[str], object]) -> Optional[Mapping[str, Any]]:
    data = (cluster.get("v1", "ConfigMap", "kubelet-config", NAMESPACE) or {}).get("data") or {}
    decoded = read_yaml(data.get("kubelet", ""))
    return decoded if isinstance(decoded, Mapping) else None


def _replica(pod: Object) -> Replica:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    return Replica(pod["metadata"]["name"], str(pod["spec"].get("nodeName") or ""), is_ready)


def _takes_pods(node: Object, tolerated: Collection[str]) -> bool:
    conditions = (node.get("status") or {}).get("conditions") or ()
    is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
    taints = [one for one in node["spec"].get("taints") or () if one.get("effect") != "PreferNoSchedule"]
    return is_ready and not node["spec"].get("unschedulable") and all(one["key"] in tolerated for one in taints)
