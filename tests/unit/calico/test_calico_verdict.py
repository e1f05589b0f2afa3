# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict on Calico: a healthy cluster, and one fault at a time, each found on the right object."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import bgp, node_rules, survey
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.verdict import Verdict, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.calico.clusters import ADDRESSES, NOW, PLANNED, World, WorldReader, block, pool, stamp, status
from tests.unit.calico.faults import FAULTS, HOMELAB, MASTER, STORAGE
from tests.unit.network_plan.plans import DUAL, plan


def check(world: World, *, one_plan: dict[str, Any] | None = None, asleep: tuple[str, ...] = (), forbidden: str = "") -> Verdict:
    request = node_rules.request({"plan": one_plan or plan(), "nodes": PLANNED, "asleep": list(asleep)})
    return judge(request, survey.look(WorldReader(world, forbidden)), NOW)


def changed(*changes: Callable[[World], object]) -> World:
    world = World()
    for change in changes:
        change(world)
    return world


def words(verdict: Verdict) -> dict[str, str]:
    return {node["name"]: node["verdict"] for node in verdict.nodes}


def only(verdict: Verdict) -> Finding:
    assert len(verdict.findings) == 1, [str(one) for one in verdict.findings]
    return verdict.findings[0]


def vxlan(world: World) -> None:
    world.put("IPPool", pool(ipipMode="Never", vxlanMode="Always"))
    world.objects["CalicoNodeStatus"].clear()
    for node in world.objects["Node"].values():
        notes = node["metadata"]["annotations"]
        notes["projectcalico.org/IPv4VXLANTunnelAddr"] = notes.pop("projectcalico.org/IPv4IPIPTunnelAddr")
    for one in world.objects["DaemonSet"].values():
        one["spec"]["template"]["spec"]["containers"][0]["readinessProbe"]["exec"]["command"].remove("-bird-ready")


HEALTHY: dict[str, tuple[World, dict[str, Any]]] = {
    "ours": (World(), {}),
    "VXLAN, and nobody speaks BGP": (changed(vxlan), {"one_plan": plan(encapsulation="VXLAN")}),
    "unencapsulated": (
        changed(
            lambda w: w.put("IPPool", pool(ipipMode="Never")),
            *[lambda w, name=name: w.annotate(name, "IPv4IPIPTunnelAddr", None) for name in ADDRESSES],
        ),
        {"one_plan": plan(encapsulation="None")},
    ),
    "one sleeps": (changed(lambda w: w.switch_off(HOMELAB)), {"asleep": (HOMELAB,)}),
    "one sleeps that never joined": (
        changed(
            *[lambda w, kind=kind: w.drop(kind, HOMELAB) for kind in ("Node", "CalicoNodeStatus")],
            lambda w: w.objects["BlockAffinity"].pop("homelab-10-244-0-128-26"),
            lambda w: w.drop("Pod", "calico-node-homelab"),
            *[lambda w, name=name: w.report(name, HOMELAB, None) for name in (MASTER, STORAGE)],
        ),
        {"asleep": (HOMELAB,)},
    ),
    "one is said to sleep, and is awake": (World(), {"asleep": (HOMELAB,)}),
    "restarted with its host": (changed(lambda w: w.restarted(HOMELAB, 2, 3, "Unknown", 255)), {}),
    "restarted, and settled": (changed(lambda w: w.restarted(HOMELAB, 3, 0.02, "Error", 1)), {}),
    "restarted long ago": (changed(lambda w: w.restarted(HOMELAB, 120, 1, "OOMKilled", 137)), {}),
    "restarted after a long life": (changed(lambda w: w.restarted(HOMELAB, 2, 5000, "Completed", 0)), {}),
    "a block given up": (changed(lambda w: w.put("BlockAffinity", block("gone", "10.244.9.0/26", deleted="true"))), {}),
    "a block of LoadBalancers": (changed(lambda w: w.put("BlockAffinity", block("load-balancer", "10.1.0.0/26", type="virtual"))), {}),
    "an old Pod goes": (
        changed(
            lambda w: w.put(
                "Pod",
                {
                    "metadata": {"name": "old", "namespace": "kube-system", "deletionTimestamp": stamp(1)},
                    "spec": {"nodeName": HOMELAB},
                    "status": {},
                },
            )
        ),
        {},
    ),
    "a router as a peer of all": (
        changed(
            lambda w: w.put("BGPPeer", {"metadata": {"name": "router"}, "spec": {"peerIP": "192.168.4.1:179", "asNumber": 64513}}),
            *[
                lambda w, name=name: w.put(
                    "CalicoNodeStatus", status(name, dict.fromkeys([*w.others(ADDRESSES[name]), "192.168.4.1"], "Established"))
                )
                for name in ADDRESSES
            ],
        ),
        {},
    ),
}


@pytest.mark.parametrize(("minutes", "lived", "reason"), [(1, 0.02, "Error"), (3, 1.5, "Error"), (3, 0.02, "OOMKilled")])
def test_one_that_has_not_settled_does_not_stand(minutes: float, lived: float, reason: str) -> None:
    verdict = check(changed(lambda w: w.restarted(HOMELAB, minutes, lived, reason, 1)))
    assert [(one.rule, one.severity) for one in verdict.findings] == [("calico_node_keeps_running", "error")]


@pytest.mark.parametrize(("world", "options"), HEALTHY.values(), ids=HEALTHY)
def test_what_is_well_brings_no_finding(world: World, options: dict[str, Any]) -> None:
    verdict = check(world, **options)
    assert [str(finding) for finding in verdict.findings] == []
    ready = {node["name"]: node["node_ready"] for node in verdict.nodes}
    assert words(verdict) == {name: "ok" if ready[name] else "asleep" for name in ADDRESSES}


def test_what_was_judged_is_told() -> None:
    verdict = check(World())
    assert verdict.nodes[0] == {
        "name": MASTER, "verdict": "ok", "node_ready": True, "calico_node_ready": True, "calico_node": "calico-node-masternode",
        "restarts": 0, "address": "192.168.4.63", "tunnel_addresses": ["10.244.0.0"], "blocks": 1, "blocks_confirmed": 1,
        "bgp": {"verdict": "ok", "expected": 2, "established": 2, "down": []},
    }  # fmt: skip
    assert verdict.encapsulation == "IPIP"
    assert verdict.pools is not None
    assert verdict.pools[0]["ipip_mode"] == "Always"


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_on_its_object(name: str) -> None:
    change, rule, severity, subject, said, spoiled = FAULTS[name]
    verdict = check(changed(change))
    finding = next(one for one in verdict.findings if one.rule == rule)
    assert (finding.severity, finding.subject) == (severity, subject)
    named = {*re.findall(r"[\w-]+", subject)} & {MASTER, STORAGE, HOMELAB, "ghost", "stray"}
    assert {*finding.hosts} == ({MASTER, STORAGE, HOMELAB} if subject == "BGP mesh" else named)
    for phrase in said:
        assert phrase in str(finding)
    errors = {name for name, word in words(verdict).items() if word == "error"}
    assert errors == set(spoiled)


@pytest.mark.parametrize("name", [name for name in FAULTS if name not in {"one session down, one end reports"}])
def test_a_fault_brings_one_finding(name: str) -> None:
    only(check(changed(FAULTS[name][0])))


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault[1] in {"bgp_sessions_are_known", "bgp_ends_agree"}])
def test_sessions_that_nobody_knows_are_unknown_and_never_ok(name: str) -> None:
    verdict = check(changed(FAULTS[name][0]))
    assert words(verdict)[HOMELAB] == "unknown"
    assert next(node for node in verdict.nodes if node["name"] == HOMELAB)["bgp"]["verdict"] == "unknown"


@pytest.mark.parametrize("kind", ["Node", "Pod", "DaemonSet", "IPPool", "BlockAffinity", "BGPConfiguration", "BGPPeer", "CalicoNodeStatus"])
def test_a_list_that_may_not_be_read_is_unknown_and_the_rest_is_judged(kind: str) -> None:
    verdict = check(World(), forbidden=kind)
    finding = only(verdict)
    assert (finding.rule, finding.severity) == ("calico_can_be_read", "unknown")
    assert f"the permission to list {kind}" in str(finding)
    # which pods there are, is known without the DaemonSet
    assert set(words(verdict).values()) == ({"ok"} if kind == "DaemonSet" else {"unknown"})
    faulty = check(changed(lambda w: w.put("IPPool", pool(blockSize=24)), lambda w: w.restarted(HOMELAB, 2, 1, "Error", 1)), forbidden=kind)
    still = {one.rule for one in faulty.findings if one.severity == "error"}
    lost = {"Node": {"calico_node_keeps_running"}, "Pod": {"calico_node_keeps_running"}, "IPPool": {"pools_have_the_planned_block_size"}}
    assert still == {"calico_node_keeps_running", "pools_have_the_planned_block_size"} - lost.get(kind, set())


def test_without_calico_that_is_the_one_thing_to_say() -> None:
    request = node_rules.request({"plan": plan(), "nodes": PLANNED, "asleep": []})
    world = changed(lambda w: w.objects["DaemonSet"].clear(), lambda w: w.objects["Pod"].clear())
    verdict = judge(request, survey.look(WorldReader(world, version="")), NOW)
    assert only(verdict).rule == "calico_is_installed"
    assert set(words(verdict).values()) == {"unknown"}


def test_a_sleeper_explains_its_sessions_and_no_other() -> None:
    world = changed(lambda w: w.switch_off(HOMELAB), lambda w: w.session(MASTER, STORAGE, "Active"))
    verdict = check(world, asleep=(HOMELAB,))
    assert only(verdict).subject == "nodes masternode and storagenodet3500"
    assert words(verdict) == {MASTER: "error", STORAGE: "error", HOMELAB: "asleep"}


def test_felix_routes_without_bgp_from_its_release_on() -> None:
    world = changed(lambda w: w.session(MASTER, HOMELAB, "Active"))
    assert "Felix sets the routes" not in only(check(world)).fix
    world.objects["DaemonSet"]["calico-node"]["spec"]["template"]["spec"]["containers"][0]["image"] = "quay.io/calico/node:v3.33.0"
    assert "Felix sets the routes" in only(check(world)).fix


def test_both_families_of_a_dual_stack_are_judged() -> None:
    wanted = {**DUAL, "encapsulation": "None"}
    world = changed(lambda w: w.objects["IPPool"].clear())
    world.put("IPPool", pool(ipipMode="Never"))
    world.put("IPPool", pool("default-ipv6-ippool", cidr="fd00:10:244::/56", blockSize=122, ipipMode="Never"))
    for number, name in enumerate(ADDRESSES):
        world.objects["Node"][name]["metadata"]["annotations"]["projectcalico.org/IPv6Address"] = f"fd00:4::{number + 1}/64"
        world.objects["CalicoNodeStatus"][name]["status"]["agent"]["birdV6"]["state"] = "Ready"
        peers = [{"peerIP": f"fd00:4::{other + 1}", "state": "Established"} for other in range(3) if other != number]
        world.objects["CalicoNodeStatus"][name]["status"]["bgp"]["peersV6"] = peers
    assert check(world, one_plan=wanted).findings == []
    assert check(world, one_plan=wanted).nodes[0]["bgp"]["expected"] == 4
    world.objects["CalicoNodeStatus"][HOMELAB]["status"]["agent"]["birdV6"]["state"] = "NotReady"
    assert "BIRD for IPv6: NotReady" in only(check(world, one_plan=wanted)).found


def test_statuses_are_made_for_nodes_without() -> None:
    world = changed(lambda w: w.drop("CalicoNodeStatus", HOMELAB), lambda w: w.drop("CalicoNodeStatus", STORAGE))
    # the usual name is taken by another node's
    world.put("CalicoNodeStatus", {**status(MASTER, {}), "metadata": {"name": HOMELAB}})
    request = node_rules.request({"plan": plan(), "nodes": PLANNED, "asleep": []})
    facts = survey.look(WorldReader(world))
    wanted = bgp.missing(request.plan, facts)
    assert [(one["metadata"]["name"], one["spec"]["node"]) for one in wanted] == [(STORAGE, STORAGE), ("homelab-bgp", HOMELAB)]
    assert wanted[0]["spec"]["classes"] == ["Agent", "BGP", "Routes"]
    assert bgp.missing(node_rules.request({"plan": plan(encapsulation="VXLAN"), "nodes": [], "asleep": []}).plan, facts) == []


def test_a_refused_status_is_unknown_once() -> None:
    class Refusing:
        def create(self, _document: dict[str, Any]) -> bool:
            raise Refusal("create CalicoNodeStatus", "HTTP status 403", "the permission to create", "Let the user create them.")

    request = node_rules.request({"plan": plan(), "nodes": PLANNED, "asleep": []})
    facts = survey.look(WorldReader(changed(lambda w: w.objects["CalicoNodeStatus"].clear())))
    assert bgp.create(bgp.missing(request.plan, facts), Refusing(), facts) == []
    assert len(facts.unknown) == 1


@pytest.mark.parametrize("address", ["masternode", [], [""]])
def test_an_address_that_is_none_is_refused(address: object) -> None:
    with pytest.raises(Refusal, match=r"nodes\[0\]\.address"):
        node_rules.request({"plan": plan(), "nodes": [{"name": "a", "address": address}], "asleep": []})
