# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who should have a session with whom."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import node_rules, survey
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.verdict import Verdict, judge

from tests.unit.calico.clusters import NOW, World, WorldReader, status
from tests.unit.network_plan.plans import plan

REFLECTOR = "projectcalico.org/RouteReflectorClusterID"


def check(world: World) -> Verdict:
    nodes = [{"name": name, "address": address} for name, address in world.addresses.items()]
    return judge(node_rules.request({"plan": plan(typha="absent"), "nodes": nodes, "asleep": []}), survey.look(WorldReader(world)), NOW)


def of_size(count: int) -> World:
    return World({f"n{number:03}": f"192.168.4.{number + 1}" for number in range(count)})


def peer(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_in_a_mesh_everyone_has_everyone(count: int) -> None:
    verdict = check(of_size(count))
    assert verdict.findings == []
    assert {(node["bgp"]["expected"], node["bgp"]["established"]) for node in verdict.nodes} == {(count - 1, count - 1)}


def test_a_route_reflector_is_not_in_the_mesh() -> None:
    world = of_size(4)
    world.objects["Node"]["n000"]["metadata"]["annotations"][REFLECTOR] = "244.0.0.1"
    for name in ("n001", "n002", "n003"):
        world.report(name, "n000", None)
        world.report("n000", name, None)
    verdict = check(world)
    assert verdict.findings == []
    assert [node["bgp"]["expected"] for node in verdict.nodes] == [0, 2, 2, 2]


def test_without_a_mesh_those_that_peers_name_are_expected() -> None:
    world = of_size(4)
    world.objects["BGPConfiguration"]["default"]["spec"]["nodeToNodeMeshEnabled"] = False
    world.put("BGPPeer", peer("to-all", peerIP="192.168.4.1"))
    world.put("BGPPeer", peer("to-one", peerIP="192.168.4.254", node="n003"))
    for name in world.addresses:
        up = [] if name == "n000" else ["192.168.4.1"] + ["192.168.4.254"] * (name == "n003")
        world.put("CalicoNodeStatus", status(name, dict.fromkeys(up, "Established")))
    verdict = check(world)
    assert verdict.findings == []
    assert [node["bgp"]["expected"] for node in verdict.nodes] == [0, 1, 1, 2]
    world.put("CalicoNodeStatus", status("n003", {"192.168.4.1": "Established", "192.168.4.254": "Connect"}))
    assert [finding.subject for finding in check(world).findings] == ["nodes 192.168.4.254 and n003"]


def test_a_session_that_a_selector_asks_for_is_told_of_when_it_fails() -> None:
    world = of_size(3)
    world.objects["BGPConfiguration"]["default"]["spec"]["nodeToNodeMeshEnabled"] = False
    world.put("BGPPeer", peer("racks", nodeSelector="all()", peerSelector="rr == 'true'"))
    verdict = check(world)
    assert [(finding.rule, finding.severity) for finding in verdict.findings] == [("bgp_peers_are_derivable", "warning")]
    assert {node["verdict"] for node in verdict.nodes} == {"unknown"}
    world.session("n000", "n001", "Active")
    assert [finding.subject for finding in check(world).findings if finding.severity == "error"] == ["nodes n000 and n001"]


def test_many_pairs_are_told_of_by_the_node_that_they_share() -> None:
    world = of_size(40)
    for name in list(world.addresses)[1:]:
        world.session("n000", name, "Active")
    world.session("n010", "n011", "Connect")
    verdict = check(world)
    assert [finding.subject for finding in verdict.findings] == ["node n000", "nodes n010 and n011"]
    assert "70 more" in verdict.findings[0].found
    assert "and 31 more" in verdict.findings[0].fix
