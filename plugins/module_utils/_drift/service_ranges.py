# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The service ranges that the API server knows as objects: its own, and that of the DNS address."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import NOTHING, Comparison, Point, at
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.control_plane import FOR_GOOD
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.service_ranges import DEFAULT_NAME, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_RULE, _SOURCE = "service_ranges_are_the_plans", "spec.cidrs"


def of_service_ranges(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    objects, own = seen.service_ranges, Point(_RULE, f"ServiceCIDR {DEFAULT_NAME}", _SOURCE, FOR_GOOD)
    if objects is None:
        return
    if isinstance(objects, Refusal):
        yield own.unknown(wanted.plan.service_cidr, objects)
        return
    yield own.compare(
        wanted.plan.service_cidr, next((at(one, _SOURCE) for one in objects if one["metadata"]["name"] == DEFAULT_NAME), None)
    )
    judged = judge(wanted.extra_ranges, objects)
    for cidr in wanted.extra_ranges:
        trouble = judged.waiting.get(cidr)
        live = NOTHING if cidr in judged.missing else f"{cidr}, not ready: {trouble}" if trouble else cidr
        fix = "Run the role control_plane, which makes it, and look at `kubectl get servicecidrs`."
        yield Point(_RULE, f"ServiceCIDR of {cidr}", _SOURCE, fix).compare(cidr, live)
    for one in judged.findings:
        yield Point(one.rule, one.subject, _SOURCE, one.fix, one.severity).compare(one.expected, one.found)
