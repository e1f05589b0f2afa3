# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find unhealthy workloads and Pods, the volumes and claims that they cannot use, and the reasons.

A Pod that waits for a host that is asleep is not a problem. local_storage_check looks at the volumes' directories on the hosts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Optional

from .._conditions import is_true
from .._drift.model import phase_of_kubeadm
from .._findings import Finding, Severity
from .._refusal import Refusal
from .._rollout import pods as predicates
from .._rollout.pods import Seen, Stuck, container_statuses, is_ready, stuck, troubles
from .model import KUBE_SYSTEM, NODE_LEASES, Object, Sight, Wanted, name_of, place_of, seconds

KINDS = ("Deployment", "StatefulSet", "DaemonSet")
# read only if there is a problem
EXPLAINING = {"Event": ("v1", "Event"), "StorageClass": ("storage.k8s.io/v1", "StorageClass")}
ON_EVERY_NODE = frozenset({(KUBE_SYSTEM, "kube-proxy"), ("monitoring", "node-exporter"), ("monitoring", "alloy")})
_IN_PLACE_OF_KUBE_PROXY = frozenset({(KUBE_SYSTEM, "cilium"), (KUBE_SYSTEM, "kube-router")})
# the role monitoring installs all of them
OF_MONITORING = (
    *(("Deployment", name) for name in ("prometheus", "loki", "grafana", "kube-state-metrics")),
    *(("DaemonSet", name) for name in ("node-exporter", "alloy")),
)
# time that a Pod may take before it counts, unless a container has failed already
PATIENCE = 60.0
ENDING = 300.0  # seconds that a Pod may take to end after its grace period
KILLED_LATELY, RESTARTED_LATELY, MANY_RESTARTS, SETTLED = 3600.0, 600.0, 5, 3600.0
SHOWN_PODS = 2
# the scheduler's words for nodes that are off, or that were cordoned before sleep; Kubernetes 1.36 does not name the taint
_OF_SLEEPERS = ("untolerated taint", "unschedulable")
_QUOTA = re.compile(r"exceeded quota: ([\w.-]+)")
_QUIET = {"ContainerCreating", "PodInitializing"}

Key = tuple[str, str, str]  # kind, namespace, name


@dataclass(frozen=True)
class Pods:
    """The Pods of a cluster by workload. absent: nodes that are asleep, or silent (reported once for all their Pods)."""

    wanted: Wanted
    seen: Sight
    of: Mapping[Key, Sequence[Object]]
    absent: frozenset[str]

    def excused(self, pod: Object) -> bool:
        """Return whether the Pod runs on an absent host, or waits for one."""
        node = str(pod["spec"].get("nodeName") or "").lower()
        if node:
            return node in self.absent
        said = [str(one.get("message")) for one in (pod.get("status") or {}).get("conditions") or () if one.get("type") == "PodScheduled"]
        return bool(self.absent) and any(word in text for text in said for word in _OF_SLEEPERS)

    def trouble(self, pod: Object) -> Optional[Stuck]:
        """Return what blocks the Pod, if it had enough time."""
        leaving = pod["metadata"].get("deletionTimestamp")
        if self.excused(pod) or (leaving and self.seen.age(leaving) < PATIENCE):
            return None
        young = self.seen.age(pod["metadata"].get("creationTimestamp")) < PATIENCE
        return None if young and not _has_failed(pod) else stuck(dict(pod))

    @cached_property
    def warnings(self) -> Mapping[str, str]:
        """The last warning event of each object, by its UID."""
        found: dict[str, tuple[str, str]] = {}
        for one in self.seen.all("Event"):
            uid = str((one.get("involvedObject") or {}).get("uid"))
            at = str((one.get("series") or {}).get("lastObservedTime") or one.get("lastTimestamp") or one.get("eventTime") or "")
            found[uid] = max(found.get(uid, ("", "")), (at, f"{one.get('reason')}: {' '.join(str(one.get('message')).split())}"))
        return {uid: text for uid, (_when, text) in found.items()}

    def warning(self, *things: Object) -> str:
        return next((text for one in things if (text := self.warnings.get(str(one["metadata"].get("uid")), ""))), "")


def pods_of(wanted: Wanted, seen: Sight, known: Collection[Key] = ()) -> Pods:
    """Return all Pods. known: the workloads that exist."""
    by_owner: dict[Key, list[Object]] = defaultdict(list)
    for pod in seen.all("Pod"):
        owner = _owner(pod)
        by_owner[owner if owner in known else ("", *place_of(pod))].append(pod)
    return Pods(wanted, seen, by_owner, wanted.asleep | frozenset(seen.silent_nodes(wanted.awake)))


def workload_findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    known = {(kind, *place_of(one)): one for kind in (*KINDS, "Job") for one in seen.all(kind)}
    for name, age in seen.silent_nodes(wanted.awake).items():
        found = f"its kubelet last renewed its Lease {seconds(age)} ago; its Pods are not checked"
        fix = f"Check that {name} is on, and its kubelet: `systemctl status kubelet`."
        yield Finding("kubelets_renew_their_leases", "error", f"node {name}", found, "renewed every 10 s", fix, (name,))
    pods = pods_of(wanted, seen, known)
    for key, one in known.items():
        yield from _of_job(pods, key, one) if key[0] == "Job" else _of_workload(pods, key, one)
    for key, several in pods.of.items():
        for pod in several:
            if not key[0] and not ("control_plane" in wanted.groups and _is_of_control_plane(pod)):
                yield from _of_pod(pods, pod)
            yield from _killed(pods, pod)
    yield from _planned(pods, known)


def is_calm(found: Iterable[Finding]) -> bool:
    """Return whether there is no problem to explain."""
    return not any(one.rule in {"workloads_are_rolled_out", "pods_run", "claims_are_bound"} for one in found)


def _of_workload(pods: Pods, key: Key, one: Object) -> Iterator[Finding]:
    kind, of_it = key[0], pods.of.get(key, ())
    sleepers = sum(1 for pod in of_it if pods.excused(pod))
    nodes = {pod["spec"].get("nodeName") for pod in of_it if not pods.excused(pod)}
    ready = {pod["spec"].get("nodeName") for pod in of_it if not pods.excused(pod) and is_ready(dict(pod))}
    # the revision of a DaemonSet's Pods does not matter here
    counted = Seen(sleepers, len(nodes), len(ready)) if kind == "DaemonSet" and pods.absent else None
    standing = predicates.standing(kind, dict(one), counted)
    if standing.is_rolled_out:
        for pod in of_it:
            yield from _ending(pods, pod)
        return
    late = [trouble for pod in of_it if (trouble := pods.trouble(pod))]
    # Pods that wait for an absent host, or that have not had enough time
    calm = sum(1 for pod in of_it if not is_ready(dict(pod)) and not (counted and pods.excused(pod)))
    if not late and calm >= max(1, standing.desired - standing.available):
        return
    said = pods.warning(*(pod for pod in of_it if not is_ready(dict(pod))), one)
    parts = [
        f"waiting for {standing.waiting_for}",
        *(f"Pod {one.name} on {one.node or 'no node'}: {one.state}" for one in late[:SHOWN_PODS]),
    ]
    parts += [f"and {len(late) - SHOWN_PODS} more Pods"] if len(late) > SHOWN_PODS else []
    yield finding_about(
        pods, "workloads_are_rolled_out", key, [*parts, said], "all its Pods available", fix=late[0].next_step if late else ""
    )


def _ending(pods: Pods, pod: Object) -> Iterator[Finding]:
    """Report a Pod that kubelet cannot end, for example because a volume hangs. Its workload has replaced it."""
    leaving, node = pod["metadata"].get("deletionTimestamp"), pod["spec"].get("nodeName")
    age = pods.seen.age(leaving) if leaving else 0.0
    if age > ENDING and node and not pods.excused(pod):
        namespace, name = place_of(pod)
        fix = (
            f"See `journalctl -u kubelet` on {node}: a volume that hangs, or a process that cannot be killed. If a reboot does not "
            f"end it, `kubectl --namespace {namespace} delete pod {name} --grace-period=0 --force`."
        )
        found = f"Terminating for {seconds(age)} on {node}, beyond its grace period"
        yield Finding("pods_end", "warning", f"Pod {namespace}/{name}", found, "ended within its grace period", fix)


def _of_job(pods: Pods, key: Key, one: Object) -> Iterator[Finding]:
    failed = is_true(one, "Failed")
    schedule = _controller(one)
    newer = [
        other
        for other in pods.seen.all("Job")
        if schedule and _controller(other) == schedule and other["metadata"]["creationTimestamp"] > one["metadata"]["creationTimestamp"]
    ]
    late = [trouble for pod in pods.of.get(key, ()) if (trouble := pods.trouble(pod))]
    if failed and not newer:
        parts = troubles([dict(one)], map(dict, pods.of.get(key, ())))
        fix = f"See why: `kubectl --namespace {key[1]} logs job/{key[2]}`. Then `kubectl --namespace {key[1]} delete job {key[2]}`."
        yield finding_about(pods, "jobs_succeed", key, parts, "a Job that completes", fix=fix)
    elif late and not failed and not (one.get("status") or {}).get("completionTime"):
        parts = [*(f"Pod {each.name}: {each.state}" for each in late[:SHOWN_PODS]), pods.warning(*pods.of.get(key, ()), one)]
        yield finding_about(pods, "jobs_succeed", key, parts, "a Job whose Pods run", fix=late[0].next_step)


def _of_pod(pods: Pods, pod: Object) -> Iterator[Finding]:
    trouble = pods.trouble(pod)
    if trouble:
        parts = [f"on {trouble.node or 'no node'}: {trouble.state}", pods.warning(pod)]
        yield finding_about(pods, "pods_run", ("Pod", *place_of(pod)), parts, "ready or completed", fix=trouble.next_step)


def _killed(pods: Pods, pod: Object) -> Iterator[Finding]:
    """Report containers that were restarted and run again, which no other rule shows. During setup, some restarts are normal."""
    settled = pods.seen.age(pod["metadata"].get("creationTimestamp")) > SETTLED
    for one in container_statuses(dict(pod)) if is_ready(dict(pod)) and not pods.excused(pod) else ():
        ended = (one.get("lastState") or {}).get("terminated") or {}
        age, restarts = pods.seen.age(ended.get("finishedAt")), one.get("restartCount") or 0
        where, name = place_of(pod), one["name"]
        if ended.get("reason") == "OOMKilled" and age < KILLED_LATELY:
            found, expected = f"container {name} was killed for lack of memory {seconds(age)} ago, {restarts} restarts", "enough memory"
            fix = f"Raise resources.limits.memory of container {name}, or find what uses so much."
        elif settled and ended.get("exitCode") and age < RESTARTED_LATELY and restarts >= MANY_RESTARTS:
            found = f"container {name} ended with exit code {ended['exitCode']} {seconds(age)} ago, {restarts} restarts"
            expected, fix = (
                "a container that keeps running",
                f"See why: `kubectl --namespace {where[0]} logs --previous {where[1]} {name}`.",
            )
        else:
            continue
        yield Finding("containers_keep_running", "warning", f"Pod {'/'.join(where)}", found, expected, fix)


def _planned(pods: Pods, known: Mapping[Key, Object]) -> Iterator[Finding]:
    """Report workloads with fewer replicas or Pods than the plan or the collection needs."""
    wanted = pods.wanted
    for key, one in known.items():
        kind, namespace, name = key
        if kind not in {"Deployment", "StatefulSet"} or namespace not in wanted.namespaces:
            continue
        least = wanted.replicas if key == ("Deployment", KUBE_SYSTEM, "coredns") and _is_of_kubeadm(pods) else 1
        replicas = one["spec"].get("replicas", 1)
        if replicas < least:
            fix = f"`kubectl --namespace {namespace} scale {kind.lower()} {name} --replicas={least}`"
            yield finding_about(pods, "workloads_have_their_replicas", key, [f"replicas: {replicas}"], f"{least} or more", fix=fix)
    yield from _missing(pods, known)
    for namespace, name in sorted(ON_EVERY_NODE) if not isinstance(pods.seen.read.get("DaemonSet", ()), Refusal) else ():
        key = ("DaemonSet", namespace, name)
        if key not in known:
            continue
        there = {str(pod["spec"].get("nodeName")).lower() for pod in pods.of.get(key, ())}
        lacking = [node for node in wanted.nodes if (NODE_LEASES, node) in pods.seen.leases and node not in there | pods.absent]
        if lacking:
            fix = f"Compare its nodeSelector and affinity with the node: `kubectl --namespace {namespace} describe daemonset {name}`."
            yield finding_about(
                pods, "every_node_has_its_daemons", key, [f"no Pod on {', '.join(lacking)}"], "a Pod on every node", fix=fix
            )


def _is_of_kubeadm(pods: Pods) -> bool:
    """Return whether kubeadm made the cluster. k3s has no static Pods, and runs kube-proxy and one Pod of CoreDNS by itself."""
    return any(_is_of_control_plane(pod) for pod in pods.seen.all("Pod"))


def _missing(pods: Pods, known: Mapping[Key, Object]) -> Iterator[Finding]:
    """Report workloads that were deleted, and that the collection or kubeadm installs together with others that exist."""
    seen, namespace = pods.seen, pods.wanted.monitoring
    needed: dict[Key, str] = {}
    replaced = any((namespace, name) in _IN_PLACE_OF_KUBE_PROXY for kind, namespace, name in known if kind == "DaemonSet")
    if any(where == NODE_LEASES for where, _name in seen.leases) and _is_of_kubeadm(pods) and not replaced:
        needed["DaemonSet", KUBE_SYSTEM, "kube-proxy"] = f"On the control plane, run {phase_of_kubeadm('addon', 'kube-proxy')}."
    if ("DaemonSet", KUBE_SYSTEM, "calico-node") in known:
        needed["Deployment", KUBE_SYSTEM, "calico-kube-controllers"] = "Run `ansible-playbook site.yml`, whose role calico installs it."
    ours = [(kind, namespace, name) for kind, name in OF_MONITORING]
    if any((known[key]["metadata"].get("labels") or {}).get("app.kubernetes.io/part-of") == namespace for key in ours if key in known):
        needed.update(dict.fromkeys(ours, "Run `ansible-playbook site.yml`, whose role monitoring installs it."))
    for key, fix in needed.items():
        if key not in known and not isinstance(seen.read.get(key[0], ()), Refusal):
            yield Finding("workloads_exist", "error", f"{key[0]} {key[1]}/{key[2]}", "none of this name", "installed", fix)


def finding_about(pods: Pods, rule: str, key: Key, parts: Iterable[str], expected: str, *, fix: str = "") -> Finding:
    kind, namespace, name = key
    found = "; ".join(part for part in parts if part)
    quota = _QUOTA.search(found)
    if quota:
        fix = f"Raise the quota: `kubectl --namespace {namespace} edit resourcequota {quota.group(1)}`. Or lower its requests."
    elif "failed to get sandbox image" in found:
        fix = "Import that image into containerd on the node: `ansible-playbook site.yml` imports and pins it."
    fix = fix or f"See `kubectl --namespace {namespace} describe {kind.lower()} {name}`."
    return Finding(rule, "error" if namespace in pods.wanted.namespaces else "warning", f"{kind} {namespace}/{name}", found, expected, fix)


def _owner(pod: Object) -> Key:
    """Return the Pod's workload. For a ReplicaSet it is the Deployment: the name without the template hash."""
    namespace, _name = place_of(pod)
    kind, name = _controller(pod) or ("", "")
    suffix = f"-{(pod['metadata'].get('labels') or {}).get('pod-template-hash')}"
    if kind == "ReplicaSet" and name.endswith(suffix):
        return "Deployment", namespace, name[: -len(suffix)]
    return kind, namespace, name


def _controller(thing: Object) -> Optional[tuple[str, str]]:
    return next(((one["kind"], one["name"]) for one in thing["metadata"].get("ownerReferences") or () if one.get("controller")), None)


def _is_of_control_plane(pod: Object) -> bool:
    return place_of(pod)[0] == KUBE_SYSTEM and (pod["metadata"].get("labels") or {}).get("tier") == "control-plane"


def _has_failed(pod: Object) -> bool:
    """Return whether a container has failed, so that more time does not help."""
    for one in container_statuses(dict(pod)):
        waiting, ended = (one.get("state") or {}).get("waiting"), (one.get("state") or {}).get("terminated")
        if (
            (waiting and waiting.get("reason") not in _QUIET)
            or (ended and ended.get("exitCode"))
            or (one.get("lastState") or {}).get("terminated")
        ):
            return True
    return (pod.get("status") or {}).get("phase") == "Failed"


# Volumes and claims

# the label that the roles monitoring and jellyfin give to their volumes, with their namespace
PART_OF = "app.kubernetes.io/part-of"


def volume_findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    pods = pods_of(wanted, seen)
    users: dict[tuple[str, str], list[Object]] = defaultdict(list)
    for pod in seen.all("Pod"):
        for volume in pod["spec"].get("volumes") or ():
            users[place_of(pod)[0], (volume.get("persistentVolumeClaim") or {}).get("claimName", "")].append(pod)
    for one in seen.all("PersistentVolumeClaim"):
        yield from _of_claim(pods, one, users)
    for one in seen.all("PersistentVolume"):
        yield from _of_volume(wanted, seen, one)


def _of_claim(pods: Pods, one: Object, users: Mapping[tuple[str, str], list[Object]]) -> Iterator[Finding]:
    key, phase, of_it = ("PersistentVolumeClaim", *place_of(one)), (one.get("status") or {}).get("phase"), users.get(place_of(one), [])
    patient = {
        each["metadata"]["name"] for each in pods.seen.all("StorageClass") if each.get("volumeBindingMode") == "WaitForFirstConsumer"
    }
    waits = (not of_it and one["spec"].get("storageClassName") in patient) or (of_it and all(map(pods.excused, of_it)))
    young = pods.seen.age(one["metadata"].get("creationTimestamp")) < PATIENCE
    leaving = _leaving(pods.seen, one)
    if phase == "Lost" or (phase == "Pending" and not young and not waits):
        wants = f"storage class {one['spec'].get('storageClassName') or 'none'}"
        yield finding_about(pods, "claims_are_bound", key, [f"{phase}; {wants}", pods.warning(one)], "Bound")
    elif leaving > PATIENCE:
        names = ", ".join(sorted(pod["metadata"]["name"] for pod in of_it)) or "none"
        found = f"deleted {seconds(leaving)} ago, and removed as soon as no Pod uses it; Pods that do: {names}"
        fix = (
            f"Delete these Pods (`kubectl --namespace {key[1]} delete pod NAME`), then create the claim again; `ansible-playbook site.yml` "
            "does so for monitoring and Jellyfin, whose data stay on the host."
        )
        yield finding_about(pods, "volumes_stay", key, [found], "not being deleted: a Pod that starts later finds no volume", fix=fix)


def _of_volume(wanted: Wanted, seen: Sight, one: Object) -> Iterator[Finding]:
    name, status, claim = name_of(one), one.get("status") or {}, one["spec"].get("claimRef") or {}
    severity: Severity = "error" if claim.get("namespace") in wanted.namespaces else "warning"
    subject, of_claim, leaving = f"PersistentVolume {name}", f"{claim.get('namespace')}/{claim.get('name')}", _leaving(seen, one)
    if status.get("phase") == "Failed":
        said = status.get("message") or status.get("reason") or "no reason given"
        fix = f"See `kubectl describe persistentvolume {name}`. If its data are not needed, `kubectl delete persistentvolume {name}`."
        yield Finding("volumes_can_be_used", severity, subject, f"Failed: {said}", "Bound or Available", fix)
    elif status.get("phase") == "Released" and severity == "error":
        yield _released(seen, one)
    elif leaving > PATIENCE:
        found = f"deleted {seconds(leaving)} ago, and removed with its claim {of_claim}"
        fix = f"Delete the claim's Pods and the claim, then create both again: `kubectl describe persistentvolume {name}` shows the path."
        yield Finding("volumes_stay", severity, subject, found, "not being deleted", fix)


def _released(seen: Sight, one: Object) -> Finding:
    """Only for volumes that the roles made, a run of site.yml clears the reference to the deleted claim."""
    name, place = name_of(one), (one["spec"]["claimRef"]["namespace"], one["spec"]["claimRef"]["name"])
    now = next((claim["spec"].get("volumeName") for claim in seen.all("PersistentVolumeClaim") if place_of(claim) == place), None)
    found = f"Released: its claim {'/'.join(place)} was deleted"
    if (one["metadata"].get("labels") or {}).get(PART_OF) == place[0] and now in (None, name):
        fix = "Run `ansible-playbook site.yml`, which creates the claim again; the data stay on the host."
        return Finding("volumes_can_be_used", "error", f"PersistentVolume {name}", found, "Bound to its claim", fix)
    found += f", and the claim of that name has the volume {now}" if now and now != name else ""
    fix = f"If its data are not needed, `kubectl delete persistentvolume {name}`."
    return Finding("volumes_can_be_used", "warning", f"PersistentVolume {name}", found, "Bound to its claim, or deleted", fix)


def _leaving(seen: Sight, one: Object) -> float:
    """Return the seconds since its deletion, which waits for what uses it; 0 if it was not deleted."""
    at = one["metadata"].get("deletionTimestamp")
    return seen.age(at) if at else 0.0


def volumes_looked_at(seen: Sight) -> str:
    return f"{len(seen.all('PersistentVolume'))} volumes and {len(seen.all('PersistentVolumeClaim'))} claims"
