# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane that stands: where it differs from the plan, which service ranges it lacks, and what its host says of a silence."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import diagnose, drift, judge_ranges, ranges_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import Api
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Unavailable

from tests.unit.fakes import AnsweringHost
from tests.unit.kubeadm.node_files import Files
from tests.unit.kubeadm.test_configuration import MASTER, documents

CLUSTER = documents(host=replace(MASTER, hardened=False))["ClusterConfiguration"]
KUBELET = {**documents()["KubeletConfiguration"], "shutdownGracePeriod": "1m"}


def live(wanted: dict[str, Any], **changes: object) -> dict[str, Any]:
    """A document as a cluster has it: kubeadm's own settings beside ours."""
    return {**deepcopy(wanted), "certificatesDir": "/etc/kubernetes/pki", **changes}


def arguments_without(name: str) -> list[dict[str, str]]:
    return [argument for argument in CLUSTER["apiServer"]["extraArgs"] if argument["name"] != name]


@pytest.mark.parametrize(
    ("wanted", "change", "path", "found", "expected"),
    [
        (
            CLUSTER,
            {"networking": {**CLUSTER["networking"], "podSubnet": "10.245.0.0/16"}},
            "networking.podSubnet",
            "10.245.0.0/16",
            "10.244.0.0/16",
        ),
        (CLUSTER, {"kubernetesVersion": "v1.35.9"}, "kubernetesVersion", "v1.35.9", "v1.36.4"),
        (CLUSTER, {"controlPlaneEndpoint": "k8s:6443"}, "controlPlaneEndpoint", "k8s:6443", "192.168.4.63:6443"),
        (
            CLUSTER,
            {"apiServer": {**CLUSTER["apiServer"], "extraArgs": arguments_without("service-node-port-range")}},
            "apiServer.extraArgs.service-node-port-range",
            "nothing",
            "['30000-32767']",
        ),
        (
            CLUSTER,
            {"apiServer": {**CLUSTER["apiServer"], "extraArgs": arguments_without("service-account-extend-token-expiration")}},
            "apiServer.extraArgs.service-account-extend-token-expiration",
            "nothing",
            "['false']",
        ),
        (
            CLUSTER,
            {"apiServer": {**CLUSTER["apiServer"], "certSANs": ["localhost"]}},
            "apiServer.certSANs",
            "['localhost']",
            str(CLUSTER["apiServer"]["certSANs"]),
        ),
        (KUBELET, {"clusterDNS": ["10.96.0.10"]}, "clusterDNS", "['10.96.0.10']", "['10.233.0.3']"),
        (KUBELET, {"shutdownGracePeriod": "2m0s"}, "shutdownGracePeriod", "2m0s", "1m"),
    ],
)
def test_a_setting_that_differs_is_named(wanted: dict[str, Any], change: dict[str, object], path: str, found: str, expected: str) -> None:
    assert drift(wanted, live(wanted), "here") == []
    (finding,) = drift(wanted, live(wanted, **change), "here")
    assert (finding.severity, finding.subject) == ("warning", f"here: {wanted['kind']}.{path}")
    assert (finding.found, finding.expected) == (found, expected)


def test_the_next_step_of_a_difference_tells_what_a_running_cluster_keeps() -> None:
    def fix(**change: object) -> str:
        return drift(CLUSTER, live(CLUSTER, **change), "here")[0].fix

    assert fix(clusterName="other").startswith("It cannot be changed in a running cluster")
    assert fix(kubernetesVersion="v1.35.9").startswith("Upgrade")
    assert "kubeadm init phase upload-config" in fix(scheduler={})
    (kubelet,) = drift(KUBELET, live(KUBELET, clusterDomain="home"), "here")
    assert "kubeadm init phase upload-config kubelet`" in kubelet.fix


def test_more_names_another_order_and_another_spelling_are_no_difference() -> None:
    more = live(CLUSTER, apiServer={**CLUSTER["apiServer"], "certSANs": ["extra", *CLUSTER["apiServer"]["certSANs"][::-1]]})
    more["controllerManager"]["extraArgs"] = more["controllerManager"]["extraArgs"][::-1]
    assert drift(CLUSTER, more, "here") == []
    assert drift(KUBELET, live(KUBELET, shutdownGracePeriod="1m0s"), "here") == []
    assert drift(KUBELET, live(KUBELET, shutdownGracePeriod="60s"), "here") == []
    assert drift(KUBELET, None, "here") == []


def service_cidr(name: str, *cidrs: str, ready: str = "True", deleted: bool = False) -> dict[str, Any]:
    metadata = {"name": name, **({"deletionTimestamp": "2026-11-23T06:59:02Z"} if deleted else {})}
    conditions = [{"type": "Ready", "status": ready, "reason": "because"}] if ready else []
    return {"metadata": metadata, "spec": {"cidrs": list(cidrs)}, "status": {"conditions": conditions}}


OWN = service_cidr("kubernetes", "10.96.0.0/12")
DNS = "10.233.0.0/24"


@pytest.mark.parametrize(
    ("objects", "missing", "waiting", "unasked"),
    [
        ([OWN], (DNS,), {}, []),
        ([OWN, service_cidr("any-name", DNS)], (), {}, []),
        ([OWN, service_cidr("both", DNS, "fd00::/120")], (), {}, []),
        ([OWN, service_cidr("new", DNS, ready="")], (), {DNS: "no condition Ready yet"}, []),
        ([OWN, service_cidr("bad", DNS, ready="False")], (), {DNS: "because"}, []),
        ([OWN, service_cidr("going", DNS, deleted=True)], (), {DNS: "it is being deleted: Services still use addresses of it"}, []),
        ([OWN, service_cidr("mine", DNS), service_cidr("older", "10.234.0.0/24")], (), {}, ["ServiceCIDR older"]),
    ],
)
def test_service_ranges(objects: list[dict[str, Any]], missing: tuple[str, ...], waiting: dict[str, str], unasked: list[str]) -> None:
    judged = judge_ranges([DNS], objects)
    assert (judged.missing, dict(judged.waiting)) == (missing, waiting)
    assert [finding.subject for finding in judged.findings] == unasked


@pytest.mark.parametrize(
    ("cidr", "name"), [(DNS, "vmstation-10-233-0-0-24"), ("fd00:10:97::/120", "vmstation-fd00-10-97-x-120"), ("::/96", "vmstation--x-96")]
)
def test_a_range_is_named_after_itself(cidr: str, name: str) -> None:
    made = ranges_manifest(cidr)
    assert made["metadata"]["name"] == name
    assert made["spec"] == {"cidrs": [cidr]}


class Host(AnsweringHost):
    """Programs that answer by their first words."""

    def __init__(self, answers: dict[str, str]) -> None:
        self._answers = answers

    def has(self, program: str) -> bool:
        return any(line.split()[0] == program for line in self._answers)

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        line = " ".join(argv)
        return 0, next((text for start, text in self._answers.items() if line.startswith(start)), ""), ""


class Queue(Host):
    """Programs that answer one after the other."""

    def __init__(self, answers: list[tuple[int, str, str]]) -> None:
        super().__init__({})
        self.asked: list[tuple[str, ...]] = []
        self._left = list(answers)

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        self.asked.append(tuple(argv))
        return self._left.pop(0)


def test_the_host_says_what_stands_and_what_the_containers_said_last() -> None:
    files = Files(
        {
            "/var/log/pods/kube-system_etcd-masternode_1/etcd/0.log": "2026 stderr F all is well\n",
            "/var/log/pods/kube-system_kube-apiserver-masternode_2/kube-apiserver/8.log": "2026 stderr F E1123 connection refused\n",
            "/var/log/pods/kube-system_kube-apiserver-masternode_2/kube-apiserver/10.log": "2026 stderr F I1123 starting\n",
            "/var/log/pods/kube-system_kube-apiserver-masternode_9/kube-apiserver/notes": "",
            "/var/log/pods/kube-system_kube-scheduler-masternode_3/kube-scheduler/notes": "",
        }
    )
    answers = {
        "systemctl show": "ActiveState=active\nSubState=running\nUnitFileState=enabled\n",
        "journalctl": "all fine\nE1123 12:00 pod failed\n",
        "crictl ps": "CONTAINER IMAGE\nabc  1 minute ago  Exited kube-apiserver\nabd 2 minutes ago Running web\n",
        "kubeadm certs": '{"certificates": [{"name": "apiserver", "expirationDate": "2026-01-01T00:00:00Z", "residualTime": -9}]}',
    }
    assert diagnose(Host(answers), files) == [
        "kubelet: active (running)",
        "kubelet log: E1123 12:00 pod failed",
        "container: abc 1 minute ago Exited kube-apiserver",
        "etcd: started once",
        "etcd log: 2026 stderr F all is well",
        "kube-apiserver: started 11 times",
        "kube-apiserver log: 2026 stderr F E1123 connection refused",
        "kube-controller-manager: has not been started",
        "kube-scheduler: has a Pod and no container yet",
        "certificate apiserver: expired on 2026-01-01T00:00:00Z; `kubeadm certs renew all` renews it",
    ]


def test_kubectls_values_are_read_one_after_the_other() -> None:
    answer = Host({"kubectl annotate --local": '{"kind": "A"}\n{\n "kind": "B"\n}\n'})
    assert Api(answer, "192.168.4.63", sleep=lambda seconds: None).as_mappings(["a", "b"]) == [{"kind": "A"}, {"kind": "B"}]


@pytest.mark.parametrize(
    ("answers", "asked", "result"),
    [
        ([(0, '{"kind": "Node"}', "")], 1, {"kind": "Node"}),
        ([(1, "", "Error from server (NotFound): nodes")], 1, None),
        ([(1, "", "TLS handshake timeout"), (0, '{"kind": "Node"}', "")], 2, {"kind": "Node"}),
        ([(1, "", "connection refused")] * 9, 4, Unavailable),
    ],
)
def test_an_answer_that_fails_to_come_is_asked_for_again_within_bounds(
    answers: list[tuple[int, str, str]], asked: int, result: object
) -> None:
    host, waited = Queue(answers), list[float]()
    api = Api(host, "fd00:4::63", sleep=waited.append)
    if result is Unavailable:
        with pytest.raises(Unavailable, match="connection refused"):
            api.get("/api/v1/nodes/masternode")
    else:
        assert api.get("/api/v1/nodes/masternode") == result
    assert (len(host.asked), len(waited)) == (asked, asked - 1)
    assert "--server=https://[fd00:4::63]:6443" in host.asked[0]
