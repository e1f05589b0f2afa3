# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads all that is judged: one list of each kind, whatever the number of nodes."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._io.lister import Lister
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.model import Object, Sight


def look(cluster: Lister) -> Sight:
    return Sight(
        nodes={_name(node): node for node in cluster.items("v1", "Node")},
        pods=list(cluster.items("v1", "Pod", field_selector="status.phase!=Succeeded,status.phase!=Failed")),
        owners={
            (one["metadata"]["namespace"], _name(one)): str(owner["name"])
            for one in cluster.items("apps/v1", "ReplicaSet")
            for owner in one["metadata"].get("ownerReferences") or ()
            if owner.get("controller")
        },
        claims={(one["metadata"]["namespace"], _name(one)): one for one in cluster.items("v1", "PersistentVolumeClaim")},
        volumes={_name(one): one for one in cluster.items("v1", "PersistentVolume")},
        budgets=list(cluster.items("policy/v1", "PodDisruptionBudget")),
    )


def _name(one: Object) -> str:
    return str(one["metadata"]["name"])
