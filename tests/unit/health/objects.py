# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Objects of a cluster that is well while a host is asleep, and faults, each with what has to be found of it.

The unit tests and the real API server get the same ones. All times are relative to a moment of the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

MASTER, HOMELAB, ASLEEP = "masternode", "homelab", "storagenodet3500"
# made with `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=test`
PEM = """-----BEGIN CERTIFICATE-----
MIIBczCCARmgAwIBAgIUB/GOgmHFzIqZxeN0dMkDU/cAAH4wCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjkxODMzNTlaFw0zNjExMjYxODMzNTla
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAS/VDbv
cmIfvVuwQHD3Z90OOv1sCqULuI+rMIyUW988oY6gFO9SOaorkAPJ/u0YKcEMRYMl
40Us0Et4SaW9E8yno1MwUTAdBgNVHQ4EFgQUKdkLd3LG9FHAPhy1bfvMgNFVkO8w
HwYDVR0jBBgwFoAUKdkLd3LG9FHAPhy1bfvMgNFVkO8wDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNIADBFAiBZMMTNjNgWzfZs5qybYRZKSXDVaBcy7c/oypAS
djtbmwIhAL2jZPLvmhTds/kmcYy/b9HFheljKdL1h7WxyihtgPe2
-----END CERTIFICATE-----
"""
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")

Object = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """objects: made from a moment. found: part of the finding, as part of the fix."""

    objects: Callable[[datetime], list[Object]]
    group: str
    severity: str
    subject: str
    found: str
    fix: str


def at(now: datetime, seconds: float) -> str:
    """A moment so many seconds before, as the API writes it."""
    return (now - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def made(api_version: str, kind: str, where: str, **content: Any) -> Object:
    namespace, _slash, name = where.rpartition("/")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **content.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def lease(where: str, now: datetime, age: float) -> Object:
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "renewTime": at(now, age)}
    return made("coordination.k8s.io/v1", "Lease", where, spec=spec)


RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def ended(reason: str, code: int, when: str = "2026-01-01T00:00:00Z") -> Object:
    return {"terminated": {"exitCode": code, "reason": reason, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": when}}


def container(state: Object, *, ready: bool = False, last: Object | None = None, restarts: int = 0) -> Object:
    told = {"name": "app", "image": "a", "imageID": "", "ready": ready, "restartCount": restarts, "state": state}
    return {**told, "lastState": last} if last else told


def pod(where: str, node: str = "", owner: tuple[str, str] | None = None, *, ready: bool = True, **others: Any) -> Object:
    """A Pod that is ready, or in the way that status says."""
    metadata: Object = {"labels": others.get("labels", {})}
    if owner:
        api_version = "batch/v1" if owner[0] == "Job" else "apps/v1"
        metadata["ownerReferences"] = [{"apiVersion": api_version, "kind": owner[0], "name": owner[1], "uid": "0", "controller": True}]
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status = {
        "phase": "Running",
        "conditions": [condition],
        "containerStatuses": [container(RUNNING, ready=ready)],
        **others.get("status", {}),
    }
    spec: Object = {"containers": [{"name": "app", "image": "a"}], "volumes": others.get("volumes", [])}
    return made("v1", "Pod", where, metadata=metadata, spec={**spec, **({"nodeName": node} if node else {})}, status=status)


def hashed(where: str, node: str, deployment: str, **others: Any) -> Object:
    """A Pod of a Deployment, by way of its ReplicaSet."""
    return pod(where, node, ("ReplicaSet", f"{deployment}-abc"), labels={"pod-template-hash": "abc"}, **others)


def workload(kind: str, where: str, replicas: int, there: int, **status: Any) -> Object:
    labels = {"app": where.rpartition("/")[2]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "a"}]}}
    spec: Object = {"selector": {"matchLabels": labels}, "template": template}
    if kind == "DaemonSet":
        counts = {"desiredNumberScheduled": replicas, "currentNumberScheduled": there, "updatedNumberScheduled": there}
        counts |= {"numberAvailable": there, "numberReady": there, "numberMisscheduled": 0}
    else:
        spec |= {"replicas": replicas, **({"serviceName": labels["app"]} if kind == "StatefulSet" else {})}
        counts = {"replicas": there, "updatedReplicas": there, "availableReplicas": there, "readyReplicas": there}
    return made("apps/v1", kind, where, spec=spec, status={"observedGeneration": 1, **counts, **status})


def job(where: str, condition: str, message: str) -> Object:
    template = {"spec": {"containers": [{"name": "app", "image": "a"}], "restartPolicy": "Never"}}
    first = {"Failed": "FailureTarget", "Complete": "SuccessCriteriaMet"}[condition]
    told = {"status": "True", "message": message, "reason": "Tested", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status: Object = {"conditions": [{"type": kind, **told} for kind in (first, condition)], "startTime": "2026-01-01T00:00:00Z"}
    if condition == "Complete":
        status |= {"succeeded": 1, "completionTime": "2026-01-01T00:00:00Z"}
    return made("batch/v1", "Job", where, spec={"template": template}, status=status)


def claim(where: str, phase: str, storage_class: str = "none", volume_name: str = "") -> Object:
    spec: Object = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": storage_class}
    spec |= {"volumeName": volume_name} if volume_name else {}
    return made("v1", "PersistentVolumeClaim", where, spec=spec, status={"phase": phase})


def volume(name: str, phase: str, of: str, part_of: str = "", **status: Any) -> Object:
    """of: its claim. part_of: the namespace of the role that made it."""
    namespace, _slash, claimed = of.partition("/")
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain"}
    spec |= {"claimRef": {"namespace": namespace, "name": claimed}, "hostPath": {"path": "/srv/films"}}
    labels = {"app.kubernetes.io/part-of": part_of} if part_of else {}
    return made("v1", "PersistentVolume", name, metadata={"labels": labels}, spec=spec, status={"phase": phase, **status})


def webhook(kind: str, name: str, service: str) -> Object:
    rule = {"apiGroups": ["example.com"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["widgets"]}
    one = {
        "name": f"{name}.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "rules": [rule],
    }
    one["clientConfig"] = {"service": {"namespace": "apps", "name": service}}
    return made("admissionregistration.k8s.io/v1", f"{kind}WebhookConfiguration", name, webhooks=[one])


def service(where: str) -> Object:
    return made("v1", "Service", where, spec={"ports": [{"port": 443}], "clusterIP": "None"})


def endpoints(where: str, service_name: str) -> Object:
    labels = {"kubernetes.io/service-name": service_name}
    ready = [{"addresses": ["10.244.0.9"], "conditions": {"ready": True}}]
    content = {"addressType": "IPv4", "endpoints": ready, "ports": [{"port": 443}]}
    return made("discovery.k8s.io/v1", "EndpointSlice", where, metadata={"labels": labels}, **content)


def event(where: str, kind: str, reason: str, message: str, now: datetime) -> Object:
    namespace, _slash, name = where.partition("/")
    about = {"kind": kind, "namespace": namespace, "name": name, "uid": f"{kind}-{name}"}
    told = {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": at(now, 30)[:19] + "Z"}
    return made("v1", "Event", f"{namespace}/{name}.{reason.lower()}", involvedObject=about, **told)


def vector(*samples: tuple[dict[str, str], str]) -> Object:
    """What Prometheus answers to a query."""
    return {"status": "success", "data": {"resultType": "vector", "result": [{"metric": of, "value": [0, value]} for of, value in samples]}}


def rules(*several: Object) -> Object:
    listed = [{"health": "ok", "alerts": [], **one} for one in several]
    return {"status": "success", "data": {"groups": [{"name": "mine", "rules": listed}]}}


def alert(name: str, node: str) -> Object:
    told = {"summary": f"{name} on {node}", "description": "Free some space."}
    return {"name": name, "type": "alerting", "alerts": [{"state": "firing", "labels": {"node": node}, "annotations": told}]}


def monitoring() -> Object:
    """What the programs of monitoring answer when they are well, by Service, port and path."""
    return {
        "prometheus:9090/api/v1/query": vector(),
        "prometheus:9090/api/v1/query?age": vector(({}, "12.4")),
        "prometheus:9090/api/v1/query?receivers": vector(),
        "prometheus:9090/api/v1/query?given_up": vector(),
        "prometheus:9090/api/v1/query?arrived": vector(),
        "prometheus:9090/api/v1/rules": rules({"name": "A"}, {"name": "B"}),
        "loki:3100/ready": {"message": "ready"},
        "grafana:3000/api/health": {"database": "ok"},
    }


def healthy(now: datetime) -> list[Object]:
    """Two hosts are awake, and a third is asleep with Pods on it."""
    lost = {"ready": False}
    waits = unscheduled("1 node(s) had untolerated taint(s), 2 node(s) didn't match Pod's node affinity/selector.")
    done = {"phase": "Succeeded", "containerStatuses": [container(ended("Completed", 0))]}
    return [
        lease("kube-system/kube-scheduler", now, 1),
        lease("kube-system/kube-controller-manager", now, 2),
        lease(f"kube-node-lease/{MASTER}", now, 9),
        lease(f"kube-node-lease/{HOMELAB}", now, 4),
        lease(f"kube-node-lease/{ASLEEP}", now, 30000),
        *(pod(f"kube-system/{one}-{MASTER}", MASTER, labels={"tier": "control-plane", "component": one}) for one in COMPONENTS),
        workload("Deployment", "kube-system/coredns", 2, 2),
        hashed("kube-system/coredns-abc-1", MASTER, "coredns"),
        hashed("kube-system/coredns-abc-2", HOMELAB, "coredns"),
        # a node that is asleep is counted as desired until it is tainted
        workload("DaemonSet", "kube-system/kube-proxy", 3, 2),
        *(pod(f"kube-system/kube-proxy-{one}", one, ("DaemonSet", "kube-proxy")) for one in (MASTER, HOMELAB)),
        pod(f"kube-system/kube-proxy-{ASLEEP}", ASLEEP, ("DaemonSet", "kube-proxy"), **lost),
        workload("Deployment", "apps/web", 2, 1),
        hashed("apps/web-abc-1", HOMELAB, "web", volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]),
        hashed("apps/web-abc-2", ASLEEP, "web", **lost),
        # the one that has to run on the host that is asleep, and its claim
        workload("StatefulSet", "apps/films", 1, 0),
        pod("apps/films-0", "", ("StatefulSet", "films"), ready=False, status=waits),
        claim("apps/data", "Bound"),
        job("apps/backup", "Complete", "done"),
        pod("apps/backup-1", HOMELAB, ("Job", "backup"), ready=False, status=done),
        # an owner's own that is switched off
        workload("Deployment", "apps/switched-off", 0, 0),
        webhook("Validating", "served", "served"),
        service("apps/served"),
        endpoints("apps/served-1", "served"),
    ]


def unscheduled(message: str) -> Object:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": f"0/3 nodes are available: {message}"}
    return {"phase": "Pending", "conditions": [condition], "containerStatuses": []}


def _waiting(reason: str, message: str, **others: Any) -> Object:
    return {"containerStatuses": [container({"waiting": {"reason": reason, "message": message}}, **others)]}


QUOTA = "exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"
FAULTS = {
    "a container that crashes": Fault(
        lambda _now: [
            pod("apps/crash", HOMELAB, ready=False, status=_waiting("CrashLoopBackOff", "back-off", last=ended("Error", 3), restarts=7))
        ],
        "workloads",
        "warning",
        "Pod apps/crash",
        "CrashLoopBackOff: back-off; last ended with exit code 3, 7 restarts",
        "logs --previous",
    ),
    "an image that cannot be pulled": Fault(
        lambda _now: [
            workload("Deployment", "monitoring/grafana", 1, 0),
            hashed("monitoring/grafana-abc-1", HOMELAB, "grafana", ready=False, status=_waiting("ImagePullBackOff", "no such host")),
        ],
        "workloads",
        "error",
        "Deployment monitoring/grafana",
        "grafana-abc-1 on homelab: container app: ImagePullBackOff: no such host",
        "available",
    ),
    "a Pod that fits nowhere": Fault(
        lambda _now: [pod("apps/large", ready=False, status=unscheduled("3 Insufficient memory."))],
        "workloads",
        "warning",
        "Pod apps/large",
        "Insufficient memory",
        "free a node",
    ),
    "a container that was killed for lack of memory": Fault(
        lambda now: [
            pod(
                "apps/greedy",
                HOMELAB,
                status={
                    "containerStatuses": [container(RUNNING, ready=True, last=ended("OOMKilled", 137, at(now, 900)[:19] + "Z"), restarts=1)]
                },
            )
        ],
        "workloads",
        "warning",
        "Pod apps/greedy",
        "killed for lack of memory 15 minutes ago, 1 restarts",
        "resources.limits.memory",
    ),
    "a Deployment of the collection without replicas": Fault(
        lambda _now: [workload("Deployment", "monitoring/kube-state-metrics", 0, 0)],
        "workloads",
        "error",
        "Deployment monitoring/kube-state-metrics",
        "replicas: 0",
        "--replicas=1",
    ),
    "a DaemonSet that is not on every node": Fault(
        lambda _now: [
            workload("DaemonSet", "monitoring/node-exporter", 1, 1),
            pod("monitoring/node-exporter-1", MASTER, ("DaemonSet", "node-exporter")),
        ],
        "workloads",
        "error",
        "DaemonSet monitoring/node-exporter",
        "no Pod on homelab",
        "describe daemonset",
    ),
    "a DaemonSet whose Pod does not start on a node that is awake": Fault(
        lambda _now: [
            workload("DaemonSet", "monitoring/alloy", 3, 1),
            pod("monitoring/alloy-1", MASTER, ("DaemonSet", "alloy")),
            pod("monitoring/alloy-2", HOMELAB, ("DaemonSet", "alloy"), ready=False, status=_waiting("CreateContainerError", "no")),
            pod("monitoring/alloy-3", ASLEEP, ("DaemonSet", "alloy"), ready=False),
        ],
        "workloads",
        "error",
        "DaemonSet monitoring/alloy",
        "waiting for 1 of 2 Pods to be available",
        "describe pod",
    ),
    "a quota that is full": Fault(
        lambda now: [workload("StatefulSet", "apps/db", 1, 0), event("apps/db", "StatefulSet", "FailedCreate", QUOTA, now)],
        "workloads",
        "warning",
        "StatefulSet apps/db",
        "waiting for 1 of 1 Pods",
        "describe statefulset",
    ),
    "a quota that a Deployment names": Fault(
        lambda _now: [
            workload(
                "Deployment",
                "apps/limited",
                1,
                0,
                conditions=[{"type": "ReplicaFailure", "status": "True", "message": QUOTA, "reason": "FailedCreate"}],
            )
        ],
        "workloads",
        "warning",
        "Deployment apps/limited",
        "exceeded quota: small",
        "edit resourcequota small",
    ),
    "a Job that failed": Fault(
        lambda _now: [job("apps/import", "Failed", "Job has reached the specified backoff limit")],
        "workloads",
        "warning",
        "Job apps/import",
        "backoff limit",
        "delete job import",
    ),
    "a claim that no volume comes for": Fault(
        lambda _now: [claim("apps/films", "Pending")],
        "storage",
        "warning",
        "PersistentVolumeClaim apps/films",
        "Pending; storage class none",
        "describe persistentvolumeclaim",
    ),
    "a volume whose directory could not be removed": Fault(
        lambda _now: [volume("films", "Failed", "apps/films", message="rm: /srv/films: read-only file system")],
        "storage",
        "warning",
        "PersistentVolume films",
        "Failed: rm: /srv/films: read-only file system",
        "kubectl describe persistentvolume films",
    ),
    "a volume of the collection whose claim was deleted": Fault(
        lambda _now: [volume("monitoring-loki", "Released", "monitoring/loki", "monitoring")],
        "storage",
        "error",
        "PersistentVolume monitoring-loki",
        "Released: its claim monitoring/loki was deleted",
        "ansible-playbook site.yml",
    ),
    "a volume of the collection whose claim has another volume now": Fault(
        lambda _now: [
            volume("monitoring-grafana", "Released", "monitoring/grafana", "monitoring"),
            claim("monitoring/grafana", "Bound", "nfs", "pvc-0123"),
        ],
        "storage",
        "warning",
        "PersistentVolume monitoring-grafana",
        "Released: its claim monitoring/grafana was deleted, and the claim of that name has the volume pvc-0123",
        "If its data are not needed, `kubectl delete persistentvolume monitoring-grafana`.",
    ),
    "a volume of a StorageClass that outlives its claim": Fault(
        lambda _now: [volume("pvc-4567", "Released", "monitoring/old")],
        "storage",
        "warning",
        "PersistentVolume pvc-4567",
        "Released: its claim monitoring/old was deleted",
        "If its data are not needed, `kubectl delete persistentvolume pvc-4567`.",
    ),
    "a webhook without a Service": Fault(
        lambda _now: [webhook("Validating", "leftover", "gone")],
        "api",
        "error",
        "ValidatingWebhookConfiguration leftover",
        "whose Service apps/gone does not exist: the API server rejects requests for widgets",
        "delete",
    ),
    "a webhook whose Service has no endpoint": Fault(
        lambda _now: [webhook("Mutating", "idle", "idle"), service("apps/idle")],
        "api",
        "error",
        "MutatingWebhookConfiguration idle",
        "whose Service apps/idle has no ready endpoint",
        "get service,endpointslices,pods",
    ),
    "an API service without a server": Fault(
        lambda _now: [
            made(
                "apiregistration.k8s.io/v1",
                "APIService",
                "v1.gone.example.com",
                spec={
                    "group": "gone.example.com",
                    "version": "v1",
                    "groupPriorityMinimum": 100,
                    "versionPriority": 100,
                    "insecureSkipTLSVerify": True,
                    "service": {"namespace": "apps", "name": "gone"},
                },
                status={
                    "conditions": [
                        {"type": "Available", "status": "False", "reason": "ServiceNotFound", "message": "service/gone is not present"}
                    ]
                },
            )
        ],
        "api",
        "error",
        "APIService v1.gone.example.com",
        "not available: ServiceNotFound",
        "kubectl delete apiservice v1.gone.example.com",
    ),
}
