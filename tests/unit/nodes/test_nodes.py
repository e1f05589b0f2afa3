# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which nodes are ready, what keeps the others, and how long that is waited for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.nodes import (
    Request,
    as_data,
    finding_of_stranger,
    findings,
    findings_about_pods,
    judge_all,
    judge_node,
    looked_at,
    request,
    wait_for_nodes,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

from tests.unit.clock import START, Clock


def node(name: str, status: str = "True", message: str = "", **spec: object) -> dict[str, Any]:
    ready = {"type": "Ready", "status": status, "message": message, "lastHeartbeatTime": "2026-11-23T06:41:00Z"}
    pressure = {"type": "MemoryPressure", "status": "False", "message": "kubelet has sufficient memory available"}
    return {
        "metadata": {"name": name, "labels": {"zone": "attic"}, "annotations": {"slept": "yes"}},
        "spec": spec,
        "status": {"conditions": [pressure, ready]},
    }


def with_conditions(one: dict[str, Any], *kinds: str) -> dict[str, Any]:
    one["status"]["conditions"] += [{"type": kind, "status": "True"} for kind in kinds]
    return one


EVICTING = {"key": "a", "effect": "NoExecute"}


def with_memory(one: dict[str, Any], text: str) -> dict[str, Any]:
    one["metadata"]["annotations"]["vmstation.cluster/inventory"] = text
    return one


ABOUT_PODS = {
    "nothing": (node("homelab"), None, "ok"),
    "pressure": (
        with_conditions(node("homelab", unschedulable=True), "DiskPressure"),
        "ready, but under DiskPressure: kubelet evicts Pods from it, and it accepts no new ones",
        "error",
    ),
    "a taint": (
        node("homelab", taints=[EVICTING], unschedulable=True),
        "ready, but tainted a:NoExecute: Pods that do not tolerate it are evicted, and new ones are not scheduled",
        "warning",
    ),
    "a taint of the inventory": (
        with_memory(node("homelab", taints=[EVICTING]), '{"labels": [], "taints": ["a:NoExecute"]}'),
        None,
        "ok",
    ),
    "a damaged memory": (
        with_memory(node("homelab", taints=[EVICTING]), "{"),
        "ready, but tainted a:NoExecute: Pods that do not tolerate it are evicted, and new ones are not scheduled",
        "warning",
    ),
    "cordoned": (node("homelab", unschedulable=True), "ready, but cordoned", "warning"),
    "not ready": (node("homelab", "False", unschedulable=True), None, "error"),
}


@pytest.mark.parametrize("case", ABOUT_PODS)
def test_a_node_that_takes_or_keeps_no_pods_is_a_finding_about_pods(case: str) -> None:
    one, found, state = ABOUT_PODS[case]
    verdicts = [judge_node("homelab", one, False)]
    told = list(findings_about_pods(verdicts))
    every = [*findings(verdicts, 0), *told]
    assert [finding.found for finding in told] == ([found] if found else [])
    assert {finding.hosts for finding in every} <= {("homelab",)}
    (item,) = looked_at(verdicts, every)
    assert (item.subject, item.state, item.hosts) == ("node homelab", state, ("homelab",))


def test_a_node_that_is_asleep_is_looked_at_as_asleep() -> None:
    verdicts = judge_all([node("homelab", "Unknown")], ["homelab"], ["homelab"])
    assert [item.state for item in looked_at(verdicts, findings(verdicts, 0))] == ["asleep"]


NO_CNI = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:cni plugin not initialized"
SILENT = "Kubelet stopped posting node status."
TROUBLES = {
    "no Node": (None, "has no Node object", "run the role worker on it"),
    "no CNI": (node("homelab", "False", NO_CNI), "not ready: no CNI network yet", "spec.nodeName=homelab"),
    "silent": (node("homelab", "Unknown", SILENT), f"not ready: silent since 2026-11-23T06:41:00Z ({SILENT})", "systemctl status kubelet"),
    "other": (node("homelab", "False", "PLEG is not healthy"), "not ready: PLEG is not healthy", "kubectl describe node homelab"),
    "new": ({"metadata": {"name": "homelab"}}, "not ready: its kubelet has reported nothing yet", "journalctl -u kubelet"),
    "no conditions": ({"metadata": {"name": "homelab"}, "status": {"conditions": None}}, "reported nothing yet", "journalctl -u kubelet"),
}


@pytest.mark.parametrize("case", TROUBLES)
def test_a_node_that_is_not_ready_says_why_and_what_to_do(case: str) -> None:
    found, reason, fix = TROUBLES[case]
    verdict = judge_node("homelab", found, False)
    assert not verdict.ready
    assert reason in verdict.reason
    assert fix in verdict.fix
    (finding,) = findings([verdict], 12.4)
    assert (finding.severity, finding.subject) == ("error", "node homelab")
    assert finding.found.endswith(", after 12 s")


def test_a_ready_node_has_no_finding_and_tells_its_labels() -> None:
    verdict = judge_node("homelab", node("homelab"), False)
    assert findings([verdict], 5) == []
    assert as_data([verdict]) == {
        "homelab": {
            "ready": True,
            "reason": "",
            "asleep": False,
            "schedulable": True,
            "labels": {"zone": "attic"},
            "annotations": {"slept": "yes"},
            "pressures": [],
            "evicting": [],
        }
    }


def test_a_ready_node_tells_what_it_is_short_of() -> None:
    full = node("homelab")
    full["status"]["conditions"].append({"type": "DiskPressure", "status": "True"})
    verdict = judge_node("homelab", full, False)
    assert (verdict.ready, verdict.pressures) == (True, ("DiskPressure",))


def test_a_ready_node_tells_what_evicts_its_pods() -> None:
    keys = ("example.com/gone", "node.kubernetes.io/unreachable")
    taints = [{"key": key, "effect": "NoExecute"} for key in keys] + [
        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}
    ]
    verdict = judge_node("homelab", node("homelab", taints=taints), False)
    assert (verdict.ready, verdict.evicting) == (True, ("example.com/gone:NoExecute",))


def test_a_node_without_its_network_is_not_ready() -> None:
    cut_off = node("homelab")
    cut_off["status"]["conditions"].append({"type": "NetworkUnavailable", "status": "True", "message": "Calico is shutting down"})
    verdict = judge_node("homelab", cut_off, False)
    assert (verdict.ready, "Calico is shutting down" in verdict.reason) == (False, True)


@pytest.mark.parametrize(("runs", "release", "ready"), [("v1.36.3", "1.36.4", False), ("v1.36.4", "1.36.4", True), ("v1.36.3", "", True)])
def test_a_node_is_ready_with_the_kubelet_that_is_waited_for(runs: str, release: str, ready: bool) -> None:
    upgraded = node("homelab")
    upgraded["status"]["nodeInfo"] = {"kubeletVersion": runs}
    verdict = judge_node("homelab", upgraded, False, release)
    assert (verdict.ready, "its kubelet is v1.36.3" in verdict.reason) == (ready, not ready)


def test_a_cordoned_node_is_ready_and_not_schedulable() -> None:
    verdict = judge_node("homelab", node("homelab", unschedulable=True), False)
    assert (verdict.ready, verdict.schedulable) == (True, False)


@pytest.mark.parametrize("found", [node("homelab", "Unknown", SILENT), None], ids=["silent", "never joined"])
def test_a_host_that_sleeps_is_called_asleep_and_is_no_error(found: dict[str, Any] | None) -> None:
    verdict = judge_node("homelab", found, True)
    (finding,) = findings([verdict], 40)
    assert verdict.is_asleep
    assert (finding.severity, finding.found.startswith("asleep")) == ("info", True)


def test_a_host_that_was_to_sleep_and_is_ready_is_ready() -> None:
    verdict = judge_node("homelab", node("homelab"), True)
    assert (verdict.ready, verdict.is_asleep) == (True, False)


def test_verdicts_come_in_the_order_of_the_names() -> None:
    verdicts = judge_all([node("b"), node("a"), node("stranger")], ["a", "c", "b"], [])
    assert [(verdict.name, verdict.ready) for verdict in verdicts] == [("a", True), ("c", False), ("b", True)]


class Cluster:
    """A reader of scripted lists: each is given once, the last one for ever. An exception is raised."""

    server = "https://192.168.4.63:6443"

    def __init__(self, *rounds: list[dict[str, Any]] | Refusal) -> None:
        self.rounds, self.calls = list(rounds), 0

    def items(self, api_version: str, kind: str) -> Iterator[dict[str, Any]]:
        assert (api_version, kind) == ("v1", "Node")
        self.calls += 1
        one = self.rounds.pop(0) if len(self.rounds) > 1 else self.rounds[0]
        if isinstance(one, Refusal):
            raise one
        yield from one


BUSY = Unavailable("Kubernetes API", "HTTP status 503", "HTTP status 200", "Wait.")


def test_waiting_ends_with_the_last_node_and_asks_once_a_look() -> None:
    cluster = Cluster([node("a", "False")], [node("a"), node("b", "Unknown")], [node("a"), node("b")])
    outcome = wait_for_nodes(Request(("a", "b"), timeout=60), cluster, Clock())
    assert [verdict.ready for verdict in outcome.verdicts] == [True, True]
    assert (cluster.calls, outcome.seconds) == (3, 2.0)


def test_waiting_ends_in_time_with_those_that_are_missing() -> None:
    outcome = wait_for_nodes(Request(("a", "b"), timeout=10), Cluster([node("a")]), Clock())
    assert [(verdict.name, verdict.ready) for verdict in outcome.verdicts] == [("a", True), ("b", False)]
    assert outcome.seconds == 10


def test_nobody_waits_for_a_sleeper() -> None:
    outcome = wait_for_nodes(Request(("a", "b"), frozenset({"b"}), 60), Cluster([node("a"), node("b", "Unknown")]), Clock())
    assert outcome.seconds == 0


def test_without_time_what_stands_is_judged_at_once() -> None:
    cluster = Cluster([node("a", "False")])
    assert wait_for_nodes(Request(("a",), timeout=0), cluster, Clock()).seconds == 0
    assert cluster.calls == 1


def test_a_busy_api_server_is_asked_again() -> None:
    assert wait_for_nodes(Request(("a",), timeout=60), Cluster(BUSY, BUSY, [node("a")]), Clock()).verdicts[0].ready


def test_an_api_server_that_stays_away_is_what_is_reported() -> None:
    with pytest.raises(Unavailable, match="503"):
        wait_for_nodes(Request(("a",), timeout=5), Cluster(BUSY), Clock())


def test_what_waiting_cannot_mend_is_not_waited_for() -> None:
    clock = Clock()
    with pytest.raises(Refusal, match="401"):
        wait_for_nodes(Request(("a",), timeout=60), Cluster(Refusal("API", "HTTP status 401", "credentials", "Fetch them.")), clock)
    assert clock.now() == START


def test_no_names_are_no_wait() -> None:
    assert wait_for_nodes(Request((), timeout=60), Cluster([]), Clock()).seconds == 0


def test_options_are_read() -> None:
    given = {"nodes": ["Homelab", "homelab"], "asleep": ["Homelab"], "timeout": 5, "inventory": None, "release": ""}
    assert request(given) == Request(("homelab",), frozenset({"homelab"}), 5.0)
    assert request({**given, "inventory": ["Homelab"]}).inventory == frozenset({"homelab"})
    with pytest.raises(Refusal, match="timeout"):
        request({**given, "timeout": -1})


class Heartbeats(Cluster):
    """Leases beside the nodes: a round of renewals for each look."""

    def __init__(self, nodes: list[dict[str, Any]], *renewals: dict[str, str]) -> None:
        super().__init__(nodes)
        self.renewals = list(renewals)

    def items(self, api_version: str, kind: str, namespace: str = "") -> Iterator[dict[str, Any]]:
        if kind == "Node":
            yield from super().items(api_version, kind)
            return
        assert (api_version, kind, namespace) == ("coordination.k8s.io/v1", "Lease", "kube-node-lease")
        now = self.renewals.pop(0) if len(self.renewals) > 1 else self.renewals[0]
        yield from ({"metadata": {"name": name}, "spec": {"renewTime": time}} for name, time in now.items())


def test_a_node_counts_when_its_kubelet_was_heard_of() -> None:
    cluster = Heartbeats([node("a"), node("b")], {"a": "1", "b": "1"}, {"a": "2", "b": "1"}, {"a": "2", "b": "2"})
    outcome = wait_for_nodes(Request(("a", "b"), heartbeat=True), cluster, Clock())
    assert (outcome.seconds, [one.ready for one in outcome.verdicts]) == (2.0, [True, True])


def test_a_kubelet_that_is_not_heard_of_is_named() -> None:
    cluster = Heartbeats([node("a"), node("b"), node("c", "Unknown", SILENT)], {"a": "1"}, {"a": "2"})
    outcome = wait_for_nodes(Request(("a", "b", "c"), timeout=5, heartbeat=True), cluster, Clock())
    assert [one.ready for one in outcome.verdicts] == [True, False, False]
    assert "its lease has not been renewed" in outcome.verdicts[1].reason
    assert "silent since" in outcome.verdicts[2].reason


@pytest.mark.parametrize(("inventory", "wanted"), [(None, []), ({"a", "b"}, []), ({"a"}, ["b"]), (set(), ["a", "b"])])
def test_nodes_that_the_inventory_does_not_name_are_told(inventory: set[str] | None, wanted: list[str]) -> None:
    known = None if inventory is None else frozenset(inventory)
    outcome = wait_for_nodes(Request(("a",), timeout=0, inventory=known), Cluster([node("b"), node("a")]), Clock())
    assert list(outcome.strangers) == wanted


def test_a_node_that_the_inventory_does_not_name_is_a_warning_with_the_way_out() -> None:
    finding = finding_of_stranger("oldbox")
    assert (finding.severity, finding.subject) == ("warning", "node oldbox")
    assert "remove_worker.yml -e worker=oldbox" in finding.fix


def test_an_api_server_that_has_just_started_and_forbids_everything_is_waited_for() -> None:
    forbidden = Refusal("API", "HTTP status 403", "the permission", "Allow it.")
    cluster = Heartbeats([node("a")], {"a": "06:00"}, {"a": "06:10"})
    cluster.rounds = [forbidden, forbidden, [node("a")]]
    assert wait_for_nodes(Request(("a",), timeout=60, heartbeat=True), cluster, Clock()).verdicts[0].ready
    cluster.rounds = [forbidden]
    with pytest.raises(Refusal, match="403"):
        wait_for_nodes(Request(("a",), timeout=5, heartbeat=True), cluster, Clock())
