# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's picture says of nodes and pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.picture import ailing, node_state

READY, UNREADY = ({"type": "Ready", "status": status} for status in ("True", "False"))


def node(name: str, *conditions: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"conditions": [*conditions]}}


def pod(phase: str, *conditions: dict[str, str], waiting: str = "", on: str | None = "homelab") -> dict[str, Any]:
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    return {
        "metadata": {"namespace": "kube-system", "name": "web"},
        "spec": {"nodeName": on} if on else {},
        "status": {"phase": phase, "conditions": [*conditions], "containerStatuses": [{"state": state}]},
    }


@pytest.mark.parametrize(
    ("nodes", "is_up", "state"),
    [
        ([node("homelab", READY)], True, "Ready"),
        ([node("homelab", UNREADY)], True, "NotReady"),
        ([node("homelab", {"type": "Ready", "status": "Unknown"})], True, "NotReady"),
        ([node("homelab")], True, "NotReady"),
        ([node("homelab", READY)], False, "asleep"),
        ([node("masternode", READY)], True, "-"),
        ([], False, "-"),
    ],
)
def test_a_host_is_what_the_cluster_says_of_its_node(nodes: list[dict[str, Any]], is_up: bool, state: str) -> None:
    assert node_state(nodes, "homelab", is_up) == state


@pytest.mark.parametrize(
    ("one", "line"),
    [
        (pod("Running", READY), None),
        (pod("Succeeded", UNREADY), None),
        (pod("Running", UNREADY, on="storagenodet3500"), None),
        (pod("Running", UNREADY), "pod kube-system/web on homelab: Running, not ready"),
        (pod("Running", UNREADY, waiting="CrashLoopBackOff"), "pod kube-system/web on homelab: Running, CrashLoopBackOff"),
        (pod("Pending", waiting="ErrImageNeverPull"), "pod kube-system/web on homelab: Pending, ErrImageNeverPull"),
        (pod("Failed", UNREADY), "pod kube-system/web on homelab: Failed, not ready"),
        (
            pod("Pending", {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}, on=None),
            "pod kube-system/web on no node: Pending, 0/1 nodes are available",
        ),
    ],
)
def test_only_a_pod_that_is_not_well_is_named(one: dict[str, Any], line: str | None) -> None:
    assert list(ailing([one], asleep=["storagenodet3500"])) == ([line] if line else [])
