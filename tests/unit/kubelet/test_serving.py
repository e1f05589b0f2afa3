# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From kubelets that sign their own certificates to verified ones and back, in an order in which nothing is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import Extras, as_text, document_of, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import drift
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.hardening import SERVING, in_one, with_verification
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import CONFIGURATION
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.requests import REQUESTS
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.serving import (
    ASLEEP,
    KUBELET_FILE,
    Outcome,
    bootstrap,
    ensure,
    read_request,
    with_bootstrap,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.kubeadm.test_configuration import MASTER, PLAN
from tests.unit.kubeadm.test_repair import SYSTEM, StandingHost
from tests.unit.kubelet.test_requests import request

DOCUMENTS = init_documents(PLAN, MASTER)
PLAIN = init_documents(PLAN, replace(MASTER, kubelet_certificates=False))
NODES = [{"name": "masternode", "address": "192.168.4.63"}, {"name": "homelab", "address": ["192.168.4.62", "fd00:4::62"], "sleeps": True}]
COMPONENTS = {"apiServer": "kube-apiserver", "controllerManager": "kube-controller-manager", "scheduler": "kube-scheduler"}
OWN = "a certificate that the cluster's CA has not issued for it"
KUBELET, KUBEADM = (f"{SYSTEM}/configmaps/{name}-config" for name in ("kubelet", "kubeadm"))


class Kubelets(StandingHost):
    """A cluster whose kubelets signed their own certificates. kubeadm writes the manifests, and the kubelet starts them."""

    def __init__(self, documents: Sequence[Mapping[str, Any]] = tuple(PLAIN)) -> None:
        super().__init__()
        self.served = {"masternode": OWN, "homelab": OWN}
        self.objects[KUBELET] = {"data": {"kubelet": "cgroupDriver: systemd\nclusterDNS:\n- 10.233.0.3\n"}}
        self.objects[KUBEADM] = {"data": {"ClusterConfiguration": json.dumps(document_of(documents, "ClusterConfiguration"))}}
        self.objects["/api/v1/nodes"] = {
            "items": [
                {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": f"192.168.4.6{last}"}]}}
                for name, last in (("masternode", 3), ("homelab", 2))
            ]
        }
        self.objects[REQUESTS] = {"items": []}
        self.files[KUBELET_FILE] = "cgroupDriver: systemd\n"
        self._start(document_of(documents, "ClusterConfiguration"))
        self.written: list[str] = []

    def answer(self, argv: list[str], stdin: str) -> tuple[int, str, str]:
        if argv[:3] == ["kubeadm", "init", "phase"]:
            self.changes.append(" ".join(argv[3:5]))
            init, cluster = (json.loads(part) for part in stdin.split("---\n"))
            assert (init["kind"], cluster["kind"]) == ("InitConfiguration", "ClusterConfiguration")
            assert "metadata" not in cluster
            if argv[3] == "upload-config":
                self.objects[KUBEADM]["data"]["ClusterConfiguration"] = json.dumps(cluster)
            else:
                self._start(cluster)
            return 0, "", ""
        if "annotate" in argv:
            return 0, json.dumps({**json.loads(stdin), "metadata": {"annotations": {"vmstation": "read"}}}), ""
        if "replace" in argv:
            path = next(word.removeprefix("--raw=") for word in argv if word.startswith("--raw="))
            self.changes.append(f"approve {path.split('/')[-2]}")
            self.served[json.loads(stdin)["spec"]["username"].rpartition(":")[2]] = ""
            self.objects[REQUESTS]["items"] = []
            return 0, "", ""
        return super().answer([word.partition("?")[0] for word in argv], stdin)

    def _start(self, cluster: Mapping[str, Any]) -> None:
        pods = []
        for part, component in COMPONENTS.items():
            command = [component, *(f"--{one['name']}={one['value']}" for one in cluster[part].get("extraArgs", []))]
            self.files[f"/etc/kubernetes/manifests/{component}.yaml"] = "".join(f"    - {word}\n" for word in command)
            ready = [{"type": "Ready", "status": "True"}]
            pods.append(
                {
                    "metadata": {"name": f"{component}-masternode"},
                    "spec": {"containers": [{"command": command}]},
                    "status": {"conditions": ready},
                }
            )
        self.objects[f"{SYSTEM}/pods"] = {"items": pods}

    def certificates(
        self,
        state: str = "present",
        *,
        check: bool = False,
        verify: bool = True,
        wait_for: Sequence[str] = (),
        documents: Sequence[Mapping[str, Any]] = tuple(DOCUMENTS),
    ) -> Outcome:
        options = {"state": state, "nodes": NODES, "configuration": documents, "verify": verify, "wait_for": wait_for, "timeout": 20}
        return ensure(read_request(options, check=check), self.host(), lambda addresses: {name: self.served[name] for name in addresses})

    @property
    def stored(self) -> dict[str, Any]:
        return json.loads(self.objects[KUBEADM]["data"]["ClusterConfiguration"])

    @property
    def verifies(self) -> bool:
        return "--kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt" in self.files["/etc/kubernetes/manifests/kube-apiserver.yaml"]


def asks(cluster: Kubelets, **spec: Any) -> None:
    cluster.objects[REQUESTS]["items"].append(request(**spec))


def test_kubelets_come_first_and_the_api_server_when_all_have_certificates() -> None:
    cluster = Kubelets()
    outcome = cluster.certificates(verify=False)
    assert (outcome.active, cluster.changes) == (True, ["patch configmap kubelet-config"])
    assert cluster.objects[KUBELET]["data"]["kubelet"].endswith("- 10.233.0.3\nserverTLSBootstrap: true\n")
    cluster.served["masternode"] = ""
    outcome = cluster.certificates(wait_for=["masternode"])
    assert (outcome.verified, cluster.verifies, outcome.done) == (False, False, [])
    assert "homelab: a certificate that" in outcome.findings[0].found
    asks(cluster)
    predicted = cluster.certificates(check=True)
    assert (predicted.done, cluster.changes[1:]) == ([], [])
    outcome = cluster.certificates(wait_for=["masternode", "homelab"])
    assert cluster.changes[1:] == ["approve csr-1", "upload-config kubeadm", "control-plane all"]
    assert (outcome.verified, cluster.verifies) == (True, True)
    assert cluster.stored == document_of(DOCUMENTS, "ClusterConfiguration")
    again = cluster.certificates(wait_for=["homelab"])
    assert (again.done, again.findings, cluster.certificates("kept").active) == ([], [], True)


def test_a_host_that_is_asleep_is_not_waited_for_and_keeps_the_api_server_as_it_is() -> None:
    cluster = Kubelets()
    cluster.served = {"masternode": "", "homelab": ASLEEP}
    outcome = cluster.certificates(wait_for=["masternode", "homelab"])
    assert (cluster.verifies, outcome.nodes["homelab"]) == (False, ASLEEP)
    assert "Wake homelab with wake.yml" in outcome.findings[0].fix
    cluster.served["homelab"] = ""
    cluster.certificates()
    cluster.served["homelab"] = ASLEEP
    later = cluster.certificates(wait_for=["homelab"])
    assert (later.verified, later.done, later.findings) == (True, [], [])


def test_a_certificate_that_does_not_come_is_an_error_with_the_reason() -> None:
    cluster = Kubelets()
    cluster.served["masternode"] = ""
    with pytest.raises(Refusal, match=r"kubelet of homelab: found a certificate .* within 20 s.*journalctl --unit kubelet` on homelab"):
        cluster.certificates(wait_for=["homelab"])
    asks(cluster, usages=["client auth"])
    with pytest.raises(Refusal, match=r"request of system:node:homelab: usages client auth.*Correct the name or the addresses"):
        cluster.certificates(wait_for=["homelab"])
    assert not cluster.verifies


def test_an_existing_cluster_is_kept_as_it_is() -> None:
    cluster = Kubelets()
    outcome = cluster.certificates("kept", wait_for=["homelab"])
    assert (outcome.active, outcome.done, cluster.changes) == (False, [], [])


OWN_ARGUMENTS = {"tls-cert-file": "/etc/kubernetes/pki/apiserver.crt", "tls-private-key-file": "/etc/kubernetes/pki/apiserver.key"}


def of_an_owner(**more: Any) -> list[dict[str, Any]]:
    """Documents of an owner who has set some of our arguments before."""
    return init_documents(PLAN, replace(MASTER, extras=Extras(controller_manager=OWN_ARGUMENTS), **more))


def test_an_existing_cluster_keeps_the_order_and_the_arguments_of_its_owner() -> None:
    documents = of_an_owner(kubelet_certificates=False)
    document_of(documents, "ClusterConfiguration")["apiServer"]["extraArgs"].reverse()
    cluster = Kubelets(documents)
    cluster.files[CONFIGURATION] = before = as_text(documents)
    outcome = cluster.certificates("kept", wait_for=["homelab"], documents=of_an_owner())
    assert (outcome.active, outcome.done, cluster.changes, cluster.files[CONFIGURATION]) == (False, [], [], before)


def test_self_signed_leaves_the_arguments_of_the_owner() -> None:
    plain = of_an_owner(kubelet_certificates=False)
    cluster = Kubelets(plain)
    assert cluster.certificates("absent", documents=plain).done == []
    cluster.served = {"masternode": "", "homelab": ""}
    cluster.certificates(documents=of_an_owner())
    assert cluster.verifies
    cluster.certificates("absent", documents=plain)
    assert cluster.stored == document_of(plain, "ClusterConfiguration")
    assert cluster.certificates("absent", documents=plain).done == []


def test_a_verified_cluster_writes_what_is_missing_with_it() -> None:
    cluster = Kubelets()
    cluster.served = {"masternode": "", "homelab": ""}
    cluster.files[CONFIGURATION] = as_text(PLAIN)
    cluster.certificates()
    assert cluster.files[CONFIGURATION] == as_text(DOCUMENTS)


@pytest.mark.parametrize("text", ["", "{", as_text(init_documents(PLAN, replace(MASTER, cluster_name="another")))])
def test_a_configuration_file_that_differs_in_more_is_not_written(text: str) -> None:
    cluster = Kubelets()
    cluster.served = {"masternode": "", "homelab": ""}
    cluster.files[CONFIGURATION] = text
    cluster.certificates()
    assert (cluster.verifies, cluster.files[CONFIGURATION]) == (True, text)


@pytest.mark.parametrize(("served", "is_found"), [(OWN, True), (ASLEEP, False), ("", False)])
def test_a_node_that_is_not_waited_for_and_serves_another_certificate_is_a_finding(served: str, is_found: bool) -> None:
    cluster = Kubelets(DOCUMENTS)
    cluster.served = {"masternode": "", "homelab": served}
    outcome = cluster.certificates(wait_for=["masternode"])
    assert outcome.verified
    assert [finding.subject for finding in outcome.findings] == (["kubelet of homelab"] if is_found else [])


def test_it_is_undone_with_the_api_server_first() -> None:
    cluster = Kubelets()
    cluster.served = {"masternode": "", "homelab": ""}
    cluster.certificates()
    cluster.changes.clear()
    predicted = cluster.certificates("absent", check=True)
    assert (len(predicted.done), cluster.changes) == (2, [])
    outcome = cluster.certificates("absent")
    assert outcome.done == predicted.done
    assert cluster.changes == ["upload-config kubeadm", "control-plane all", "patch configmap kubelet-config"]
    assert cluster.stored == document_of(PLAIN, "ClusterConfiguration")
    assert (cluster.verifies, "serverTLS" in cluster.objects[KUBELET]["data"]["kubelet"]) == (False, False)
    assert cluster.certificates("absent").done == []


def test_a_run_that_was_killed_between_the_configuration_and_the_manifests_is_completed() -> None:
    cluster = Kubelets()
    cluster.served = {"masternode": "", "homelab": ""}
    cluster.objects[KUBEADM]["data"]["ClusterConfiguration"] = json.dumps(document_of(DOCUMENTS, "ClusterConfiguration"))
    cluster.certificates()
    assert cluster.verifies


def test_check_mode_on_a_host_without_a_control_plane_predicts_it() -> None:
    cluster = Kubelets()
    del cluster.files["/etc/kubernetes/admin.conf"]
    assert [cluster.certificates(state, check=True).active for state in ("present", "kept", "absent")] == [True, True, False]


def test_other_settings_of_the_stored_configuration_stay() -> None:
    stored = {
        "apiServer": {"extraArgs": [{"name": "v", "value": "2"}], "certSANs": ["a"]},
        "controllerManager": {"extraArgs": [{"name": "tls-cert-file", "value": "/own.crt"}]},
        "scheduler": {"extraVolumes": [{"name": "own"}]},
    }
    on = with_verification(stored, is_on=True)
    assert on["apiServer"]["certSANs"] == ["a"]
    assert {"name": "tls-cert-file", "value": "/own.crt"} in on["controllerManager"]["extraArgs"]
    assert [one["name"] for one in on["scheduler"]["extraVolumes"]] == ["own", "serving-certificate", "serving-key"]
    assert with_verification(on, is_on=True) == on
    assert with_verification(on, is_on=False) == stored
    unsorted = {"apiServer": {"extraArgs": [{"name": "v", "value": "2"}, {"name": "a", "value": "1"}]}}
    assert with_verification(unsorted, is_on=False) == unsorted
    assert [one["name"] for one in with_verification(unsorted, is_on=True)["apiServer"]["extraArgs"]] == [
        "kubelet-certificate-authority",
        "v",
        "a",
    ]
    empty = {"apiServer": {}, "controllerManager": {}, "scheduler": {}}
    assert with_verification(with_verification(empty, is_on=True), is_on=False) == empty


@pytest.mark.parametrize(
    ("text", "on", "off"),
    [
        ("a: 1\n", "a: 1\nserverTLSBootstrap: true\n", "a: 1\n"),
        ("a: 1", "a: 1\nserverTLSBootstrap: true\n", "a: 1"),
        ("serverTLSBootstrap: false\na: 1\n", "a: 1\nserverTLSBootstrap: true\n", "a: 1\n"),
        ("serverTLSBootstrap: true\na: 1\n", "serverTLSBootstrap: true\na: 1\n", "a: 1\n"),
        (
            "b:\n  serverTLSBootstrap: true\n",
            "b:\n  serverTLSBootstrap: true\nserverTLSBootstrap: true\n",
            "b:\n  serverTLSBootstrap: true\n",
        ),
    ],
)
def test_one_line_of_the_kubelets_file_is_ours(text: str, on: str, off: str) -> None:
    assert (with_bootstrap(text, is_on=True), with_bootstrap(text, is_on=False)) == (on, off)
    assert with_bootstrap(on, is_on=True) == on


def test_a_kubelet_is_restarted_if_its_file_changes_and_left_alone_otherwise() -> None:
    cluster = Kubelets()
    assert bootstrap(cluster.host(), is_on=True, check=True)["changed"] and cluster.changes == []
    assert bootstrap(cluster.host(), is_on=True, check=False)["changed"]
    assert (cluster.files[KUBELET_FILE], cluster.changes) == (
        "cgroupDriver: systemd\nserverTLSBootstrap: true\n",
        ["systemctl restart kubelet"],
    )
    assert not bootstrap(cluster.host(), is_on=True, check=False)["changed"]
    del cluster.files[KUBELET_FILE]
    assert not bootstrap(cluster.host(), is_on=True, check=False)["changed"]


def test_a_cluster_without_it_gets_one_warning_with_the_next_step() -> None:
    found = [
        *drift(document_of(DOCUMENTS, "ClusterConfiguration"), document_of(PLAIN, "ClusterConfiguration"), "ConfigMap a"),
        *drift(document_of(DOCUMENTS, "KubeletConfiguration"), document_of(PLAIN, "KubeletConfiguration"), "ConfigMap b"),
    ]
    (warning,) = in_one(found)
    assert all(name in warning.found for arguments in SERVING.values() for name in arguments)
    assert "serverTLSBootstrap" in warning.found and "control_plane_kubelet_certificates: cluster" in warning.fix
