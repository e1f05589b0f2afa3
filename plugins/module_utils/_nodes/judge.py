# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a Node object says of its host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding

Object = Mapping[str, Any]

RULE = "nodes_are_ready"
IN_INVENTORY = "nodes_are_hosts_of_the_inventory"
ASLEEP = "asleep"
PRESSURES = ("DiskPressure", "MemoryPressure", "PIDPressure")
_NO_NETWORK = ("cni plugin not initialized", "NetworkPluginNotReady", "network plugin is not ready")


@dataclass(frozen=True)
class Verdict:
    """One node. reason: what keeps it from being ready, in words that follow its name; empty if it is ready. fix: the next step.

    pressures: the conditions of PRESSURES that hold: kubelet evicts Pods from such a node, and it takes no new ones.
    """

    name: str
    ready: bool
    reason: str = ""
    fix: str = ""
    is_asleep: bool = False
    schedulable: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    pressures: tuple[str, ...] = ()


def judge_all(found: Iterable[Object], names: Sequence[str], asleep: Iterable[str], release: str = "") -> list[Verdict]:
    """A verdict on each of ``names``. asleep: those whose host is known to sleep; they may not be ready. release: of their kubelets."""
    by_name = {str(node["metadata"]["name"]): node for node in found}
    sleeping = set(asleep)
    return [judge(name, by_name.get(name), name in sleeping, release) for name in names]


def judge(name: str, node: Optional[Object], is_asleep: bool, release: str = "") -> Verdict:
    if node is None:
        reason = f"{ASLEEP}, and has no Node object" if is_asleep else "has no Node object"
        return Verdict(
            name,
            ready=False,
            reason=reason,
            fix="The host has not joined, or its Node was deleted: run the role worker on it, which joins it.",
            is_asleep=is_asleep,
        )
    ready = _condition(node, "Ready")
    labels = {str(key): str(value) for key, value in (node["metadata"].get("labels") or {}).items()}
    schedulable = not (node.get("spec") or {}).get("unschedulable")
    if ready.get("status") == "True":
        runs = str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion"))
        if release and runs.lstrip("v") != release.lstrip("v"):
            reason, fix = f"its kubelet is {runs}, not {release}", f"See `systemctl status kubelet` and `kubelet --version` on {name}."
            return Verdict(name, False, reason, fix, schedulable=schedulable, labels=labels)
        pressures = tuple(kind for kind in PRESSURES if _condition(node, kind).get("status") == "True")
        return Verdict(name, ready=True, schedulable=schedulable, labels=labels, pressures=pressures)
    if is_asleep:
        return Verdict(name, False, ASLEEP, "Wake it: playbooks/wake.yml.", is_asleep=True, schedulable=schedulable, labels=labels)
    reason, fix = _trouble(name, ready)
    return Verdict(name, False, reason, fix, schedulable=schedulable, labels=labels)


def unheard_of(verdict: Verdict) -> Verdict:
    """A node that is said to be ready, by a kubelet that has not been heard of meanwhile."""
    if not verdict.ready:
        return verdict
    return replace(
        verdict,
        ready=False,
        reason="not heard of since this task began: its lease has not been renewed",
        fix=f"Look whether {verdict.name} is on, and at its kubelet: `systemctl status kubelet`.",
    )


def findings(verdicts: Iterable[Verdict], seconds: float) -> list[Finding]:
    """One for each node that is not ready. A host that sleeps is told of, and is no error."""
    waited = f", after {seconds:.0f} s" if seconds >= 1 else ""
    return [
        Finding(
            rule=RULE,
            severity="info" if verdict.is_asleep else "error",
            subject=f"node {verdict.name}",
            found=verdict.reason + ("" if verdict.is_asleep else waited),
            expected="ready",
            fix=verdict.fix,
        )
        for verdict in verdicts
        if not verdict.ready
    ]


def strangers(found: Iterable[Object], inventory: Iterable[str]) -> list[str]:
    """The nodes that the inventory does not name."""
    return sorted({str(node["metadata"]["name"]) for node in found} - set(inventory))


def finding_of_stranger(name: str) -> Finding:
    found = "a node of the cluster, and not in the inventory"
    return Finding(IN_INVENTORY, "warning", f"node {name}", found, "a host of the inventory", how_to_leave(name))


def how_to_leave(name: str) -> str:
    """What to do with a node that the inventory does not name."""
    return (
        f"Write it into the inventory. If its host is gone for good, `kubectl delete node {name}`; if it still runs and is to leave the "
        f"cluster, `ansible-playbook playbooks/remove_worker.yml -e worker={name}` once it is in the inventory."
    )


def as_data(verdicts: Iterable[Verdict]) -> dict[str, dict[str, Any]]:
    return {
        verdict.name: {
            "ready": verdict.ready,
            "reason": verdict.reason,
            "asleep": verdict.is_asleep,
            "schedulable": verdict.schedulable,
            "labels": dict(verdict.labels),
            "pressures": list(verdict.pressures),
        }
        for verdict in verdicts
    }


def _trouble(name: str, ready: Mapping[str, Any]) -> tuple[str, str]:
    """What a condition Ready that does not hold tells, and the next step."""
    message = str(ready.get("message") or "no reason given").strip()
    if not ready:
        return "not ready: its kubelet has reported nothing yet", f"See `journalctl -u kubelet` on {name}."
    if ready.get("status") == "Unknown":
        since = ready.get("lastHeartbeatTime") or ready.get("lastTransitionTime") or "an unknown time"
        return (
            f"not ready: silent since {since} ({message})",
            f"Look whether {name} is on, and at its kubelet: `systemctl status kubelet`. One that sleeps is woken by playbooks/wake.yml.",
        )
    if any(sign in message for sign in _NO_NETWORK):
        return (
            f"not ready: no CNI network yet ({message})",
            f"See what keeps Calico's Pod on it: `kubectl get pods --all-namespaces --field-selector spec.nodeName={name}`.",
        )
    return f"not ready: {message}", f"See `kubectl describe node {name}`, and `journalctl -u kubelet` on it."


def _condition(node: Object, kind: str) -> Mapping[str, Any]:
    for condition in (node.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            return dict(condition)
    return {}
