# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules for Calico in the whole cluster, and the verdict of calico_check."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable, Optional

from .._findings import Finding, LookedAt, Severity, State, state_of
from .._network_plan.ports import uses_typha
from .._network_plan.ranges import meets, pools
from . import bgp as bgp_rules
from . import node_rules, preflight
from .bgp import families
from .documents import standing
from .facts import NODE, Facts
from .node_rules import CONFIRMED, Case, Place, Request
from .survey import pools_as_data
from .typha import TYPHA

# Rules for the whole cluster: installation, pools, and blocks of deleted nodes

IN_PLACE = "Run site.yml, whose role calico changes it in place; connections may break once."
OPERATOR = ("calico-system", NODE)
# the preflight rules apply here too; what the role would change is an error after Calico is installed
OF_POOLS: tuple[tuple[Callable[[preflight.Case], Iterator[Any]], Severity, Optional[str]], ...] = (
    (preflight.no_other_pod_network_is_installed, "error", None),
    (preflight.pools_have_the_planned_network, "error", None),
    (preflight.pools_have_the_planned_block_size, "error", None),
    (preflight.pools_have_the_planned_encapsulation, "error", None),
    (preflight.pools_have_the_planned_scope, "error", IN_PLACE),
    (preflight.pools_serve_pods_of_every_node, "error", None),
    (preflight.pools_are_planned, "warning", None),
)


def _other_pod_network(facts: Facts) -> str:
    """Return the pod network of a cluster in which Calico was never installed; empty if there is none, or Calico is there."""
    if facts.api_version or facts.daemon_sets is None or facts.daemon_set:
        return ""
    annotated = any(node.has_flannel for node in (facts.nodes or {}).values())
    return preflight.other_pod_network(((one.namespace, one.name) for one in facts.daemon_sets), annotated)


def judge_cluster(case: Case) -> list[Finding]:
    if not case.facts.api_version:
        fix = "Run site.yml, whose role calico installs it."
        return [Finding("calico_is_installed", "error", "the cluster", "no kind IPPool", "Calico's CRDs and its DaemonSet", fix)]
    return [*_of_daemon_sets(case), *_of_typha(case), *_of_pools(case), *_of_blocks(case)]


def _of_daemon_sets(case: Case) -> Iterator[Finding]:
    if case.facts.daemon_sets is None:
        return
    at = case.facts.daemon_set
    if at is None:
        fix = "Run site.yml, whose role calico installs it."
        yield Finding(
            "calico_is_installed", "error", f"DaemonSet {NODE}", "none of this name", "a DaemonSet that runs Calico on every node", fix
        )
    elif families(case.request.plan) and at.readiness and not any("bird" in word for word in at.readiness):
        fix = "Run site.yml, whose role calico sets the probe that the encapsulation needs."
        found, expected = f"a readiness probe without BIRD: {' '.join(at.readiness)}", "one that checks BIRD, as the plan's routes use BGP"
        yield Finding("readiness_asks_bird", "warning", f"DaemonSet {at.namespace}/{at.name}", found, expected, fix)


def _of_typha(case: Case) -> Iterator[Finding]:
    """Compare the use of Typha with the plan, and report a Typha that is not ready."""
    at, typha, plan, hosts = case.facts.daemon_set, case.facts.typha, case.request.plan, len(case.request.nodes)
    if at is None:
        return
    if at.uses_typha != uses_typha(plan, hosts, at.uses_typha):
        found, expected = ("Typha", "no Typha") if at.uses_typha else ("no Typha", "Typha")
        fix = f"Run site.yml, whose role calico {'removes' if at.uses_typha else 'installs'} it."
        reason = f"{expected}, as network_plan.typha is {plan.typha}, and there are {hosts} hosts"
        yield Finding("typha_use_matches_the_plan", "warning", f"DaemonSet {at.namespace}/{at.name}", found, reason, fix)
    if typha is None:
        return
    subject = f"Deployment {at.namespace}/{TYPHA}"
    if typha.replicas is None:
        fix = "Run site.yml, whose role calico installs it."
        yield Finding("typha_is_ready", "error", subject, "none of this name, but calico-node uses it", "Typha", fix)
    elif typha.ready < max(1, typha.replicas):
        pods = [f"Pod {one.name}{f' on {one.node}' if one.node else ''}: {one.state}" for one in typha.stuck]
        found = "; ".join([f"{typha.ready} of {typha.replicas} replicas ready", *pods[:3]])
        fix = next((one.next_step for one in typha.stuck), f"See `kubectl describe deployment --namespace {at.namespace} {TYPHA}`.")
        # without any, no node gets changes of policies and routes
        severity: Severity = "warning" if typha.ready else "error"
        yield Finding("typha_is_ready", severity, subject, found, "all replicas ready", fix)


def _of_pools(case: Case) -> Iterator[Finding]:
    daemon_sets = [(one.namespace, one.name) for one in case.facts.daemon_sets or ()]
    if not any(name == NODE for namespace, name in daemon_sets if (namespace, name) != OPERATOR):
        daemon_sets = [one for one in daemon_sets if one != OPERATOR]
    live = case.facts.pools or ()
    crossing = {}
    for number, one in enumerate(live):
        for other in live[number + 1 :]:
            if one.cidr and other.cidr and meets(one.cidr, other.cidr):
                stranger, known = (one, other) if any(other.cidr == pool.cidr for pool in pools(case.request.plan)) else (other, one)
                crossing[f"IPPool {stranger.name}"] = f"cidr {stranger.cidr}, overlapping IPPool {known.name} ({known.cidr})"
    judged = preflight.Case(case.request.plan, "", live, tuple(daemon_sets))
    for rule, severity, fix in OF_POOLS:
        for one in rule(judged):
            if one.subject not in crossing:
                yield Finding(rule.__name__, severity, one.subject, one.found, one.expected, fix or one.fix)
    for subject, found in crossing.items():
        fix = "Disable it, move its pods, and delete it: overlapping pools can assign the same address twice."
        yield Finding("pools_do_not_meet", "error", subject, found, "pools that do not overlap", fix)
    if case.facts.pools is not None:
        for pool in pools(case.request.plan):
            if standing(pool, live) is None and not any(one.cidr and one.cidr.version == pool.cidr.version for one in live):
                fix = "Run site.yml, whose role calico creates it."
                yield Finding(
                    "pools_exist", "error", "network_plan.pod_cidr", f"no IPPool of {pool.cidr}", "an IPPool for the pods' addresses", fix
                )


def _of_blocks(case: Case) -> Iterator[Finding]:
    if case.facts.nodes is None:
        return
    strays: dict[str, list[str]] = {}
    for block in case.facts.blocks or ():
        if block.node not in case.facts.nodes:
            strays.setdefault(block.node, []).append(block.cidr)
    for name, cidrs in sorted(strays.items()):
        found = f"{len(cidrs)} block{'s' if len(cidrs) != 1 else ''} of a Node that no longer exists: {', '.join(sorted(cidrs)[:4])}"
        fix = (
            "Wait 15 minutes after the Node was deleted, then check that calico-kube-controllers runs, which releases them, "
            "or release them with `calicoctl ipam check` and `calicoctl ipam release`."
        )
        yield Finding("blocks_belong_to_nodes", "warning", f"node {name}", found, "blocks of Nodes that exist", fix, (name,))


# The verdict: all findings, and the result for each node


_FACTS: dict[State, str] = {
    "ok": "Calico runs on it, and is connected to the other nodes",
    "asleep": "asleep",
    "error": "Calico does not work on it, or is not connected to another node",
    "unknown": "Calico's state on it is partly unknown",
}


@dataclass(frozen=True)
class Verdict:
    """nodes: `ok`, `error`, `unknown` or `asleep` for each, with the facts behind it. other: another pod network, which is not checked.

    typha: how many replicas of Typha are ready, in words; empty without it.
    """

    findings: list[Finding]
    nodes: list[dict[str, Any]]
    encapsulation: str
    pools: Optional[list[dict[str, Any]]]
    other: str = ""
    typha: str = ""

    @property
    def looked_at(self) -> list[LookedAt]:
        if self.other:
            return [LookedAt("pod network", f"{self.other}; it is not Calico, so nothing of Calico is checked")]
        nodes = [LookedAt(f"node {node['name']}", _FACTS[node["verdict"]], node["verdict"], (node["name"],)) for node in self.nodes]
        of_typha = state_of(one for one in self.findings if one.rule == "typha_is_ready")
        return [*nodes, *([LookedAt("Typha", self.typha, of_typha)] if self.typha else [])]

    def as_data(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "encapsulation": self.encapsulation, "pools": self.pools}


def judge(request: Request, facts: Facts, now: datetime, made: Iterable[str] = ()) -> Verdict:
    """Check everything. made: the nodes whose CalicoNodeStatus was created in this run."""
    other = _other_pod_network(facts)
    if other:
        return Verdict([], [], "", None, other)
    found = node_rules.places(request, facts)
    case = node_rules.case_of(request, facts, now)
    of_nodes = node_rules.judge(found, case)
    ill = [name for name, findings in of_nodes.items() if any(one.severity == "error" for one in findings)]
    bgp = bgp_rules.judge(request.plan, facts, found, ill, made)
    unknown = [Finding("calico_can_be_read", "unknown", one.subject, one.found, one.required, one.next_step) for one in facts.unknown]
    findings = [*judge_cluster(case), *(one for each in of_nodes.values() for one in each), *bgp.findings, *unknown]
    nodes = [_node(place, case, of_nodes[place.name], bgp) for place in found]
    typha = f"{facts.typha.ready} of {facts.typha.replicas or 0} replicas ready" if facts.typha else ""
    return Verdict(findings, nodes, _encapsulation(case), pools_as_data(facts.pools), typha=typha)


def _encapsulation(case: Case) -> str:
    """Return the existing pools' encapsulation in the plan's words; empty if there is no pool, or it cannot be read."""
    live = [standing(pool, case.facts.pools or ()) for pool in pools(case.request.plan)]
    words = {f"{one.overlay}{one.scope}".replace("Always", "").replace("Never", "") for one in live if one}
    # IP-in-IP carries IPv4 only: an IPv6 pool has none
    return ", ".join(sorted(words - {"None"} or words))


def _node(place: Place, case: Case, findings: Iterable[Finding], bgp: bgp_rules.Outcome) -> dict[str, Any]:
    pod, node, sessions = place.pod, place.node, bgp.sessions.get(place.name)
    return {
        "name": place.name,
        "verdict": _word(place, case, findings, bgp.verdicts[place.name]),
        "node_ready": None if case.facts.nodes is None else node is not None and node.ready.get("status") == "True",
        "calico_node_ready": None if case.facts.pods is None else pod is not None and pod.ready and not place.is_silent,
        "calico_node": pod.name if pod else "",
        "restarts": pod.restarts if pod else 0,
        "address": next(iter(node.addresses.values()), "") if node else "",
        "tunnel_addresses": [node.tunnels[one] for one in case.tunnels if one in node.tunnels] if node else [],
        "blocks": None if case.facts.blocks is None else len(place.blocks),
        "blocks_confirmed": None if case.facts.blocks is None else sum(one.state == CONFIRMED for one in place.blocks),
        "bgp": {
            "verdict": bgp.verdicts[place.name],
            "expected": sessions.expected if sessions else None,
            "established": sessions.established if sessions else None,
            "down": [{"peer": one.peer, "state": one.state, "since": one.since} for one in sessions.down] if sessions else [],
        },
    }


def _word(place: Place, case: Case, findings: Iterable[Finding], bgp: str) -> str:
    if place.is_asleep:
        return "asleep"
    if bgp == "error" or any(one.severity == "error" for one in findings):
        return "error"
    lists: Mapping[str, object] = {
        "nodes": case.facts.nodes,
        "pods": case.facts.pods,
        "pools": case.facts.pools,
        "blocks": case.facts.blocks,
    }
    return "unknown" if bgp == "unknown" or None in lists.values() else "ok"
