# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The CalicoNodeStatus objects by which calico-node reports a node's BGP sessions; Calico itself makes none."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.facts import Facts
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.mesh import families
from ansible_collections.vmstation.cluster.plugins.module_utils._io.creating import Creator
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import Plan
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

CLASSES = ("Agent", "BGP", "Routes")
PERIOD = 10  # seconds; nothing is written while nothing changes


def missing(plan: Plan, facts: Facts) -> list[dict[str, Any]]:
    """One for each Node without, where BGP is expected. Nothing when it is not known which there are."""
    if not families(plan) or facts.statuses is None or not facts.status_version:
        return []
    return [
        {
            "apiVersion": facts.status_version,
            "kind": "CalicoNodeStatus",
            # the usual name may be that of another node's
            "metadata": {"name": f"{name}-bgp" if name in facts.status_names else name},
            "spec": {"node": name, "classes": list(CLASSES), "updatePeriodSeconds": PERIOD},
        }
        for name in facts.nodes or ()
        if name not in facts.statuses
    ]


def create(documents: Iterable[dict[str, Any]], creator: Creator, facts: Facts) -> list[str]:
    """The nodes whose status was made. What is not permitted is noted as unknown, once."""
    made = []
    for document in documents:
        try:
            if creator.create(document):
                made.append(str(document["spec"]["node"]))
        except Unavailable:
            raise
        except Refusal as refusal:
            facts.unknown.append(refusal)
            break
    return made
