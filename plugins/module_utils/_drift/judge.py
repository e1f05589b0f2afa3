# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All comparisons, what they find, and the result as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._drift import (
    control_plane,
    ip_pools,
    kubelets,
    names,
    nodes,
    service_ranges,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import UNKNOWN, Comparison
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding

UNREAD = "what_is_compared_can_be_read"
# in the order of the result
_COMPARED = (
    control_plane.of_version,
    control_plane.of_kubeadm_config,
    control_plane.of_flags,
    service_ranges.of_service_ranges,
    kubelets.of_kubelet_config,
    kubelets.of_kube_proxy,
    names.of_dns_services,
    names.of_corefile,
    ip_pools.of_pools,
    nodes.of_nodes,
    kubelets.of_each_kubelet,
)


def compare_all(wanted: Wanted, seen: Sight) -> list[Comparison]:
    return [comparison for compared in _COMPARED for comparison in compared(wanted, seen)]


def findings(comparisons: Sequence[Comparison]) -> list[Finding]:
    """What differs, and once each what could not be read."""
    found = [
        Finding(one.point.rule, one.point.severity, one.point.subject, f"{one.point.source}: {one.live}", one.planned, one.point.fix)
        for one in comparisons
        if one.equal is False
    ]
    refusals = {str(one.why): one.why for one in comparisons if one.why is not None}
    return found + [Finding(UNREAD, "warning", one.subject, one.found, one.required, one.next_step) for one in refusals.values()]


def as_data(comparisons: Iterable[Comparison]) -> list[dict[str, Any]]:
    return [
        {
            "subject": one.point.subject,
            "source": one.point.source,
            "planned": one.planned,
            "live": one.live,
            "equal": UNKNOWN if one.equal is None else one.equal,
        }
        for one in comparisons
    ]
