# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings about a pod network: one for each cause that the matrix shows, not one for each of its lines."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Severity
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.model import Outcome, Request, Row
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.programs import DNS_MEANINGS
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

NO_SUCH_NAME = DNS_MEANINGS["nxd"]
_EVERY_POD = "an answer from the pod on every other node"


def judge(request: Request, outcome: Outcome) -> list[Finding]:
    found = [*_of_running(outcome), *_of_starting(outcome)]
    asked = [row for row in outcome.rows if row.ok is not None]
    paths = [row for row in asked if row.kind == "pod"]
    lonely = _isolated(paths)
    found += _of_paths(request, paths, lonely)
    found += _of_services(asked, lonely)
    found += _of_dns(request, asked, lonely)
    found += _of_nameservers(request, outcome)
    found += _of_silence(outcome)
    if outcome.left:
        found.append(_as_finding("probes_are_removed", outcome.left, "error"))
    return found


def as_data(outcome: Outcome) -> dict[str, Any]:
    """What the module returns besides the findings."""
    return {
        "matrix": [
            {"source": row.source, "target": row.target, "kind": row.kind, "ok": row.ok, "detail": row.detail, "seconds": row.seconds}
            for row in outcome.rows
        ],
        "nodes": [
            {"name": one.name, "state": one.state, "reason": one.reason, "pod_address": one.address, "nameservers": list(one.nameservers)}
            for one in outcome.nodes.values()
        ],
        "placed": outcome.placed,
        "removed": outcome.removed,
        "seconds": round(outcome.seconds, 1),
    }


def _of_running(outcome: Outcome) -> Iterator[Finding]:
    """What kept the check from being made at all."""
    if outcome.refusal:
        yield _as_finding(
            "pod_network_can_be_probed", outcome.refusal, "warning" if "HTTP status 403" in outcome.refusal.found else "error"
        )
    elif all(one.state in {"asleep", "not_ready"} for one in outcome.nodes.values()):
        fix = "Wake the hosts with playbooks/wake.yml, or look at their kubelets."
        yield Finding("pod_network_can_be_probed", "error", "pod network", "no node that is ready", "at least one", fix)


def _of_starting(outcome: Outcome) -> Iterator[Finding]:
    for one in outcome.of_state("not_ready"):
        yield Finding("nodes_are_ready", "error", f"node {one.name}", one.reason, "ready, to be probed", one.fix)
    for one in outcome.of_state("not_started"):
        yield Finding("probe_pods_start", "error", f"node {one.name}", one.reason, "a probe pod that runs", one.fix)


def _isolated(paths: Sequence[Row]) -> set[str]:
    """Nodes whose pods reach none of the others' and are reached by none."""
    nodes = {row.source for row in paths}
    return {node for node in nodes if not any(row.ok for row in paths if node in (row.source, row.target))}


def _of_paths(request: Request, paths: Sequence[Row], lonely: Collection[str]) -> Iterator[Finding]:
    nodes = list(dict.fromkeys(row.source for row in paths))
    broken = [row for row in paths if not row.ok]
    if nodes and len(lonely) == len(nodes):
        fix = f"Look at the hosts' firewalls, which must let in {_ports(request)} from each other, and at the calico-node Pods."
        yield _pod_finding("pods_reach_pods_on_other_nodes", f"pod network between {_and(nodes)}", _details(broken), _EVERY_POD, fix)
        return
    for node in (node for node in nodes if node in lonely):
        theirs = [row for row in broken if node in (row.source, row.target)]
        found = f"its pod reaches no pod on {_and(_others(nodes, node))} and none reaches it: {_details(theirs)}"
        yield _pod_finding("pods_reach_pods_on_other_nodes", f"node {node}", found, _EVERY_POD, _look_at(request, node))
    broken = [row for row in broken if not {row.source, row.target} & set(lonely)]
    for node in nodes:
        sent = [row for row in paths if row.source == node and row.target not in lonely]
        came = [row for row in paths if row.target == node and row.source not in lonely]
        for told, good, words in ((sent, came, "its pod reaches no pod on"), (came, sent, "its pod is reached by none on")):
            if len(told) > 1 and not any(row.ok for row in told) and all(row.ok for row in good):
                found = f"{words} {_and(_others([row.source for row in told] + [row.target for row in told], node))}: {_details(told)}"
                yield _pod_finding("pods_reach_pods_on_other_nodes", f"node {node}", found, _EVERY_POD, _look_at(request, node))
                broken = [row for row in broken if row not in told]
    yield from _of_pairs(request, broken)


def _of_pairs(request: Request, broken: Sequence[Row]) -> Iterator[Finding]:
    ways = {(row.source, row.target): row for row in broken}
    for (source, target), row in ways.items():
        back = ways.get((target, source))
        if back and (target, source) < (source, target):
            continue
        rows = [row, back] if back else [row]
        subject = f"pods on {source} and {target}" if back else f"pods from {source} to {target}"
        fix = (
            f"Compare both hosts: their firewalls must let in {_ports(request)} from each other, and `ip route` on each must lead to "
            f"the pods of the other. See the calico-node Pods on {source} and {target}."
        )
        yield _pod_finding("pods_reach_pods_on_other_nodes", subject, _details(rows), "an answer" + (" both ways" if back else ""), fix)


def _of_services(asked: Sequence[Row], lonely: Collection[str]) -> Iterator[Finding]:
    """A Service is blamed only where the way to its pod is good."""
    good = {(row.source, row.target) for row in asked if row.kind == "pod" and row.ok}
    services = [row for row in asked if row.kind == "service" and (row.source == row.target or (row.source, row.target) in good)]
    for source in dict.fromkeys(row.source for row in services):
        rows = [row for row in services if row.source == source]
        broken = [row for row in rows if not row.ok]
        if not broken:
            continue
        whole = len(broken) == len(rows)
        found = "no Service answers" if whole else f"no answer from the Service of the pod on {_and(row.target for row in broken)}"
        fix = f"Look at kube-proxy on {source}, in kube-system: its logs, and whether its rules are written (`iptables-save -t nat` there)."
        yield Finding(
            "services_answer_from_pods", "error", f"node {source}", f"{found} to its pod: {_details(broken)}", "an answer of each", fix
        )


def _of_dns(request: Request, asked: Sequence[Row], lonely: Collection[str]) -> Iterator[Finding]:
    """A node that is cut off from all others is told of already. Its silence says nothing about DNS."""
    rows = [row for row in asked if row.kind == "dns"]
    told = [row for row in rows if row.source not in lonely] or rows
    sources = list(dict.fromkeys(row.source for row in told))
    broken = [row for row in told if not row.ok]
    for name in dict.fromkeys(row.target for row in broken):
        denied = [row for row in broken if row.target == name and NO_SUCH_NAME in row.detail]
        if denied and not any(row.ok for row in told if row.target == name):
            fix = "Correct the name, or what serves its zone; vmstation.cluster.coredns_check looks at the Corefile."
            yield Finding("names_resolve_from_pods", "error", f"name {name}", _details(denied), "an address", fix)
            broken = [row for row in broken if row not in denied]
    if not broken:
        return
    silent = list(dict.fromkeys(row.source for row in broken))
    subject = f"DNS {_and(request.dns)}"
    if len(silent) == len(sources):
        fix = "Look at CoreDNS: `kubectl get pods -n kube-system -l k8s-app=kube-dns -o wide`, and at the endpoints of its Service."
        yield Finding("names_resolve_from_pods", "error", subject, _details(broken), "an answer to the pod on every node", fix)
        return
    for source in silent:
        fix = f"Look at kube-proxy on {source}, and at the way from {source} to the nodes on which CoreDNS runs."
        found = f"no answer to it, while the pod on {_and(one for one in sources if one not in silent)} gets one"
        those = [row for row in broken if row.source == source]
        yield Finding("names_resolve_from_pods", "error", f"node {source}", f"{subject}: {found}: {_details(those)}", "an answer", fix)


def _of_nameservers(request: Request, outcome: Outcome) -> Iterator[Finding]:
    for one in outcome.of_state("started"):
        if one.nameservers and not set(one.nameservers) & set(request.dns):
            fix = f"Correct clusterDNS in /var/lib/kubelet/config.yaml on {one.name}, which site.yml writes, and restart the kubelet there."
            yield Finding(
                "pods_ask_the_planned_dns_address", "error", f"node {one.name}", f"its pods ask {_and(one.nameservers)}",
                _and(request.dns), fix,
            )  # fmt: skip


def _of_silence(outcome: Outcome) -> Iterator[Finding]:
    """A pod that ran and yet told nothing, or not everything."""
    if outcome.refusal:
        return
    for one in outcome.of_state("started"):
        rows = [row for row in outcome.rows if row.source == one.name and row.ok is None and not _is_of_another(outcome, row)]
        if rows:
            fix = f"Look at the kubelet on {one.name}, which passes on what pods report: `journalctl -u kubelet`; or allow more time."
            found = f"{len(rows)} questions without an answer: {rows[0].detail}"
            yield Finding("probe_pods_report", "error", f"node {one.name}", found, "an answer to each question", fix)


def _is_of_another(outcome: Outcome, row: Row) -> bool:
    target = outcome.nodes.get(row.target)
    return target is not None and target.state in {"not_ready", "not_started"}


def _look_at(request: Request, node: str) -> str:
    return (
        f"Look at the firewall of {node}, which must let in {_ports(request)} from the other hosts and forward pods' packets both ways, "
        f"and at its calico-node Pod: `kubectl get pods -n kube-system -l k8s-app=calico-node --field-selector spec.nodeName={node}`."
    )


def _ports(request: Request) -> str:
    return _and(request.ports) or "the packets of the pod network"


def _pod_finding(rule: str, subject: str, found: str, expected: str, fix: str) -> Finding:
    return Finding(rule, "error", subject, found, expected, fix)


def _as_finding(rule: str, refusal: Refusal, severity: Severity) -> Finding:
    return Finding(rule, severity, refusal.subject, refusal.found, refusal.required, refusal.next_step)


def _others(nodes: Iterable[str], node: str) -> list[str]:
    return [one for one in dict.fromkeys(nodes) if one != node]


def _details(rows: Sequence[Row], most: int = 4) -> str:
    """The first few lines of the matrix, as text."""
    told = "; ".join(f"{row.source} -> {row.target} ({row.detail})" for row in rows[:most])
    return told + (f"; and {len(rows) - most} more" if len(rows) > most else "")


def _and(names: Iterable[str]) -> str:
    listed = list(names)
    return " and ".join([", ".join(listed[:-1]), listed[-1]] if len(listed) > 1 else listed)
