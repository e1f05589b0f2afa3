# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When certificates expire: kubeadm's own answer read, and what is said of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.certificates import findings, read_expirations

from tests.cluster.build import binary
from tests.lab.say import LabError

ANSWER = {
    "kind": "CertificateExpirationInfo",
    "certificates": [
        {"name": "admin.conf", "expirationDate": None, "residualTime": 0, "missing": True},
        {"name": "apiserver", "expirationDate": "2027-11-23T06:59:02Z", "residualTime": 31535998, "missing": False},
        {"name": "etcd-peer", "expirationDate": "2026-12-01T06:59:02Z", "residualTime": 700000, "missing": False},
        {"name": "etcd-server", "expirationDate": "2026-11-01T06:59:02Z", "residualTime": -5, "missing": False},
    ],
    "certificateAuthorities": [{"name": "ca", "expirationDate": "2036-11-20T06:59:02Z", "residualTime": 315359998, "missing": False}],
}


def test_what_is_there_is_read_in_days() -> None:
    read = read_expirations("[certs] Reading configuration from the cluster\n" + json.dumps(ANSWER))
    assert [(one["name"], one["days"]) for one in read] == [("apiserver", 364), ("etcd-peer", 8), ("etcd-server", -1), ("ca", 3649)]


@pytest.mark.parametrize("text", ["", "error: no such thing", "{", '{"certificates": null}'])
def test_no_answer_is_no_certificate(text: str) -> None:
    assert read_expirations(text) == []
    assert [one.found for one in findings([], 30)] == ["unknown: kubeadm named none"]


def test_those_that_expire_soon_are_named() -> None:
    said = [(one.severity, one.subject, one.found) for one in findings(read_expirations(json.dumps(ANSWER)), 30)]
    assert said == [
        ("warning", "certificate etcd-peer", "expires in 8 days, on 2026-12-01T06:59:02Z"),
        ("error", "certificate etcd-server", "expired on 2026-11-01T06:59:02Z"),
    ]
    assert [one.subject for one in findings(read_expirations(json.dumps(ANSWER)), 5)] == ["certificate etcd-server"]


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
    read = {one["name"]: one["days"] for one in read_expirations(process.stdout)}
    assert read["apiserver"] in (9, 10)
    assert read["etcd-ca"] > 3600
    assert "certificate apiserver" in {one.subject for one in findings(read_expirations(process.stdout), 30)}
