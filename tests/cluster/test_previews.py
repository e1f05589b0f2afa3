# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real API server finds different about objects, without anything being applied."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import PreviewingApi
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.objects import pending

from tests.cluster.server import Cluster

MANAGER = "vmstation.cluster"


def apply(cluster: Cluster, thing: dict[str, Any], manager: str = MANAGER) -> None:
    argv = ("apply", "--server-side", "--force-conflicts", f"--field-manager={manager}", "--filename=-")
    cluster.kubectl(*argv, stdin=json.dumps(thing))


@pytest.fixture
def applied(cluster: Cluster) -> Iterator[dict[str, Any]]:
    """A ConfigMap as it was applied last."""
    metadata = {"namespace": "default", "name": f"test-{uuid.uuid4().hex[:8]}", "labels": {"a": "b"}}
    thing = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": "value", "other": "value"}}
    apply(cluster, thing)
    yield thing
    cluster.kubectl("delete", "configmap", metadata["name"])


def is_pending(cluster: Cluster, thing: dict[str, Any]) -> bool:
    return pending([thing], PreviewingApi(str(cluster.kubeconfig)), MANAGER) == [thing]


def test_what_was_applied_is_not_pending_and_nothing_is_written(cluster: Cluster, applied: dict[str, Any]) -> None:
    def version() -> str:
        return cluster.kubectl("get", "configmap", applied["metadata"]["name"], "--output=jsonpath={.metadata.resourceVersion}").stdout

    before = version()
    assert not is_pending(cluster, applied)
    assert is_pending(cluster, {**applied, "data": {"key": "another"}})
    assert version() == before


def test_a_field_that_is_no_longer_wanted_is_a_difference(cluster: Cluster, applied: dict[str, Any]) -> None:
    assert is_pending(cluster, {**applied, "data": {"key": "value"}})


def test_a_field_of_somebody_else_is_none_until_it_is_ours(cluster: Cluster, applied: dict[str, Any]) -> None:
    name, patch = applied["metadata"]["name"], {"metadata": {"labels": {"mine": "yes"}}}
    cluster.kubectl("patch", "configmap", name, f"--patch={json.dumps(patch)}")
    assert not is_pending(cluster, applied)
    cluster.kubectl("patch", "configmap", name, f"--patch={json.dumps({'data': {'key': 'another'}})}")
    assert is_pending(cluster, applied)


def test_what_the_api_server_does_not_take_is_pending(cluster: Cluster, applied: dict[str, Any]) -> None:
    """The task that applies it tells why."""
    assert is_pending(cluster, {**applied, "data": {"not a key": "value"}})
    assert is_pending(cluster, {**applied, "apiVersion": "nowhere.example.org/v1", "kind": "Thing"})
    assert is_pending(cluster, {**applied, "metadata": {"namespace": "nowhere", "name": "thing"}})
