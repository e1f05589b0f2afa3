# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the Kubernetes API for everything that a helper would, and takes the secrets out of it."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable
from functools import partial
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.bounds import fit, shorten
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.cluster_questions import (
    CONFIGURATIONS,
    EVENTS,
    HEALTH,
    KEPT_LOG,
    KINDS,
    NEWEST_EVENTS,
    Kind,
    One,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import MIB, Entry, Keep, Object
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.objects import redact_object
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.pods import Pod, logs_of, pod_of
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.redaction import redact
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.tables import (
    NODE_HEADS,
    event_time,
    events_table,
    node_row,
    pods_table,
    ready_condition,
    table,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import Clock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.texts import TextReader
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

BETWEEN = "---\n"
# an API server that is gone lets each request wait
MOST_SILENCES = 2


def look(cluster: TextReader, clock: Clock, room: int, seconds: float) -> list[Entry]:
    """What the API server says. room: the bytes that all texts may have together. seconds: for all together."""
    survey = _Survey(cluster, clock, clock.now() + seconds)
    for name, path in HEALTH.items():
        survey.ask(name, path, partial(survey.health, path))
    survey.ask("version.yaml", "/version", survey.version)
    for kind in KINDS:
        survey.ask(kind.name, _list_of(kind), partial(survey.objects, kind))
    for one in CONFIGURATIONS:
        survey.ask(one.name, f"{one.kind} {one.namespace}/{one.object_name}", partial(survey.single, one))
    survey.ask(EVENTS, "list of Event", survey.events)
    survey.note_tables()
    survey.read_logs()
    return fit(survey.entries, room)


Answer = tuple[str, int, str]
"""A text, how many secrets were taken out of it already, and what is left out of it."""


class _Absent(Exception):
    """There is no such thing in this cluster."""


class _Survey:
    def __init__(self, cluster: TextReader, clock: Clock, deadline: float) -> None:
        self._cluster, self._clock, self._deadline = cluster, clock, deadline
        self._silences: list[Refusal] = []
        self._pods: list[Pod] = []
        self._nodes: list[tuple[object, ...]] = []
        self._silent_nodes: set[str] = set()
        self.entries: list[Entry] = []

    def ask(self, name: str, asked: str, answer: Callable[[], Answer], *, room: int = 8 * MIB, keep: Keep = "head") -> None:
        started = self._clock.now()
        reason = self._why_not_now(started)
        if reason:
            self.entries.append(Entry(name, "failed", asked, note=reason))
            return
        try:
            text, redactions, left_out = answer()
        except _Absent as absence:
            self.entries.append(Entry(name, "absent", asked, note=str(absence)))
            return
        except Refusal as refusal:
            if isinstance(refusal, Unavailable):
                self._silences.append(refusal)
            self.entries.append(Entry(name, "failed", asked, note=str(refusal), seconds=self._since(started)))
            return
        self._keep(Entry(name, "cut" if left_out else "complete", asked, text, left_out, keep, redactions, self._since(started)), room)

    def health(self, path: str) -> Answer:
        return self._cluster.health(path), 0, ""

    def version(self) -> Answer:
        return self._cluster.as_text(self._cluster.read("/version")), 0, ""

    def objects(self, kind: Kind) -> Answer:
        version = next((one for one in kind.versions if self._cluster.serves(one, kind.kind)), None)
        if version is None:
            raise _Absent(f"{kind.kind} is not served by this API server")
        texts: list[str] = []
        held = count = redactions = 0
        for document in self._cluster.items(version, kind.kind, kind.namespace):
            self._remember(kind, document)
            count += 1
            if held >= kind.room:
                continue
            cleaned, taken = redact_object(document)
            text = self._cluster.as_text({"apiVersion": version, "kind": kind.kind, **cleaned})
            held += len(text.encode("utf-8", "replace")) + len(BETWEEN)
            redactions += taken
            if held < kind.room:
                texts.append(text)
        left_out = f"the first {len(texts)} of {count} objects" if len(texts) < count else ""
        return BETWEEN.join(texts) or "# there are none\n", redactions, left_out

    def single(self, one: One) -> Answer:
        document = self._cluster.get(one.version, one.kind, one.object_name, one.namespace)
        if document is None:
            raise _Absent(f"no {one.kind} {one.namespace}/{one.object_name} in this cluster")
        cleaned, redactions = redact_object(document)
        return self._cluster.as_text(cleaned), redactions, ""

    def events(self) -> Answer:
        count = 0

        def counted() -> Iterable[Object]:
            nonlocal count
            for event in self._cluster.items("v1", "Event"):
                count += 1
                yield event

        newest = heapq.nlargest(NEWEST_EVENTS, counted(), key=event_time)
        left_out = f"the newest {len(newest)} of {count} events" if len(newest) < count else ""
        return events_table(reversed(newest)), 0, left_out

    def note_tables(self) -> None:
        if self._nodes:
            self._keep(Entry("nodes.txt", "complete", "table of the Nodes", table(NODE_HEADS, self._nodes)), MIB)
        if self._pods:
            self._keep(Entry("pods.txt", "complete", "table of the Pods", pods_table(self._pods)), MIB)

    def read_logs(self) -> None:
        if self._silent_nodes:
            note = f"not asked for, as these are not ready: {', '.join(sorted(self._silent_nodes))}"
            self.entries.append(Entry("logs", "failed", "logs of Pods on nodes that are not ready", note=note))
        wanted, started = logs_of(self._pods, self._silent_nodes), self._clock.now()
        reason = self._why_not_now(started)
        answers = [Refusal("logs", reason, "time", "")] * len(wanted) if reason else self._cluster.logs(wanted, self._deadline - started)
        for log, answer in zip(wanted, answers):
            name = f"logs/{log.namespace}/{log.pod}/{log.container}{'.previous' if log.previous else ''}.log"
            asked = f"log of Pod {log.namespace}/{log.pod}, container {log.container}{', before its last start' if log.previous else ''}"
            if isinstance(answer, str):
                self._keep(Entry(name, "complete", asked, answer, keep="tail"), KEPT_LOG)
            else:
                self.entries.append(Entry(name, "failed", asked, note=_why(reason, answer)))

    def _keep(self, entry: Entry, room: int) -> None:
        text, redactions = redact(entry.text)
        entry = Entry(entry.name, entry.status, entry.asked, text, entry.note, entry.keep, entry.redactions + redactions, entry.seconds)
        self.entries.append(entry if entry.size <= room else shorten(entry, room))

    def _remember(self, kind: Kind, document: Object) -> None:
        if kind.kind == "Pod":
            self._pods.append(pod_of(document))
        elif kind.kind == "Node":
            self._nodes.append(node_row(document))
            if ready_condition(document).get("status") != "True":
                self._silent_nodes.add(document["metadata"]["name"])

    def _why_not_now(self, now: float) -> str:
        if len(self._silences) >= MOST_SILENCES:
            return f"not asked for, as the API server does not answer: {self._silences[-1].found}"
        return "not asked for, as the time was over" if now >= self._deadline else ""

    def _since(self, started: float) -> float:
        return round(self._clock.now() - started, 3)


def _list_of(kind: Kind) -> str:
    return f"list of {kind.kind}" + (f" in namespace {kind.namespace}" if kind.namespace else "")


def _why(reason: str, answer: Optional[Refusal]) -> str:
    if reason or answer is None:
        return reason or "no answer by the end of the time"
    # the API server quotes what it asked the kubelet: without that, all logs of a silent node have one reason
    return re.sub(r'Get "[^"]*": ', "", answer.found)
