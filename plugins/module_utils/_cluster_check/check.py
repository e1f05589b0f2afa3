# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the checks that only ask the Kubernetes API in parallel, each as its own module runs it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import PurePath
from typing import Any

from .._calico import node_rules, survey, verdict
from .._cluster import nodes
from .._dns import coredns
from .._dns.model import corefile, dns_plan
from .._drift import judge as drift
from .._drift.model import SECONDS as KUBELET_SECONDS
from .._drift.model import Kubelets, look, read_wanted
from .._findings import Finding, Verdict
from .._health import judge as health
from .._health.model import CERTIFICATE_DAYS, OWN_NAMESPACES, Sight, wanted
from .._health.model import GROUPS as OF_HEALTH
from .._network_plan.ports import open_ports, port_entry
from .._network_plan.reading import DEFAULT_NODE_PORTS, read_cluster, read_needed
from .._refusal import Refusal
from .._services import judge as services
from .._waiting import Clock

GROUPS = (
    "nodes", "control_plane", "certificates", "api", "workloads", "storage", "monitoring", "calico", "dns", "services", "drift",
)  # fmt: skip
"""The groups of the report, in its order."""
OF_THE_PLAN = ("calico", "dns", "services", "drift")

Params = Mapping[str, Any]
Verdicts = dict[str, Verdict]


@dataclass(frozen=True)
class Edges:
    """The access to the outside world. cluster: its answers are also asked for by several threads. now: the controller's time."""

    cluster: health.HealthReader
    kubelets: Kubelets
    node_ports: services.Visitor
    clock: Clock
    read_yaml: Callable[[str], object]
    now: Callable[[], datetime]


def chosen(params: Params) -> tuple[str, ...]:
    """Return the groups to check, in the order of the report: by default all that the other options allow."""
    impossible = OF_THE_PLAN if params["plan"] is None else ()
    if params["groups"] is None:
        return tuple(group for group in GROUPS if group not in impossible)
    without = ", ".join(group for group in impossible if group in params["groups"])
    if without:
        step = f"Set plan, or leave {without} out of groups."
        raise Refusal("plan", f"no value, and the groups {without}", "the network plan, which these groups need", step)
    return tuple(group for group in GROUPS if group in params["groups"])


def check(params: Params, groups: Sequence[str], edges: Edges) -> Verdicts:
    """Return the verdict of each group. A check without a result is a finding; an API server that does not answer is a Refusal."""
    first = health.first_look(groups, edges.cluster)
    of_health = tuple(group for group in OF_HEALTH if group in groups)
    parts: list[tuple[Sequence[str], Callable[[], Verdicts]]] = []
    if of_health:
        parts.append((of_health, partial(_health, params, of_health, edges, first)))
    parts += [((group,), partial(_alone, group, params, edges)) for group in groups if group in _CHECKS]
    with ThreadPoolExecutor(max(len(parts), 1)) as pool:
        several = list(pool.map(lambda part: _or_why_not(*part), parts))
    found = {group: one for verdicts in several for group, one in verdicts.items()}
    return {group: found[group] for group in groups if group in found}


def _or_why_not(groups: Sequence[str], run: Callable[[], Verdicts]) -> Verdicts:
    try:
        return run()
    except Refusal as refusal:
        why = (refusal.subject, f"no result: {refusal.found}", refusal.required, refusal.next_step)
    except Exception as error:  # a fault of one check hides no other
        at = traceback.extract_tb(error.__traceback__)[-1]
        found = f"no result: {type(error).__name__}: {error} ({PurePath(at.filename).name}, line {at.lineno})"
        why = (f"check of {', '.join(groups)}", found, "a result", "Report this as a fault of the collection vmstation.cluster.")
    return dict.fromkeys(groups, Verdict([Finding("checks_have_a_result", "error", *why)], []))


def _alone(group: str, params: Params, edges: Edges) -> Verdicts:
    return {group: _CHECKS[group](params, edges)}


# Each as the module with its name


def _health(params: Params, groups: Sequence[str], edges: Edges, first: Sight) -> Verdicts:
    defaults = {"namespaces": OWN_NAMESPACES, "certificate_days": CERTIFICATE_DAYS}
    return health.verdicts(health.check(wanted({**params, **defaults, "groups": groups}), edges.cluster, first))


def _nodes(params: Params, edges: Edges) -> Verdict:
    names = [host["name"] for host in params["nodes"]]
    now = {"nodes": names, "timeout": 0, "inventory": None, "release": ""}
    outcome = nodes.wait_for_nodes(nodes.request({**params, **now}), edges.cluster, edges.clock)
    found = nodes.all_findings(outcome, accepts_pods=True)
    return Verdict(found, nodes.looked_at(outcome.verdicts, found))


def _calico(params: Params, edges: Edges) -> Verdict:
    judged = verdict.judge(node_rules.request(params), survey.look(edges.cluster), edges.now())
    return Verdict(judged.findings, judged.looked_at)


def _dns(params: Params, edges: Edges) -> Verdict:
    plan = dns_plan(params["plan"])
    sleep_capable = frozenset(host["name"] for host in params["nodes"] if host["sleeps"])
    asked = coredns.Wanted(plan, params["corefile"] or corefile(plan), sleep_capable)
    state = coredns.look(plan, edges.cluster, edges.read_yaml)
    found = coredns.judge(state, asked, deployed=True)
    return Verdict(found, coredns.looked_at(state, found))


def _services(params: Params, edges: Edges) -> Verdict:
    request = services.request({**params, **_of_services(params), "timeout": services.SECONDS})
    seen = services.look(request, edges.cluster, edges.node_ports)
    found = services.judge(request, seen)
    return Verdict(found, services.looked_at(request, seen, found))


def _of_services(params: Params) -> dict[str, Any]:
    """Return the options of service_check that the plan determines."""
    read_needed(params["plan"], ("node_port_range", "services"), "cluster_check")
    cluster, _findings = read_cluster(params["plan"], params["nodes"])
    plan = cluster.plan
    return {
        "services": [asdict(one) for one in plan.services or ()],
        "node_port_range": str(plan.node_port_range or DEFAULT_NODE_PORTS),
        "ports": [port_entry(port) for port in open_ports(plan, "worker", cluster.hosts)],
    }


def _drift(params: Params, edges: Edges) -> Verdict:
    asked = read_wanted({**params, "timeout": KUBELET_SECONDS})
    seen = look(asked, edges.cluster, edges.kubelets, edges.read_yaml)
    compared = drift.compare_all(asked, seen)
    found = drift.findings(compared)
    return Verdict(found, drift.looked_at(compared, found, seen))


_CHECKS: dict[str, Callable[[Params, Edges], Verdict]] = {
    "nodes": _nodes,
    "calico": _calico,
    "dns": _dns,
    "services": _services,
    "drift": _drift,
}
