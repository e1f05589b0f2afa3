# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the scheduler could put a Pod, by all that the Pod says but for how much of a node it takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.model import Object, Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.selectors import node_selector_matches


def why_not(pod: Object, node: Object, seen: Sight) -> str:
    """What keeps the Pod from the node; empty if nothing does."""
    spec, name = pod["spec"], str(node["metadata"]["name"])
    labels = node["metadata"].get("labels") or {}
    selector = spec.get("nodeSelector") or {}
    if any(labels.get(key) != value for key, value in selector.items()):
        return f"nodeSelector {', '.join(f'{key}={value}' for key, value in selector.items())}"
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution")
    if not node_selector_matches(affinity, name, labels):
        return "node affinity"
    tolerations = spec.get("tolerations") or ()
    for taint in (node.get("spec") or {}).get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and not any(_tolerates(one, taint) for one in tolerations):
            return f"taint {taint['key']}"
    for volume in _volumes(pod, seen):
        required = ((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required")
        if not node_selector_matches(required, name, labels):
            return f"volume {volume['metadata']['name']}, which is on another node"
    return ""


def _volumes(pod: Object, seen: Sight) -> Iterator[Object]:
    namespace = str(pod["metadata"]["namespace"])
    for volume in pod["spec"].get("volumes") or ():
        claimed = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        claim = seen.claims.get((namespace, claimed)) if claimed else None
        bound = seen.volumes.get(((claim or {}).get("spec") or {}).get("volumeName") or "")
        if bound:
            yield bound


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") not in (None, "", taint["effect"]):
        return False
    if toleration.get("operator") == "Exists":
        return toleration.get("key") in (None, "", taint["key"])
    return toleration.get("key") == taint["key"] and (toleration.get("value") or "") == (taint.get("value") or "")
