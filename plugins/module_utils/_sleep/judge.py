# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against putting nodes to sleep, or against taking them out of the cluster for good."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import Verdict, judge_all
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.model import MAY_STOP, Object, Request, Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.places import why_not
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.selectors import label_selector_matches, node_selector_matches

CONTROL_PLANE = "node-role.kubernetes.io/control-plane"
# the kubelet's own: a Pod from a file of the node
MIRROR = "kubernetes.io/config.mirror"


def judge(request: Request, seen: Sight) -> list[Finding]:
    """Nodes first, then Pods by name."""
    found = [finding for name in request.nodes for finding in _of_node(name, request, seen.nodes.get(name))]
    moving = _moving(request, seen)
    for pod in moving:
        found += _of_pod(pod, request, seen)
    found += _of_budgets(moving, request, seen)
    return found


def as_data(request: Request, seen: Sight) -> dict[str, dict[str, Any]]:
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


def _of_node(name: str, request: Request, node: Optional[Object]) -> Iterator[Finding]:
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
            "Leave it in the cluster, which is none without it; playbooks/reset.yml removes the whole cluster."
            if request.for_good
            else "Leave it on: without it the cluster can do nothing, and nobody wakes the others.",
        )  # fmt: skip


def _verdicts(names: Iterable[str], seen: Sight) -> dict[str, Verdict]:
    return {verdict.name: verdict for verdict in judge_all(seen.nodes.values(), list(names), ())}


def _moving(request: Request, seen: Sight) -> list[Object]:
    """Pods that a drain of nodes that are up takes from them. A node that leaves for good takes its Pods with it, up or not."""
    leaving = {name for name, verdict in _verdicts(request.nodes, seen).items() if verdict.ready or request.for_good}
    moving = [pod for pod in seen.pods if pod["spec"].get("nodeName") in leaving and not _stays(pod)]
    return sorted(moving, key=_called)


def _stays(pod: Object) -> bool:
    metadata = pod["metadata"]
    controller = _controller(pod)
    return MIRROR in (metadata.get("annotations") or {}) or (controller or {}).get("kind") == "DaemonSet"


def _of_pod(pod: Object, request: Request, seen: Sight) -> Iterator[Finding]:
    if _may_stop(pod, request, seen):
        return
    workload = _workload(pod, seen)
    if not workload:
        yield Finding(
            "pods_come_back", "error", f"Pod {_called(pod)}", "no controller: a drain deletes it for good",
            "a Deployment's or another controller's Pod",
            f"Make it a Deployment, delete it yourself, or say that it may go: {_called(pod)} in may_stop.",
        )  # fmt: skip
        return
    others = _verdicts([name for name in seen.nodes if name not in request.nodes], seen)
    reasons = {name: why_not(pod, seen.nodes[name], seen) for name, verdict in others.items() if verdict.ready and verdict.schedulable}
    if all(reasons.values()):
        told = "; ".join(f"{name}: {why}" for name, why in sorted(reasons.items())) or "no other node is up and takes Pods"
        yield Finding(
            "pods_have_somewhere_to_go", "error", f"Pod {_called(pod)}", f"no other node may take it ({told})",
            "another node that takes it",
            f"Let another node take it, or say that it may stop: {workload} in may_stop."
            if request.for_good
            else f"Let another node take it, or say that it may stop meanwhile: {workload} in may_stop, or the annotation "
            f'{MAY_STOP}: "true" on its Pods.',
        )  # fmt: skip


def _of_budgets(moving: list[Object], request: Request, seen: Sight) -> Iterator[Finding]:
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
                f"no disruption allowed, and {', '.join(_called(pod) for pod in held)} would have to go", "at least 1 disruption allowed",
                "Run more replicas, or wait until those that run are ready: `kubectl get poddisruptionbudgets --all-namespaces`.",
            )  # fmt: skip


def _is_only_on(volume: Object, name: str, seen: Sight) -> bool:
    """Whether this node can use a volume, and no other."""
    required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
    able = [one for one, node in seen.nodes.items() if node_selector_matches(required, one, node["metadata"].get("labels") or {})]
    return required is not None and able == [name]


def _may_stop(pod: Object, request: Request, seen: Sight) -> bool:
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
