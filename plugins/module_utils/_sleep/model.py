# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked for, and what of the cluster counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Object = Mapping[str, Any]

# what a Pod's template says if its workload may stop while its node sleeps
MAY_STOP = "vmstation.cluster/may-stop"


@dataclass(frozen=True)
class Request:
    """nodes: which are to sleep. may_stop: workloads that may stop meanwhile, as ``namespace/name``.

    for_good: the nodes do not come back.
    """

    nodes: tuple[str, ...]
    may_stop: frozenset[str] = frozenset()
    for_good: bool = False


@dataclass(frozen=True)
class Sight:
    """The cluster's objects. owners: the Deployment of each ReplicaSet, by namespace and name of the latter."""

    nodes: Mapping[str, Object]
    pods: Sequence[Object]
    owners: Mapping[tuple[str, str], str]
    claims: Mapping[tuple[str, str], Object]
    volumes: Mapping[str, Object]
    budgets: Sequence[Object]


def read_request(options: Mapping[str, Any]) -> Request:
    """Options of node_sleep_check, as Ansible has typed them."""
    wrong = [name for name in options["may_stop"] if name.count("/") != 1 or name.startswith("/") or name.endswith("/")]
    if wrong:
        raise Refusal("may_stop", ", ".join(wrong), "namespace/name of each workload", "Write it as in media/jellyfin.")
    if not options["nodes"]:
        raise Refusal("nodes", "none", "the names of the nodes that are to sleep", "Name at least one.")
    names = tuple(dict.fromkeys(name.lower() for name in options["nodes"]))
    return Request(names, frozenset(options["may_stop"]), bool(options["for_good"]))
