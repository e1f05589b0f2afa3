# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan's Services, what was seen of them, and the findings about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Optional, Protocol, TypeVar

from .._cluster.api import ClusterReader
from .._findings import Finding, LookedAt, state_of
from .._network_plan.model import PortRange
from .._network_plan.ports import WITHOUT_PASSWORD
from .._network_plan.scalars import Misread, port_range
from .._notation import in_url
from .._refusal import Refusal, Unavailable

Object = dict[str, Any]

# for the answers of all NodePorts together
SECONDS = 5.0


@dataclass(frozen=True)
class PlannedService:
    """An entry of the plan's ``services``.

    node_port: None for type ClusterIP. health: an HTTP path; empty means that a connection is enough.
    sources: the networks that the firewalls let through to the NodePort; empty means any.
    """

    namespace: str
    name: str
    port: int
    node_port: Optional[int]
    protocol: str
    type: str
    health: str
    sources: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"Service {self.namespace}/{self.name}"

    @property
    def is_asked(self) -> bool:
        """Whether a node's port can be asked from outside: UDP and SCTP have no answer that everything gives."""
        return self.node_port is not None and self.protocol == "tcp"

    def keeps_out(self, address: str) -> bool:
        """Whether the firewalls drop packets from this address; an empty address is unknown, and so not kept out."""
        return bool(address and self.sources) and not any(ip_address(address) in ip_network(source) for source in self.sources)


@dataclass(frozen=True)
class Node:
    """A host of the cluster. address: the first of its addresses."""

    name: str
    address: str


@dataclass(frozen=True)
class Request:
    """What the module is asked. nodes: those that are awake."""

    services: tuple[PlannedService, ...]
    nodes: tuple[Node, ...]
    node_ports: PortRange
    seconds: float


@dataclass(frozen=True)
class Question:
    """A node's port that is asked. path: empty means that only the connection counts."""

    node: Node
    port: int
    path: str

    @property
    def url(self) -> str:
        host = in_url(self.node.address)
        return f"http://{host}:{self.port}{self.path}" if self.path else f"tcp://{host}:{self.port}"


@dataclass(frozen=True)
class Answer:
    """What came back. status: of HTTP, 0 without one. problem: why there was no answer, empty if there was one.

    silent_to: this host's address towards a node that did not answer in time; else empty.
    """

    status: int = 0
    problem: str = ""
    silent_to: str = ""

    @property
    def is_well(self) -> bool:
        return not self.problem and self.status < 400

    def __str__(self) -> str:
        return self.problem or f"HTTP status {self.status}"


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of a Service. not_ready: the Pods behind the others, as namespace/name."""

    ready: int = 0
    not_ready: tuple[str, ...] = ()


@dataclass
class Sight:
    """Everything that was seen. unknown: what could not be read, each as a Refusal."""

    services: Mapping[tuple[str, str], Object] = field(default_factory=dict)
    endpoints: Mapping[tuple[str, str], Endpoints] = field(default_factory=dict)
    answers: Mapping[PlannedService, Sequence[tuple[Question, Answer]]] = field(default_factory=dict)
    unknown: list[Refusal] = field(default_factory=list)
    services_are_known: bool = True
    endpoints_are_known: bool = True


def request(params: Mapping[str, Any]) -> Request:
    """The module's options, read."""
    seconds = float(params["timeout"])
    if seconds <= 0:
        raise Refusal("timeout", f"{seconds:g}", "a number of seconds above 0", "Remove it for the default of 5 seconds.")
    asleep = frozenset(params["asleep"])
    nodes = tuple(_node(index, one) for index, one in enumerate(params["nodes"]) if one["name"] not in asleep)
    planned = tuple(_planned(one, params["ports"]) for one in params["services"])
    return Request(planned, nodes, _range(params["node_port_range"]), seconds)


def _planned(entry: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> PlannedService:
    return PlannedService(
        entry["namespace"],
        entry["name"],
        entry["port"],
        entry["node_port"],
        entry["protocol"],
        entry["type"] or ("NodePort" if entry["node_port"] else "ClusterIP"),
        entry["health"] or "",
        _sources(entry, ports),
    )


def _sources(entry: Mapping[str, Any], ports: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The sources of the port range that has the NodePort, in what the firewalls open."""
    alike = [opened for opened in ports if entry["node_port"] and opened["protocol"] == entry["protocol"]]
    found = (opened["sources"] for opened in alike if entry["node_port"] in _range(str(opened["port"]), "ports[].port"))
    return tuple(next(found, ()))


def _node(index: int, entry: Mapping[str, Any]) -> Node:
    given = entry["address"]
    addresses = given if isinstance(given, (list, tuple)) else [given]
    if not addresses or not all(isinstance(one, str) and one for one in addresses):
        raise Refusal(f"nodes[{index}].address", repr(given), "an address, or a list of them", f"Give {entry['name']} its address.")
    return Node(entry["name"], addresses[0])


def _range(text: str, subject: str = "node_port_range") -> PortRange:
    required, next_step = "ports like 30000-32767", "Pass network_plan.node_port_range."
    try:
        return port_range(text)
    except Misread as misread:
        raise Refusal(subject, misread.found, required, misread.fix or next_step) from None


# Looks once at everything that is checked: one list of Services, one of EndpointSlices, all nodes' ports at once.

# the label by which an EndpointSlice names its Service
OF_SERVICE = "kubernetes.io/service-name"
SLICES = ("discovery.k8s.io/v1", "EndpointSlice")

T = TypeVar("T")


class Visitor(Protocol):
    """Who asks nodes' ports; tests pass a scripted fake."""

    def ask(self, questions: Sequence[Question], seconds: float) -> list[Answer]:
        """All at once; the answers in the order of the questions."""


def look(request: Request, cluster: ClusterReader, visitor: Visitor) -> Sight:
    """The state of Services. A list that the API server forbids is noted as unknown; one that does not answer at all ends the look."""
    seen = Sight()
    listed = _unless_refused(seen, lambda: {_key(one): one for one in cluster.items("v1", "Service")})
    seen.services, seen.services_are_known = listed or {}, listed is not None
    wanted = {(one.namespace, one.name) for one in request.services}
    found = _unless_refused(seen, lambda: endpoints(cluster.items(*SLICES, label_selector=OF_SERVICE), wanted))
    seen.endpoints, seen.endpoints_are_known = found or {}, found is not None
    asked = [one for one in request.services if one.is_asked and _may_answer(_key_of(one), seen)]
    questions = [Question(node, one.node_port or 0, one.health) for one in asked for node in request.nodes]
    answers = visitor.ask(questions, request.seconds)
    count = len(request.nodes)
    pairs = list(zip(questions, answers))
    seen.answers = {one: pairs[index * count : (index + 1) * count] for index, one in enumerate(asked)}
    return seen


def _may_answer(service: tuple[str, str], seen: Sight) -> bool:
    """Whether to ask. One without endpoints has its finding already, and for the idle watch a question is a client."""
    there = service in seen.services or not seen.services_are_known
    return there and (not seen.endpoints_are_known or seen.endpoints.get(service, Endpoints()).ready > 0)


def _unless_refused(seen: Sight, read: Callable[[], T]) -> Optional[T]:
    try:
        return read()
    except Unavailable:
        raise
    except Refusal as refusal:
        seen.unknown.append(refusal)
        return None


def endpoints(slices: Iterable[Object], wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Endpoints]:
    """The endpoints of the wanted Services, each address once."""
    ready: dict[tuple[str, str], set[str]] = {one: set() for one in wanted}
    waiting: dict[tuple[str, str], set[str]] = {one: set() for one in ready}
    for one in slices:
        service = (one["metadata"]["namespace"], one["metadata"]["labels"][OF_SERVICE])
        if service not in ready:
            continue
        for endpoint in one.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            called = f"{target.get('namespace', service[0])}/{target['name']}" if target.get("name") else ",".join(endpoint["addresses"])
            # absent means ready: discovery.k8s.io/v1, EndpointConditions
            holds = (endpoint.get("conditions") or {}).get("ready")
            (waiting if holds is False else ready)[service].add(called)
    return {one: Endpoints(len(ready[one]), tuple(sorted(waiting[one]))) for one in ready}


def _key(service: Object) -> tuple[str, str]:
    return service["metadata"]["namespace"], service["metadata"]["name"]


def _key_of(planned: PlannedService) -> tuple[str, str]:
    return planned.namespace, planned.name


# The findings about Services, and the result as plain data.

# in the API's words
TRANSPORTS = {"tcp": "TCP", "udp": "UDP", "sctp": "SCTP"}


def judge(request: Request, seen: Sight) -> list[Finding]:
    """Every finding, those about planned Services first, in the order of the plan."""
    found = [finding for planned in request.services for finding in _of_planned(request, planned, seen)]
    found += _of_all(request, seen)
    for refusal in seen.unknown:
        found.append(Finding("services_can_be_read", "unknown", refusal.subject, refusal.found, refusal.required, refusal.next_step))
    return found


def looked_at(request: Request, seen: Sight, found: Sequence[Finding]) -> list[LookedAt]:
    """One for each planned Service. hosts: the nodes that were asked."""
    checked = []
    for planned, data in zip(request.services, as_data(request, seen)):
        nodes = [answer["node"] for answer in data["answers"]]
        port = f" at NodePort {data['node_port']}" if data["node_port"] else ""
        state = state_of([one for one in found if one.subject == str(planned)] or [one for one in found if one.severity == "unknown"])
        if nodes:
            words = f"{'answers' if state == 'ok' else 'asked'}{port} on {', '.join(nodes)}"
        else:
            words = f"exists{port}" if data["exists"] else "not found"
        checked.append(LookedAt(str(planned), f"{words}; {data['ready_endpoints']} ready endpoints", state, tuple(nodes)))
    return checked or [LookedAt("Services", "none in the plan")]


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
            fix = "Set its type to NodePort: nothing on this network assigns an address, so it stays pending."
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
        found = f"no ready endpoint; not ready: {', '.join(endpoints.not_ready)}"
        fix = f"See `kubectl describe pod -n {planned.namespace} {endpoints.not_ready[0].rpartition('/')[2]}`."
    elif selector:
        found = f"no endpoint: no Pod with the labels {selector} has an address"
        fix = (
            f"See `kubectl get deployments,statefulsets,pods -n {planned.namespace} --show-labels`: scale up what has 0 replicas, follow "
            "`kubectl describe` of a Pod that is Pending, or correct the selector of the Service."
        )
    else:
        found, fix = "no endpoint and no selector", "Set the selector of its Pods in the Service, or create its EndpointSlice."
    return _finding("services_have_ready_endpoints", planned, found, "at least one ready endpoint", fix)


def _of_answers(planned: PlannedService, seen: Sight) -> Iterator[Finding]:
    asked = seen.answers.get(planned, ())
    shut_out = sorted({answer.silent_to for _question, answer in asked if planned.keeps_out(answer.silent_to)})
    if shut_out:
        yield _not_a_source(planned, shut_out)
    unwell = [(question, answer) for question, answer in asked if not answer.is_well and answer.silent_to not in shut_out]
    if not unwell:
        return
    found = "; ".join(f"{question.node.name} ({question.url}): {answer}" for question, answer in unwell)
    expected = "an HTTP status below 400 on every node that is awake" if planned.health else "a connection on every node that is awake"
    fix = _what_to_look_at(unwell[0][1], len(unwell) == len(asked))
    hosts = tuple(question.node.name for question, _answer in unwell)
    yield Finding("node_ports_answer", "error", str(planned), found, expected, fix, hosts)


def _not_a_source(planned: PlannedService, addresses: list[str]) -> Finding:
    found = f"not checked: {', '.join(addresses)}, the address of this computer, is not one of its sources {', '.join(planned.sources)}"
    where = ", ".join(f"{address}/{128 if ':' in address else 32}" for address in addresses)
    its_own = f"`sources` of {planned.name} in network_plan.services"
    key = f"network_plan.admin_sources, or to {its_own}" if planned.name in WITHOUT_PASSWORD else its_own
    fix = f"Add {where} to {key}, and run site.yml."
    expected = "an address that may reach it"
    return Finding("node_port_answers_are_known", "unknown", str(planned), found, expected, fix)


def _what_to_look_at(answer: Answer, everywhere: bool) -> str:
    if answer.status:
        return "The application answers with an error: read its Pod's logs, and check the health path in the plan."
    if "refused" in answer.problem and not everywhere:
        look = "kubectl get pods -n kube-system -l k8s-app=kube-proxy -o wide"
        return f"Other nodes answer, so the application runs. Check kube-proxy on that node: `{look}`."
    if "refused" in answer.problem:
        return "Nothing listens: check the application's port in its Pod, and kube-proxy on that node."
    if everywhere:
        return "Check the firewalls, whose rules site.yml restores, and the pod network, with pod_network_check."
    return "Check that node: its firewall, whose rules site.yml restores, its kube-proxy, and its connectivity to the other nodes' pods."


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
    return f"Run site.yml, or remove it from network_plan.services; `kubectl get services -n {planned.namespace}` lists what is there."


def _finding(rule: str, planned: PlannedService, found: str, expected: str, fix: str) -> Finding:
    return Finding(rule, "error", str(planned), found, expected, fix)
