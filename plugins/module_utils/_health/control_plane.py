# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the API server, etcd, the scheduler and the controller manager."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .._findings import Finding
from .._refusal import Refusal
from .._rollout.pods import stuck
from .look import PATHS
from .model import KUBE_SYSTEM, LATE, Sight, Wanted, seconds

SCHEDULER, MANAGER = "kube-scheduler", "kube-controller-manager"
# the effect if a component does not run
COMPONENTS = {
    "etcd": "nothing is stored",
    "kube-apiserver": "nothing answers",
    MANAGER: "nothing is scaled, repaired or removed, and silent nodes are not marked",
    SCHEDULER: "no Pod is scheduled",
}
LEADERS = (SCHEDULER, MANAGER)
# https://etcd.io/docs/latest/op-guide/maintenance/#space-quota
QUOTA = 2 * 1024**3
_QUOTA_FLAG = re.compile(r"--quota-backend-bytes=(\d+)$")
FULL, NEARLY_FULL = 0.95, 0.8
_ETCDCTL = (
    "kubectl --namespace kube-system exec {pod} -- etcdctl --cacert=/etc/kubernetes/pki/etcd/ca.crt "
    "--cert=/etc/kubernetes/pki/etcd/server.crt --key=/etc/kubernetes/pki/etcd/server.key"
)


def findings(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    yield from _health(wanted, seen)
    if not seen.takes_writes:
        tool = _etcdctl(wanted, seen)
        found = f"no Lease renewed for {seconds(min(seen.leases.values()))}: neither kubelets nor the control plane can write"
        fix = f"Check for an alarm: `{tool} alarm list`. To clear NOSPACE, run `{tool} defrag`, then `{tool} alarm disarm`."
        yield Finding("the_cluster_takes_writes", "error", "etcd", found, f"a Lease renewed within {LATE:.0f} s", fix)
    yield from _components(wanted, seen)
    yield from _size(wanted, seen)


def _health(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    text = "\n".join(seen.read[path] for path in PATHS if isinstance(seen.read.get(path), str))
    failed = sorted({line[3:].split(" ")[0] for line in text.splitlines() if line.startswith("[-]")})
    if failed:
        pods = [f"kubectl --namespace {KUBE_SYSTEM} logs kube-apiserver-{name}" for name in wanted.control_plane[:1]]
        fix = " ".join(["See `kubectl get --raw '/readyz?verbose'`", *(f"and `{one}`" for one in pods)]) + "."
        found = f"failing checks: {', '.join(failed)}"
        yield Finding("the_api_server_is_ready", "error", "API server", found, "no failing check at /livez and /readyz", fix)


def _components(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    pods = {one["metadata"]["name"]: one for one in seen.all("Pod") if one["metadata"]["namespace"] == KUBE_SYSTEM}
    known = not isinstance(seen.read.get("Pod"), Refusal)
    outside = run_outside_pods(seen)
    for component, effect in COMPONENTS.items():
        faults, fix = [], f"Read its log: `kubectl --namespace {KUBE_SYSTEM} logs --selector component={component}`."
        for host in wanted.control_plane if known and component not in outside else ():
            pod = pods.get(f"{component}-{host}")
            obstacle = stuck(dict(pod)) if pod else None
            if pod is None:
                faults.append(f"no Pod {component}-{host}")
                fix = f"On {host}, check its manifest /etc/kubernetes/manifests/{component}.yaml and `journalctl -u kubelet`."
            elif obstacle:
                faults.append(f"Pod {obstacle.name}: {obstacle.state}")
                fix = obstacle.next_step
        faults += _lateness(component, seen) if component not in outside or (KUBE_SYSTEM, component) in seen.leases else ()
        if faults:
            expected = f"ready on {', '.join(wanted.control_plane)}" + (", with a renewed Lease" if component in LEADERS else "")
            yield Finding("control_plane_components_run", "error", component, f"{'; '.join(faults)}: {effect}", expected, fix)


def run_outside_pods(seen: Sight) -> tuple[str, ...]:
    """Return the components without a Pod on any host. As the API server and etcd answer, they run otherwise: in k3s, or as services."""
    pods = [one["metadata"] for one in seen.all("Pod") if (one["metadata"].get("labels") or {}).get("tier") == "control-plane"]
    shown = {component for component in COMPONENTS for one in pods if one["name"].startswith(f"{component}-")}
    if isinstance(seen.read.get("Pod", ()), Refusal):
        return ()
    # in a cluster of kubeadm, all but etcd are static Pods
    return tuple(one for one in COMPONENTS if one not in shown and (one == "etcd" or not shown))


def _lateness(component: str, seen: Sight) -> Iterator[str]:
    # without any Lease, nothing is known
    if component in LEADERS and seen.leases and seen.takes_writes:
        age = seen.leases.get((KUBE_SYSTEM, component))
        if age is None:
            yield f"no Lease {KUBE_SYSTEM}/{component}"
        elif age > LATE:
            yield f"its Lease was last renewed {seconds(age)} ago"


def _size(wanted: Wanted, seen: Sight) -> Iterator[Finding]:
    size = seen.storage_bytes
    if isinstance(size, Refusal):
        yield Finding("etcd_size_is_known", "unknown", "etcd's database", size.found, size.required, size.next_step)
        return
    words = [
        word
        for pod in seen.all("Pod")
        if (pod["metadata"].get("labels") or {}).get("component") == "etcd"
        for container in pod["spec"].get("containers") or ()
        for word in (*(container.get("command") or ()), *(container.get("args") or ()))
    ]
    quota = next((int(found.group(1)) for found in map(_QUOTA_FLAG.match, words) if found), 0) or QUOTA
    if size and size > NEARLY_FULL * quota:
        tool = _etcdctl(wanted, seen)
        yield Finding(
            "etcd_has_room",
            "error" if size > FULL * quota else "warning",
            "etcd's database",
            f"{size / 1024**2:.0f} MiB of {quota / 1024**2:.0f}: etcd rejects writes at its quota",
            f"less than {NEARLY_FULL:.0%}",
            f"Release the space of deleted objects: `{tool} defrag`. If that does not help, raise --quota-backend-bytes.",
        )


def _etcdctl(wanted: Wanted, seen: Sight) -> str:
    names = [one["metadata"]["name"] for one in seen.all("Pod") if (one["metadata"].get("labels") or {}).get("component") == "etcd"]
    return _ETCDCTL.format(pod=next(iter(names), f"etcd-{next(iter(wanted.control_plane), 'HOST')}"))
