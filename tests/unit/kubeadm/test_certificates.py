# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When certificates expire: kubeadm's own answer read, what is renewed, and what is reported."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm import static_pods
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.static_pods import (
    due,
    findings,
    read_expirations,
    renew_and_restart,
    renewals,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.cluster.build import binary
from tests.lab.say import LabError
from tests.unit.kubeadm.test_repair import StandingHost

ANSWER = {
    "kind": "CertificateExpirationInfo",
    "certificates": [
        {"name": "admin.conf", "expirationDate": None, "residualTime": 0, "missing": True},
        {"name": "apiserver", "expirationDate": "2027-11-23T06:59:02Z", "residualTime": 31535998, "missing": False},
        {"name": "etcd-peer", "expirationDate": "2026-12-01T06:59:02Z", "residualTime": 700000, "missing": False},
        {"name": "etcd-server", "expirationDate": "2026-11-01T06:59:02Z", "residualTime": -5, "missing": False},
        {
            "name": "front-proxy-client",
            "expirationDate": "2026-12-01T06:59:02Z",
            "residualTime": 700000,
            "missing": False,
            "externallyManaged": True,
        },
    ],
    "certificateAuthorities": [{"name": "ca", "expirationDate": "2036-11-20T06:59:02Z", "residualTime": 315359998, "missing": False}],
}


def test_what_is_there_is_read_in_days() -> None:
    read = read_expirations("[certs] Reading configuration from the cluster\n" + json.dumps(ANSWER))
    assert [(one.name, one.days, one.is_renewable) for one in read] == [
        ("apiserver", 364, True),
        ("etcd-peer", 8, True),
        ("etcd-server", -1, True),
        ("front-proxy-client", 8, False),
        ("ca", 3649, False),
    ]


@pytest.mark.parametrize("text", ["", "error: no such thing", "{", '{"certificates": null}'])
def test_no_answer_is_no_certificate(text: str) -> None:
    assert read_expirations(text) == []
    assert [one.found for one in findings([], 30)] == ["unknown: kubeadm listed none"]


def test_those_that_expire_soon_are_renewed() -> None:
    read = read_expirations(json.dumps(ANSWER))
    assert renewals(due(read, 30)) == [
        "certificate etcd-peer: expires in 8 days, on 2026-12-01T06:59:02Z; renewed by `kubeadm certs renew etcd-peer`",
        "certificate etcd-server: expired on 2026-11-01T06:59:02Z; renewed by `kubeadm certs renew etcd-server`",
    ]
    assert [one.name for one in due(read, 0)] == ["etcd-server"]


def test_what_follows_a_restart_that_fails_is_left_to_the_next_run(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def restart(component: str, host: NodeHost, socket: str) -> None:
        done.append(component)
        if component == "kube-apiserver":
            raise Refusal("static Pod kube-apiserver", "not started again", "a running container", "Run again.")

    monkeypatch.setattr(static_pods, "renew", lambda names, host: done.extend(names))
    monkeypatch.setattr(static_pods, "restart", restart)
    with pytest.raises(Refusal):
        renew_and_restart(
            ["admin.conf", "apiserver", "etcd-server", "scheduler.conf"], StandingHost().host(), "/run/containerd/containerd.sock"
        )
    assert done == ["admin.conf", "etcd-server", "etcd", "apiserver", "kube-apiserver"]


def test_those_that_kubeadm_cannot_renew_are_reported() -> None:
    read = read_expirations(json.dumps(ANSWER))
    assert [(one.severity, one.subject, one.found) for one in findings(read, 30)] == [
        ("warning", "certificate front-proxy-client", "expires in 8 days, on 2026-12-01T06:59:02Z")
    ]
    assert [one.subject for one in findings(read, 4000)] == ["certificate front-proxy-client", "certificate ca"]


def test_kubeadms_own_answer_is_understood(tmp_path: Path) -> None:
    try:
        kubeadm = str(binary("kubeadm"))
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    configuration = tmp_path / "kubeadm.yaml"
    made = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "certificatesDir": str(tmp_path / "pki"),
        "kubernetesVersion": "v1.36.4",
        "certificateValidityPeriod": "240h0m0s",
        "encryptionAlgorithm": "ECDSA-P256",
    }
    configuration.write_text(json.dumps(made))
    for argv in (["init", "phase", "certs", "all"], ["certs", "check-expiration", "--output=json", f"--kubeconfig={tmp_path}/none"]):
        process = subprocess.run([kubeadm, *argv, f"--config={configuration}"], capture_output=True, text=True, timeout=120, check=True)
    certificates = read_expirations(process.stdout)
    read = {one.name: one.days for one in certificates}
    assert read["apiserver"] in (9, 10)
    assert read["etcd-ca"] > 3600
    assert {"apiserver", "etcd-server"} <= {one.name for one in due(certificates, 30)}
    assert not {"ca", "etcd-ca"} & {one.name for one in due(certificates, 36500)}
