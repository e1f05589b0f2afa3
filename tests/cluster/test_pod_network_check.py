# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pod_network_check against a real API server, controllers and scheduler. No pod asks anything here: tests/site has pods that do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

pytest.importorskip("kubernetes")
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from tests.cluster.build import missing
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.play import module_result, start_module
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running

NODES = ["masternode", "homelab"]
PLAN = {"dns_service_ip": "10.233.0.3", "encapsulation": "VXLAN", "pod_cidr": "10.244.0.0/16", "node_cidr": "192.168.4.0/24",
        "gateway": "192.168.4.1", "service_cidr": "10.96.0.0/12", "kubernetes_version": "1.36"}  # fmt: skip
OURS = "app.kubernetes.io/name=pod-network-check"


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
        made.add("masternode", control_plane=True)
        made.add("homelab")
        yield made


@pytest.fixture(autouse=True)
def nothing_is_left(cluster: Cluster, nodes: HollowNodes) -> Iterator[None]:
    yield
    assert namespaces(cluster) == []


@pytest.fixture
def silent_pods(cluster: Cluster) -> Iterator[None]:
    """Answers for the containers that ask: they end once they are asked, and have nothing to tell."""
    core, ended = client.CoreV1Api(cluster.client()), threading.Event()

    def end_them() -> None:
        while not ended.wait(0.2):
            for pod in core.list_pod_for_all_namespaces(label_selector=OURS).items:
                states = {one.name: one.state for one in pod.status.container_statuses or []}
                if pod.metadata.annotations["vmstation.cluster/checks"] and states["ask"].running:
                    state = {"terminated": {"exitCode": 0, "message": ""}}
                    status = {
                        "containerStatuses": [
                            {"name": "ask", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
                        ]
                    }
                    with suppress(ApiException):  # gone meanwhile
                        core.patch_namespaced_pod_status(pod.metadata.name, pod.metadata.namespace, {"status": status})

    thread = threading.Thread(target=end_them, daemon=True)
    thread.start()
    yield
    ended.set()
    thread.join(30)


def start(cluster: Cluster, *flags: str, **options: object) -> subprocess.Popen[str]:
    given = {"plan": PLAN, "nodes": [{"name": one} for one in NODES], "timeout": 30, **options}
    return start_module("pod_network_check", cluster.kubeconfig, *flags, **given)


def check(cluster: Cluster, *flags: str, **options: object) -> dict:
    output, _errors = start(cluster, *flags, **options).communicate(timeout=150)
    return module_result(output)


def namespaces(cluster: Cluster) -> list[str]:
    return cluster.kubectl("get", "namespaces", "-l", OURS, "-o", "jsonpath={.items[*].metadata.name}").stdout.split()


def wait_for(condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"waited {timeout:g} s for {what}"
        time.sleep(0.2)


def module_of(process: subprocess.Popen[str]) -> int:
    """The process of the module itself: the last descendant of Ansible."""
    found, children = process.pid, [process.pid]
    while children:
        found = children[-1]
        children = [int(word) for word in Path(f"/proc/{found}/task/{found}/children").read_text().split()]
    return found


def told(result: dict) -> list[tuple[str, str]]:
    return [(finding["rule"], finding["subject"]) for finding in result["findings"]]


def test_check_mode_says_what_it_would_place_and_places_nothing(cluster: Cluster) -> None:
    before = cluster.kubectl("get", "namespaces", "-o", "name").stdout
    result = check(cluster, "--check", asleep=["homelab"])
    assert not result.get("failed"), result
    assert [word.split()[0] for word in result["placed"]] == ["Namespace", "ServiceAccount", "Pod", "Service"]
    assert result["placed"][2].endswith("/probe-0 on masternode")
    assert [(one["name"], one["state"]) for one in result["nodes"]] == [("masternode", "awake"), ("homelab", "asleep")]
    assert (result["matrix"], result["changed"]) == ([], False)
    assert cluster.kubectl("get", "namespaces", "-o", "name").stdout == before


def test_pods_that_never_report_are_unknown_and_named(cluster: Cluster) -> None:
    """Hollow nodes say that pods run, the tainted one too, but nothing runs that could ask."""
    result = check(cluster)
    assert result["failed"]
    assert told(result) == [("probe_pods_report", "node masternode"), ("probe_pods_report", "node homelab")]
    assert "did not report within 30 s" in result["findings"][0]["found"]
    assert [one["state"] for one in result["nodes"]] == ["started", "started"]
    assert {row["ok"] for row in result["matrix"]} == {None}
    assert [(row["source"], row["target"], row["kind"]) for row in result["matrix"]][:4] == [
        ("masternode", "homelab", "pod"),
        ("masternode", "masternode", "service"),
        ("masternode", "homelab", "service"),
        ("masternode", "kubernetes.default.svc.cluster.local", "dns"),
    ]
    assert not result["changed"]


def test_what_the_scheduler_says_of_a_pod_that_fits_nowhere(cluster: Cluster, nodes: HollowNodes, silent_pods: None) -> None:
    nodes._awake.discard("homelab")  # or the next heartbeat makes room
    cluster.kubectl("patch", "node", "homelab", "--subresource=status", "--type=merge", "-p", '{"status": {"allocatable": {"pods": "0"}}}')
    try:
        result = check(cluster)
    finally:
        nodes.switch_on("homelab")
    (finding,) = [one for one in result["findings"] if one["rule"] == "probe_pods_start"]
    assert finding["subject"] == "node homelab"
    assert "Too many pods" in finding["found"]
    assert "kubectl describe node homelab" in finding["fix"]
    about_homelab = [row for row in result["matrix"] if "homelab" in (row["source"], row["target"])]
    assert about_homelab
    assert all((row["ok"], row["detail"]) == (None, "no probe pod on homelab") for row in about_homelab)


def test_a_pod_that_no_kubelet_takes_up(cluster: Cluster, nodes: HollowNodes) -> None:
    """The Node still says that it is ready, as for 40 seconds after a host has died."""
    nodes._awake.discard("homelab")
    try:
        process = start(cluster)
        wait_for(lambda: bool(namespaces(cluster)), "the namespace")
        output, _errors = process.communicate(timeout=150)
    finally:
        nodes.switch_on("homelab")
    result = json.loads(output[output.index("{") :])["plays"][0]["tasks"][0]["hosts"]["localhost"]
    (finding,) = [one for one in result["findings"] if one["rule"] == "probe_pods_start"]
    assert finding["subject"] == "node homelab"
    assert "the kubelet has not taken it up" in finding["found"]
    assert "left" not in str(told(result)), "what a dead node does not confirm is taken out all the same"


def test_a_node_that_is_not_ready_is_named_and_gets_nothing(cluster: Cluster, silent_pods: None, nodes: HollowNodes) -> None:
    nodes.switch_off("homelab")
    try:
        result = check(cluster)
    finally:
        nodes.switch_on("homelab")
    assert ("nodes_are_ready", "node homelab") in told(result)
    assert not any("homelab" in word for word in result["placed"])
    assert all(row["ok"] is None for row in result["matrix"])


def test_a_run_that_is_ended_by_a_signal_removes_what_it_placed(cluster: Cluster) -> None:
    process = start(cluster)
    wait_for(lambda: bool(namespaces(cluster)), "the namespace")
    os.kill(module_of(process), signal.SIGTERM)
    output, _errors = process.communicate(timeout=90)
    assert namespaces(cluster) == [], output


def test_a_run_removes_what_a_killed_one_left(cluster: Cluster, silent_pods: None) -> None:
    process = start(cluster)
    wait_for(lambda: bool(namespaces(cluster)), "the namespace")
    os.kill(module_of(process), signal.SIGKILL)
    process.communicate(timeout=90)
    (left,) = namespaces(cluster)
    young = check(cluster, fail_on="never", asleep=["homelab"])
    assert (young["removed"], namespaces(cluster)) == ([], [left]), "it may be another run that goes on"
    cluster.kubectl("annotate", "--overwrite", "namespace", left, "vmstation.cluster/lasts=1")
    old = check(cluster, fail_on="never", asleep=["homelab"])
    assert (old["removed"], old["changed"]) == ([left], True)
    wait_for(lambda: not namespaces(cluster), "the end of the namespace")


def test_a_missing_permission_is_named_and_nothing_is_known(cluster: Cluster) -> None:
    kubeconfig = user(cluster, "reader", "list,get", "nodes,namespaces")
    result = check(cluster, kubeconfig=kubeconfig)
    assert not result.get("failed"), result
    (finding,) = result["findings"]
    assert (finding["rule"], finding["severity"]) == ("pod_network_can_be_probed", "unknown")
    assert finding["expected"] == "the permission to create namespaces"
    assert {row["ok"] for row in result["matrix"]} == {None}


def test_what_was_placed_goes_where_pods_are_forbidden(cluster: Cluster) -> None:
    kubeconfig = user(cluster, "planter", "list,get,create,delete", "nodes,namespaces,serviceaccounts,services")
    result = check(cluster, kubeconfig=kubeconfig, fail_on="never")
    (finding,) = result["findings"]
    assert "the permission to create pods in namespace vmstation-probe-" in finding["expected"]


def test_a_namespace_that_may_not_be_removed_is_an_error_that_says_how(cluster: Cluster) -> None:
    kubeconfig = user(cluster, "sower", "list,get,create", "nodes,namespaces")
    result = check(cluster, kubeconfig=kubeconfig)
    assert result["failed"]
    assert result["changed"]
    finding = next(one for one in result["findings"] if one["rule"] == "probes_are_removed")
    (left,) = namespaces(cluster)
    assert finding["severity"] == "error"
    way = "If that does not end, `check.yml -e check_only=control_plane,api` reports why."
    assert finding["fix"] == f"Remove it: `kubectl delete namespace {left}`. {way}"
    cluster.kubectl("delete", "namespace", left)


def user(cluster: Cluster, name: str, verbs: str, resources: str) -> str:
    """A kubeconfig of somebody who may do only that."""
    cluster.kubectl("create", "serviceaccount", name)
    cluster.kubectl("create", "clusterrole", name, f"--verb={verbs}", f"--resource={resources}")
    cluster.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount=default:{name}")
    token = cluster.kubectl("create", "token", name).stdout.strip()
    path = cluster.directory / f"{name}.json"
    authority = {"name": "c", "cluster": {"server": cluster.url, "certificate-authority": str(cluster.certificates / "ca.crt")}}
    context = {"name": "x", "context": {"cluster": "c", "user": name}}
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [authority], "contexts": [context],
                "users": [{"name": name, "user": {"token": token}}],
            }
        )
    )  # fmt: skip
    return str(path)
