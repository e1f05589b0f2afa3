# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found about Services, from what was seen of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.model import PortRange
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._services.judge import (
    Answer,
    Endpoints,
    Node,
    PlannedService,
    Question,
    Request,
    Sight,
    as_data,
    endpoints,
    judge,
    look,
    looked_at,
    request,
)

from tests.unit.fakes import Lists

GRAFANA = PlannedService("monitoring", "grafana", 3000, 30300, "tcp", "NodePort", "/api/health")
KEY = ("monitoring", "grafana")
MASTER, HOMELAB = Node("masternode", "192.168.4.63"), Node("homelab", "192.168.4.62")
REQUEST = Request((GRAFANA,), (MASTER, HOMELAB), PortRange(30000, 32767), 5)
DESK = "192.168.4.20"
LOKI = PlannedService("monitoring", "loki", 3100, 31100, "tcp", "NodePort", "/ready", ("192.168.4.61/32", "192.168.4.62/31"))
SLOW, REFUSED, WELL = Answer(problem="no answer within 5 s"), Answer(problem="connection refused"), Answer(status=200)


def service(name: str = "grafana", namespace: str = "monitoring", *, kind: str = "NodePort", **port: object) -> dict:
    wanted = {"port": 3000, "protocol": "TCP", "nodePort": 30300, **port}
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"type": kind, "selector": {"app": name}, "ports": [wanted]}}


def sight(one: dict | None = None, *, master: Answer = WELL, homelab: Answer = WELL, **more: object) -> Sight:
    answers = [(Question(MASTER, 30300, "/api/health"), master), (Question(HOMELAB, 30300, "/api/health"), homelab)]
    seen = Sight({KEY: one or service()}, {KEY: Endpoints(ready=1)}, {GRAFANA: answers})
    return replace(seen, **more)


FORBIDDEN = Refusal("Kubernetes API, list of services", "HTTP status 403", "the permission to list services", "Let the user list services.")

CASES = {
    "as planned": (sight(), []),
    "no such Service": (sight(services={}, answers={}), [("services_exist", "no Service of this name", "Run site.yml")]),
    "no such Service, its NodePort taken": (
        sight(services={("other", "it"): service("it", "other")}, answers={}),
        [("services_exist", "no Service of this name", "NodePort 30300 is taken by Service other/it")],
    ),
    "another type": (sight(service(kind="ClusterIP")), [("services_are_of_the_planned_type", "type ClusterIP", "Correct")]),
    "a load balancer": (sight(service(kind="LoadBalancer")), [("services_are_of_the_planned_type", "type LoadBalancer", "stays pending")]),
    "another port": (sight(service(port=80)), [("service_ports_are_as_planned", "80/tcp", "Correct")]),
    "another protocol": (sight(service(protocol="UDP")), [("service_ports_are_as_planned", "3000/udp", "Correct")]),
    "another NodePort": (sight(service(nodePort=30301)), [("node_ports_are_as_planned", "NodePort 30301", "Set nodePort to 30300")]),
    "another NodePort, as the planned one is taken": (
        sight(services={KEY: service(nodePort=30301), ("other", "it"): service("it", "other")}),
        [("node_ports_are_as_planned", "NodePort 30301", "30300 is taken by Service other/it")],
    ),
    "no Pod": (
        sight(endpoints={KEY: Endpoints()}, master=SLOW, homelab=SLOW),
        [
            (
                "services_have_ready_endpoints",
                "no Pod with the labels app=grafana has an address",
                "kubectl get deployments,statefulsets,pods -n monitoring",
            )
        ],
    ),
    "a Pod that is not ready": (
        sight(endpoints={KEY: Endpoints(0, ("monitoring/grafana-7",))}),
        [("services_have_ready_endpoints", "not ready: monitoring/grafana-7", "kubectl describe pod -n monitoring grafana-7")],
    ),
    "one node is silent": (
        sight(homelab=SLOW),
        [("node_ports_answer", "homelab (http://192.168.4.62:30300/api/health)", "Check that node")],
    ),
    "all nodes are silent": (sight(master=SLOW, homelab=SLOW), [("node_ports_answer", "masternode", "Check the firewalls")]),
    "nothing listens": (sight(master=REFUSED, homelab=REFUSED), [("node_ports_answer", "connection refused", "Nothing listens")]),
    "nothing listens on one node": (sight(master=REFUSED), [("node_ports_answer", "connection refused", "the application runs")]),
    "unwell": (sight(master=Answer(status=503)), [("node_ports_answer", "HTTP status 503", "logs")]),
    "a redirect is an answer": (sight(master=Answer(status=302)), []),
    "Services may not be listed": (
        sight(services={}, services_are_known=False, unknown=[FORBIDDEN], homelab=SLOW),
        [("node_ports_answer", "homelab", "Check that node"), ("services_can_be_read", "403", "Let the user")],
    ),
    "endpoints may not be listed": (
        sight(endpoints={}, endpoints_are_known=False, unknown=[FORBIDDEN]),
        [("services_can_be_read", "403", "Let the user")],
    ),
    "a NodePort out of the range": (
        sight(services={KEY: service(), ("a", "b"): service("b", "a", nodePort=29000)}),
        [("node_ports_are_in_the_range", "NodePort 29000", "node_port_range")],
    ),
    "somebody's pending load balancer": (
        sight(services={KEY: service(), ("a", "b"): service("b", "a", kind="LoadBalancer", nodePort=30001)}),
        [("load_balancers_have_an_address", "pending", "NodePort")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_findings(case: str) -> None:
    seen, wanted = CASES[case]
    found = judge(REQUEST, seen)
    assert [finding.rule for finding in found] == [rule for rule, _found, _fix in wanted]
    for finding, (_rule, words, fix) in zip(found, wanted, strict=True):
        assert words in finding.found
        assert fix in finding.fix
        # the nodes that gave no good answer
        assert {*finding.hosts} == {name for name in ("masternode", "homelab") if f"{name} (" in finding.found}


def loki(answer: Answer) -> Sight:
    kind = service("loki", port=3100, nodePort=31100)
    asked = [(Question(node, 31100, "/ready"), answer) for node in (MASTER, HOMELAB)]
    return Sight({("monitoring", "loki"): kind}, {("monitoring", "loki"): Endpoints(ready=1)}, {LOKI: asked})


@pytest.mark.parametrize(
    ("answer", "rules"),
    [
        (replace(SLOW, silent_to=DESK), [("node_port_answers_are_known", "unknown")]),
        (replace(SLOW, silent_to="192.168.4.62"), [("node_ports_answer", "error")]),
        (SLOW, [("node_ports_answer", "error")]),
        (REFUSED, [("node_ports_answer", "error")]),
        (WELL, []),
    ],
)
def test_a_service_that_keeps_this_computer_out_is_not_called_broken_or_well(answer: Answer, rules: list[tuple[str, str]]) -> None:
    found = judge(replace(REQUEST, services=(LOKI,)), loki(answer))
    assert [(finding.rule, finding.severity) for finding in found] == rules


def test_the_next_step_names_what_to_add() -> None:
    (finding,) = judge(replace(REQUEST, services=(LOKI,)), loki(replace(SLOW, silent_to=DESK)))
    assert "192.168.4.20, the address of this computer" in finding.found
    assert "Add 192.168.4.20/32 to network_plan.admin_sources, or to `sources` of loki in network_plan.services" in finding.fix
    web = replace(LOKI, name="web")
    sight = Sight({("monitoring", "web"): loki(WELL).services[("monitoring", "loki")]}, {("monitoring", "web"): Endpoints(ready=1)}, {})
    (finding,) = judge(replace(REQUEST, services=(web,)), replace(sight, answers={web: loki(replace(SLOW, silent_to=DESK)).answers[LOKI]}))
    assert "Add 192.168.4.20/32 to `sources` of web in network_plan.services, and run site.yml." in finding.fix


def test_what_a_user_lacks_permission_for_is_unknown_and_no_error() -> None:
    found = judge(REQUEST, sight(services={}, services_are_known=False, endpoints={}, endpoints_are_known=False, unknown=[FORBIDDEN]))
    assert [finding.severity for finding in found] == ["unknown"]


def test_the_result_tells_what_each_node_answered() -> None:
    told = as_data(REQUEST, sight(homelab=SLOW))[0]
    assert told["exists"]
    assert (told["node_port"], told["ready_endpoints"]) == (30300, 1)
    assert [(one["node"], one["status"], one["problem"]) for one in told["answers"]] == [
        ("masternode", 200, ""),
        ("homelab", 0, "no answer within 5 s"),
    ]


def test_each_service_is_looked_at_and_a_list_that_may_not_be_read_makes_it_unknown() -> None:
    def items(seen: Sight) -> list[tuple[str, str, tuple[str, ...]]]:
        return [(one.state, one.facts, one.hosts) for one in looked_at(REQUEST, seen, judge(REQUEST, seen))]

    assert items(sight()) == [("ok", "answers at NodePort 30300 on masternode, homelab; 1 ready endpoints", ("masternode", "homelab"))]
    assert items(sight(homelab=SLOW))[0][0] == "error"
    assert items(sight(endpoints={}, endpoints_are_known=False, unknown=[FORBIDDEN]))[0][0] == "unknown"
    (none,) = looked_at(replace(REQUEST, services=()), sight(), [])
    assert (none.state, none.facts) == ("ok", "none in the plan")


def slice_of(*points: dict, name: str = "grafana") -> dict:
    return {"metadata": {"namespace": "monitoring", "labels": {"kubernetes.io/service-name": name}}, "endpoints": list(points)}


def endpoint(pod: str, **conditions: bool) -> dict:
    return {"addresses": ["10.244.0.9"], "conditions": conditions, "targetRef": {"name": pod, "namespace": "monitoring"}}


def test_a_pod_of_two_families_counts_once_and_an_absent_condition_means_ready() -> None:
    slices = [slice_of(endpoint("a", ready=True), endpoint("b", ready=False)), slice_of(endpoint("a", ready=True), endpoint("c"))]
    assert endpoints([*slices, slice_of(endpoint("x"), name="other")], [KEY]) == {KEY: Endpoints(2, ("monitoring/b",))}


def test_a_slice_without_endpoints() -> None:
    empty = {"metadata": {"namespace": "monitoring", "labels": {"kubernetes.io/service-name": "grafana"}}, "endpoints": None}
    assert endpoints([empty], [KEY]) == {KEY: Endpoints()}


PLANNED = {"name": "dns", "namespace": "x", "port": 53, "node_port": None, "protocol": "udp", "type": None, "health": None}
PARAMETERS = {
    "services": [PLANNED],
    "nodes": [{"name": "a", "address": ["192.0.2.1", "2001:db8::1"]}, {"name": "b", "address": "192.0.2.2"}],
    "asleep": ["b"],
    "node_port_range": "30000-32767",
    "ports": [],
    "timeout": 5,
}


def test_a_service_has_the_sources_of_its_port_range() -> None:
    ports = [
        {"port": "30000-30299", "protocol": "tcp", "sources": ["192.168.4.0/24"]},
        {"port": 30300, "protocol": "tcp", "sources": ["192.168.4.63/32"]},
        {"protocol": "4", "sources": ["192.168.4.0/24"]},
    ]
    planned = [
        {**PLANNED, "name": "a", "node_port": 30300, "protocol": "tcp"},
        {**PLANNED, "name": "b", "node_port": 30096, "protocol": "tcp"},
        {**PLANNED, "name": "c", "node_port": 30300, "protocol": "udp"},
        {**PLANNED, "name": "d", "node_port": None, "protocol": "tcp"},
    ]
    read = request({**PARAMETERS, "services": planned, "ports": ports})
    assert [service.sources for service in read.services] == [("192.168.4.63/32",), ("192.168.4.0/24",), (), ()]


def test_only_nodes_that_are_awake_are_asked_at_their_first_address() -> None:
    read = request(PARAMETERS)
    assert read.nodes == (Node("a", "192.0.2.1"),)
    assert read.services[0].type == "ClusterIP"
    assert not read.services[0].is_asked


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", 0),
        ("node_port_range", "30000/tcp"),
        ("node_port_range", "32767-30000"),
        ("node_port_range", "30000-70000"),
        ("ports", [{"port": "x", "protocol": "tcp", "sources": []}]),
        ("node_port_range", "٣-5"),
        ("nodes", [{"name": "a", "address": []}]),
        ("nodes", [{"name": "a", "address": 7}]),
    ],
)
def test_bad_input_is_named(option: str, value: object) -> None:
    with pytest.raises(Refusal, match=option):
        request({**PARAMETERS, "services": [{**PLANNED, "node_port": 30300, "protocol": "tcp"}], option: value})


def test_an_ipv6_node_is_written_in_brackets() -> None:
    assert Question(Node("a", "2001:db8::1"), 30300, "/x").url == "http://[2001:db8::1]:30300/x"
    assert Question(Node("a", "2001:db8::1"), 30300, "").url == "tcp://[2001:db8::1]:30300"


class Visitor:
    def __init__(self) -> None:
        self.asked: list[Question] = []

    def ask(self, questions: list[Question], _seconds: float) -> list[Answer]:
        self.asked += questions
        return [WELL for _question in questions]


@pytest.mark.parametrize(("ready", "nodes"), [(True, 2), (False, 0)])
def test_a_node_port_that_nobody_could_answer_is_not_asked(ready: bool, nodes: int) -> None:
    visitor = Visitor()
    seen = look(REQUEST, Lists(Service=[service()], EndpointSlice=[slice_of(endpoint("a", ready=ready))]), visitor)
    assert len(visitor.asked) == len(seen.answers.get(GRAFANA, ())) == nodes
