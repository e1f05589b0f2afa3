# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role has placed in the cluster and on the host, read by testinfra."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import testinfra

DATA = os.path.join(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"], "data")
KUBECTL = "kubectl --kubeconfig=%s --namespace=monitoring get %s --output=json"
ON_THE_HOST = {"prometheus", "grafana", "loki", "kube-state-metrics"}
# https://github.com/prometheus/prometheus/blob/main/Dockerfile, and those of Grafana and Loki
OWNERS = {"prometheus": 65534, "grafana": 472, "loki": 10001}


@pytest.fixture(scope="module")
def host() -> testinfra.host.Host:
    return testinfra.get_host("local://")


def read(host: testinfra.host.Host, what: str) -> dict[str, Any]:
    return json.loads(host.check_output(KUBECTL, os.environ["VMSTATION_TEST_KUBECONFIG"], what))


def test_what_keeps_data_runs_on_the_host_that_never_sleeps(host: testinfra.host.Host) -> None:
    placed: dict[str, set[str]] = {}
    for pod in read(host, "pods")["items"]:
        placed.setdefault(pod["metadata"]["labels"]["app.kubernetes.io/name"], set()).add(pod["spec"]["nodeName"])
    assert {name: placed[name] for name in ON_THE_HOST} == {name: {"masternode"} for name in ON_THE_HOST}
    assert placed["node-exporter"] == placed["alloy"] == {"masternode", "storagenodet3500"}


@pytest.mark.parametrize("name", OWNERS)
def test_a_directory_belongs_to_the_user_of_its_program(host: testinfra.host.Host, name: str) -> None:
    assert host.file(f"{DATA}/monitoring/{name}").uid == OWNERS[name]


def test_only_root_can_read_the_password(host: testinfra.host.Host) -> None:
    password = host.file(f"{DATA}/password/grafana")
    assert (password.user, password.mode) == ("root", 0o600)
