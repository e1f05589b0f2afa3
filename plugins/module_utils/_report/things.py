# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each check has looked at, whether or not it found anything against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import MARKS, Entry, Mark

Result = Mapping[str, Any]


@dataclass(frozen=True)
class Thing:
    """Something that was looked at, and what is to be said of it if there is no finding. host: whose it is, if a host's."""

    subject: str
    mark: Mark
    text: str
    expected: str = ""
    fix: str = ""
    host: str = ""


def things(entry: Entry) -> list[Thing]:
    """Those of a check that ran."""
    return list(_LOOKED_AT[entry.check](entry.host, entry.result)) if entry.check in _LOOKED_AT else []


def ran(entry: Entry) -> bool:
    """Whether the check came to a judgement."""
    if entry.check in _WITHOUT_FINDINGS:
        return bool(entry.result) and not entry.result.get("failed") and not entry.result.get("unreachable")
    return "findings" in entry.result


def _plan(_host: str, result: Result) -> Iterator[Thing]:
    ports = (result.get("derived") or {}).get("ports") or {}
    counted = ", ".join(f"{len(ports[role])} openings for a {role.replace('_', ' ')}" for role in ports)
    yield Thing("network plan", "ok", f"no contradiction; {counted or 'no openings'}")


def _reached(host: str, _result: Result) -> Iterator[Thing]:
    yield Thing(f"host {host}", "ok", "awake, and Ansible can work on it", host=host)


def _preflight(host: str, _result: Result) -> Iterator[Thing]:
    yield Thing(f"host {host}: software and leftovers", "ok", "nothing stands against it", host=host)


def _images(host: str, result: Result) -> Iterator[Thing]:
    """What a run of container_images in check mode would change."""
    missing, unpinned = result.get("imported") or [], result.get("pinned") or []
    subject, site = f"images on {host}", f"Run `ansible-playbook site.yml --limit {host}`, which"
    if missing:
        expected = "in containerd, as the installation source brings them: no registry is asked for them"
        yield Thing(subject, "error", f"missing: {', '.join(missing)}", expected, f"{site} imports them.", host)
    if unpinned:
        expected = "pinned, so that kubelet does not delete them"
        yield Thing(subject, "warning", f"not pinned: {', '.join(unpinned)}", expected, f"{site} pins them.", host)
    if not missing and not unpinned:
        yield Thing(subject, "ok", "all that the installation source brings, and pinned", host=host)


def _firewall(host: str, result: Result) -> Iterator[Thing]:
    """What a run of firewall_ports in check mode would change."""
    backend, shut, superfluous = result.get("backend", ""), result.get("added") or [], result.get("removed") or []
    site = f"`ansible-playbook site.yml --limit {host}` puts it right."
    subject = f"firewall of {host} ({backend})"
    if shut:
        yield Thing(subject, "error", f"shut: {', '.join(shut)}", "open, as the plan needs it", site, host)
    if superfluous:
        yield Thing(subject, "warning", f"open, but needed by nothing in the plan: {', '.join(superfluous)}", "shut", site, host)
    if backend == "none":
        yield Thing(f"firewall of {host}", "ok", "none in force, so nothing is shut", host=host)
    elif not shut and not superfluous:
        yield Thing(subject, "ok", f"{len(result.get('ports') or [])} openings, as the plan derives them", host=host)


def _nodes(_host: str, result: Result) -> Iterator[Thing]:
    for name, node in (result.get("nodes") or {}).items():
        subject = f"node {name}"
        if node.get("asleep"):
            yield Thing(subject, "asleep", node.get("reason") or "asleep", host=name)
        elif not node.get("ready"):
            yield Thing(subject, "error", node.get("reason") or "not ready", "ready", f"See `kubectl describe node {name}`.", name)
        elif node.get("pressures"):
            found = f"ready, but under {', '.join(node['pressures'])}: kubelet evicts Pods from it, and it takes no new ones"
            fix = f"See `kubectl describe node {name}`. Make room on {name}; kubelet looks again by itself, and waits five minutes."
            yield Thing(subject, "error", found, "no pressure", fix, name)
        elif not node.get("schedulable", True):
            yield Thing(subject, "warning", "ready, but cordoned", "ready for new Pods", f"`kubectl uncordon {name}`", name)
        else:
            yield Thing(subject, "ok", "ready, and takes Pods", host=name)


def _calico(_host: str, result: Result) -> Iterator[Thing]:
    texts: dict[str, str] = {
        "ok": "Calico runs on it, and its ways to the other nodes stand",
        "asleep": "asleep",
        "error": "see what is said of it above",
        "unknown": "not all of Calico on it is known",
    }
    for node in result.get("nodes") or ():
        mark: Mark = next((one for one in MARKS if one == node["verdict"]), "unknown")
        yield Thing(f"node {node['name']}", mark, texts.get(mark, mark), host=node["name"])


def _rollout(_host: str, result: Result) -> Iterator[Thing]:
    for one in result.get("workloads") or ():
        subject = f"{one['kind']} {one['namespace']}/{one['name']}"
        if one.get("rolled_out"):
            yield Thing(subject, "ok", f"{one.get('available', 0)} of {one.get('desired', 0)} Pods available")


def _coredns(_host: str, result: Result) -> Iterator[Thing]:
    ready = [one for one in result.get("replicas") or () if one.get("is_ready")]
    nodes = ", ".join(sorted({one["node"] for one in ready if one.get("node")}))
    yield Thing("cluster DNS", "ok", f"at the planned address; {len(ready)} Pods of CoreDNS ready{f' on {nodes}' if nodes else ''}")


def _dns(host: str, result: Result) -> Iterator[Thing]:
    yield Thing(f"DNS from {host}", "ok", f"{len(result.get('answers') or ())} answers, all as they should be", host=host)


def _services(_host: str, result: Result) -> Iterator[Thing]:
    for one in result.get("services") or ():
        answers = one.get("answers") or ()
        port = f" at NodePort {one['node_port']}" if one.get("node_port") else ""
        text = f"answers{port} on {', '.join(answer['node'] for answer in answers)}" if answers else f"exists{port}"
        yield Thing(f"Service {one['namespace']}/{one['name']}", "ok", f"{text}; {one.get('ready_endpoints', 0)} ready endpoints")


def _pod_network(_host: str, _result: Result) -> Iterator[Thing]:
    yield Thing("pod network", "ok", "every pair of nodes reaches each other's Pods, Services and DNS")


def _drift(_host: str, result: Result) -> Iterator[Thing]:
    same = sum(one.get("equal") is True for one in result.get("compared") or ())
    yield Thing("plan and cluster", "ok", f"{same} values are the same")


_LOOKED_AT: dict[str, Callable[[str, Result], Iterator[Thing]]] = {
    "network_plan_check": _plan,
    "ping": _reached,
    "node_preflight_check": _preflight,
    "container_images": _images,
    "firewall_ports": _firewall,
    "node_ready_check": _nodes,
    "calico_check": _calico,
    "rollout_check": _rollout,
    "coredns_check": _coredns,
    "cluster_dns_check": _dns,
    "service_check": _services,
    "pod_network_check": _pod_network,
    "cluster_drift_check": _drift,
}
_WITHOUT_FINDINGS = {"ping", "wake_on_lan", "container_images", "firewall_ports"}
