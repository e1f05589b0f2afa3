# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The idle watch's kubectl against a real API server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import Completed
from ansible_collections.vmstation.cluster.plugins.module_utils._idle import watch
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import CORDONED_BY, KUBECONFIG, KUBECTL_CACHE
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.watch import Kubectl
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import look

from tests.cluster.server import Cluster


class Here:
    """The cluster's own kubectl, in place of a control plane's."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def has(self, _program: str) -> bool:
        return True

    def run(self, argv: Sequence[str], **_more: Any) -> Completed:
        assert argv[:3] == ["kubectl", f"--kubeconfig={KUBECONFIG}", f"--cache-dir={KUBECTL_CACHE}"]
        done = self._cluster.kubectl(*argv[3:], check=False)
        if done.returncode:
            raise Refusal("kubectl", done.stderr, "exit status 0", "Look.")
        return Completed(tuple(argv), 0, done.stdout, done.stderr)


@pytest.fixture
def kubectl(cluster: Cluster) -> Kubectl:
    return Kubectl(Here(cluster))


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    name = f"idle-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "--filename=-", stdin=f'{{"apiVersion": "v1", "kind": "Node", "metadata": {{"name": "{name}"}}}}')
    yield name
    cluster.kubectl("delete", "node", name)


def test_all_that_a_look_reads_is_listed(cluster: Cluster, kubectl: Kubectl, node: str) -> None:
    assert node in look(kubectl).nodes
    assert ("default", "kubernetes") in {
        (one["metadata"]["namespace"], one["metadata"]["name"])
        for one in kubectl.items("v1", "Service", label_selector="component=apiserver")
    }
    slices = list(kubectl.items("discovery.k8s.io/v1", "EndpointSlice", "default"))
    assert [one["metadata"]["labels"]["kubernetes.io/service-name"] for one in slices] == ["kubernetes"]


def test_a_node_rests_and_takes_pods_again(kubectl: Kubectl, node: str) -> None:
    def seen() -> dict[str, Any]:
        return next(one for one in kubectl.items("v1", "Node") if one["metadata"]["name"] == node)

    kubectl.cordon(node)
    kubectl.drain(node, 20)
    assert seen()["spec"]["unschedulable"] is True
    assert watch.is_ours(seen())
    kubectl.uncordon(node)
    assert "unschedulable" not in seen()["spec"]
    assert CORDONED_BY not in (seen()["metadata"].get("annotations") or {})


def test_a_node_is_waited_for_no_longer_than_said(cluster: Cluster, kubectl: Kubectl, node: str) -> None:
    with pytest.raises(Refusal, match="timed out"):
        kubectl.wait_ready(node, 1)
    ready = '{"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "x", "message": "x"}]}}'
    cluster.kubectl("patch", "node", node, "--subresource=status", "--type=merge", f"--patch={ready}")
    kubectl.wait_ready(node, 10)


def test_what_is_not_there_is_refused_with_kubectls_own_words(kubectl: Kubectl) -> None:
    with pytest.raises(Refusal, match="not found"):
        kubectl.uncordon("nobody")
