# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings about Services, and the result as plain data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._services.model import (
    Answer,
    Endpoints,
    Object,
    PlannedService,
    Request,
    Sight,
)

# in the API's words
TRANSPORTS = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}


def judge(request: Request, seen: Sight) -> list[Finding]:
    """Every finding, those about planned Services first, in the order of the plan."""
    found = [finding for planned in request.services for finding in _of_planned(request, planned, seen)]
    found += _of_all(request, seen)
    for refusal in seen.unknown:
        found.append(Finding("services_can_be_read", "warning", refusal.subject, refusal.found, refusal.required, refusal.next_step))
    return found


def as_data(request: Request, seen: Sight) -> list[dict[str, Any]]:
    return [_as_data(planned, seen) for planned in request.services]


def _as_data(planned: PlannedService, seen: Sight) -> dict[str, Any]:
    service = seen.services.get((planned.namespace, planned.name))
    endpoints = seen.endpoints.get((planned.namespace, planned.name), Endpoints())
    spec = (service or {}).get("spec", {})
    port = _port(spec, planned) if service else None
    return {
        "namespace": planned.namespace,
        "name": planned.name,
        "exists": service is not None,
        "type": spec.get("type", ""),
        "cluster_ips": spec.get("clusterIPs", []),
        "node_port": (port or {}).get("nodePort", 0),
        "ready_endpoints": endpoints.ready,
        "answers": [
            {"node": question.node.name, "url": question.url, "status": answer.status, "problem": answer.problem}
            for question, answer in seen.answers.get(planned, ())
        ],
    }


def _of_planned(request: Request, planned: PlannedService, seen: Sight) -> Iterator[Finding]:
    service = seen.services.get((planned.namespace, planned.name))
    if service is None:
        if seen.services_are_known:
            yield _finding("services_exist", planned, "no Service of this name", f"one of type {planned.type}", _how_to_make(planned, seen))
        yield from _of_answers(planned, seen)
        return
    spec = service["spec"]
    if spec.get("type") != planned.type:
        fix = "Correct the Service, or the plan."
        if spec.get("type") == "LoadBalancer":
            fix = "Set its type to NodePort: nothing on this network hands out an address, so it stays pending for good."
        yield _finding("services_are_of_the_planned_type", planned, f"type {spec.get('type')}", f"type {planned.type}", fix)
    yield from _of_port(request, planned, spec, seen)
    if seen.endpoints_are_known:
        endpoints = seen.endpoints.get((planned.namespace, planned.name), Endpoints())
        if not endpoints.ready:
            yield _without_endpoints(planned, spec, endpoints)
            return
    yield from _of_answers(planned, seen)


def _of_port(request: Request, planned: PlannedService, spec: Object, seen: Sight) -> Iterator[Finding]:
    wanted = f"port {planned.port}/{planned.protocol}"
    port = _port(spec, planned)
    if port is None:
        there = ", ".join(f"{one['port']}/{one.get('protocol', 'TCP').lower()}" for one in spec.get("ports", ())) or "no port"
        yield _finding("service_ports_are_as_planned", planned, there, wanted, "Correct the Service's ports, or the plan.")
        return
    if planned.node_port is None or spec.get("type") == "ClusterIP" or port.get("nodePort") == planned.node_port:
        return
    holder = _holder_of(planned, seen)
    fix = f"Set nodePort to {planned.node_port}, or correct the plan."
    if holder:
        fix = f"{planned.node_port} is taken by Service {holder}: give one of the two another NodePort."
    yield _finding("node_ports_are_as_planned", planned, f"NodePort {port.get('nodePort', 'none')}", f"NodePort {planned.node_port}", fix)


def _without_endpoints(planned: PlannedService, spec: Object, endpoints: Endpoints) -> Finding:
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    if endpoints.not_ready:
        found = f"no endpoint that is ready; not ready: {', '.join(endpoints.not_ready)}"
        fix = f"See `kubectl describe pod -n {planned.namespace} {endpoints.not_ready[0].rpartition('/')[2]}`."
    elif selector:
        found = f"no endpoint: no Pod has the labels {selector}"
        fix = f"Start what is behind it, or correct the selector. `kubectl get pods -n {planned.namespace} --show-labels` lists the Pods."
    else:
        found, fix = "no endpoint and no selector", "Give the Service the selector of its Pods, or make its EndpointSlice."
    return _finding("services_have_ready_endpoints", planned, found, "at least one endpoint that is ready", fix)


def _of_answers(planned: PlannedService, seen: Sight) -> Iterator[Finding]:
    asked = seen.answers.get(planned, ())
    unwell = [(question, answer) for question, answer in asked if not answer.is_well]
    if not unwell:
        return
    found = "; ".join(f"{question.node.name} ({question.url}): {answer}" for question, answer in unwell)
    expected = "an HTTP status below 400 on every node that is awake" if planned.health else "a connection on every node that is awake"
    yield _finding("node_ports_answer", planned, found, expected, _what_to_look_at(unwell[0][1], len(unwell) == len(asked)))


def _what_to_look_at(answer: Answer, everywhere: bool) -> str:
    if answer.status:
        return "The application answers, but is not well: read its Pod's logs, and check the health path in the plan."
    if "refused" in answer.problem:
        return "Nothing listens: look at the application's port in its Pod, and at kube-proxy on that node."
    if everywhere:
        return "Look at the firewalls, whose rules site.yml puts right, and at the pod network, which pod_network_check tells of."
    return "Look at that node: its firewall, whose rules site.yml puts right, its kube-proxy, and its way to the other nodes' pods."


def _of_all(request: Request, seen: Sight) -> Iterator[Finding]:
    """What concerns Services that the plan does not know."""
    planned = {(one.namespace, one.name) for one in request.services}
    for (namespace, name), service in sorted(seen.services.items()):
        subject = f"Service {namespace}/{name}"
        spec = service["spec"]
        if spec.get("type") == "LoadBalancer" and (namespace, name) not in planned:
            fix = "Set its type to NodePort, or install a load balancer for this network."
            pending = not (service.get("status", {}).get("loadBalancer") or {}).get("ingress")
            if pending:
                yield Finding("load_balancers_have_an_address", "warning", subject, "no address, pending", "an address", fix)
        for port in spec.get("ports", ()):
            node_port = port.get("nodePort")
            if node_port and node_port not in request.node_ports:
                fix = "Correct network_plan.node_port_range: firewalls are open for the plan's range only."
                yield Finding(
                    "node_ports_are_in_the_range", "warning", subject, f"NodePort {node_port}", f"a port in {request.node_ports}", fix
                )


def _port(spec: Object, planned: PlannedService) -> Optional[Object]:
    transport = TRANSPORTS[planned.protocol]
    return next((one for one in spec.get("ports", ()) if one["port"] == planned.port and one.get("protocol", "TCP") == transport), None)


def _holder_of(planned: PlannedService, seen: Sight) -> str:
    for (namespace, name), service in seen.services.items():
        for port in service["spec"].get("ports", ()):
            same = port.get("nodePort") == planned.node_port and port.get("protocol", "TCP") == TRANSPORTS[planned.protocol]
            if same and (namespace, name) != (planned.namespace, planned.name):
                return f"{namespace}/{name}"
    return ""


def _how_to_make(planned: PlannedService, seen: Sight) -> str:
    holder = _holder_of(planned, seen)
    if holder:
        return f"NodePort {planned.node_port} is taken by Service {holder}: give that one another, then run site.yml."
    return f"Run site.yml, or take it out of network_plan.services; `kubectl get services -n {planned.namespace}` lists what is there."


def _finding(rule: str, planned: PlannedService, found: str, expected: str, fix: str) -> Finding:
    return Finding(rule, "error", str(planned), found, expected, fix)
