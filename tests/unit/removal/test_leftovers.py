# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of a node, who takes it away, and how long that is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._removal.leftovers import (
    Leftover,
    Request,
    findings,
    looked_at,
    of_node,
    request,
    wait_until_gone,
)

from tests.unit.clock import START, Clock

CRD = "crd.projectcalico.org/v1"
BLOCK = {"metadata": {"name": "10-244-7-0-26"}, "spec": {"cidr": "10.244.7.0/26", "affinity": "host:homelab"}}
OTHER_BLOCK = {"metadata": {"name": "10-244-8-0-26"}, "spec": {"cidr": "10.244.8.0/26", "affinity": "host:homelab2"}}


def named(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


# kind -> an object of homelab, and one that looks like it and is none
OBJECTS: dict[tuple[str, str], tuple[dict[str, Any], dict[str, Any]]] = {
    ("v1", "Node"): (named("homelab"), named("homelab2")),
    ("v1", "Pod"): (named("p", nodeName="homelab"), named("homelab", nodeName="homelab2")),
    ("storage.k8s.io/v1", "VolumeAttachment"): (named("csi-1", nodeName="homelab"), named("csi-2", nodeName="other")),
    (CRD, "BlockAffinity"): (named("homelab-10-244-7-0-26", node="homelab"), named("homelab2-10-244-8-0-26", node="homelab2")),
    (CRD, "IPAMBlock"): (BLOCK, OTHER_BLOCK),
    (CRD, "CalicoNodeStatus"): (named("homelab-bgp", node="homelab"), named("homelab", node="other")),
    (CRD, "FelixConfiguration"): (named("node.homelab"), named("default")),
    (CRD, "BGPPeer"): (named("rack", node="homelab"), named("all")),
}


@pytest.mark.parametrize("which", OBJECTS, ids=lambda which: which[1])
def test_an_object_of_the_node_is_left_and_another_nodes_is_not(which: tuple[str, str]) -> None:
    ours, theirs = OBJECTS[which]
    assert of_node("homelab", {which: [theirs, ours]}) == [Leftover(*which, ours["metadata"]["name"])]


@pytest.mark.parametrize(
    ("handle", "is_left"),
    [
        (named("vxlan-tunnel-addr-homelab", block={}), True),
        (named("vxlan-tunnel-addr-homelab2", block={"10.244.8.0/26": 1}), False),
        (named("k8s-pod-network.5a1f", block={"10.244.7.0/26": 1}), True),
        (named("k8s-pod-network.7c00", block={"10.244.8.0/26": 1}), False),
        (named("k8s-pod-network.0000"), False),
    ],
)
def test_handles_are_told_by_the_nodes_blocks_and_its_tunnels(handle: dict[str, Any], is_left: bool) -> None:
    found = of_node("homelab", {(CRD, "IPAMHandle"): [handle], (CRD, "IPAMBlock"): [BLOCK, OTHER_BLOCK]})
    assert ([one.name for one in found if one.kind == "IPAMHandle"] == [handle["metadata"]["name"]]) is is_left


@pytest.mark.parametrize(
    ("left", "severity", "fix"),
    [
        (Leftover("v1", "Pod", "alloy-x", "monitoring"), "error", "kube-controller-manager"),
        (Leftover(CRD, "BlockAffinity", "homelab-10-244-7-0-26"), "error", "Calico's kube-controllers"),
        (Leftover(CRD, "CalicoNodeStatus", "homelab"), "error", "`kubectl delete caliconodestatus homelab`"),
        (Leftover(CRD, "FelixConfiguration", "node.homelab"), "warning", "`kubectl delete felixconfiguration node.homelab`"),
    ],
)
def test_each_is_told_with_who_takes_it_away(left: Leftover, severity: str, fix: str) -> None:
    (finding,) = findings("homelab", [left], 12.3)
    assert (finding.severity, finding.subject) == (severity, str(left))
    assert finding.found == "of the node homelab, and still there, after 12 s"
    (item,) = looked_at("homelab", [left], [finding])
    assert (item.subject, item.facts, item.state, item.hosts) == ("node homelab", "1 objects left", severity, finding.hosts)
    assert fix in finding.fix


class Cluster:
    """Gives the objects of each kind; those of a kind in ``ends`` until that moment. Without Calico it knows none of its kinds."""

    server = "https://192.168.4.63:6443"

    def __init__(self, clock: Clock, ends: dict[str, float], *, calico: bool = True, busy_until: float = 0) -> None:
        self.clock, self.ends, self.calico, self.busy_until = clock, ends, calico, busy_until

    def serves(self, api_version: str, kind: str) -> bool:
        return self.calico and (api_version, kind) in OBJECTS

    def items(self, api_version: str, kind: str, namespace: str = "", label_selector: str = "", field_selector: str = "") -> Iterator[Any]:
        if self.clock.now() < self.busy_until:
            raise Unavailable("Kubernetes API", "HTTP status 503", "HTTP status 200", "Wait.")
        if self.clock.now() < self.ends.get(kind, 0):
            yield from OBJECTS[api_version, kind]

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> Any:
        return next((one for one in self.items(api_version, kind) if one["metadata"]["name"] == name), None)


def test_waiting_ends_when_the_last_object_is_gone() -> None:
    clock = Clock()
    cluster = Cluster(clock, {"Pod": START + 40, "BlockAffinity": START + 62}, busy_until=START + 9)
    outcome = wait_until_gone(Request("homelab", 300), cluster, clock)
    assert (outcome.left, outcome.seconds) == ([], 63)


def test_waiting_ends_in_time_with_what_stays() -> None:
    clock = Clock()
    outcome = wait_until_gone(Request("homelab", 30), Cluster(clock, {"Pod": START + 10, "IPAMBlock": 9999}), clock)
    assert [str(one) for one in outcome.left] == ["IPAMBlock 10-244-7-0-26"]
    assert outcome.seconds == 30


def test_nobody_waits_for_somebodys_settings() -> None:
    clock = Clock()
    outcome = wait_until_gone(Request("homelab", 300), Cluster(clock, {"FelixConfiguration": 9999}), clock)
    assert ([str(one) for one in outcome.left], outcome.seconds) == (["FelixConfiguration node.homelab"], 0)


def test_a_cluster_without_calico_is_looked_at_too() -> None:
    clock = Clock()
    outcome = wait_until_gone(Request("homelab", 0), Cluster(clock, {"Node": 9999, "IPAMBlock": 9999}, calico=False), clock)
    assert [str(one) for one in outcome.left] == ["Node homelab"]


def test_an_api_server_that_stays_away_is_what_is_reported() -> None:
    clock = Clock()
    with pytest.raises(Unavailable, match="503"):
        wait_until_gone(Request("homelab", 10), Cluster(clock, {}, busy_until=9999), clock)


def test_options_are_read() -> None:
    assert request({"node": "Homelab", "timeout": 5}) == Request("homelab", 5.0)
    with pytest.raises(Refusal, match="timeout"):
        request({"node": "homelab", "timeout": -1})
