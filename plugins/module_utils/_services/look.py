# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Looks once at everything that is judged: one list of Services, one of EndpointSlices, all nodes' ports at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Optional, Protocol, TypeVar

from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import ClusterReader
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._services.model import (
    Answer,
    Endpoints,
    Object,
    PlannedService,
    Question,
    Request,
    Sight,
)

# the label by which an EndpointSlice names its Service
OF_SERVICE = "kubernetes.io/service-name"
SLICES = ("discovery.k8s.io/v1", "EndpointSlice")

T = TypeVar("T")


class Visitor(Protocol):
    """Who asks nodes' ports; tests pass a scripted fake."""

    def ask(self, questions: Sequence[Question], seconds: float) -> list[Answer]:
        """All at once; the answers in the order of the questions."""


def look(request: Request, cluster: ClusterReader, visitor: Visitor) -> Sight:
    """What stands. A list that the API server refuses is noted as unknown; one that does not answer at all ends the look."""
    seen = Sight()
    listed = _unless_refused(seen, lambda: {_key(one): one for one in cluster.items("v1", "Service")})
    seen.services, seen.services_are_known = listed or {}, listed is not None
    wanted = {(one.namespace, one.name) for one in request.services}
    found = _unless_refused(seen, lambda: endpoints(cluster.items(*SLICES, label_selector=OF_SERVICE), wanted))
    seen.endpoints, seen.endpoints_are_known = found or {}, found is not None
    asked = [one for one in request.services if one.is_asked and _may_answer(_key_of(one), seen)]
    questions = [Question(node, one.node_port or 0, one.health) for one in asked for node in request.nodes]
    answers = visitor.ask(questions, request.seconds)
    count = len(request.nodes)
    pairs = list(zip(questions, answers))
    seen.answers = {one: pairs[index * count : (index + 1) * count] for index, one in enumerate(asked)}
    return seen


def _may_answer(service: tuple[str, str], seen: Sight) -> bool:
    """Whether to ask. One without endpoints has its finding already, and the idle watch takes whoever asks for a client."""
    there = service in seen.services or not seen.services_are_known
    return there and (not seen.endpoints_are_known or seen.endpoints.get(service, Endpoints()).ready > 0)


def _unless_refused(seen: Sight, read: Callable[[], T]) -> Optional[T]:
    try:
        return read()
    except Unavailable:
        raise
    except Refusal as refusal:
        seen.unknown.append(refusal)
        return None


def endpoints(slices: Iterable[Object], wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Endpoints]:
    """The endpoints of the wanted Services, each address once."""
    ready: dict[tuple[str, str], set[str]] = {one: set() for one in wanted}
    waiting: dict[tuple[str, str], set[str]] = {one: set() for one in ready}
    for one in slices:
        service = (one["metadata"]["namespace"], one["metadata"]["labels"][OF_SERVICE])
        if service not in ready:
            continue
        for endpoint in one.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            called = f"{target.get('namespace', service[0])}/{target['name']}" if target.get("name") else ",".join(endpoint["addresses"])
            # absent means ready: discovery.k8s.io/v1, EndpointConditions
            holds = (endpoint.get("conditions") or {}).get("ready")
            (waiting if holds is False else ready)[service].add(called)
    return {one: Endpoints(len(ready[one]), tuple(sorted(waiting[one]))) for one in ready}


def _key(service: Object) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]


def _key_of(planned: PlannedService) -> tuple[str, str]:
    return planned.namespace, planned.name
