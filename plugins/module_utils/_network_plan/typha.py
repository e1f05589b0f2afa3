# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decide whether a cluster runs Typha, which watches the API server for all nodes, and with how many replicas."""

from __future__ import annotations

from .model import Plan

# https://docs.tigera.io/calico/latest/getting-started/kubernetes/self-managed-onprem/onpremises: calico.yaml is for 50 nodes or fewer
HOSTS_WITHOUT_TYPHA = 50
# A Typha that runs stays down to half of that: a cluster near the limit does not change with each host that joins or leaves.
HOSTS_THAT_KEEP_TYPHA = 25
# calico-typha.yaml: "one replica for every 100-200 nodes. In production, we recommend running at least 3 replicas"
HOSTS_OF_A_REPLICA = 200
REPLICAS = 3


def may_use_typha(plan: Plan, hosts: int) -> bool:
    """Return whether Typha runs, or may still run. It depends on the inventory alone, because the firewalls of the hosts follow from it."""
    return plan.typha == "present" or (plan.typha == "auto" and hosts > HOSTS_THAT_KEEP_TYPHA)


def uses_typha(plan: Plan, hosts: int, runs: bool) -> bool:
    """runs: whether Typha is installed already."""
    return may_use_typha(plan, hosts) and (plan.typha == "present" or hosts > HOSTS_WITHOUT_TYPHA or runs)


def typha_replicas(hosts: int, never_sleep: int) -> int:
    """never_sleep: how many of the hosts never sleep. Typha runs only on these, and at most once on each: it uses a port of the host."""
    return max(1, min(max(REPLICAS, -(-hosts // HOSTS_OF_A_REPLICA)), never_sleep))
