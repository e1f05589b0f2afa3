# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's IP pools. What Calico makes of them is for calico_check to tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import LivePool, modes_of, standing
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.comparing import NOTHING, Comparison, Point
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Sight
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ranges import Pool, pools
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_RULE, _CIDR = "ip_pools_are_the_plans", "spec.cidr"
_OF_MODE = "Run the role calico, which sets it. Until all nodes follow, pods do not reach those of other nodes."
_OF_SIZE = "A pool keeps its block size: write this one into network_plan.block_size, or move the pods to a new pool."


def of_pools(wanted: Wanted, seen: Sight) -> Iterator[Comparison]:
    planned = pools(wanted.plan)
    for pool in planned:
        if isinstance(seen.pools, Refusal):
            yield Point(_RULE, f"IPPool of {pool.cidr}", _CIDR).unknown(pool.cidr, seen.pools)
        else:
            yield from _of_pool(pool, standing(pool, seen.pools))
    cidrs = [one.cidr for one in planned]
    for live in () if isinstance(seen.pools, Refusal) else seen.pools:
        if live.serves_pods and live.cidr not in cidrs:
            yield Point(_RULE, f"IPPool {live.name}", _CIDR, _how_to_leave(live)).compare(cidrs, live.cidr)


def _of_pool(pool: Pool, live: Optional[LivePool]) -> Iterator[Comparison]:
    if live is None:
        yield Point(_RULE, f"IPPool of {pool.cidr}", _CIDR, "Run the role calico, which makes it.").compare(pool.cidr, NOTHING)
        return
    ipip, vxlan = modes_of(pool.encapsulation)
    for source, planned, found, fix in (
        (_CIDR, pool.cidr, live.cidr, ""),
        ("spec.ipipMode", ipip, live.ipip, _OF_MODE),
        ("spec.vxlanMode", vxlan, live.vxlan, _OF_MODE),
        ("spec.blockSize", pool.block_size, live.block_size, _OF_SIZE),
        ("spec.disabled", "false", str(live.disabled).lower(), f"Run `kubectl patch ippool {live.name} {_disabled('false')}`."),
    ):
        yield Point(_RULE, f"IPPool {live.name}", source, fix).compare(planned, found)


def _how_to_leave(pool: LivePool) -> str:
    return (
        f"Pods get addresses of it that nothing else expects. Run `kubectl patch ippool {pool.name} {_disabled('true')}`, make the Pods "
        f"anew that have one of its addresses, then `kubectl delete ippool {pool.name}`."
    )


def _disabled(value: str) -> str:
    return f'--type=merge --patch=\'{{"spec":{{"disabled":{value}}}}}\''
