# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a worker awake. No figure that moves stands in a reason: what stays the same is said once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._idle.configuration import Configuration
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import Question, Status
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.places import CORDONED_BY, US
from ansible_collections.vmstation.cluster.plugins.module_utils._nodes.judge import judge_all
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.judge import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._sleep.model import Request, Sight

Object = Mapping[str, Any]


def is_ours(node: Optional[Object]) -> bool:
    """Whether we have cordoned the node."""
    return ((node or {}).get("metadata", {}).get("annotations") or {}).get(CORDONED_BY) == US


def is_ready(name: str, nodes: Mapping[str, Object]) -> bool:
    return judge_all(nodes.values(), [name], ())[0].ready


def of_the_node(name: str, nodes: Mapping[str, Object], pods: Sequence[Object]) -> Iterator[str]:
    """What of the cluster speaks against it at any time."""
    verdict = judge_all(nodes.values(), [name], ())[0]
    if not verdict.ready:
        yield f"its node: {verdict.reason}"
    elif not verdict.schedulable:
        yield "its node is cordoned, and not by us"
    for pod in pods:
        spec, metadata = pod["spec"], pod["metadata"]
        kind = next((owner["kind"] for owner in metadata.get("ownerReferences") or () if owner.get("controller")), "")
        called = f"Pod {metadata['namespace']}/{metadata['name']}"
        if spec.get("nodeName") != name:
            continue
        if kind == "Job":
            yield f"{called} is of a Job"
        elif spec.get("hostNetwork") and kind not in ("DaemonSet", "Node"):
            yield f"{called} has the host's network, so that nobody can tell its clients from others"


def of_the_host(status: Status, configuration: Configuration) -> Iterator[str]:
    """What the host itself tells."""
    if status.uptime < configuration.quiet:
        yield f"up for less than {configuration.minutes:g} minutes"
    if status.load > configuration.load:
        yield f"load above {configuration.load:g}"
    yield from status.somebody


def of_the_pods(name: str, seen: Sight, configuration: Configuration) -> list[str]:
    """What would have nowhere to go."""
    return [f"{one.subject}: {one.found}" for one in judge(Request((name,), configuration.may_stop), seen)]


def question(nodes: Mapping[str, Object], pods: Iterable[Object], configuration: Configuration) -> Question:
    """What a guard is told of the cluster. A Pod with the host's network has the host's address, and is none of those that ask."""
    asking = [pod for pod in pods if pod["metadata"]["namespace"] in configuration.asking_namespaces and not pod["spec"].get("hostNetwork")]
    return Question(
        configuration.quiet,
        frozenset(one["ip"] for pod in asking for one in (pod.get("status") or {}).get("podIPs") or ()),
        frozenset(
            one["address"]
            for node in nodes.values()
            for one in (node.get("status") or {}).get("addresses") or ()
            if one["type"] == "InternalIP"
        ),
    )
