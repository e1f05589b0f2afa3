# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is judged of Calico in the cluster as a whole: whether it is there, its pools, and whose blocks there are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico import preflight
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import NODE
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.mesh import families
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.node_rules import Case
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import standing
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import meets, pools

IN_PLACE = "Run site.yml, whose role calico changes it in place; connections may break once."
OPERATOR = ("calico-system", NODE)
# preflight's rules hold here, too; what it would change by itself is wrong once it stands
OF_POOLS: tuple[tuple[Callable[[preflight.Case], Iterator[Any]], Severity, Optional[str]], ...] = (
    (preflight.no_other_pod_network_is_installed, "error", None),
    (preflight.pools_have_the_planned_network, "error", None),
    (preflight.pools_have_the_planned_block_size, "error", None),
    (preflight.pools_have_the_planned_encapsulation, "error", None),
    (preflight.pools_have_the_planned_scope, "error", IN_PLACE),
    (preflight.pools_serve_pods_of_every_node, "error", None),
    (preflight.pools_are_planned, "warning", None),
)


def judge(case: Case) -> list[Finding]:
    if not case.facts.api_version:
        fix = "Run site.yml, whose role calico installs it."
        return [Finding("calico_is_installed", "error", "the cluster", "no kind IPPool", "Calico's kinds and its DaemonSet", fix)]
    return [*_of_daemon_sets(case), *_of_pools(case), *_of_blocks(case)]


def _of_daemon_sets(case: Case) -> Iterator[Finding]:
    if case.facts.daemon_sets is None:
        return
    at = case.facts.daemon_set
    if at is None:
        fix = "Run site.yml, whose role calico installs it."
        yield Finding("calico_is_installed", "error", f"DaemonSet {NODE}", "none of this name", "one that runs Calico on every node", fix)
    elif families(case.request.plan) and at.readiness and not any("bird" in word for word in at.readiness):
        fix = "Run site.yml, whose role calico sets the probe that the encapsulation needs."
        found, expected = f"a readiness probe without BIRD: {' '.join(at.readiness)}", "one that asks BIRD, as the plan's routes are BGP's"
        yield Finding("readiness_asks_bird", "warning", f"DaemonSet {at.namespace}/{at.name}", found, expected, fix)


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
                crossing[f"IPPool {stranger.name}"] = f"cidr {stranger.cidr}, across IPPool {known.name} ({known.cidr})"
    judged = preflight.Case(case.request.plan, "", live, tuple(daemon_sets))
    for rule, severity, fix in OF_POOLS:
        for one in rule(judged):
            if one.subject not in crossing:
                yield Finding(rule.__name__, severity, one.subject, one.found, one.expected, fix or one.fix)
    for subject, found in crossing.items():
        fix = "Disable it, move its pods, and delete it: two pools give the same address twice."
        yield Finding("pools_do_not_meet", "error", subject, found, "pools without a common address", fix)
    if case.facts.pools is not None:
        for pool in pools(case.request.plan):
            if standing(pool, live) is None and not any(one.cidr and one.cidr.version == pool.cidr.version for one in live):
                fix = "Run site.yml, whose role calico makes it."
                yield Finding(
                    "pools_exist", "error", "network_plan.pod_cidr", f"no IPPool of {pool.cidr}", "one for the pods' addresses", fix
                )


def _of_blocks(case: Case) -> Iterator[Finding]:
    if case.facts.nodes is None:
        return
    strays: dict[str, list[str]] = {}
    for block in case.facts.blocks or ():
        if block.node not in case.facts.nodes:
            strays.setdefault(block.node, []).append(block.cidr)
    for name, cidrs in sorted(strays.items()):
        found = f"{len(cidrs)} block{'s' if len(cidrs) != 1 else ''} of a Node that there is no longer: {', '.join(sorted(cidrs)[:4])}"
        fix = (
            "Wait a quarter of an hour after the Node has gone, then see that calico-kube-controllers runs, which gives them back, "
            "or give them back with `calicoctl ipam check` and `calicoctl ipam release`."
        )
        yield Finding("blocks_belong_to_nodes", "warning", f"node {name}", found, "blocks of Nodes that exist", fix)
