# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which upgrades are refused, and the steps of the others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._upgrade.judge import (
    Host,
    Node,
    Request,
    Sight,
    as_data,
    judge,
    look,
    looked_at,
    plan,
    read_request,
    tag_of,
)

HOSTS = (Host("homelab", False), Host("masternode", True), Host("storage", False))
OLD = "v1.36.3"
NODES = {
    "masternode": Node("masternode", OLD, ready=True, schedulable=True, takes_pods=False, runtime="containerd://1.6.20"),
    "homelab": Node("homelab", OLD, ready=True, schedulable=True, takes_pods=True),
    "storage": Node("storage", OLD, ready=True, schedulable=True, takes_pods=True),
}
SEEN = Sight(OLD, NODES, configured=OLD, kube_proxy=OLD, calico="v3.28.5", coredns="v1.14.2")
WANTED = Request("1.36.4", HOSTS)


def of(name: str, **change: Any) -> Sight:
    """What is seen, with another node of this name."""
    return replace(SEEN, nodes={**NODES, name: replace(NODES[name], **change)})


def all_of(release: str) -> Sight:
    nodes = {name: replace(node, kubelet=release) for name, node in NODES.items()}
    return replace(SEEN, api_server=release, configured=release, kube_proxy=release, nodes=nodes)


def rules(seen: Sight, request: Request = WANTED) -> list[tuple[str, str, str]]:
    return [(finding.severity, finding.rule, finding.subject) for finding in judge(request, seen)]


def test_the_api_server_and_each_node_are_looked_at() -> None:
    seen = of("homelab", kubelet="v1.30.0")
    found = judge(WANTED, seen)
    assert {finding.hosts for finding in found} == {("homelab",)}
    states = {one.subject: (one.state, one.hosts) for one in looked_at(seen, found)}
    assert states["node homelab"] == ("error", ("homelab",))
    assert {state for subject, (state, _hosts) in states.items() if subject != "node homelab"} == {"ok"}
    assert states["API server"] == ("ok", ())


API = "API server"
FORWARD = "releases_go_forward"
EVERY_NODE = ("node homelab", "node masternode", "node storage")
CASES: dict[str, tuple[Sight, str, list[tuple[str, str, str]]]] = {
    "a patch release": (SEEN, "1.36.4", []),
    "the same release": (SEEN, "1.36.3", []),
    "the next minor version": (SEEN, "1.37.0", []),
    "two minor versions at once": (of("masternode", runtime=""), "1.38.0", [("error", "one_minor_version_at_a_time", API)]),
    "another major version": (
        of("masternode", runtime=""),
        "2.36.4",
        [("error", "one_minor_version_at_a_time", API), *(("error", "kubelets_are_not_too_old", node) for node in EVERY_NODE)],
    ),
    "an older patch release": (SEEN, "1.36.2", [("error", FORWARD, API), *(("error", FORWARD, node) for node in EVERY_NODE)]),
    "an older minor version": (SEEN, "1.35.9", [("error", FORWARD, API), *(("error", FORWARD, node) for node in EVERY_NODE)]),
    "one kubelet that is newer": (of("homelab", kubelet="v1.36.5"), "1.36.4", [("error", FORWARD, "node homelab")]),
    "a kubelet three minor versions behind": (of("homelab", kubelet="v1.33.9"), "1.36.4", []),
    "a kubelet that would be four behind": (
        replace(of("homelab", kubelet="v1.33.9"), nodes={**NODES, "masternode": replace(NODES["masternode"], runtime=""),
                                                         "homelab": replace(NODES["homelab"], kubelet="v1.33.9")}),
        "1.37.0",
        [("error", "kubelets_are_not_too_old", "node homelab")],
    ),
    "containerd 1 for kubelet 1.37": (SEEN, "1.37.0", []),
    "containerd 1 for kubelet 1.38": (
        all_of("v1.37.2"),
        "1.38.0",
        [("error", "containerd_suits_the_kubelet", "node masternode")],
    ),
    "containerd 2 for kubelet 1.38": (
        replace(all_of("v1.37.2"), nodes={**all_of("v1.37.2").nodes, "masternode": replace(NODES["masternode"], kubelet="v1.37.2",
                                                                                           runtime="containerd://2.1.4")}),
        "1.38.0",
        [],
    ),
    "a node that is not ready": (of("storage", ready=False), "1.36.4", [("error", "nodes_are_ready", "node storage")]),
    "a cordoned node": (of("storage", schedulable=False), "1.36.4", [("info", "nodes_take_pods", "node storage")]),
    "an API server that tells nothing": (replace(SEEN, api_server=""), "1.36.4", [("error", "the_api_server_tells_its_release", API)]),
    "a kubelet that tells nothing": (of("storage", kubelet=""), "1.36.4", [("error", "kubelets_tell_their_release", "node storage")]),
    "an interrupted upgrade": (
        replace(SEEN, api_server="v1.36.4"),
        "1.36.4",
        [("info", "kubeadm_knows_the_release", "ConfigMap kube-system/kubeadm-config")],
    ),
    "a node that the inventory does not name": (
        replace(SEEN, nodes={**NODES, "oldbox": replace(NODES["homelab"], name="oldbox")}),
        "1.36.4",
        [("warning", "nodes_are_hosts_of_the_inventory", "node oldbox")],
    ),
    "a host that has not joined": (
        replace(SEEN, nodes={name: node for name, node in NODES.items() if name != "storage"}),
        "1.36.4",
        [("warning", "hosts_are_nodes", "host storage")],
    ),
    "a control plane without a Node": (
        replace(SEEN, nodes={name: node for name, node in NODES.items() if name != "masternode"}),
        "1.36.4",
        [("error", "hosts_are_nodes", "host masternode")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_speaks_against_an_upgrade(case: str) -> None:
    seen, release, wanted = CASES[case]
    assert rules(seen, Request(release, HOSTS)) == wanted


def test_a_host_that_sleeps_is_left_for_the_next_run() -> None:
    seen, request = of("storage", ready=False), replace(WANTED, asleep=frozenset({"storage"}))
    assert rules(seen, request) == [("info", "nodes_are_ready", "node storage")]
    planned = plan(request, seen)
    assert list(planned.nodes) == ["masternode", "homelab"]
    assert "storage: asleep, its kubelet v1.36.3 is left for the next run" in planned.lines


def test_a_control_plane_is_never_called_asleep() -> None:
    assert rules(of("masternode", ready=False), replace(WANTED, asleep=frozenset({"masternode"}))) == [
        ("error", "nodes_are_ready", "node masternode")
    ]


def test_the_control_plane_comes_first_and_the_roles_last() -> None:
    assert plan(WANTED, SEEN).lines == [
        "control plane: API server v1.36.3 -> v1.36.4, kubeadm's configuration v1.36.3 -> v1.36.4, kube-proxy v1.36.3 -> v1.36.4; "
        "its certificates are renewed",
        "masternode: kubelet v1.36.3 -> v1.36.4",
        "homelab: its Pods move to other nodes, kubelet v1.36.3 -> v1.36.4",
        "storage: its Pods move to other nodes, kubelet v1.36.3 -> v1.36.4",
        "all: site.yml, which brings Calico v3.28.5, CoreDNS v1.14.2 and the workloads to the releases of their roles",
    ]


PLANS = {
    "nothing to do": (all_of("v1.36.4"), False, []),
    "interrupted before kube-proxy": (replace(all_of("v1.36.4"), kube_proxy=OLD), True, []),
    "interrupted before the kubelets": (
        replace(SEEN, api_server="v1.36.4", configured="v1.36.4", kube_proxy="v1.36.4"),
        False,
        list(NODES),
    ),
    "interrupted before one worker": (
        replace(all_of("v1.36.4"), nodes={**all_of("v1.36.4").nodes, "storage": NODES["storage"]}),
        False,
        ["storage"],
    ),
    "a cluster without kube-proxy": (replace(all_of("v1.36.4"), kube_proxy=None, configured=None), False, []),
}


@pytest.mark.parametrize("case", PLANS)
def test_a_run_does_what_the_one_before_has_not(case: str) -> None:
    seen, control_plane, nodes = PLANS[case]
    planned = plan(WANTED, seen)
    assert (planned.control_plane, list(planned.nodes)) == (control_plane, nodes)
    assert bool(planned.lines) is (control_plane or bool(nodes))
    assert [name for name, node in as_data(WANTED, seen, planned).items() if node["upgrade"]] == sorted(nodes)


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("registry.k8s.io/kube-proxy:v1.36.4", "v1.36.4"),
        ("localhost:5000/kube-proxy:v1.36.4@sha256:00", "v1.36.4"),
        ("localhost:5000/kube-proxy", None),
        ("registry.k8s.io/kube-proxy@sha256:00", None),
    ],
)
def test_tags_of_images(image: str, tag: str | None) -> None:
    assert tag_of(image) == tag


class Cluster:
    """A reader of scripted objects."""

    server = "https://192.168.4.63:6443"

    def items(self, api_version: str, kind: str) -> Iterator[dict[str, Any]]:
        taints = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]
        cordon = [{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]
        for name, spec in {"masternode": {"taints": taints}, "homelab": {"taints": cordon, "unschedulable": True}, "storage": {}}.items():
            info = {"kubeletVersion": OLD, "containerRuntimeVersion": "containerd://1.6.20"}
            conditions = [{"type": "Ready", "status": "True"}]
            yield {"metadata": {"name": name}, "spec": spec, "status": {"nodeInfo": info, "conditions": conditions}}

    def get(self, api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        if kind == "ConfigMap":
            return {"data": {"ClusterConfiguration": "apiVersion: kubeadm.k8s.io/v1beta4\nkubernetesVersion: v1.36.3\nnetworking: {}\n"}}
        images = {"kube-proxy": f"registry.k8s.io/kube-proxy:{OLD}", "calico-node": "docker.io/calico/node:v3.28.5"}
        return {"spec": {"template": {"spec": {"containers": [{"image": images[name]}]}}}} if name in images else None

    def read(self, path: str) -> dict[str, Any]:
        return {"gitVersion": OLD}


def test_what_runs_is_read() -> None:
    seen = look(Cluster())
    assert (seen.api_server, seen.configured, seen.kube_proxy, seen.calico, seen.coredns) == (OLD, OLD, OLD, "v3.28.5", None)
    facts = {name: (node.kubelet, node.schedulable, node.takes_pods, node.runtime) for name, node in seen.nodes.items()}
    assert facts == {
        "masternode": (OLD, True, False, "containerd://1.6.20"),
        "homelab": (OLD, False, True, "containerd://1.6.20"),
        "storage": (OLD, True, True, "containerd://1.6.20"),
    }


OPTIONS = {"release": "v1.36.4", "nodes": [{"name": "Masternode", "role": "control_plane"}, {"name": "homelab"}], "asleep": ["Homelab"]}


def test_options_are_read() -> None:
    request = Request("1.36.4", (Host("masternode", True), Host("homelab", False)), frozenset({"homelab"}))
    assert read_request(OPTIONS) == request


@pytest.mark.parametrize("change", [{"release": "1.36"}, {"release": "newest"}, {"nodes": []}, {"nodes": [{"name": "homelab"}]}])
def test_options_of_no_sense_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        read_request({**OPTIONS, **change})
