# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typha in Calico's manifest and in the cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .._cluster.api import ClusterReader
from .._network_plan.ports import typha_replicas
from .._rollout.pods import Stuck, stuck
from .documents import Document, Manifest, container, environment, lacking

TYPHA = "calico-typha"
NAMESPACE = "kube-system"
# the variable by which calico-node finds Typha; only calico-typha.yaml has it
SERVICE_NAME = "FELIX_TYPHAK8SSERVICENAME"
# in the order of their removal: the Deployment last, so that an interrupted removal is continued
OBJECTS = (("policy/v1", "PodDisruptionBudget"), ("v1", "Service"), ("apps/v1", "Deployment"))


@dataclass(frozen=True)
class Placement:
    """not_on: the sleep-capable hosts. Typha tolerates every taint, so that its Pod would stay on a node whose host sleeps."""

    replicas: int = 1
    not_on: tuple[str, ...] = ()

    @classmethod
    def of(cls, hosts: Sequence[Mapping[str, Any]]) -> Placement:
        # Kubernetes lowercases node names
        sleepers = tuple(sorted(str(host.get("name")).lower() for host in hosts if host.get("sleeps")))
        never_sleep = len(hosts) - len(sleepers)
        return cls(typha_replicas(len(hosts), never_sleep), sleepers if never_sleep else ())


def has_typha(manifest: Manifest) -> bool:
    return any((one["kind"], one["metadata"]["name"]) == ("Deployment", TYPHA) for one in manifest.documents)


def place(manifest: Manifest, placement: Placement) -> None:
    """Set the replicas and the hosts of Typha, after checking that calico-node uses it."""
    manifest.one("Service", TYPHA)
    named = (manifest.one("ConfigMap", "calico-config").get("data") or {}).get("typha_service_name")
    if named != TYPHA:
        raise lacking("ConfigMap calico-config: typha_service_name", str(named), TYPHA)
    if SERVICE_NAME not in environment(container(manifest.one("DaemonSet", "calico-node"), "calico-node")):
        raise lacking(f"container calico-node: variable {SERVICE_NAME}", "no such variable", "the name of Typha's Service")
    deployment = manifest.one("Deployment", TYPHA)
    if not isinstance(deployment["spec"].get("replicas"), int):
        raise lacking(f"Deployment {TYPHA}: replicas", str(deployment["spec"].get("replicas")), "a number")
    deployment["spec"]["replicas"] = placement.replicas
    pod = deployment["spec"]["template"]["spec"]
    if "affinity" in pod:
        raise lacking(f"Deployment {TYPHA}: affinity", str(pod["affinity"]), "none, as the role sets its own")
    if placement.not_on:
        others = {"key": "kubernetes.io/hostname", "operator": "NotIn", "values": list(placement.not_on)}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [others]}]}
        pod["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}


def installed(cluster: ClusterReader) -> list[Document]:
    """Return the objects of Typha that exist, in the order of their removal."""
    return [
        {"apiVersion": api_version, "kind": kind, "metadata": {"name": TYPHA, "namespace": NAMESPACE}}
        for api_version, kind in OBJECTS
        if cluster.get(api_version, kind, TYPHA, NAMESPACE) is not None
    ]


@dataclass(frozen=True)
class Running:
    """The Deployment of Typha. replicas: None if there is no Deployment. stuck: its Pods that are not ready, and why."""

    replicas: Optional[int] = None
    ready: int = 0
    stuck: tuple[Stuck, ...] = ()


def running(deployments: Iterable[Document], pods: Iterable[Document]) -> Running:
    for one in deployments:
        if one["metadata"]["name"] == TYPHA:
            ready = int((one.get("status") or {}).get("readyReplicas") or 0)
            return Running(int(one["spec"].get("replicas", 1)), ready, tuple(filter(None, map(stuck, pods))))
    return Running()
