# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The objects that a check places: all in one namespace, so that they go with it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.model import Object, Request
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.programs import ASK, LISTEN, PORT

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
    """A ServiceAccount of our own: the one that every namespace gets comes some time after it, and pods are refused until then."""
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
    """The pod of one node behind an address. It is there before the pod is Ready, which it never is once it has asked."""
    spec = {"selector": {NUMBER: str(number)}, "publishNotReadyAddresses": True, "ports": [{"port": 80, "targetPort": PORT}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": object_name(number), "labels": OURS}, "spec": spec}


def pod(number: int, node: str, request: Request) -> Object:
    """Placed by the scheduler, which says why it cannot; tolerates every taint; ends by itself when nobody ends it."""
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
