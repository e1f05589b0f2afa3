# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on Calico: all findings, and what was judged of each node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico import bgp_rules, cluster_rules, node_rules
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.checking import Request
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import Facts
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.node_rules import CONFIRMED, Case, Place
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import standing
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.survey import pools_as_data
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import pools


@dataclass(frozen=True)
class Verdict:
    """nodes: `ok`, `error`, `unknown` or `asleep` for each, with what was judged."""

    findings: list[Finding]
    nodes: list[dict[str, Any]]
    encapsulation: str
    pools: Optional[list[dict[str, Any]]]

    def as_data(self) -> dict[str, Any]:
        return {"nodes": self.nodes, "encapsulation": self.encapsulation, "pools": self.pools}


def judge(request: Request, facts: Facts, now: datetime, made: Iterable[str] = ()) -> Verdict:
    """made: the nodes whose CalicoNodeStatus was made just now."""
    found = node_rules.places(request, facts)
    case = node_rules.case_of(request, facts, now)
    of_nodes = node_rules.judge(found, case)
    ill = [name for name, findings in of_nodes.items() if any(one.severity == "error" for one in findings)]
    bgp = bgp_rules.judge(request.plan, facts, found, ill, made)
    unknown = [Finding("calico_can_be_read", "warning", one.subject, one.found, one.required, one.next_step) for one in facts.unknown]
    findings = [*cluster_rules.judge(case), *(one for each in of_nodes.values() for one in each), *bgp.findings, *unknown]
    nodes = [_node(place, case, of_nodes[place.name], bgp) for place in found]
    return Verdict(findings, nodes, _encapsulation(case), pools_as_data(facts.pools))


def _encapsulation(case: Case) -> str:
    """That of the pools of the plan as they stand, in the plan's words; empty when there is none, or none to be read."""
    live = [standing(pool, case.facts.pools or ()) for pool in pools(case.request.plan)]
    words = {f"{one.overlay}{one.scope}".replace("Always", "").replace("Never", "") for one in live if one}
    # IP-in-IP carries IPv4 only: the pool of IPv6 beside it goes without
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
