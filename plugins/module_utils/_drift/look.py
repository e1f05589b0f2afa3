# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks once at everything that is compared: a fixed number of requests, and one for each kubelet that is awake."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import API_VERSION, LivePool, read_pools
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.coredns_state import LABEL, LABEL_VALUE, NETWORKING, Service
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import NAME, SERVICE
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import KUBE_SYSTEM
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Object, Seen, Sight, T
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

CALICO_API = "projectcalico.org/v3"
_KUBELETS_PERMISSION = "get nodes/proxy"

ReadYaml = Callable[[str], object]


class Kubelets(Protocol):
    """Who asks kubelets through the API server; tests pass a scripted fake."""

    def ask(self, nodes: Sequence[str], seconds: float) -> Mapping[str, Seen[dict[str, Any]]]:
        """What ``/configz`` of each answers, all at once."""


def look(wanted: Wanted, cluster: ClusterReader, kubelets: Kubelets, read_yaml: ReadYaml) -> Sight:
    """What stands. What the API server refuses is noted as such; one that does not answer at all ends the look."""

    def configuration(name: str, key: str) -> Seen[Object]:
        return _unless_refused(lambda: _mapping(read_yaml(_data(cluster, name).get(key, ""))))

    nodes = _unless_refused(lambda: [_of_interest(one) for one in cluster.items("v1", "Node")])
    return Sight(
        nodes=nodes,
        server_version=_unless_refused(lambda: str(cluster.read("/version").get("gitVersion", ""))),
        cluster_configuration=configuration("kubeadm-config", "ClusterConfiguration"),
        kubelet_configuration=configuration("kubelet-config", "kubelet"),
        kube_proxy_configuration=configuration("kube-proxy", "config.conf"),
        corefile=_unless_refused(lambda: _data(cluster, NAME).get("Corefile")),
        programs=_unless_refused(lambda: _programs(cluster)),
        service_ranges=_unless_refused(lambda: _service_ranges(cluster)),
        dns_services=_unless_refused(lambda: _dns_services(cluster)),
        pools=_pools(cluster),
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
    return {"metadata": {"name": node["metadata"]["name"]}, "spec": node.get("spec") or {}, "status": kept}


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


def _dns_services(cluster: ClusterReader) -> Sequence[Service]:
    """The DNS Service, and whatever leads to its Pods or is labelled as if it did."""
    found = []
    for one in cluster.items("v1", "Service", KUBE_SYSTEM):
        metadata, spec = one["metadata"], one["spec"]
        signs = (metadata.get("labels") or {}, spec.get("selector") or {})
        if metadata["name"] == SERVICE or any(sign.get(LABEL) == LABEL_VALUE for sign in signs):
            found.append(Service(metadata["name"], tuple(spec.get("clusterIPs") or [spec.get("clusterIP", "")])))
    return found


def _pools(cluster: ClusterReader) -> Seen[Sequence[LivePool]]:
    """None are there without Calico. Calico's own API server may be down when all else answers."""
    try:
        version = next((one for one in (CALICO_API, API_VERSION) if cluster.serves(one, "IPPool")), "")
        return read_pools(list(cluster.items(version, "IPPool"))) if version else ()
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
    conditions = node["status"].get("conditions") or ()
    return any(one.get("type") == "Ready" and one.get("status") == "Unknown" for one in conditions)


def _silence(node: str) -> Refusal:
    return Refusal(
        f"node {node}, configuration of its kubelet",
        "a kubelet that has fallen silent",
        "one that reports",
        f"Look whether {node} is on, and at its kubelet: `systemctl status kubelet`. One that sleeps is woken by playbooks/wake.yml.",
    )


def _configuration(node: str, answer: Seen[Object]) -> Seen[Object]:
    subject = f"node {node}, configuration of its kubelet"
    if isinstance(answer, Refusal):
        if '"nodes/proxy"' not in answer.found:
            return Refusal(subject, answer.found, answer.required, f"Look at the kubelet of {node}, and whether 10250/tcp is open there.")
        # the same for every node, so that it is told once
        return Refusal(
            "configuration of the kubelets",
            "HTTP status 403",
            f"the permission to {_KUBELETS_PERMISSION}",
            f"Let the kubeconfig's user {_KUBELETS_PERMISSION} (a ClusterRole with that verb, and its binding), or set kubelets to false.",
        )
    found = answer.get("kubeletconfig")
    if not isinstance(found, Mapping):
        return Refusal(
            subject, "an answer without kubeletconfig", "the KubeletConfiguration", f"Look at `journalctl -u kubelet` on {node}."
        )
    return {key: found.get(key) for key in ("clusterDNS", "clusterDomain")}
