# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role dns against a real API server and scheduler, with nodes that only say that their Pods run."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KubernetesApi, read_yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._dns import coredns
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan

from tests.cluster.build import missing
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.play import Played, play_role
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.unit.network_plan.plans import SPECIFICATION

pytest.importorskip("kubernetes")

PLAN = dns_plan(SPECIFICATION)
ADDRESS = "10.233.0.3"
APPLY, RESTART = "Apply CoreDNS and its Service", "Restart CoreDNS, one Pod at a time"
MASTER, STORAGE, HOMELAB = "masternode", "storagenodet3500", "homelab"
SERVICE_CIDR = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "dns"},
    "spec": {"cidrs": ["10.233.0.0/24"]},
}
KUBELET_CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "kubelet-config", "namespace": "kube-system"},
    "data": {"kubelet": f"clusterDNS:\n- {ADDRESS}\nclusterDomain: cluster.local\n"},
}


class Site:
    """A cluster of its own, as others in kube-system would be in the way, and the playbook."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster = cluster
        self.directory = directory

    def play(self, *arguments: str, **variables: object) -> Played:
        given = {"network_plan": SPECIFICATION, "cluster_kubeconfig": str(self.cluster.kubeconfig), "dns_rollout_timeout": 60, **variables}
        return play_role("dns", self.directory, given, *arguments)

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        return self.cluster.kubectl("--namespace=kube-system", *argv, stdin=stdin).stdout

    def apply(self, thing: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", stdin=json.dumps(thing))

    def get(self, what: str) -> dict[str, Any]:
        return json.loads(self.kubectl("get", what, "--output=json"))

    def has(self, what: str) -> bool:
        return self.cluster.kubectl("--namespace=kube-system", "get", what, check=False).returncode == 0

    @property
    def corefile(self) -> str:
        return self.get("configmap/coredns")["data"]["Corefile"]

    @property
    def nodes(self) -> list[str]:
        """Where the Pods of CoreDNS are, with the command of the specification."""
        pods = json.loads(self.kubectl("get", "pods", "-l", "k8s-app=kube-dns", "--output=json"))["items"]
        return sorted(pod["spec"].get("nodeName", "") for pod in pods if "deletionTimestamp" not in pod["metadata"])


def _eventually(condition: Callable[[], bool], what: str, patience: float = 60) -> None:
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, f"{patience:.0f} s and {what} still is not so"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as cluster:
        yield Site(cluster, tmp_path_factory.mktemp("dns"))


@pytest.fixture(scope="module")
def nodes(bare: Site) -> Iterator[HollowNodes]:
    with hollow_nodes(bare.cluster) as made:
        yield made


@pytest.fixture(scope="module")
def site(bare: Site, nodes: HollowNodes) -> Site:
    """DNS as the role makes it when all hosts but the control plane are asleep. The tests of a bare cluster come first in this file."""
    nodes.add(MASTER, control_plane=True)
    run = bare.play()
    assert (run.status, run.tasks_changed) == (0, [APPLY]), run.text
    return bare


def test_before_there_is_a_cluster_check_mode_says_so(bare: Site) -> None:
    run = bare.play("--check", "--diff", cluster_kubeconfig="/nowhere/kubeconfig")
    assert (run.status, run.changed) == (0, 0), run.text
    assert run.says("/nowhere/kubeconfig does not exist yet")


def test_an_address_in_no_service_range_is_refused_before_damage(bare: Site) -> None:
    run = bare.play()
    assert run.status == 2
    assert run.says(f"network_plan.dns_service_ip {ADDRESS}: found in none of the service ranges 10.96.0.0/12")
    assert run.says("kubelet-config: found no KubeletConfiguration")
    assert not bare.has("deployment/coredns")


def test_kubelets_and_services_that_differ_are_named_in_one_run(bare: Site) -> None:
    bare.apply(SERVICE_CIDR)
    bare.apply({**KUBELET_CONFIG, "data": {"kubelet": "clusterDNS:\n- 10.96.0.10\nclusterDomain: cluster.local\n"}})

    def is_created(name: str, address: str) -> bool:
        argv = ("create", "service", "clusterip", name, f"--clusterip={address}", "--tcp=53", "--namespace=kube-system")
        return bare.cluster.kubectl(*argv, check=False).returncode == 0

    assert is_created("kube-dns", "10.96.0.10")
    assert is_created("coredns-old", "10.96.0.11")
    _eventually(lambda: is_created("thief", ADDRESS), "the new range in use")
    bare.kubectl("label", "service", "coredns-old", "k8s-app=kube-dns")
    run = bare.play()
    assert run.status == 2
    for words in (
        f"kubelet-config, clusterDNS: found ['10.96.0.10']; expected ['{ADDRESS}'], from the plan",
        f"Service kube-system/kube-dns: found clusterIP 10.96.0.10; expected {ADDRESS}, the plan's dns_service_ip",
        "Service kube-system/coredns-old: found a second DNS Service, at 10.96.0.11",
        f"{ADDRESS}: found used by services kube-system/thief",
    ):
        assert run.says(words), run.text
    assert bare.get("service/kube-dns")["spec"]["clusterIP"] == "10.96.0.10"
    bare.kubectl("delete", "service", "kube-dns", "coredns-old", "thief")
    bare.apply(KUBELET_CONFIG)


def test_a_corefile_that_cannot_be_is_refused_before_damage(bare: Site) -> None:
    run = bare.play(dns_corefile=".:53 {\n    forward . 127.0.0.53\n    errors\n")
    assert run.status == 2
    assert run.says("Corefile, line 1: found the block of .:53, opened here, is not closed")
    assert not bare.has("configmap/coredns")


def test_check_mode_predicts_all_and_makes_nothing(bare: Site) -> None:
    run = bare.play("--check", "--diff")
    assert (run.status, run.tasks_changed) == (0, ["Predict the DNS Service", APPLY]), run.text
    assert run.says(f"Service kube-system/kube-dns would be created at {ADDRESS}")
    for kind in ("ServiceAccount", "PodDisruptionBudget", "ConfigMap", "Deployment"):
        assert run.says(f"{kind}, made: kube-system/coredns"), run.text
    assert not bare.has("serviceaccount/coredns")
    assert not bare.has("deployment/coredns")


def test_without_a_node_the_pods_and_the_reason_are_named(bare: Site) -> None:
    run = bare.play(dns_rollout_timeout=3)
    assert (run.status, run.tasks_changed) == (2, [APPLY])
    assert run.says("Deployment kube-system/coredns: found after 3 s still waiting for 2 of 2 Pods to be available")
    assert run.says("Pending: Unschedulable: no nodes available to schedule pods")
    bare.kubectl("delete", "deployment/coredns", "service/kube-dns", "configmap/coredns", "poddisruptionbudget/coredns")


def test_one_node_has_both_pods_and_the_service_has_its_address(site: Site) -> None:
    service = site.get("service/kube-dns")
    assert service["spec"]["clusterIPs"] == [ADDRESS]
    assert {(port["port"], port["protocol"]) for port in service["spec"]["ports"]} == {(53, "UDP"), (53, "TCP"), (9153, "TCP")}
    assert site.nodes == [MASTER, MASTER]


def test_a_second_run_asks_once_and_changes_nothing_and_check_mode_knows(site: Site) -> None:
    before = site.get("deployment/coredns")["metadata"]["resourceVersion"]
    for arguments in ([], ["--check", "--diff"]):
        run = site.play(*arguments)
        assert (run.status, run.changed) == (0, 0), run.text
        for task in (APPLY, "Wait until CoreDNS runs", "Check the DNS of the cluster"):
            assert f": {task}]" not in run.text
    assert site.get("deployment/coredns")["metadata"]["resourceVersion"] == before


def test_nodes_that_come_later_get_a_pod(site: Site, nodes: HollowNodes) -> None:
    nodes.add(STORAGE)
    nodes.add(HOMELAB)
    predicted = site.play("--check")
    run = site.play()
    assert run.tasks_changed == predicted.tasks_changed == [RESTART], run.text
    _eventually(lambda: len(site.nodes) == 2, "two Pods")
    assert MASTER in site.nodes
    assert len(set(site.nodes)) == 2
    assert site.play().changed == 0


def test_with_all_workers_off_one_pod_is_left_and_both_come_back_there(site: Site, nodes: HollowNodes) -> None:
    nodes.switch_off(STORAGE)
    nodes.switch_off(HOMELAB)
    assert MASTER in site.nodes
    _eventually(lambda: site.nodes == [MASTER, MASTER], "both Pods on the node that is left", 90)
    assert site.play().changed == 0
    nodes.switch_on(STORAGE)
    nodes.switch_on(HOMELAB)
    _eventually(lambda: all(len(one["spec"].get("taints", [])) <= 1 for one in site.get("nodes")["items"]), "all nodes without taints")


def test_an_edited_corefile_is_put_right_and_its_pods_made_anew(site: Site) -> None:
    right = site.corefile
    before = site.get("deployment/coredns")["metadata"]["generation"]
    site.kubectl("patch", "configmap", "coredns", "--type=merge", f"--patch={json.dumps({'data': {'Corefile': right + '# mine'}})}")
    run = site.play("--diff")
    assert run.status == 0, run.text
    assert run.tasks_changed[:2] == [APPLY, RESTART]
    assert run.says("ConfigMap kube-system/coredns: data.Corefile: - # mine"), run.text
    assert site.corefile == right
    assert site.get("deployment/coredns")["metadata"]["generation"] > before
    assert site.play().changed == 0


def test_another_corefile_makes_other_pods(site: Site) -> None:
    before = site.get("deployment/coredns")["metadata"]["generation"]
    assert site.play(dns_corefile=site.corefile.replace("cache 30", "cache 60")).tasks_changed == [APPLY]
    assert "cache 60" in site.corefile
    assert site.get("deployment/coredns")["metadata"]["generation"] == before + 1


def found(site: Site) -> list[tuple[str, str]]:
    """What coredns_check finds, and its next step."""
    state = coredns.look(PLAN, KubernetesApi(str(site.cluster.kubeconfig)), read_yaml)
    return [(one.rule, one.fix) for one in coredns.judge(state, coredns.Wanted(PLAN), deployed=True)]


def test_what_cuts_coredns_off_is_named_and_its_next_step_helps(site: Site) -> None:
    assert found(site) == []
    deny = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "deny", "namespace": "kube-system"}}
    site.apply({**deny, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}})
    site.kubectl("patch", "service", "kube-dns", "--type=merge", '--patch={"spec":{"selector":{"k8s-app":"other"}}}')
    told = found(site)
    assert [rule for rule, _fix in told] == ["the_dns_service_selects_coredns", "policies_let_queries_in"]
    for _rule, fix in told:
        kubectl, *words = shlex.split(fix.split("`")[1])
        assert kubectl == "kubectl"
        site.kubectl(*words)
    assert found(site) == []


def test_what_was_deleted_or_changed_by_hand_comes_back(site: Site) -> None:
    site.kubectl("delete", "service/kube-dns", "poddisruptionbudget/coredns", "clusterrolebinding/system:coredns")
    site.kubectl("scale", "deployment", "coredns", "--replicas=1")
    run = site.play()
    assert run.status == 0, run.text
    assert run.tasks_changed == [APPLY]
    for line in (
        "Service, made: kube-system/kube-dns",
        "PodDisruptionBudget, made: kube-system/coredns",
        "ClusterRoleBinding, made: system:coredns",
        "Deployment kube-system/coredns: spec.replicas: 1 -> 2",
    ):
        assert run.says(line), run.text
    assert site.get("service/kube-dns")["spec"]["clusterIP"] == ADDRESS
    assert site.has("clusterrolebinding/system:coredns")
    assert len(site.nodes) == 2
    site.kubectl("delete", "deployment/coredns")
    assert site.play().tasks_changed == [APPLY]
