# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the way of workloads, from what was seen of a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import state_of
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.hardening import SERVING
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._workloads.workloads import (
    PlannedService,
    Request,
    Secret,
    Sight,
    as_data,
    holders,
    judge,
    look,
    looked_at,
    request,
)

from tests.unit.fakes import Lists

JELLYFIN = PlannedService("jellyfin", "jellyfin", 30096)
REQUEST = Request((JELLYFIN,), ("storagenodet3500",), frozenset(), ("fast",))
FORBIDDEN = Refusal("Kubernetes API, list of nodes", "HTTP status 403", "the permission to list nodes", "Let the user list nodes.")


def node(name: str = "storagenodet3500", status: str = "True", **spec: object) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [{"type": "Ready", "status": status, "message": "gone"}]}}


def service(name: str, node_port: int | None = None, **spec: object) -> dict[str, Any]:
    return {"metadata": {"namespace": "default", "name": name}, "spec": {"ports": [{"port": 80, "nodePort": node_port}], **spec}}


def offering(**allocatable: str) -> dict[str, Any]:
    one = node()
    return {**one, "status": {**one["status"], "allocatable": allocatable}}


WELL = Sight({}, {"storagenodet3500": node()}, ["fast"])
ASLEEP = replace(REQUEST, asleep=frozenset({"storagenodet3500"}))
CASES = {
    "well": (REQUEST, WELL, []),
    "the NodePort is its own": (REQUEST, replace(WELL, holders={30096: ("jellyfin", "jellyfin")}), []),
    "the NodePort is another's": (
        REQUEST,
        replace(WELL, holders={30096: ("default", "web")}),
        [("node_ports_are_free", "NodePort 30096 is taken by Service default/web", "kubectl edit service -n default web")],
    ),
    "another namespace, the same name": (
        REQUEST,
        replace(WELL, holders={30096: ("default", "jellyfin")}),
        [("node_ports_are_free", "Service default/jellyfin", "")],
    ),
    "no such node": (
        REQUEST,
        replace(WELL, nodes={"homelab": node("homelab"), "a": node("a")}),
        [("nodes_exist", "there are: a, homelab", "role worker")],
    ),
    "cordoned": (
        REQUEST,
        replace(WELL, nodes={"storagenodet3500": node(unschedulable=True)}),
        [("nodes_take_pods", "cordoned", "kubectl uncordon storagenodet3500")],
    ),
    "tainted": (
        REQUEST,
        replace(WELL, nodes={"storagenodet3500": node(taints=[{"key": "gpu", "value": "yes", "effect": "NoSchedule"}])}),
        [("nodes_take_pods", "the taint gpu:NoSchedule, so", "kubectl taint node storagenodet3500 gpu:NoSchedule-")],
    ),
    "tainted with what Pods tolerate, prefer to avoid, or Kubernetes removes": (
        REQUEST,
        replace(
            WELL,
            nodes={
                "storagenodet3500": node(
                    taints=[
                        {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"},
                        {"key": "gpu", "effect": "PreferNoSchedule"},
                        {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"},
                    ]
                )
            },
        ),
        [],
    ),
    "the device plugin offers the resource": (
        replace(REQUEST, extended_resources=("squat.ai/dri",)),
        replace(WELL, nodes={"storagenodet3500": offering(**{"squat.ai/dri": "1"})}),
        [],
    ),
    "the device plugin ended, and another one runs": (
        replace(REQUEST, extended_resources=("squat.ai/dri",)),
        replace(WELL, nodes={"storagenodet3500": offering(**{"cpu": "2", "squat.ai/dri": "0", "gpu.intel.com/i915": "1"})}),
        [("nodes_offer_resources", "no squat.ai/dri; of extended resources it offers: gpu.intel.com/i915", "kubectl get node storage")],
    ),
    "no device plugin": (
        replace(REQUEST, extended_resources=("squat.ai/dri",)),
        WELL,
        [("nodes_offer_resources", "it offers: none", "run the device plugin")],
    ),
    "no node for the resource": (
        replace(REQUEST, extended_resources=("squat.ai/dri",)),
        replace(WELL, nodes={}),
        [("nodes_exist", "there are: none", "")],
    ),
    "not ready": (REQUEST, replace(WELL, nodes={"storagenodet3500": node(status="Unknown")}), [("nodes_take_pods", "silent", "kubelet")]),
    "asleep and cordoned": (ASLEEP, replace(WELL, nodes={"storagenodet3500": node(status="Unknown", unschedulable=True)}), []),
    "said to be asleep, ready and cordoned": (
        ASLEEP,
        replace(WELL, nodes={"storagenodet3500": node(unschedulable=True)}),
        [("nodes_take_pods", "cordoned", "uncordon")],
    ),
    "asleep, and never joined": (ASLEEP, replace(WELL, nodes={}), [("nodes_exist", "there are: none", "")]),
    "no such StorageClass": (
        REQUEST,
        replace(WELL, storage_classes=["slow"]),
        [("storage_classes_exist", "there are: slow", "leave it empty")],
    ),
    "all of it": (
        REQUEST,
        Sight({30096: ("default", "web")}),
        [("node_ports_are_free", "", ""), ("nodes_exist", "", ""), ("storage_classes_exist", "", "")],
    ),
    "nodes may not be listed": (
        REQUEST,
        replace(WELL, nodes={}, nodes_are_known=False, unknown=[FORBIDDEN]),
        [("cluster_can_be_read", "403", "Let the user list nodes")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_findings(case: str) -> None:
    asked, seen, wanted = CASES[case]
    found = judge(asked, seen)
    assert [finding.rule for finding in found] == [rule for rule, _found, _fix in wanted]
    for finding, (rule, words, fix) in zip(found, wanted, strict=True):
        assert finding.severity == ("unknown" if rule == "cluster_can_be_read" else "error")
        assert words in finding.found
        assert fix in finding.fix
    (item,) = looked_at(asked, found)
    assert item.state == state_of(found)


def test_the_result_names_who_has_the_port_and_how_the_nodes_are() -> None:
    assert as_data(REQUEST, replace(WELL, holders={30096: ("default", "web")})) == {
        "services": [{"namespace": "jellyfin", "name": "jellyfin", "node_port": 30096, "taken_by": "default/web"}],
        "nodes": [{"name": "storagenodet3500", "exists": True, "ready": True, "schedulable": True, "asleep": False}],
        "existing": None,
    }


PASSWORD = Secret("grafana-admin", {"password": "c2VjcmV0"})
EXISTS: dict[str, Any] = {
    "Namespace": [{"metadata": {"name": "monitoring"}}],
    "Secret": [{"metadata": {"name": "grafana-admin"}, "data": dict(PASSWORD.data)}],
    "Deployment": [{"metadata": {"name": "loki"}, "spec": {"template": {"spec": {"containers": [{"image": "loki:3"}]}}}}],
    "Job": [{"metadata": {"name": "check"}}],
    "Pod": [
        {"metadata": {"namespace": "monitoring", "name": "on", "uid": "1"}, "spec": {"nodeName": "masternode"}},
        {"metadata": {"namespace": "monitoring", "name": "off", "uid": "2"}, "spec": {"nodeName": "homelab"}},
        {"metadata": {"namespace": "monitoring", "name": "pending", "uid": "3"}, "spec": {}},
    ],
    "PersistentVolume": [
        {"metadata": {"name": "kept"}, "status": {"phase": "Released"}},
        {"metadata": {"name": "used"}, "status": {"phase": "Bound"}},
        {"metadata": {"name": "new"}},
    ],
    "ClusterRole": [{"metadata": {"name": "reader"}}],
    "ClusterRoleBinding": [],
    "RoleBinding": [{"metadata": {"namespace": "apps", "name": "reader"}}, {"metadata": {"namespace": "monitoring", "name": "reader"}}],
    "Role": [],
    "Node": [node()],
}
# in the order in which they are asked for
KINDS = ("PersistentVolume", "ClusterRole", "ClusterRoleBinding", "Node", "RoleBinding", "Role")
WORKLOAD = Request((), (), frozenset({"homelab"}), (), "monitoring", "media", (PASSWORD,))


def existing(asked: Request, **answers: object) -> dict[str, Any]:
    return as_data(asked, look(asked, Lists(**{**EXISTS, **answers})))["existing"]


def test_one_look_returns_what_exists_of_the_workloads() -> None:
    assert existing(WORKLOAD) == {
        "anything": True,
        "namespace": True,
        "deployments": [{"name": "loki", "images": ["loki:3"]}],
        "jobs": ["check"],
        "asleep_pods": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "monitoring", "name": "off"}}],
        "matching_secrets": ["grafana-admin"],
        "cluster_objects": ["PersistentVolume kept", "PersistentVolume used", "PersistentVolume new", "ClusterRole reader"],
        "released_volumes": ["kept"],
        "labelled_nodes": ["storagenodet3500"],
        "access": [
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"namespace": "apps", "name": "reader"},
            }
        ],
        "certificates": [],
    }


@pytest.mark.parametrize(
    ("configuration", "certified"),
    [
        ({}, []),
        (SERVING, ["kubelets", "managers"]),
        # kubespray with rotated kubelet certificates: the two others keep their self-signed certificates
        ({"apiServer": SERVING["apiServer"]}, ["kubelets"]),
        ({"scheduler": SERVING["scheduler"], "controllerManager": SERVING["controllerManager"]}, ["managers"]),
    ],
)
def test_what_has_certificates_of_the_cluster_is_read_of_kubeadms_configuration(configuration: object, certified: list[str]) -> None:
    kubeadm = [{"metadata": {"name": "kubeadm-config"}, "data": {"ClusterConfiguration": json.dumps(configuration)}}]
    asked = replace(WORKLOAD, certificates=True)
    assert existing(asked, ConfigMap=kubeadm)["certificates"] == certified
    assert existing(asked, ConfigMap=kubeadm, Namespace=[])["certificates"] == certified
    # a cluster that kubeadm did not make
    assert existing(asked, ConfigMap=[])["certificates"] == []
    with pytest.raises(Refusal, match="403"):
        existing(asked, ConfigMap=FORBIDDEN)


@pytest.mark.parametrize(
    "found",
    [[], [{"metadata": {"name": "grafana-admin"}}], [{"metadata": {"name": "grafana-admin"}, "data": {**PASSWORD.data, "other": ""}}]],
    ids=["missing", "without data", "with other data"],
)
def test_a_secret_that_differs_does_not_match_and_its_value_is_returned_nowhere(found: list[dict[str, Any]]) -> None:
    result = existing(WORKLOAD, Secret=found)
    assert result["matching_secrets"] == []
    assert "c2VjcmV0" not in f"{result} {PASSWORD}"


def test_without_the_namespace_nothing_in_it_is_asked_for() -> None:
    nothing = dict.fromkeys(KINDS, ())
    cluster = Lists(**{"Namespace": [], **nothing})
    assert not as_data(WORKLOAD, look(WORKLOAD, cluster))["existing"]["anything"]
    assert cluster.asked == [*KINDS, "Namespace"]


@pytest.mark.parametrize("kind", ["PersistentVolume", "ClusterRole", "RoleBinding"])
def test_an_object_in_no_namespace_outlasts_it(kind: str) -> None:
    nothing = dict.fromkeys(("Namespace", *KINDS), ())
    assert existing(WORKLOAD, **{**nothing, kind: EXISTS[kind]})["anything"]


@pytest.mark.parametrize("kind", ["Deployment", "PersistentVolume", "Node", "Secret"])
def test_a_fact_that_may_not_be_read_is_an_error(kind: str) -> None:
    with pytest.raises(Refusal, match="403"):
        existing(WORKLOAD, **{kind: FORBIDDEN})


def test_ports_for_health_checks_are_taken_as_well() -> None:
    found = holders(
        [service("web", 30001), service("balanced", 30002, healthCheckNodePort=30003), service("plain"), {**service("x"), "spec": {}}]
    )
    assert found == {30001: ("default", "web"), 30002: ("default", "balanced"), 30003: ("default", "balanced")}


ENTRY = {"namespace": "jellyfin", "name": "jellyfin", "node_port": 30096}
OPTIONS: dict[str, Any] = {"services": [ENTRY], "nodes": ["StorageNodeT3500"], "asleep": ["Homelab"], "storage_classes": ["fast"]}
OPTIONS |= {"tolerated_taints": ["node-role.kubernetes.io/control-plane:NoSchedule"]}


def test_options_are_read() -> None:
    asked = replace(REQUEST, asleep=frozenset({"homelab"}), extended_resources=("squat.ai/dri",))
    assert request({**OPTIONS, "extended_resources": ["squat.ai/dri"]}) == asked


def test_a_service_without_a_node_port_is_not_judged() -> None:
    assert request({**OPTIONS, "services": [{**ENTRY, "node_port": None}]}).services == ()


def test_a_node_port_for_two_is_refused() -> None:
    with pytest.raises(Refusal, match="NodePort 30096 for Service jellyfin/jellyfin and for Service jellyfin/other"):
        request({**OPTIONS, "services": [ENTRY, {**ENTRY, "name": "other"}]})


def test_one_list_of_each_kind_and_none_that_nobody_needs() -> None:
    cluster = Lists(Service=[service("web", 30096)], Node=[node()], StorageClass=[{"metadata": {"name": "fast"}}])
    seen = look(REQUEST, cluster)
    assert (dict(seen.holders), set(seen.nodes), seen.storage_classes) == ({30096: ("default", "web")}, {"storagenodet3500"}, ["fast"])
    assert cluster.asked == ["Service", "Node", "StorageClass"]
    assert look(Request((), (), frozenset(), ()), cluster) == Sight()
    assert len(cluster.asked) == 3


def test_what_may_not_be_listed_is_unknown_and_the_rest_is_judged() -> None:
    seen = look(REQUEST, Lists(Service=[service("web", 30096)], Node=FORBIDDEN, StorageClass=FORBIDDEN))
    assert [finding.rule for finding in judge(REQUEST, seen)] == ["node_ports_are_free", "cluster_can_be_read", "cluster_can_be_read"]


def test_an_api_server_that_does_not_answer_ends_the_look() -> None:
    with pytest.raises(Unavailable):
        look(REQUEST, Lists(Service=Unavailable("Kubernetes API", "nothing", "an answer", "Look.")))
