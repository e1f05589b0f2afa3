# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether nodes may sleep, or be removed: where the scheduler could place their Pods, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

from .._cluster.api import Lister
from .._cluster.nodes import Verdict, judge_all
from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal

# What is asked for, and what of the cluster counts.

Object = Mapping[str, Any]

# the annotation of a Pod's template whose workload may stop while its node sleeps
MAY_STOP = "vmstation.cluster/may-stop"


@dataclass(frozen=True)
class SleepRequest:
    """nodes: which are to sleep. may_stop: workloads that may stop meanwhile, as ``namespace/name``.

    for_good: the nodes do not come back.
    """

    nodes: tuple[str, ...]
    may_stop: frozenset[str] = frozenset()
    for_good: bool = False


@dataclass(frozen=True)
class Sight:
    """The cluster's objects. owners: the Deployment of each ReplicaSet, by namespace and name of the latter."""

    nodes: Mapping[str, Object]
    pods: Sequence[Object]
    owners: Mapping[tuple[str, str], str]
    claims: Mapping[tuple[str, str], Object]
    volumes: Mapping[str, Object]
    budgets: Sequence[Object]


def read_request(options: Mapping[str, Any]) -> SleepRequest:
    """Options of node_sleep_check, as Ansible has typed them."""
    if options["may_stop"] is None:
        raise Refusal("may_stop", "null", "a list of workloads", "Write it as in [media/jellyfin], or [] for none.")
    wrong = [name for name in options["may_stop"] if name.count("/") != 1 or name.startswith("/") or name.endswith("/")]
    if wrong:
        raise Refusal("may_stop", ", ".join(wrong), "namespace/name of each workload", "Write it as in media/jellyfin.")
    if not options["nodes"]:
        raise Refusal("nodes", "none", "the names of the nodes that are to sleep", "Name at least one.")
    names = tuple(dict.fromkeys(name.lower() for name in options["nodes"]))
    return SleepRequest(names, frozenset(options["may_stop"]), bool(options["for_good"]))


# Label selectors and node selectors as the API server and the scheduler match them.
#
# Facts: apimachinery's LabelSelector and core/v1's NodeSelector (
# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/,
# https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node/): terms are alternatives, the expressions of one hold together.

Labels = Mapping[str, str]


def label_selector_matches(selector: Optional[Mapping[str, Any]], labels: Labels) -> bool:
    """Whether a LabelSelector takes these labels. None takes none, an empty one all."""
    if selector is None:
        return False
    same = all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())
    return same and _all_hold(selector.get("matchExpressions") or (), labels)


def node_selector_matches(selector: Optional[Mapping[str, Any]], name: str, labels: Labels) -> bool:
    """Whether a NodeSelector takes the node. None asks for nothing."""
    if selector is None:
        return True
    return any(_term_matches(term, name, labels) for term in selector.get("nodeSelectorTerms") or ())


def _term_matches(term: Mapping[str, Any], name: str, labels: Labels) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    # an empty term takes no node
    return bool(expressions or fields) and _all_hold(expressions, labels) and _all_hold(fields, {"metadata.name": name})


def _all_hold(expressions: Iterable[Mapping[str, Any]], labels: Labels) -> bool:
    return all(_holds(expression, labels.get(str(expression["key"]))) for expression in expressions)


def _holds(expression: Mapping[str, Any], value: Optional[str]) -> bool:
    operator, values = str(expression["operator"]), [str(one) for one in expression.get("values") or ()]
    if operator == "In":
        return value in values
    if operator == "NotIn":
        return value not in values
    if operator == "Exists":
        return value is not None
    if operator == "DoesNotExist":
        return value is None
    try:
        found, limit = int(value or ""), int(values[0])
    except (ValueError, IndexError):
        return False
    return found > limit if operator == "Gt" else found < limit


# Where the scheduler could put a Pod, by all that the Pod requires but its share of a node's resources.


def why_not(pod: Object, node: Object, seen: Sight) -> str:
    """What keeps the Pod from the node; empty if nothing does."""
    spec, name = pod["spec"], str(node["metadata"]["name"])
    labels = node["metadata"].get("labels") or {}
    selector = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return f"nodeSelector {', '.join(f'{key}={value}' for key, value in selector.items())}"
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not node_selector_matches(affinity, name, labels):
        return "node affinity"
    tolerations = spec.get("tolerations") or ()
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not any(_tolerates(one, taint) for one in tolerations):
            return f"taint {taint['key']}"
    for volume in _volumes(pod, seen):
        required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
        if not node_selector_matches(required, name, labels):
            return f"volume {volume['metadata']['name']}, which is on another node"
    return ""


def _volumes(pod: Object, seen: Sight) -> Iterator[Object]:
    namespace = str(pod["metadata"]["namespace"])
    for volume in pod["spec"].get("volumes") or ():
        claimed = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        claim = seen.claims.get((namespace, claimed)) if claimed else None
        bound = seen.volumes.get(((claim or {}).get("spec") or {}).get("volumeName") or "")
        if bound:
            yield bound


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")


# Reads all that is checked: one list of each kind, whatever the number of nodes.


def look(cluster: Lister) -> Sight:
    return Sight(
        nodes={_name(node): node for node in cluster.items("v1", "Node")},
        pods=list(cluster.items("v1", "Pod", field_selector="status.phase!=Succeeded,status.phase!=Failed")),
        owners={
            (one["metadata"]["namespace"], _name(one)): str(owner["name"])
            for one in cluster.items("apps/v1", "ReplicaSet")
            for owner in one["metadata"].get("ownerReferences") or ()
            if owner.get("controller")
        },
        claims={(one["metadata"]["namespace"], _name(one)): one for one in cluster.items("v1", "PersistentVolumeClaim")},
        volumes={_name(one): one for one in cluster.items("v1", "PersistentVolume")},
        budgets=list(cluster.items("policy/v1", "PodDisruptionBudget")),
    )


def _name(one: Object) -> str:
    return str(one["metadata"]["name"])


# What speaks against putting nodes to sleep, or against taking them out of the cluster for good.

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# the kubelet's own: a Pod from a file of the node
MIRROR = "kubernetes.io/config.mirror"


def judge(request: SleepRequest, seen: Sight) -> list[Finding]:
    """Nodes first, then Pods by name."""
    found = [replace(one, hosts=(name,)) for name in request.nodes for one in _of_node(name, request, seen.nodes.get(name))]
    moving = _moving(request, seen)
    for pod in moving:
        found += _of_pod(pod, request, seen)
    found += _of_budgets(moving, request, seen)
    return found


def looked_at(request: SleepRequest, seen: Sight, found: Sequence[Finding]) -> list[LookedAt]:
    """All nodes together, as their Pods move between the others."""
    names = tuple(request.nodes)
    facts = f"{len(_moving(request, seen))} Pods to move"
    return [LookedAt(f"node{'s' if len(names) > 1 else ''} {', '.join(names)}", facts, state_of(found), names)]


def as_data(request: SleepRequest, seen: Sight) -> dict[str, dict[str, Any]]:
    """Each node: is it up, does it take Pods, and which Pods would have to leave it."""
    moving = _moving(request, seen)
    return {
        name: {
            "exists": name in seen.nodes,
            "ready": verdict.ready,
            "schedulable": verdict.schedulable,
            "pods": [_called(pod) for pod in moving if pod["spec"].get("nodeName") == name],
            "volumes": sorted(volume for volume, one in seen.volumes.items() if name in seen.nodes and _is_only_on(one, name, seen)),
        }
        for name, verdict in _verdicts(request.nodes, seen).items()
    }


def moving_and_stopping(request: SleepRequest, seen: Sight) -> tuple[list[str], list[str]]:
    """The Pods that a drain moves to other nodes, and those that stop meanwhile, as no other node can run them."""
    pods = _moving(request, seen)
    stopping = [_called(pod) for pod in pods if not _workload(pod, seen) or all(_obstacles(pod, request, seen).values())]
    return [name for name in map(_called, pods) if name not in stopping], stopping


def _of_node(name: str, request: SleepRequest, node: Optional[Object]) -> Iterator[Finding]:
    if node is None:
        if request.for_good:
            return  # it has left already
        yield Finding(
            "nodes_are_members", "error", f"node {name}", "no Node of this name", "a node of the cluster",
            "Correct the name: `kubectl get nodes` lists them.",
        )  # fmt: skip
    elif CONTROL_PLANE in (node["metadata"].get("labels") or {}):
        yield Finding(
            "nodes_are_workers", "error", f"node {name}", "a control plane", "a worker",
            "The cluster cannot work without it: keep it. playbooks/reset.yml removes the whole cluster."
            if request.for_good
            else "Keep it on: without it the cluster does not work, and the other hosts are not woken.",
        )  # fmt: skip


def _verdicts(names: Iterable[str], seen: Sight) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in judge_all(seen.nodes.values(), list(names), ())}


def _moving(request: SleepRequest, seen: Sight) -> list[Object]:
    """Pods that a drain of nodes that are up takes from them. A node that leaves for good takes its Pods with it, up or not."""
    leaving = {name for name, verdict in _verdicts(request.nodes, seen).items() if verdict.ready or request.for_good}
    moving = [pod for pod in seen.pods if pod["spec"].get("nodeName") in leaving and not _stays(pod)]
    return sorted(moving, key=_called)


def _stays(pod: Object) -> bool:
    metadata = pod["metadata"]
    controller = _controller(pod)
    return MIRROR in (metadata.get("annotations") or {}) or (controller or {}).get("kind") == "DaemonSet"


def _of_pod(pod: Object, request: SleepRequest, seen: Sight) -> Iterator[Finding]:
    if _may_stop(pod, request, seen):
        return
    workload = _workload(pod, seen)
    if not workload:
        yield Finding(
            "pods_come_back", "error", f"Pod {_called(pod)}", "no controller: a drain deletes it for good",
            "a Deployment's or another controller's Pod",
            f"Make it a Deployment, delete it yourself, or allow its deletion: {_called(pod)} in may_stop.",
        )  # fmt: skip
        return
    reasons = _obstacles(pod, request, seen)
    if all(reasons.values()):
        obstacles = "; ".join(f"{name}: {why}" for name, why in sorted(reasons.items())) or "no other node is up and schedulable"
        yield Finding(
            "pods_have_somewhere_to_go", "error", f"Pod {_called(pod)}", f"no other node can run it ({obstacles})",
            "another node that can run it",
            f"Allow it on another node, or allow it to stop: {workload} in may_stop."
            if request.for_good
            else f"Allow it on another node, or allow it to stop meanwhile: {workload} in may_stop, or the annotation "
            f'{MAY_STOP}: "true" on its Pods.',
        )  # fmt: skip


def _obstacles(pod: Object, request: SleepRequest, seen: Sight) -> dict[str, str]:
    """What keeps the Pod from each other node that is up and schedulable; empty if nothing does."""
    others = _verdicts([name for name in seen.nodes if name not in request.nodes], seen)
    return {name: why_not(pod, seen.nodes[name], seen) for name, verdict in others.items() if verdict.ready and verdict.schedulable}


def _of_budgets(moving: list[Object], request: SleepRequest, seen: Sight) -> Iterator[Finding]:
    for budget in seen.budgets:
        namespace, name = budget["metadata"]["namespace"], budget["metadata"]["name"]
        selector = (budget.get("spec") or {}).get("selector")
        held = [
            pod
            for pod in moving
            if pod["metadata"]["namespace"] == namespace and label_selector_matches(selector, pod["metadata"].get("labels") or {})
        ]
        allowed = int((budget.get("status") or {}).get("disruptionsAllowed") or 0)
        if held and allowed == 0:
            yield Finding(
                "disruption_budgets_allow_it", "error", f"PodDisruptionBudget {namespace}/{name}",
                f"no disruption allowed, and {', '.join(_called(pod) for pod in held)} must be evicted", "at least 1 disruption allowed",
                "Run more replicas, or wait until the running ones are ready: `kubectl get poddisruptionbudgets --all-namespaces`.",
            )  # fmt: skip


def _is_only_on(volume: Object, name: str, seen: Sight) -> bool:
    """Whether this node can use a volume, and no other."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    able = [one for one, node in seen.nodes.items() if node_selector_matches(required, one, node["metadata"].get("labels") or {})]
    return required is not None and able == [name]


def _may_stop(pod: Object, request: SleepRequest, seen: Sight) -> bool:
    # the annotation was given for a time
    annotated = (pod["metadata"].get("annotations") or {}).get(MAY_STOP) == "true" and not request.for_good
    return annotated or (_workload(pod, seen) or _called(pod)) in request.may_stop


def _workload(pod: Object, seen: Sight) -> str:
    """``namespace/name`` of the Deployment, StatefulSet or other controller; empty if there is none."""
    controller = _controller(pod)
    if controller is None:
        return ""
    namespace, name = str(pod["metadata"]["namespace"]), str(controller["name"])
    above = seen.owners.get((namespace, name)) if controller.get("kind") == "ReplicaSet" else None
    return f"{namespace}/{above or name}"


def _controller(pod: Object) -> Optional[Mapping[str, Any]]:
    return next((one for one in pod["metadata"].get("ownerReferences") or () if one.get("controller")), None)


def _called(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
