# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for workloads of a real API server, controllers and scheduler, on nodes that only say that their Pods run."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import Report, Request, Workload, watch
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

from tests.cluster.build import missing
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running

AWAKE, SLEEPER = "masternode", "homelab"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One of its own: nodes would be in the way of other tests."""
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as made:
        yield made


@pytest.fixture(scope="module")
def nodes(cluster: Cluster) -> Iterator[HollowNodes]:
    with hollow_nodes(cluster) as made:
        made.add(AWAKE)
        made.add(SLEEPER)
        yield made


def apply(cluster: Cluster, kind: str, name: str, image: str = "a", **pod: object) -> Workload:
    labels = {"app": name}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "web", "image": image}], "terminationGracePeriodSeconds": 0, **pod},
    }
    spec: dict[str, Any] = {"selector": {"matchLabels": labels}, "template": template}
    spec |= {"replicas": 2} if kind != "DaemonSet" else {}
    spec |= {"serviceName": name} if kind == "StatefulSet" else {}
    definition = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(definition))
    return Workload(kind, "default", name)


def wait(cluster: Cluster, *workloads: Workload, asleep: tuple[str, ...] = (), timeout: float = 60) -> tuple[Report, ...]:
    return watch(Request(workloads, frozenset(asleep), timeout, 0.5), KubernetesApi(str(cluster.kubeconfig)), SystemClock()).reports


def test_all_kinds_are_waited_for_at_once(cluster: Cluster, nodes: HollowNodes) -> None:
    workloads = [apply(cluster, kind, f"all-{kind.lower()}") for kind in ("DaemonSet", "Deployment", "StatefulSet")]
    reports = wait(cluster, *workloads)
    assert [(report.standing.is_rolled_out, report.standing.available) for report in reports] == [(True, 2)] * 3
    # the next revision, too
    for workload in workloads:
        apply(cluster, workload.kind, workload.name, image="b")
    assert all(report.standing.is_rolled_out for report in wait(cluster, *workloads))
    images = cluster.kubectl("get", "pods", "-l", "app in (all-daemonset, all-deployment, all-statefulset)", "-o=jsonpath={..image}").stdout
    assert set(images.split()) == {"b"}


def test_what_appears_later_is_waited_for(cluster: Cluster, nodes: HollowNodes) -> None:
    timer = threading.Timer(2, lambda: apply(cluster, "Deployment", "late"))
    timer.start()
    (report,) = wait(cluster, Workload("Deployment", "default", "late"))
    timer.join()
    assert report.standing.is_rolled_out


def test_a_pod_that_fits_nowhere_is_named(cluster: Cluster, nodes: HollowNodes) -> None:
    workload = apply(cluster, "Deployment", "misfit", nodeSelector={"disk": "tape"})
    began = time.monotonic()
    (report,) = wait(cluster, workload, timeout=3)
    assert 3 <= time.monotonic() - began < 20
    assert report.standing.waiting_for == "2 of 2 Pods to be available"
    assert len(report.stuck) == 2
    assert "Pending: Unschedulable: 0/2 nodes are available" in report.stuck[0].state
    assert any(event.startswith("FailedScheduling: ") for event in report.events)


def test_a_pod_that_cannot_be_made_is_named(cluster: Cluster, nodes: HollowNodes) -> None:
    workload = apply(cluster, "Deployment", "nobodys", serviceAccountName="nobody")
    (report,) = wait(cluster, workload, timeout=3)
    assert 'serviceaccount "nobody" not found' in report.standing.waiting_for


def test_a_node_that_is_asleep_is_not_waited_for(cluster: Cluster, nodes: HollowNodes) -> None:
    workload = apply(cluster, "DaemonSet", "agent")
    assert wait(cluster, workload)[0].standing.available == 2
    nodes.switch_off(SLEEPER)
    try:
        # before the controllers know of it, and after
        for _time in range(2):
            (report,) = wait(cluster, workload, asleep=(SLEEPER,))
            assert (report.standing.is_rolled_out, report.standing.desired, report.standing.available) == (True, 1, 1)
            eventually_tainted(cluster, SLEEPER)
        # what is wrong on a node that is awake is found all the same, in a DaemonSet that has Pods on the one that is off
        apply(cluster, "DaemonSet", "agent", image="b", serviceAccountName="nobody")
        (late,) = wait(cluster, workload, asleep=(SLEEPER,), timeout=5)
        assert late.standing.waiting_for in {"1 of 1 Pods to be updated", "1 of 1 Pods to be available"}
        assert any("nobody" in event for event in late.events)
        apply(cluster, "DaemonSet", "agent", image="c", serviceAccountName="default")
        assert wait(cluster, workload, asleep=(SLEEPER,))[0].standing.is_rolled_out
    finally:
        nodes.switch_on(SLEEPER)


def eventually_tainted(cluster: Cluster, node: str) -> None:
    deadline = time.monotonic() + 30
    while "unreachable" not in cluster.kubectl("get", "node", node, "--output=jsonpath={.spec.taints}").stdout:
        assert time.monotonic() < deadline, f"{node} is not tainted"
        time.sleep(0.2)


def test_the_number_of_requests_does_not_grow(cluster: Cluster, nodes: HollowNodes) -> None:
    workloads = [apply(cluster, "Deployment", f"many-{number}") for number in range(5)]
    assert all(report.standing.is_rolled_out for report in wait(cluster, *workloads))
    few, many = KubernetesApi(str(cluster.kubeconfig)), KubernetesApi(str(cluster.kubeconfig))
    watch(Request(tuple(workloads[:1]), timeout=0), few, SystemClock())
    watch(Request(tuple(workloads), timeout=0), many, SystemClock())
    assert few.calls == many.calls == 2
