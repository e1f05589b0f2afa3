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
KUBECTL = "kubectl --kubeconfig=%s --namespace=jellyfin get %s --output=json"


@pytest.fixture(scope="module")
def host() -> testinfra.host.Host:
    return testinfra.get_host("local://")


def read(host: testinfra.host.Host, what: str) -> dict[str, Any]:
    return json.loads(host.check_output(KUBECTL, os.environ["VMSTATION_TEST_KUBECONFIG"], what))


def test_it_runs_on_the_node_of_the_media_and_cannot_write_to_them(host: testinfra.host.Host) -> None:
    (pod,) = read(host, "pods")["items"]
    assert pod["spec"]["nodeName"] == "storagenodet3500"
    media = [one for one in pod["spec"]["containers"][0]["volumeMounts"] if one["mountPath"] == f"{DATA}/media"]
    assert [one["readOnly"] for one in media] == [True]


def test_its_node_port_is_that_of_the_plan(host: testinfra.host.Host) -> None:
    assert [port["nodePort"] for port in read(host, "service/jellyfin")["spec"]["ports"]] == [30096]


def test_its_configuration_belongs_to_its_user(host: testinfra.host.Host) -> None:
    assert host.file(f"{DATA}/jellyfin/config").uid == 58096
