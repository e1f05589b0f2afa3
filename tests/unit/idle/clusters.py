# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes, Pods and a configuration, for tests of the idle watch."""

from __future__ import annotations

from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import CORDONED_BY, Configuration
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import Target

HOMELAB = Target("homelab", "d0:94:66:30:d6:63", "192.168.4.62")
STORAGE = Target("storage", "b8:ac:6f:7e:6c:9d", "192.168.4.61")
CONFIGURATION = Configuration((STORAGE, HOMELAB), "192.168.4.255", 30, 0.75, frozenset({"monitoring"}), frozenset({"media/web"}), 300)
CONTROL_PLANE = {"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}


def node(name: str, *, ready: bool = True, by: str = "", address: str = "192.168.4.9", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}, "annotations": {CORDONED_BY: by} if by else {}},
        "spec": {**spec, **({"unschedulable": True} if by else {})},
        "status": {
            "conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}],
            "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
        },
    }


def pod(
    name: str = "web-1-x", *, kind: str = "ReplicaSet", at: str | None = "homelab", namespace: str = "media", **more: Any
) -> dict[str, Any]:
    owner = [{"kind": kind, "name": "web-1", "controller": True}] if kind else []
    return {
        "metadata": {"namespace": namespace, "name": name, "labels": {"app": "web"}, "ownerReferences": owner, **more.pop("metadata", {})},
        "spec": {**({"nodeName": at} if at else {}), **more},
        "status": {"podIPs": [{"ip": "10.244.1.5"}]},
    }


MASTER = node("masternode", address="192.168.4.63", taints=[CONTROL_PLANE])
