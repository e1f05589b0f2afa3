# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is collected from the Kubernetes API: the fields that may be read, and logs with secrets masked.

What is not in the list of fields can leak nothing. No value of an environment variable, an argument, an annotation, a header, a ConfigMap
or a driver's parameters is in it.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Callable, Optional, cast

from .._cluster.proxied import Log, TextReader
from .._conditions import condition, is_true
from .._refusal import Refusal, Unavailable
from .._rollout.pods import container_statuses
from .._waiting import Clock
from .model import KIB, LATE, MIB, READING, Entry, Keep, Object, fit, redact, shorten

Pick = Callable[[object], object]
"""What is kept of a field's value."""


def whole(value: object) -> object:
    return value


def names(value: object) -> object:
    """The keys of a mapping, or the names in a list of environment variables."""
    return [item.get("name") if isinstance(item, dict) else item for item in value] if isinstance(value, (dict, list)) else None


def path(value: object) -> str:
    return str(value).partition("?")[0]


def only(fields: str = "", **deeper: Pick) -> Pick:
    """Of a mapping, or of each mapping in a list, these fields: whole, or as far as they are picked."""
    picks = {**dict.fromkeys(fields.split(), whole), **deeper}

    def pick(value: object) -> object:
        if isinstance(value, list):
            return [pick(item) for item in value]
        if not isinstance(value, dict):
            return None
        return {key: picks[key](held) for key, held in value.items() if key in picks}

    return pick


METADATA = only(
    "name generateName namespace uid labels generation resourceVersion creationTimestamp deletionTimestamp"
    " deletionGracePeriodSeconds finalizers ownerReferences",
    annotations=names,
)
PROBE = only(
    "initialDelaySeconds periodSeconds timeoutSeconds successThreshold failureThreshold tcpSocket grpc",
    httpGet=only("host port scheme", path=path),
    exec=only(),
)
CONTAINER = only(
    "name image imagePullPolicy ports resources restartPolicy securityContext volumeMounts volumeDevices",
    env=names,
    livenessProbe=PROBE,
    readinessProbe=PROBE,
    startupProbe=PROBE,
)
VOLUME = only(
    "name emptyDir hostPath nfs persistentVolumeClaim",
    configMap=only("name optional"),
    secret=only("secretName optional"),
    csi=only("driver readOnly"),
    projected=only(),
)
POD = only(
    "activeDeadlineSeconds affinity automountServiceAccountToken dnsConfig dnsPolicy enableServiceLinks hostAliases hostIPC hostNetwork"
    " hostPID hostUsers imagePullSecrets nodeName nodeSelector preemptionPolicy priority priorityClassName readinessGates restartPolicy"
    " runtimeClassName schedulerName securityContext serviceAccountName terminationGracePeriodSeconds tolerations"
    " topologySpreadConstraints",
    containers=CONTAINER,
    initContainers=CONTAINER,
    ephemeralContainers=CONTAINER,
    volumes=VOLUME,
)
STATUS = "apiVersion kind status"

POD_OBJECT = only(STATUS, metadata=METADATA, spec=POD)
WORKLOAD = only(
    STATUS,
    metadata=METADATA,
    spec=only(
        "activeDeadlineSeconds backoffLimit completions minReadySeconds parallelism paused podManagementPolicy progressDeadlineSeconds"
        " replicas revisionHistoryLimit selector serviceName strategy suspend ttlSecondsAfterFinished updateStrategy",
        template=only(metadata=METADATA, spec=POD),
    ),
)
PLAIN = only(f"{STATUS} spec addressType endpoints ports", metadata=METADATA)
"""A kind that has nothing but settings and references: Nodes, Services, policies, leases, Calico's."""
VOLUME_OBJECT = only(
    STATUS,
    metadata=METADATA,
    spec=only(
        "accessModes capacity claimRef hostPath local nfs nodeAffinity persistentVolumeReclaimPolicy storageClassName volumeMode",
        csi=only("driver readOnly volumeHandle"),
    ),
)
STORAGE_CLASS = only(
    "apiVersion kind provisioner reclaimPolicy volumeBindingMode allowVolumeExpansion allowedTopologies", metadata=METADATA
)
API_SERVICE = only(STATUS, metadata=METADATA, spec=only("service group version groupPriorityMinimum versionPriority insecureSkipTLSVerify"))
WEBHOOKS = only(
    "apiVersion kind",
    metadata=METADATA,
    webhooks=only(
        "name rules failurePolicy matchPolicy sideEffects timeoutSeconds namespaceSelector objectSelector reinvocationPolicy",
        clientConfig=only("service"),
    ),
)
SIGNING_REQUEST = only(
    "apiVersion kind", metadata=METADATA, spec=only("signerName username groups usages expirationSeconds"), status=only("conditions")
)
CONFIG_MAP = only("apiVersion kind immutable", metadata=METADATA, data=names, binaryData=names)


# What is remembered of a Pod while the list of them passes by, and whose logs are worth reading.


@dataclass(frozen=True)
class Container:
    """state: why it waits or ended, or ``running``. is_done: it ended well, and is not to run again."""

    name: str
    ready: bool
    restarts: int
    state: str
    is_done: bool


@dataclass(frozen=True)
class Pod:
    """A Pod with its containers, those that run before the others first."""

    namespace: str
    name: str
    node: str
    address: str
    phase: str
    created: str
    containers: tuple[Container, ...]

    def is_troubled(self, one: Container) -> bool:
        return one.restarts > 0 or not (one.ready or one.is_done)


def pod_of(document: Object) -> Pod:
    metadata, spec, status = document["metadata"], document.get("spec") or {}, document.get("status") or {}
    return Pod(
        metadata.get("namespace", ""),
        metadata["name"],
        spec.get("nodeName") or "",
        status.get("podIP") or "",
        status.get("reason") or status.get("phase") or "",
        metadata.get("creationTimestamp") or "",
        tuple(map(_container, container_statuses(document))),
    )


def _container(status: Object) -> Container:
    states: Object = status.get("state") or {}
    kind = next(iter(states), "unknown")
    state: Object = states.get(kind) or {}
    done = kind == "terminated" and state.get("exitCode") == 0
    return Container(
        str(status.get("name")),
        bool(status.get("ready")),
        int(status.get("restartCount") or 0),
        str(state.get("reason") or kind),
        done,
    )


def logs_of(pods: Iterable[Pod], silent_nodes: Collection[str]) -> list[Log]:
    """The logs worth reading: of what is not well first, then of the system. A node that does not answer has none to give."""
    troubled: list[Log] = []
    others: list[Log] = []
    for pod in pods:
        if not pod.node or pod.node in silent_nodes:
            continue
        for one in pod.containers:
            chosen = troubled if pod.is_troubled(one) else others
            if pod.is_troubled(one) or pod.namespace in SYSTEM_NAMESPACES:
                chosen.append(Log(pod.namespace, pod.name, one.name, False, LOG_LINES, LOG_ROOM))
            if one.restarts > 0:
                troubled.append(Log(pod.namespace, pod.name, one.name, True, LOG_LINES, LOG_ROOM))
    return [*troubled, *others][:MOST_LOGS]


# What is read first, as tables: nodes, Pods, events.


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as their contents; the last one as it comes."""
    lines = [[str(cell).replace("\n", " ") or "-" for cell in row] for row in (heads, *rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads) - 1)]
    return "".join("  ".join([*(cell.ljust(width) for cell, width in zip(line, widths)), line[-1]]) + "\n" for line in lines)


def pods_table(pods: Iterable[Pod]) -> str:
    rows = [
        (
            pod.namespace,
            pod.name,
            f"{sum(one.ready for one in pod.containers)}/{sum(one.ready or not one.is_done for one in pod.containers)}",
            pod.phase,
            sum(one.restarts for one in pod.containers),
            pod.node,
            pod.address,
            pod.created,
            ", ".join(f"{one.name}: {one.state}" for one in pod.containers if pod.is_troubled(one)),
        )
        for pod in pods
    ]
    return table(("namespace", "pod", "ready", "phase", "restarts", "node", "address", "created", "containers that are not well"), rows)


NODE_HEADS = ("node", "ready", "since", "schedulable", "version", "addresses", "conditions and taints")


def node_row(node: Object) -> tuple[object, ...]:
    spec, status, ready = node.get("spec") or {}, node.get("status") or {}, condition(node, "Ready")
    # of the other conditions False is the good news
    against = [
        f"{one.get('type')}: {one.get('status')}"
        for one in status.get("conditions") or ()
        if one.get("type") != "Ready" and one.get("status") != "False"
    ]
    taints = [f"{taint.get('key')}:{taint.get('effect')}" for taint in spec.get("taints") or ()]
    return (
        node["metadata"]["name"],
        f"{ready.get('status', 'Unknown')} ({ready.get('reason', '')})",
        ready.get("lastTransitionTime", ""),
        "no" if spec.get("unschedulable") else "yes",
        (status.get("nodeInfo") or {}).get("kubeletVersion", ""),
        " ".join(one.get("address", "") for one in status.get("addresses") or ()),
        ", ".join([*against, *taints]),
    )


def event_time(event: Object) -> str:
    """When it was last seen. As text it sorts as it does as time."""
    series = event.get("series") or {}
    return str(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or "")


def events_table(events: Iterable[Object]) -> str:
    rows = [
        (
            event_time(event),
            event.get("type") or "",
            (event.get("series") or {}).get("count") or event.get("count") or 1,
            event.get("reason") or "",
            _object(event.get("involvedObject") or {}),
            event.get("message") or "",
        )
        for event in events
    ]
    return table(("last seen", "type", "times", "reason", "object", "message"), rows)


def _object(reference: Object) -> str:
    within = f"{reference['namespace']}/" if reference.get("namespace") else ""
    return f"{reference.get('kind', '')} {within}{reference.get('name', '')}"


# What is asked of the Kubernetes API. Secrets are not, whatever they are called.


@dataclass(frozen=True)
class Kind:
    """A list of all objects of a kind. versions: the first that is served is taken. pick: the fields that are kept, in ``room`` bytes."""

    name: str
    versions: tuple[str, ...]
    kind: str
    namespace: str = ""
    room: int = MIB
    pick: Pick = PLAIN


CALICO = ("crd.projectcalico.org/v1", "projectcalico.org/v3")
HEALTH = {"health/livez.txt": "/livez?verbose", "health/readyz.txt": "/readyz?verbose"}
EVENTS, NEWEST_EVENTS = "events.txt", 2000

KINDS = (
    Kind("nodes.yaml", ("v1",), "Node", room=2 * MIB),
    Kind("pods.yaml", ("v1",), "Pod", room=4 * MIB, pick=POD_OBJECT),
    Kind("namespaces.yaml", ("v1",), "Namespace"),
    Kind("services.yaml", ("v1",), "Service"),
    Kind("endpoint-slices.yaml", ("discovery.k8s.io/v1",), "EndpointSlice"),
    Kind("daemon-sets.yaml", ("apps/v1",), "DaemonSet", pick=WORKLOAD),
    Kind("deployments.yaml", ("apps/v1",), "Deployment", pick=WORKLOAD),
    Kind("replica-sets.yaml", ("apps/v1",), "ReplicaSet", pick=WORKLOAD),
    Kind("stateful-sets.yaml", ("apps/v1",), "StatefulSet", pick=WORKLOAD),
    Kind("jobs.yaml", ("batch/v1",), "Job", pick=WORKLOAD),
    Kind("pod-disruption-budgets.yaml", ("policy/v1",), "PodDisruptionBudget"),
    Kind("network-policies.yaml", ("networking.k8s.io/v1",), "NetworkPolicy"),
    Kind("service-cidrs.yaml", ("networking.k8s.io/v1",), "ServiceCIDR"),
    Kind("storage-classes.yaml", ("storage.k8s.io/v1",), "StorageClass", pick=STORAGE_CLASS),
    Kind("persistent-volumes.yaml", ("v1",), "PersistentVolume", pick=VOLUME_OBJECT),
    Kind("persistent-volume-claims.yaml", ("v1",), "PersistentVolumeClaim"),
    Kind("config-maps.yaml", ("v1",), "ConfigMap", "kube-system", pick=CONFIG_MAP),
    Kind("node-leases.yaml", ("coordination.k8s.io/v1",), "Lease", "kube-node-lease"),
    Kind("api-services.yaml", ("apiregistration.k8s.io/v1",), "APIService", pick=API_SERVICE),
    Kind("validating-webhooks.yaml", ("admissionregistration.k8s.io/v1",), "ValidatingWebhookConfiguration", pick=WEBHOOKS),
    Kind("mutating-webhooks.yaml", ("admissionregistration.k8s.io/v1",), "MutatingWebhookConfiguration", pick=WEBHOOKS),
    Kind("certificate-signing-requests.yaml", ("certificates.k8s.io/v1",), "CertificateSigningRequest", pick=SIGNING_REQUEST),
    Kind("calico/ip-pools.yaml", CALICO, "IPPool"),
    Kind("calico/bgp-configurations.yaml", CALICO, "BGPConfiguration"),
    Kind("calico/bgp-peers.yaml", CALICO, "BGPPeer"),
    Kind("calico/felix-configurations.yaml", CALICO, "FelixConfiguration"),
    Kind("calico/cluster-information.yaml", CALICO, "ClusterInformation"),
    Kind("calico/node-statuses.yaml", CALICO, "CalicoNodeStatus"),
    Kind("calico/block-affinities.yaml", CALICO, "BlockAffinity"),
    Kind("calico/ipam-blocks.yaml", CALICO, "IPAMBlock"),
    Kind("calico/ipam-configurations.yaml", CALICO, "IPAMConfig"),
    Kind("calico/global-network-policies.yaml", CALICO, "GlobalNetworkPolicy"),
    Kind("calico/network-policies.yaml", CALICO, "NetworkPolicy"),
    Kind("calico/host-endpoints.yaml", CALICO, "HostEndpoint"),
)
# of the logs: how many, how long each, and whose are wanted though nothing is wrong with them
MOST_LOGS, LOG_LINES, LOG_ROOM = 80, 1000, MIB
KEPT_LOG = 128 * KIB
SYSTEM_NAMESPACES = ("kube-system", "calico-system", "tigera-operator", "calico-apiserver")


# Asks the Kubernetes API for everything that a helper would, and masks the secrets in it.

BETWEEN = "---\n"
# an API server that is gone lets each request wait
MOST_SILENCES = 2


def look(cluster: TextReader, clock: Clock, room: int, seconds: float) -> list[Entry]:
    """All answers of the API server. room: the bytes that all texts may have together. seconds: for all together."""
    started = clock.now()
    survey = _Survey(cluster, clock, started + READING * seconds, started + seconds)
    for name, path in HEALTH.items():
        survey.ask(name, path, partial(survey.health, path))
    survey.ask("version.yaml", "/version", survey.version)
    for kind in KINDS:
        survey.ask(kind.name, _list_of(kind), partial(survey.objects, kind))
    survey.ask(EVENTS, "list of Event", survey.events)
    survey.note_tables()
    survey.read_logs()
    return fit(survey.entries, room)


Answer = tuple[str, str]
"""A text, and what is left out of it."""


class _Absent(Exception):
    """There is no such thing in this cluster."""


class _Survey:
    def __init__(self, cluster: TextReader, clock: Clock, deadline: float, end: float) -> None:
        self._cluster, self._clock, self._deadline, self._end = cluster, clock, deadline, end
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
            text, left_out = answer()
        except _Absent as absence:
            self.entries.append(Entry(name, "absent", asked, note=str(absence)))
            return
        except Refusal as refusal:
            if isinstance(refusal, Unavailable):
                self._silences.append(refusal)
            self.entries.append(Entry(name, "failed", asked, note=str(refusal), seconds=self._since(started)))
            return
        self._keep(Entry(name, "cut" if left_out else "complete", asked, text, left_out, keep, seconds=self._since(started)), room)

    def health(self, path: str) -> Answer:
        return self._cluster.health(path), ""

    def version(self) -> Answer:
        return self._cluster.as_text(self._cluster.read("/version")), ""

    def objects(self, kind: Kind) -> Answer:
        version = next((one for one in kind.versions if self._cluster.serves(one, kind.kind)), None)
        if version is None:
            raise _Absent(f"{kind.kind} is not served by this API server")
        texts: list[str] = []
        held = count = 0
        for document in self._cluster.items(version, kind.kind, kind.namespace):
            self._remember(kind, document)
            count += 1
            if held >= kind.room:
                continue
            picked = kind.pick({"apiVersion": version, "kind": kind.kind, **document})
            text = self._cluster.as_text(cast("Object", picked))
            held += len(text.encode("utf-8", "replace")) + len(BETWEEN)
            if held < kind.room:
                texts.append(text)
        left_out = f"the first {len(texts)} of {count} objects" if len(texts) < count else ""
        return BETWEEN.join(texts) or "# there are none\n", left_out

    def events(self) -> Answer:
        count = 0

        def counted() -> Iterable[Object]:
            nonlocal count
            for event in self._cluster.items("v1", "Event"):
                count += 1
                yield event

        newest = heapq.nlargest(NEWEST_EVENTS, counted(), key=event_time)
        left_out = f"the newest {len(newest)} of {count} events" if len(newest) < count else ""
        return events_table(reversed(newest)), left_out

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
        entry = entry if entry.size <= room else shorten(entry, room)
        if self._clock.now() >= self._end:
            self.entries.append(replace(entry, status="failed", text="", note=LATE))
            return
        text, redactions = redact(entry.text)
        self.entries.append(replace(entry, text=text, redactions=redactions))

    def _remember(self, kind: Kind, document: Object) -> None:
        if kind.kind == "Pod":
            self._pods.append(pod_of(document))
        elif kind.kind == "Node":
            self._nodes.append(node_row(document))
            if not is_true(document, "Ready"):
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
