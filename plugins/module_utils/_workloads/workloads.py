# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What workloads need of a cluster, and whether the cluster has it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from .._cluster.api import ClusterReader
from .._cluster.node_labels import TOLERATED_BY_ROLES, repelling
from .._cluster.nodes import Verdict, judge_node
from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal, Unavailable

# What workloads need of a cluster, and what was seen of it.

Object = dict[str, Any]


@dataclass(frozen=True)
class PlannedService:
    """A Service that is to have a NodePort."""

    namespace: str
    name: str
    node_port: int

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.name}"


@dataclass(frozen=True)
class Secret:
    """A Secret as it is to be, its values in Base64."""

    name: str
    data: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Request:
    """What the module is asked. nodes, asleep: as Kubernetes writes names, in lower case. namespace, node_label: empty if not asked for.

    tolerated: key and effect of the taints that the Pods tolerate. certificates: whether it matters which components have some.
    extended_resources: names of what each node must offer.
    """

    services: tuple[PlannedService, ...]
    nodes: tuple[str, ...]
    asleep: frozenset[str]
    storage_classes: tuple[str, ...]
    namespace: str = ""
    node_label: str = ""
    secrets: tuple[Secret, ...] = ()
    tolerated: tuple[str, ...] = TOLERATED_BY_ROLES
    certificates: bool = False
    extended_resources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Existing:
    """What exists of the workloads. cluster_objects: kind and name of what is in no namespace. matching_secrets: those as wanted.

    access: Roles and RoleBindings in other namespaces. certificates: components that have some of the cluster's CA.
    """

    namespace: bool
    deployments: tuple[tuple[str, tuple[str, ...]], ...] = ()
    jobs: tuple[str, ...] = ()
    asleep_pods: tuple[Object, ...] = ()
    matching_secrets: tuple[str, ...] = ()
    cluster_objects: tuple[str, ...] = ()
    released_volumes: tuple[str, ...] = ()
    labelled_nodes: tuple[str, ...] = ()
    access: tuple[Object, ...] = ()
    certificates: tuple[str, ...] = ()


@dataclass
class Sight:
    """The state of the cluster. holders: Services by the NodePort they have. unknown: what could not be read, each as a Refusal."""

    holders: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    nodes: Mapping[str, Object] = field(default_factory=dict)
    storage_classes: Sequence[str] = ()
    unknown: list[Refusal] = field(default_factory=list)
    nodes_are_known: bool = True
    storage_classes_are_known: bool = True
    existing: Optional[Existing] = None


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    planned = tuple(PlannedService(one["namespace"], one["name"], one["node_port"]) for one in params["services"] if one["node_port"])
    taken: dict[int, PlannedService] = {}
    for one in planned:
        other = taken.setdefault(one.node_port, one)
        if other != one:
            found = f"NodePort {one.node_port} for {other} and for {one}"
            raise Refusal("services", found, "a unique NodePort for each", "Give one of them another NodePort.")
    return Request(
        planned,
        tuple(str(one).lower() for one in params["nodes"]),
        frozenset(str(one).lower() for one in params["asleep"]),
        tuple(params["storage_classes"]),
        params.get("namespace") or "",
        params.get("node_label") or "",
        tuple(Secret(one["name"], one["data"]) for one in params.get("secrets") or ()),
        tuple(params["tolerated_taints"]),
        params.get("certificates") or False,
        tuple(params.get("extended_resources") or ()),
    )


# Looks once at what workloads need and at what exists of them: one list of each kind, and only if something is asked of it.

SERVICES, NODES, STORAGE_CLASSES = ("v1", "Service"), ("v1", "Node"), ("storage.k8s.io/v1", "StorageClass")
VOLUMES, PODS, DEPLOYMENTS, JOBS = ("v1", "PersistentVolume"), ("v1", "Pod"), ("apps/v1", "Deployment"), ("batch/v1", "Job")
RBAC = "rbac.authorization.k8s.io/v1"
ROLES = [(RBAC, "ClusterRole"), (RBAC, "ClusterRoleBinding")]
ACCESS = [(RBAC, "RoleBinding"), (RBAC, "Role")]
PART_OF = "app.kubernetes.io/part-of"
# by component, the argument of the control plane that comes with its certificates
CERTIFIED = {"kubelets": "kubelet-certificate-authority", "managers": "tls-cert-file"}


def look(request: Request, cluster: ClusterReader) -> Sight:
    """The state of the cluster. A list that the API server forbids is noted as unknown; one that does not answer at all ends the look."""
    seen = Sight()
    if request.services:
        seen.holders = holders(_listed(cluster, SERVICES, seen.unknown) or ())
    if request.nodes:
        nodes = _listed(cluster, NODES, seen.unknown)
        seen.nodes, seen.nodes_are_known = {name_of(one): one for one in nodes or ()}, nodes is not None
    if request.storage_classes:
        classes = _listed(cluster, STORAGE_CLASSES, seen.unknown)
        seen.storage_classes, seen.storage_classes_are_known = [name_of(one) for one in classes or ()], classes is not None
    if request.namespace:
        seen.existing = _existing(request, cluster)
    return seen


def _existing(request: Request, cluster: ClusterReader) -> Existing:
    """Facts that callers act on: a list that the API server does not permit is an error here, not an empty one."""
    ours = f"{PART_OF}={request.namespace}"
    volumes = list(cluster.items(*VOLUMES, label_selector=ours))
    beside = [f"PersistentVolume {name_of(one)}" for one in volumes]
    beside += [f"{kind} {name_of(one)}" for version, kind in ROLES for one in cluster.items(version, kind, label_selector=ours)]
    nodes = cluster.items(*NODES, label_selector=request.node_label) if request.node_label else ()
    outside = Existing(
        namespace=False,
        cluster_objects=tuple(beside),
        released_volumes=tuple(name_of(one) for one in volumes if (one.get("status") or {}).get("phase") == "Released"),
        labelled_nodes=tuple(name_of(one) for one in nodes),
        access=tuple(
            _reference(version, kind, one)
            for version, kind in ACCESS
            for one in cluster.items(version, kind, label_selector=ours)
            if one["metadata"]["namespace"] != request.namespace
        ),
        certificates=_certificates(cluster) if request.certificates else (),
    )
    namespace = request.namespace
    if cluster.get("v1", "Namespace", namespace) is None:
        return outside
    pods = cluster.items(*PODS, namespace=namespace) if request.asleep else ()
    return replace(
        outside,
        namespace=True,
        deployments=tuple((name_of(one), images(one)) for one in cluster.items(*DEPLOYMENTS, namespace=namespace)),
        jobs=tuple(name_of(one) for one in cluster.items(*JOBS, namespace=namespace)),
        asleep_pods=tuple(one for one in pods if one["spec"].get("nodeName") in request.asleep),
        matching_secrets=tuple(one.name for one in request.secrets if matches(one, cluster.get("v1", "Secret", one.name, namespace))),
    )


def _certificates(cluster: ClusterReader) -> tuple[str, ...]:
    """The components that a client can verify. The role control_plane sets both arguments; other installers may set only the first."""
    data = (cluster.get("v1", "ConfigMap", "kubeadm-config", "kube-system") or {}).get("data") or {}
    return tuple(component for component, argument in CERTIFIED.items() if any(argument in text for text in data.values()))


def _reference(version: str, kind: str, one: Object) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {key: one["metadata"][key] for key in ("namespace", "name")}}


def images(workload: Object) -> tuple[str, ...]:
    return tuple(str(one["image"]) for one in workload["spec"]["template"]["spec"]["containers"])


def matches(wanted: Secret, found: Optional[Object]) -> bool:
    return found is not None and dict(wanted.data) == (found.get("data") or {})


def name_of(thing: Object) -> str:
    return str(thing["metadata"]["name"])


def holders(services: Iterable[Object]) -> dict[int, tuple[str, str]]:
    """Namespace and name by NodePort, for whatever it serves: Services never share one."""
    found: dict[int, tuple[str, str]] = {}
    for one in services:
        spec = one["spec"]
        ports = [port.get("nodePort") for port in spec.get("ports") or ()]
        for port in (*ports, spec.get("healthCheckNodePort")):
            if port:
                found[port] = (one["metadata"]["namespace"], name_of(one))
    return found


def _listed(cluster: ClusterReader, kind: tuple[str, str], unknown: list[Refusal]) -> Optional[list[Object]]:
    """All of a kind; None if the API server forbids the list."""
    try:
        return list(cluster.items(*kind))
    except Unavailable:
        raise
    except Refusal as refusal:
        unknown.append(refusal)
        return None


# The findings about what workloads need of a cluster, and the result as plain data.


def judge(request: Request, seen: Sight) -> list[Finding]:
    """Every finding: Services, nodes, StorageClasses, then what is unknown."""
    found = [*_of_services(request, seen), *_of_nodes(request, seen), *_of_storage_classes(request, seen)]
    for refusal in seen.unknown:
        found.append(Finding("cluster_can_be_read", "unknown", refusal.subject, refusal.found, refusal.required, refusal.next_step))
    return found


def looked_at(request: Request, found: Sequence[Finding]) -> list[LookedAt]:
    facts = f"{len(request.services)} Services, {len(request.nodes)} nodes and {len(request.storage_classes)} StorageClasses wanted"
    return [LookedAt("cluster", facts, state_of(found))]


def as_data(request: Request, seen: Sight) -> dict[str, Any]:
    return {
        "services": [
            {"namespace": one.namespace, "name": one.name, "node_port": one.node_port, "taken_by": _taken_by(one, seen)}
            for one in request.services
        ],
        "nodes": [
            {
                "name": one.name,
                "exists": one.name in seen.nodes,
                "ready": one.ready,
                "schedulable": one.schedulable,
                "asleep": one.is_asleep,
            }
            for one in _verdicts(request, seen)
        ],
        "existing": _existing_data(seen.existing) if seen.existing else None,
    }


def _existing_data(found: Existing) -> dict[str, Any]:
    return {
        "namespace": found.namespace,
        "deployments": [{"name": name, "images": list(images)} for name, images in found.deployments],
        "asleep_pods": [_reference("v1", "Pod", one) for one in found.asleep_pods],
        "access": list(found.access),
        **{
            name: list(getattr(found, name))
            for name in ("jobs", "matching_secrets", "cluster_objects", "released_volumes", "labelled_nodes", "certificates")
        },
        "anything": found.namespace or bool(found.cluster_objects or found.labelled_nodes or found.access),
    }


def _of_services(request: Request, seen: Sight) -> Iterator[Finding]:
    for planned in request.services:
        holder = _taken_by(planned, seen)
        if holder:
            namespace, _slash, name = holder.partition("/")
            yield Finding(
                "node_ports_are_free",
                "error",
                str(planned),
                f"NodePort {planned.node_port} is taken by Service {holder}",
                f"NodePort {planned.node_port} for itself",
                f"Give one of the two another NodePort: the planned one in network_plan.services, the other with "
                f"`kubectl edit service -n {namespace} {name}`.",
            )


def _of_nodes(request: Request, seen: Sight) -> Iterator[Finding]:
    if not seen.nodes_are_known:
        return
    there = ", ".join(sorted(seen.nodes)) or "none"
    for verdict in _verdicts(request, seen):
        subject = f"node {verdict.name}"
        if verdict.name not in seen.nodes:
            fix = "Correct the host's name, or join it with the role worker."
            yield Finding("nodes_exist", "error", subject, f"no node of this name; there are: {there}", "a node of the cluster", fix)
        elif not verdict.ready and not verdict.is_asleep:
            yield Finding("nodes_take_pods", "error", subject, verdict.reason, "ready, or known to be asleep", verdict.fix)
        elif not verdict.schedulable and not verdict.is_asleep:
            fix = f"Uncordon it: `kubectl uncordon {verdict.name}`."
            yield Finding("nodes_take_pods", "error", subject, "cordoned: no new Pods are scheduled on it", "a schedulable node", fix)
        node = seen.nodes.get(verdict.name) or {}
        for taint in repelling((node.get("spec") or {}).get("taints"), request.tolerated):
            found, expected = f"the taint {taint}, so the Pods would stay Pending", "only taints that the Pods tolerate"
            fix = (
                "Name another host for the Pods, or remove the taint: from node_taints of the inventory if it is there, or else with "
                f"`kubectl taint node {verdict.name} {taint}-`."
            )
            yield Finding("nodes_take_pods", "error", subject, found, expected, fix)
        if node:
            yield from _of_extended_resources(request, subject, verdict.name, (node.get("status") or {}).get("allocatable") or {})


def _of_extended_resources(request: Request, subject: str, name: str, allocatable: Mapping[str, Any]) -> Iterator[Finding]:
    # a device plugin that ended leaves 0
    offered = sorted(one for one, quantity in allocatable.items() if "/" in one and str(quantity) != "0")
    for resource in request.extended_resources:
        if resource not in offered:
            found, expected = f"no {resource}; of extended resources it offers: {', '.join(offered) or 'none'}", f"1 {resource} at least"
            fix = (
                "Correct the name, or run the device plugin that offers it on this node, until "
                f"`kubectl get node {name} -o jsonpath='{{.status.allocatable}}'` shows it."
            )
            yield Finding("nodes_offer_resources", "error", subject, found, expected, fix)


def _of_storage_classes(request: Request, seen: Sight) -> Iterator[Finding]:
    if not seen.storage_classes_are_known:
        return
    there = ", ".join(sorted(seen.storage_classes)) or "none"
    for name in sorted({*request.storage_classes} - {*seen.storage_classes}):
        fix = "Install its provisioner, correct its name, or leave it empty to use host directories."
        yield Finding("storage_classes_exist", "error", f"StorageClass {name}", f"none of this name; there are: {there}", "to exist", fix)


def _verdicts(request: Request, seen: Sight) -> list[Verdict]:
    return [judge_node(name, seen.nodes.get(name), name in request.asleep) for name in request.nodes]


def _taken_by(planned: PlannedService, seen: Sight) -> str:
    """The other Service that has the NodePort, as namespace/name; empty if none has."""
    holder = seen.holders.get(planned.node_port, (planned.namespace, planned.name))
    return "" if holder == (planned.namespace, planned.name) else "/".join(holder)
