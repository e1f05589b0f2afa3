# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster_check against a real API server: it finds what the modules of its groups find, one after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster_check.check import GROUPS as ALL_GROUPS
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster_check.io import SharedApi
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._health.model import GROUPS as OF_HEALTH

from tests.cluster.build import missing
from tests.cluster.play import run_module
from tests.cluster.programs import API_SERVER
from tests.cluster.server import running
from tests.cluster.whole import GROUPS, HOMELAB, MASTER, NAMES, OPTIONS, STORAGE, Whole
from tests.faults import FAULTS
from tests.lab.say import LabError
from tests.unit.network_plan.plans import HOSTS, SERVICES, SPECIFICATION

# group: the module of its own, with the same options
MODULES: dict[str, tuple[str, dict[str, Any]]] = {
    "nodes": ("node_ready_check", {"nodes": list(NAMES), "timeout": 0, "accepts_pods": True}),
    "": ("cluster_health_check", {"nodes": HOSTS, "groups": [group for group in OF_HEALTH if group in GROUPS], "dns_replicas": 2}),
    "calico": ("calico_check", {"plan": SPECIFICATION, "nodes": HOSTS}),
    "dns": ("coredns_check", {"plan": SPECIFICATION, "corefile": corefile(dns_plan(SPECIFICATION)), "sleeping": [STORAGE, HOMELAB]}),
    "services": ("service_check", {"services": SERVICES, "nodes": HOSTS}),
    "drift": ("cluster_drift_check", {"plan": SPECIFICATION, "nodes": HOSTS, "kubelets": False}),
}
ENTRIES = ("findings", "looked_at")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Whole]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as cluster:
        made = Whole(cluster, tmp_path_factory.mktemp("whole"))
        try:
            made.make()
        except LabError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
        yield made


def of_the_modules(whole: Whole) -> tuple[dict[str, list[Any]], int]:
    """What all of them return together, and the number of their requests."""
    told = {group: whole.run(module, **options) for group, (module, options) in MODULES.items()}
    entries = {key: [{"group": group, **one} for group, result in told.items() for one in result[key]] for key in ENTRIES}
    return {key: in_order(several) for key, several in entries.items()}, sum(result["api_calls"] for result in told.values())


def in_order(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(entries, key=lambda one: ALL_GROUPS.index(one["group"]))


def damage(whole: Whole) -> None:
    """The first fault of each group."""
    for fault in {one.expected.group: one for one in reversed(FAULTS.values()) if not one.later}.values():
        fault.inject(whole)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_it_finds_what_the_modules_find_at_fewer_requests(whole: Whole, is_damaged: bool) -> None:
    try:
        if is_damaged:
            damage(whole)
        expected, requests = of_the_modules(whole)
        told = whole.run("cluster_check", **OPTIONS)
    finally:
        whole.restore()
    assert {key: told[key] for key in ENTRIES} == expected
    assert {one["group"] for one in told["findings"]} >= (set(GROUPS) - {"certificates"} if is_damaged else set())
    assert {one["group"] for one in told["looked_at"]} == set(GROUPS)
    assert told["api_calls"] < requests
    assert set(told) <= {"changed", *ENTRIES, "api_calls", "invocation"}


def test_a_damaged_plan_hides_no_other_group(whole: Whole) -> None:
    told = whole.run("cluster_check", **{**OPTIONS, "plan": {**SPECIFICATION, "pod_cidr": "10.244.0.0/33"}})
    assert {(one["group"], one["rule"], one["severity"]) for one in told["findings"]} == {
        (group, "checks_have_a_result", "error") for group in ("calico", "dns", "drift")
    }
    assert {one["group"] for one in told["looked_at"]} == set(GROUPS) - {"calico", "dns", "drift"}


def test_a_list_that_several_threads_read_is_requested_once(whole: Whole) -> None:
    api = SharedApi(str(whole.cluster.kubeconfig))
    with ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _number: [one["metadata"]["name"] for one in api.items("v1", "Node")], range(8)))
    assert [sorted(names) for names in lists] == [sorted(NAMES)] * 8
    # the kinds, and the list
    assert api.calls == 2
    masters = [one["metadata"]["name"] for one in api.items("v1", "Node", label_selector="node-role.kubernetes.io/control-plane")]
    assert (masters, api.calls) == ([MASTER], 3)


def test_an_api_server_that_does_not_answer_is_one_failure(whole: Whole, tmp_path: Path) -> None:
    text = whole.cluster.kubeconfig.read_text().replace(whole.cluster.url, "https://127.0.0.1:1")
    (tmp_path / "kubeconfig").write_text(text)
    told = run_module("cluster_check", tmp_path / "kubeconfig", **{**OPTIONS, "fail_on": "never"})
    assert told["failed"]
    assert told["failure"]["found"] == "connection refused"
    assert "findings" not in told


def test_its_findings_fail_the_task_as_those_of_the_modules_do(whole: Whole) -> None:
    try:
        whole.change("Node", STORAGE, spec={"unschedulable": True})
        warned = [whole.run("cluster_check", **{**OPTIONS, "fail_on": fail_on}) for fail_on in ("error", "warning")]
    finally:
        whole.restore()
    assert [told.get("failed", False) for told in warned] == [False, True]
    assert f"node {STORAGE}" in warned[1]["msg"]
    assert warned[0]["findings"] == warned[1]["findings"]
