# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of nodes: determined from Node objects, and waited for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from .._conditions import condition, is_true
from .._findings import Finding, LookedAt, state_of
from .._refusal import Refusal, Unavailable
from .._waiting import Clock
from .api import ClusterReader
from .node_labels import taints_of_the_inventory

# What a Node object reports about its host.

Object = Mapping[str, Any]

RULE = "nodes_are_ready"
IN_INVENTORY = "nodes_are_hosts_of_the_inventory"
ASLEEP = "asleep"
PRESSURES = ("DiskPressure", "MemoryPressure", "PIDPressure")
_OF_NODES_THAT_WERE_NOT_READY = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_NO_NETWORK = ("cni plugin not initialized", "NetworkPluginNotReady", "network plugin is not ready")


@dataclass(frozen=True)
class Verdict:
    """One node. reason: what keeps it from being ready, in words that follow its name; empty if it is ready. fix: the next step.

    pressures: the conditions of PRESSURES that hold: kubelet evicts Pods from such a node, and it takes no new ones.
    evicting: the taints that evict Pods of a node that is ready, without those that the inventory names.
    """

    name: str
    ready: bool
    reason: str = ""
    fix: str = ""
    is_asleep: bool = False
    schedulable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    pressures: tuple[str, ...] = ()
    evicting: tuple[str, ...] = ()


def judge_all(found: Iterable[Object], names: Sequence[str], asleep: Iterable[str], release: str = "") -> list[Verdict]:
    """A verdict on each of ``names``. asleep: those whose host is known to sleep; they may not be ready. release: of their kubelets."""
    by_name = {str(node["metadata"]["name"]): node for node in found}
    sleeping = set(asleep)
    return [judge_node(name, by_name.get(name), name in sleeping, release) for name in names]


def judge_node(name: str, node: Optional[Object], is_asleep: bool, release: str = "") -> Verdict:
    if node is None:
        reason = f"{ASLEEP}, and has no Node object" if is_asleep else "has no Node object"
        return Verdict(
            name,
            ready=False,
            reason=reason,
            fix="The host has not joined, or its Node was deleted: run the role worker on it, which joins it.",
            is_asleep=is_asleep,
        )
    verdict = Verdict(
        name,
        ready=False,
        schedulable=not (node.get("spec") or {}).get("unschedulable"),
        labels=_texts(node, "labels"),
        annotations=_texts(node, "annotations"),
    )
    ready = condition(node, "Ready")
    if ready.get("status") == "True":
        runs = str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion"))
        if release and runs.lstrip("v") != release.lstrip("v"):
            reason, fix = f"its kubelet is {runs}, not {release}", f"See `systemctl status kubelet` and `kubelet --version` on {name}."
            return replace(verdict, reason=reason, fix=fix)
        cut_off = condition(node, "NetworkUnavailable")
        if cut_off.get("status") == "True":
            reason = f"not ready: its network is not available ({cut_off.get('message') or cut_off.get('reason') or 'no reason given'})"
            fix = f"See Calico's Pod on it: `kubectl get pods --all-namespaces --field-selector spec.nodeName={name}`."
            return replace(verdict, reason=reason, fix=fix)
        pressures = tuple(kind for kind in PRESSURES if is_true(node, kind))
        taints = [one for one in (node.get("spec") or {}).get("taints") or () if one.get("effect") == "NoExecute"]
        # the controller manager takes these away soon; the next run would set those of the inventory again
        evicting = [f"{one['key']}:NoExecute" for one in taints if one["key"] not in _OF_NODES_THAT_WERE_NOT_READY]
        evicting = [one for one in evicting if one not in taints_of_the_inventory(node)]
        return replace(verdict, ready=True, pressures=pressures, evicting=tuple(evicting))
    if is_asleep:
        return replace(verdict, reason=ASLEEP, fix="Wake it: playbooks/wake.yml.", is_asleep=True)
    reason, fix = _trouble(name, ready)
    return replace(verdict, reason=reason, fix=fix)


def unheard_of(verdict: Verdict) -> Verdict:
    """A node whose condition is still Ready, although its kubelet has not renewed its Lease meanwhile."""
    if not verdict.ready:
        return verdict
    return replace(
        verdict,
        ready=False,
        reason="not heard of since this task began: its lease has not been renewed",
        fix=f"Check that {verdict.name} is on, and its kubelet: `systemctl status kubelet`.",
    )


def findings(verdicts: Iterable[Verdict], seconds: float) -> list[Finding]:
    """One for each node that is not ready. A host that is asleep is reported, and is no error."""
    waited = f", after {seconds:.0f} s" if seconds >= 1 else ""
    return [
        Finding(
            rule=RULE,
            severity="info" if verdict.is_asleep else "error",
            subject=f"node {verdict.name}",
            found=verdict.reason + ("" if verdict.is_asleep else waited),
            expected="ready",
            fix=verdict.fix,
            hosts=(verdict.name,),
        )
        for verdict in verdicts
        if not verdict.ready
    ]


def findings_about_pods(verdicts: Iterable[Verdict]) -> Iterator[Finding]:
    """One for each node that is ready, and does not take or keep every Pod."""
    for verdict in verdicts:
        name = verdict.name
        subject, hosts = f"node {name}", (name,)
        if not verdict.ready:
            continue
        if verdict.pressures:
            found = f"ready, but under {', '.join(verdict.pressures)}: kubelet evicts Pods from it, and it accepts no new ones"
            fix = f"See `kubectl describe node {name}`. Free resources on {name}; kubelet checks again by itself, and waits five minutes."
            yield Finding("nodes_are_under_no_pressure", "error", subject, found, "no pressure", fix, hosts)
        elif verdict.evicting:
            taint = verdict.evicting[0]
            found = f"ready, but tainted {taint}: Pods that do not tolerate it are evicted, and new ones are not scheduled"
            fix = f"`kubectl taint node {name} {taint}-`"
            yield Finding("nodes_evict_no_pods", "warning", subject, found, "no such taint", fix, hosts)
        elif not verdict.schedulable:
            fix = f"`kubectl uncordon {name}`"
            yield Finding("nodes_are_not_cordoned", "warning", subject, "ready, but cordoned", "ready for new Pods", fix, hosts)


def looked_at(verdicts: Iterable[Verdict], found: Sequence[Finding]) -> list[LookedAt]:
    """One for each node."""
    seen = []
    for verdict in verdicts:
        state = "asleep" if verdict.is_asleep else state_of(one for one in found if verdict.name in one.hosts)
        facts = verdict.reason or ("ready, and accepts Pods" if verdict.schedulable else "ready, but cordoned")
        seen.append(LookedAt(f"node {verdict.name}", facts, state, (verdict.name,)))
    return seen


def strangers(found: Iterable[Object], inventory: Iterable[str]) -> list[str]:
    """The nodes that the inventory does not name."""
    return sorted({str(node["metadata"]["name"]) for node in found} - set(inventory))


def finding_of_stranger(name: str) -> Finding:
    found = "a node of the cluster, and not in the inventory"
    return Finding(IN_INVENTORY, "warning", f"node {name}", found, "a host of the inventory", how_to_leave(name), (name,))


def how_to_leave(name: str) -> str:
    """What to do with a node that the inventory does not name."""
    return (
        f"Add it to the inventory. If its host was removed for good, `kubectl delete node {name}`; if it still runs and should leave the "
        f"cluster, `ansible-playbook playbooks/remove_worker.yml -e worker={name}` after adding it to the inventory."
    )


def all_findings(outcome: Outcome, accepts_pods: bool) -> list[Finding]:
    """Everything about the nodes. accepts_pods: whether nodes that are ready must also take and keep Pods."""
    found = findings(outcome.verdicts, outcome.seconds) + [finding_of_stranger(name) for name in outcome.strangers]
    return [*found, *(findings_about_pods(outcome.verdicts) if accepts_pods else ())]


def as_data(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Any]]:
    return {
        verdict.name: {
            "ready": verdict.ready,
            "reason": verdict.reason,
            "asleep": verdict.is_asleep,
            "schedulable": verdict.schedulable,
            "labels": dict(verdict.labels),
            "annotations": dict(verdict.annotations),
            "pressures": list(verdict.pressures),
            "evicting": list(verdict.evicting),
        }
        for verdict in verdicts
    }


def _trouble(name: str, ready: Mapping[str, Any]) -> tuple[str, str]:
    """What a condition Ready that does not hold means, and the next step."""
    message = str(ready.get("message") or "no reason given").strip()
    if not ready:
        return "not ready: its kubelet has reported nothing yet", f"See `journalctl -u kubelet` on {name}."
    if ready.get("status") == "Unknown":
        since = ready.get("lastHeartbeatTime") or ready.get("lastTransitionTime") or "an unknown time"
        return (
            f"not ready: silent since {since} ({message})",
            f"Check that {name} is on, and its kubelet: `systemctl status kubelet` and `journalctl -u kubelet`. If it is asleep, wake it "
            "with playbooks/wake.yml.",
        )
    if any(sign in message for sign in _NO_NETWORK):
        return (
            f"not ready: no CNI network yet ({message})",
            f"See the state of Calico's Pod on it: `kubectl get pods --all-namespaces --field-selector spec.nodeName={name}`.",
        )
    return f"not ready: {message}", f"See `kubectl describe node {name}`, and `journalctl -u kubelet` on it."


def _texts(node: Object, key: str) -> dict[str, str]:
    return {str(name): str(value) for name, value in (node["metadata"].get(key) or {}).items()}


# Waits, in bounded time, until nodes are ready.


@dataclass(frozen=True)
class Request:
    """The nodes to wait for. timeout: seconds; 0 checks what is now. interval: seconds between two looks.

    heartbeat: a node counts only when its kubelet has renewed its lease since the first look.
    inventory: all hosts that may be nodes; None: others are not looked for. release: of the kubelets; empty: any.
    """

    names: tuple[str, ...]
    asleep: frozenset[str] = frozenset()
    timeout: float = 300.0
    interval: float = 1.0
    heartbeat: bool = False
    inventory: Optional[frozenset[str]] = None
    release: str = ""


@dataclass(frozen=True)
class Outcome:
    """verdicts: in the order of the names. seconds: how long it took. strangers: nodes that the inventory does not name."""

    verdicts: Sequence[Verdict]
    seconds: float
    strangers: Sequence[str] = ()


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    if params["timeout"] < 0:
        raise Refusal("timeout", f"{params['timeout']:g}", "a number of seconds, 0 or more", "Use 0 to check without waiting.")
    return Request(
        tuple(dict.fromkeys(name.lower() for name in params["nodes"])),
        frozenset(name.lower() for name in params["asleep"]),
        float(params["timeout"]),
        heartbeat=bool(params.get("heartbeat")),
        inventory=None if params["inventory"] is None else frozenset(name.lower() for name in params["inventory"]),
        release=params["release"],
    )


def wait_for_nodes(wanted: Request, cluster: ClusterReader, clock: Clock) -> Outcome:
    """One list of all nodes at a look; back as soon as everyone is ready who does not sleep. An API server that is busy is asked again."""
    began = clock.now()
    first: Optional[Mapping[str, str]] = None
    while True:
        try:
            nodes = list(cluster.items("v1", "Node"))
            verdicts = judge_all(nodes, wanted.names, wanted.asleep, wanted.release)
            if wanted.heartbeat:
                leases = _leases(cluster)
                first = leases if first is None else first
                verdicts = [unheard_of(one) if leases.get(one.name) == first.get(one.name) else one for one in verdicts]
        except Refusal as refusal:
            # an API server that has just started forbids everything until it has read the roles
            may_pass = isinstance(refusal, Unavailable) or wanted.heartbeat
            if not may_pass or clock.now() - began >= wanted.timeout:
                raise
            nodes, verdicts = [], []
        waited = clock.now() - began
        if verdicts and (waited >= wanted.timeout or all(verdict.ready or verdict.is_asleep for verdict in verdicts)):
            return Outcome(verdicts, waited, () if wanted.inventory is None else strangers(nodes, wanted.inventory))
        if not wanted.names:
            return Outcome((), waited)
        clock.sleep(wanted.interval)


def _leases(cluster: ClusterReader) -> dict[str, str]:
    """When each kubelet last renewed its lease."""
    found = cluster.items("coordination.k8s.io/v1", "Lease", namespace="kube-node-lease")
    return {str(lease["metadata"]["name"]): str((lease.get("spec") or {}).get("renewTime")) for lease in found}
