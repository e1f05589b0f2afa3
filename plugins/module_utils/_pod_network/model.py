# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The check of the Pod network: its options, the probe Pods that it creates, and what they report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Optional

from .._network_plan.model import DeclaredPort
from .._network_plan.ports import PORT_FACTS
from .._network_plan.reading import read_needed
from .._refusal import Refusal

# What runs in a probe pod: programs for BusyBox' shell, and the words by which it answers.

PORT = 8080
CHECKS_FILE = "/probe/checks"

# The answer is larger than a packet, so that an MTU which is too large for the way shows.
LISTEN = f"""
mkdir -p /tmp/www
printf '<%s>%4000s' "$NODE" end > /tmp/www/index.html
exec httpd -f -p {PORT} -h /tmp/www
"""

# Reads lines `number kind target expected`, asks all of them at once, each again and again for some seconds until the answer is right,
# because kube-proxy learns of a Service a moment after the pods. Writes a line `number word hundredths-of-a-second tries` for each.
# wget is bounded by timeout(1), because its own -T makes Debian's static BusyBox crash.
ASK = f"""
now() {{ read -r up rest < /proc/uptime; echo "${{up%.*}}${{up#*.}}"; }}
try() {{
  case $kind in
    http)
      output=$(busybox timeout 3 wget -q -O - "$target" 2>&1); status=$?
      case $output in
        "<$expected>"*) word=ok; [ $status = 0 ] || word=cut ;;
        *refused*) word=ref ;;
        *nreachable*|*'No route'*) word=unr ;;
        '') word=sil ;;
        *) word=wrg ;;
      esac ;;
    dns)
      output=$(busybox timeout 3 nslookup "$target" "$expected" 2>&1); status=$?
      case $output in
        *Name:*) word=ok ;;
        *NXDOMAIN*) word=nxd ;;
        *SERVFAIL*) word=srv ;;
        *'onnection refused'*) word=ref ;;
        *nreachable*|*'No route'*) word=unr ;;
        *'timed out'*|'') word=sil ;;
        *) word=wrg; [ $status -lt 128 ] || word=sil ;;
      esac ;;
  esac
}}
check() {{
  began=$(now) tries=0
  while :; do
    start=$(now) tries=$((tries + 1))
    try
    end=$(now)
    [ $word != ok ] && [ $((end - began)) -lt 800 ] || break
    sleep 1
  done
  echo "$number $word $((end - start)) $tries" > /tmp/answers/$number
}}
mkdir -p /tmp/answers
until [ -s {CHECKS_FILE} ]; do sleep 0.2; done
while read -r number kind target expected; do check & done < {CHECKS_FILE}
wait
{{
  while read -r word address rest; do [ "$word" != nameserver ] || echo "nameserver $address"; done < /etc/resolv.conf
  cat /tmp/answers/*
}} > /dev/termination-log
"""

# word -> what it means; a DNS server's, where it differs
MEANINGS = {
    "ok": "answers",
    "cut": "a truncated answer: full-size packets do not arrive",
    "ref": "connection refused",
    "unr": "no route",
    "sil": "no answer",
    "wrg": "an answer not from the probe pod",
}
DNS_MEANINGS = {
    **MEANINGS,
    "wrg": "no address for this name",
    "nxd": "no such name (NXDOMAIN)",
    "srv": "the server failed (SERVFAIL)",
}


# What is asked of a pod network, and what came back.

Object = dict[str, Any]
Kind = Literal["pod", "service", "dns"]
State = Literal["awake", "asleep", "not_ready", "not_started", "started"]

# each pod's answers must fit into the 4096 bytes that the kubelet passes on of a container
MOST_NODES = 100
MOST_NAMES = 20
# how long pods ask at most, with what it takes to hand them the questions and to fetch the answers
ASKING_SECONDS = 25.0
LEAST_SECONDS, MOST_SECONDS = 30.0, 600.0
_NEEDED = ("dns_service_ip", "dns_domain", "encapsulation", "pod_cidr")


@dataclass(frozen=True)
class Request:
    """What the module is asked. nodes: all of them, in the user's order. dns: addresses. names: to be resolved.

    ports: what hosts must let in from each other for the pods' packets, in words. seconds: for everything but removing.
    """

    nodes: tuple[str, ...]
    asleep: frozenset[str]
    dns: tuple[str, ...]
    names: tuple[str, ...]
    ports: tuple[str, ...]
    image: str
    seconds: float


@dataclass(frozen=True)
class Check:
    """One thing that a pod asks. source, target: nodes, or for DNS a node and a name. url: of pods and Services. server: of DNS."""

    source: str
    target: str
    kind: Kind
    url: str = ""
    server: str = ""


@dataclass(frozen=True)
class Row:
    """A line of the matrix. ok: None is unknown. seconds: what the last try took."""

    source: str
    target: str
    kind: Kind
    ok: Optional[bool]
    detail: str
    seconds: float = 0.0


@dataclass
class NodeSeen:
    """A node. reason, fix: why it has no probe pod that runs, and the next step. nameservers: what the kubelet gave its pod."""

    name: str
    state: State
    reason: str = ""
    fix: str = ""
    address: str = ""
    nameservers: tuple[str, ...] = ()


@dataclass
class Outcome:
    """Everything that was seen and done. refusal: what ended the probing early. left: what of it could not be removed."""

    nodes: dict[str, NodeSeen]
    rows: list[Row] = field(default_factory=list)
    placed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refusal: Optional[Refusal] = None
    left: Optional[Refusal] = None
    seconds: float = 0.0

    @property
    def is_changed(self) -> bool:
        """Whether the cluster is another one than before."""
        return bool(self.removed or self.left)

    def of_state(self, state: State) -> list[NodeSeen]:
        return [one for one in self.nodes.values() if one.state == state]


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    seconds = float(params["timeout"])
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
        raise Refusal(
            "timeout", f"{seconds:g}", f"{LEAST_SECONDS:g} to {MOST_SECONDS:g} seconds", "Remove it for the default of 60 seconds."
        )
    nodes = tuple(dict.fromkeys(str(one["name"]) for one in params["nodes"]))
    _at_most(MOST_NODES, nodes, "nodes", "Check them in groups.")
    plan = read_needed(params["plan"], _NEEDED).plan
    names = (f"kubernetes.default.svc.{plan.dns_domain}", *(str(one).rstrip(".") for one in params["names"]))
    _at_most(MOST_NAMES, names[1:], "names", "Remove some.")
    for name in names:
        if not name or any(letter.isspace() or letter == "/" for letter in name) or name.startswith("-"):
            raise Refusal("names", repr(name), "a DNS name", "Correct it.")
    dns = tuple(str(one) for one in plan.dns_service_ip or ())
    asleep = frozenset(str(one) for one in params["asleep"])
    ports = tuple(str(DeclaredPort(fact.protocol, fact.ports)) for fact in PORT_FACTS if fact.carries_pods and fact.when(plan))
    return Request(nodes, asleep, dns, tuple(dict.fromkeys(names)), ports, str(params["image"]), seconds)


def _at_most(most: int, given: Sequence[str], option: str, fix: str) -> None:
    if len(given) > most:
        raise Refusal(option, f"{len(given)} entries", f"at most {most}", fix)


# The objects that a check places: all in one namespace, so that they go with it.

OURS = {"app.kubernetes.io/managed-by": "vmstation.cluster", "app.kubernetes.io/name": "pod-network-check"}
SELECTOR = ",".join(f"{key}={value}" for key, value in OURS.items())
PREFIX = "vmstation-probe-"
ACCOUNT = "probe"
# on the namespace: seconds after which it is the remains of a run that was killed
LASTS = "vmstation.cluster/lasts"
# on a pod: the questions, handed to it through a volume
CHECKS = "vmstation.cluster/checks"
TIME = "vmstation.cluster/time"
NUMBER = "vmstation.cluster/number"
# how long a namespace may take to go, and a margin for a slow API server
REMOVAL_SECONDS = 60.0
MARGIN_SECONDS = 60.0


def namespace(name: str, request: Request) -> Object:
    lasts = int(request.seconds + REMOVAL_SECONDS + MARGIN_SECONDS)
    labels = {**OURS, "pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels, "annotations": {LASTS: str(lasts)}}}


def account() -> Object:
    """A ServiceAccount of our own: the one that every namespace gets comes some time after it, and pods are rejected until then."""
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": ACCOUNT, "labels": OURS},
        "automountServiceAccountToken": False,
    }


def object_name(number: int) -> str:
    """Of the pod and the Service of a node; a node's own name may be too long for a Service."""
    return f"probe-{number}"


def service(number: int) -> Object:
    """The pod of one node behind an address. It exists before the pod is Ready; after its probes the pod is never Ready."""
    spec = {"selector": {NUMBER: str(number)}, "publishNotReadyAddresses": True, "ports": [{"port": 80, "targetPort": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": object_name(number), "labels": OURS}, "spec": spec}


def pod(number: int, node: str, request: Request) -> Object:
    """Placed by the scheduler, which reports why it cannot; tolerates every taint; ends by itself if nothing ends it."""
    this_node = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [this_node]}}}
    questions = {"path": "checks", "fieldRef": {"fieldPath": f"metadata.annotations['{CHECKS}']"}}
    spec = {
        "affinity": affinity,
        "tolerations": [{"operator": "Exists"}],
        "serviceAccountName": ACCOUNT,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "activeDeadlineSeconds": int(request.seconds + REMOVAL_SECONDS),
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65534,
            "runAsGroup": 65534,
            "fsGroup": 65534,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container("listen", LISTEN, node, request.image), _container("ask", ASK, node, request.image)],
        "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "probe", "downwardAPI": {"items": [questions]}}],
    }
    labels = {**OURS, NUMBER: str(number)}
    # empty until every pod has an address: a pod without the annotation would have no file to look at
    metadata = {"name": object_name(number), "labels": labels, "annotations": {CHECKS: ""}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def questions_patch(lines: str, time: int) -> str:
    """time: the how-manieth. A patch that changes nothing would not be heard of."""
    return json.dumps({"metadata": {"annotations": {CHECKS: lines, TIME: str(time)}}})


def has_outlived(other: Object, ours: Object) -> bool:
    """Whether a namespace is what a killed run left, seen from one that was made just now; both times are the API server's."""
    metadata = other["metadata"]
    lasts = str((metadata.get("annotations") or {}).get(LASTS, ""))
    if not metadata["name"].startswith(PREFIX) or metadata.get("deletionTimestamp") or not lasts.isdecimal():
        return False
    return (_created(ours) - _created(other)).total_seconds() > int(lasts)


def _created(document: Object) -> datetime:
    return datetime.strptime(document["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ")


def _container(name: str, program: str, node: str, image: str) -> dict[str, Any]:
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", program],
        "env": [{"name": "NODE", "value": node}],
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, {"name": "probe", "mountPath": "/probe"}],
    }
