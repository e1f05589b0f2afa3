# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the state of a cluster once, in parallel. Lists that only explain problems are read if there are any."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Optional, Protocol

from .._cluster.api import ClusterReader
from .._refusal import Refusal, Unavailable
from . import monitoring
from .certificates import CLIENT, SERVER, end_of, has_expired
from .model import LISTS, Object, Seen, Sight, Wanted

PATHS = ("/livez?verbose", "/readyz?verbose")
STORAGE = "apiserver_storage_size_bytes"
_MIRRORED = "tier"  # the label of the control plane's static Pods, whose commands are read


class HealthReader(ClusterReader, Protocol):
    """Access to the cluster; tests pass a fake."""

    def health(self, path: str) -> str:
        """The API server's health report, also if it is not healthy."""

    def metric(self, name: str) -> Optional[float]:
        """The largest value of a metric of the API server; None without one."""

    def program(self, namespace: str, service: str, port: int, path: str, query: Mapping[str, str]) -> Optional[Object]:
        """The answer of the program behind a Service, through the API server; None if there is no such Service."""

    def serving_certificate(self) -> bytes:
        """The API server's certificate as DER, even if it has expired."""

    def client_certificate(self) -> Optional[bytes]:
        """The kubeconfig's client certificate as DER; None without one."""

    def at_once(self, questions: Sequence[Callable[[], Any]]) -> Sequence[Any]:
        """The answers to all questions, or a Refusal for each failed one."""

    def now(self) -> datetime:
        """The API server's time."""


def look(wanted: Wanted, cluster: HealthReader) -> Sight:
    """Read the state of the cluster. Raises Refusal if the API server or etcd does not answer, unless a certificate has expired."""
    questions: dict[str, Callable[[], Any]] = {path: partial(cluster.health, path) for path in PATHS}
    if "certificates" in wanted.groups:
        questions |= {SERVER: cluster.serving_certificate, CLIENT: cluster.client_certificate}
    first = _answers(cluster, questions)
    ends = {name: end_of(first[name]) for name in (SERVER, CLIENT) if first.get(name) is not None}
    seen = Sight(cluster.now(), first, None, ends)
    if has_expired(seen):
        return seen
    for path in PATHS:
        _require_an_answer(first[path])
    # read nothing else before: without etcd each list takes a minute to fail
    kinds = {kind: named for group in wanted.groups for kind, named in LISTS[group].items()}
    questions = {kind: partial(_listed, cluster, named) for kind, named in kinds.items()}
    if "control_plane" in wanted.groups:
        questions[STORAGE] = partial(cluster.metric, STORAGE)
    if "monitoring" in wanted.groups:
        questions |= {key: partial(cluster.program, wanted.monitoring, *where) for key, where in monitoring.QUESTIONS.items()}
    answers = _answers(cluster, questions)
    return replace(seen, read={**first, **answers}, storage_bytes=answers.get(STORAGE))


def _require_an_answer(health: Seen[str]) -> None:
    if isinstance(health, Refusal):
        # without permission for the health report, lists may still be readable
        if "HTTP status 403" not in health.found:
            raise health
    elif "[-]etcd" in health:
        fix = "On the control plane, see `crictl logs` of etcd's container, and whether its disk is full: `df /var/lib/etcd`."
        raise Unavailable("etcd", "the API server's check `etcd` fails, so it cannot read or write", "an etcd that answers", fix)


def more(seen: Sight, cluster: HealthReader, kinds: Mapping[str, tuple[str, str]]) -> Sight:
    """Read further lists."""
    asked = _answers(cluster, {kind: partial(_listed, cluster, named) for kind, named in kinds.items()})
    return replace(seen, read={**seen.read, **asked})


def _answers(cluster: HealthReader, questions: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
    return dict(zip(questions, cluster.at_once(list(questions.values()))))


def _listed(cluster: HealthReader, kind: tuple[str, str]) -> Sequence[Object]:
    # a warning event explains what is stuck
    selector = "type=Warning" if kind[1] == "Event" else ""
    found = cluster.items(*kind, field_selector=selector)
    return [_of_interest(one) for one in found] if kind[1] == "Pod" else list(found)


def _of_interest(pod: Object) -> Object:
    """Return a Pod without its large, unused parts."""
    spec = pod["spec"]
    kept = {"nodeName": spec.get("nodeName"), "volumes": [one for one in spec.get("volumes") or () if "persistentVolumeClaim" in one]}
    if _MIRRORED in (pod["metadata"].get("labels") or {}):
        kept["containers"] = [{key: one.get(key) for key in ("command", "args")} for one in spec.get("containers") or ()]
    metadata = {key: value for key, value in pod["metadata"].items() if key not in {"managedFields", "annotations"}}
    return {"metadata": metadata, "spec": kept, "status": pod.get("status") or {}}
