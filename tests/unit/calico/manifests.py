# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A manifest in the shape of Calico's, small enough to read, and how tests take it apart."""

from __future__ import annotations

import copy
import json
from typing import Any

NETWORK = """{
  "name": "k8s-pod-network",
  "plugins": [
    {"type": "calico", "nodename": "__KUBERNETES_NODE_NAME__", "mtu": __CNI_MTU__, "ipam": {"type": "calico-ipam"}},
    {"type": "portmap", "snat": true}
  ]
}"""


def _variable(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


def _definition(kind: str, fields: dict[str, str]) -> dict[str, Any]:
    schema = {"properties": {"spec": {"properties": {name: {"type": of} for name, of in fields.items()}}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind}.crd.projectcalico.org"},
        "spec": {"versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}]},
    }


def _workload(kind: str, name: str, pod: dict[str, Any], **spec: object) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": {**spec, "template": {"spec": pod}}}


_POOL = ("cidr", "blockSize", "ipipMode", "vxlanMode", "natOutgoing", "nodeSelector", "allowedUses")
_NODE = {
    "name": "calico-node",
    "image": "quay.io/calico/node:v3.32.1",
    "env": [
        _variable("CLUSTER_TYPE", "k8s,bgp"),
        _variable("IP", "autodetect"),
        _variable("CALICO_IPV4POOL_IPIP", "Always"),
        _variable("CALICO_IPV4POOL_VXLAN", "Never"),
        _variable("CALICO_IPV6POOL_VXLAN", "Never"),
        {"name": "FELIX_VXLANMTU", "valueFrom": {"configMapKeyRef": {"name": "calico-config", "key": "veth_mtu"}}},
        _variable("FELIX_IPV6SUPPORT", "false"),
    ],
    "livenessProbe": {"exec": {"command": ["/bin/calico-node", "-felix-live", "-bird-live"]}},
    "readinessProbe": {"exec": {"command": ["/bin/calico-node", "-felix-ready", "-bird-ready"]}},
}
_CONTROLLERS = {"name": "calico-kube-controllers", "image": "quay.io/calico/kube-controllers:v3.32.1"}
_TOLERATIONS = [
    {"key": "CriticalAddonsOnly", "operator": "Exists"},
    {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
]
_DOCUMENTS = [
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "calico-node"}},
    {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "calico-config"},
        "data": {"calico_backend": "bird", "veth_mtu": "0", "cni_network_config": NETWORK},
    },
    _definition("felixconfigurations", {"prometheusMetricsEnabled": "boolean", "prometheusMetricsPort": "integer", "vxlanMTU": "integer"}),
    _definition("ippools", dict.fromkeys(_POOL, "string")),
    _workload(
        "DaemonSet",
        "calico-node",
        {"initContainers": [{"name": "install-cni", "image": "quay.io/calico/cni:v3.32.1"}], "containers": [_NODE]},
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}},
    ),
    _workload("Deployment", "calico-kube-controllers", {"tolerations": _TOLERATIONS, "containers": [_CONTROLLERS]}),
]


_TYPHA = {
    "name": "calico-typha",
    "image": "quay.io/calico/typha:v3.32.1",
    "ports": [{"containerPort": 5473, "name": "calico-typha", "protocol": "TCP"}],
}


def with_typha() -> list[dict[str, Any]]:
    """As calico-typha.yaml differs from calico.yaml."""
    found = documents()
    one(found, "ConfigMap", "calico-config")["data"]["typha_service_name"] = "calico-typha"
    of_config = {"configMapKeyRef": {"name": "calico-config", "key": "typha_service_name"}}
    node(found)["env"].append({"name": "FELIX_TYPHAK8SSERVICENAME", "valueFrom": of_config})
    budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "calico-typha"}, "spec": {"maxUnavailable": 1}}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "calico-typha"}, "spec": {"ports": [{"port": 5473}]}}
    return [
        budget,
        *found,
        service,
        _workload("Deployment", "calico-typha", {"hostNetwork": True, "containers": [dict(_TYPHA)]}, replicas=1),
    ]


def documents() -> list[dict[str, Any]]:
    return copy.deepcopy(_DOCUMENTS)


def one(found: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    return next(document for document in found if (document["kind"], document["metadata"]["name"]) == (kind, name))


def node(found: list[dict[str, Any]]) -> dict[str, Any]:
    return one(found, "DaemonSet", "calico-node")["spec"]["template"]["spec"]["containers"][0]


def variables(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The variables of calico-node; None for those whose value comes from elsewhere."""
    return {entry["name"]: entry.get("value") for entry in node(found)["env"]}


def network(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The CNI configuration, with a number in place of the MTU."""
    return json.loads(one(found, "ConfigMap", "calico-config")["data"]["cni_network_config"].replace("__CNI_MTU__", "1"))
