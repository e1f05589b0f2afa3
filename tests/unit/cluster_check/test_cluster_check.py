# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which groups are checked, and that a check without a result hides no other. tests/cluster compares it with the modules of the groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster_check.check import GROUPS, OF_THE_PLAN, Edges, check, chosen
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding, Verdict, as_result_of_groups
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._report import model as report
from ansible_collections.vmstation.cluster.plugins.module_utils._services.judge import Answer, Question

from tests.unit.clock import Clock
from tests.unit.fakes import failure
from tests.unit.health import test_health as health
from tests.unit.health.objects import Object
from tests.unit.health.test_health import HEALTHY, NOW
from tests.unit.network_plan.plans import HOSTS, SERVICES, SPECIFICATION

WITHOUT_PLAN = tuple(group for group in GROUPS if group not in OF_THE_PLAN)
OPTIONS: dict[str, Any] = {
    "nodes": HOSTS, "asleep": [], "groups": None, "plan": SPECIFICATION, "corefile": None, "dns_replicas": 2,
    "monitoring_namespace": "monitoring", "kubelets": True, "nat_outgoing": True,
}  # fmt: skip
SILENT = Unavailable("Kubernetes API https://masternode:6443, /livez?verbose", "connection refused", "an answer", "Start it.")


class Cluster(health.Cluster):
    """A cluster without Calico. refused: the kinds whose lists fail."""

    def __init__(self, found: Sequence[Object], health: object = health.WELL, days: float = 365, **refused: Refusal) -> None:
        super().__init__(found, health, days=days)
        self.refused = refused

    def serves(self, _api_version: str, kind: str) -> bool:
        return kind not in {"IPPool", "CalicoNodeStatus", "ServiceCIDR"}

    def items(self, api_version: str, kind: str, *namespace: str, **selectors: str) -> Iterator[Object]:
        health.given(self.refused.get(kind))
        yield from super().items(api_version, kind, *namespace, **selectors)

    def get(self, api_version: str, kind: str, name: str, _namespace: str = "") -> Object | None:
        return next((one for one in self.items(api_version, kind) if one["metadata"]["name"] == name), None)

    def read(self, _path: str) -> Object:
        return {"gitVersion": "v1.36.4"}


class Visitor:
    """Nodes whose ports give one answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer, self.questions = answer, list[Question]()

    def ask(self, questions: Sequence[Question], _seconds: float) -> list[Answer]:
        self.questions += questions
        return [self.answer for _question in questions]


class Kubelets:
    def ask(self, nodes: Sequence[str], _seconds: float) -> dict[str, Object]:
        return {name: {"kubeletconfig": {}} for name in nodes}


def edges(cluster: Cluster, **differing: Any) -> Edges:
    given: dict[str, Any] = {"cluster": cluster, "kubelets": Kubelets(), "node_ports": Visitor(Answer(200)), "clock": Clock()}
    return Edges(**{**given, "read_yaml": yaml.safe_load, "now": lambda: NOW, **differing})


def verdicts(cluster: Cluster, differing: dict[str, Any] | None = None, **options: Any) -> dict[str, Verdict]:
    given = {**OPTIONS, **options}
    return check(given, chosen(given), edges(cluster, **(differing or {})))


def without_result(found: dict[str, Verdict]) -> dict[str, Finding]:
    """The finding of each group whose check has no result."""
    return {group: one for group, verdict in found.items() for one in verdict.findings if one.rule == "checks_have_a_result"}


@pytest.mark.parametrize(
    ("plan", "groups", "expected"),
    [
        (SPECIFICATION, None, GROUPS),
        ({}, None, GROUPS),
        (None, None, WITHOUT_PLAN),
        (None, ["storage", "nodes"], ("nodes", "storage")),
        (SPECIFICATION, ["drift", "calico"], ("calico", "drift")),
        (SPECIFICATION, [], ()),
    ],
)
def test_the_groups_are_those_that_are_named_or_that_the_options_allow(plan: object, groups: object, expected: tuple[str, ...]) -> None:
    assert chosen({"plan": plan, "groups": groups}) == expected


def test_a_group_that_needs_a_plan_is_named_without_one() -> None:
    with pytest.raises(Refusal, match=r"plan: found no value, and the groups calico, drift; .* leave calico, drift out of groups\."):
        chosen({"plan": None, "groups": ["drift", "nodes", "calico"]})


def test_the_groups_are_those_of_the_report() -> None:
    on_hosts = {"plan", "hosts", "firewall"}
    assert tuple(group for group in report.TITLES if group not in on_hosts | report.BY_NAME_ONLY) == GROUPS
    assert set(OF_THE_PLAN) == report.OF_THE_PLAN & set(GROUPS)


@pytest.mark.parametrize(("plan", "groups"), [(SPECIFICATION, GROUPS), (None, WITHOUT_PLAN)])
def test_each_group_has_a_verdict_of_its_own(plan: object, groups: tuple[str, ...]) -> None:
    found = verdicts(Cluster(HEALTHY), plan=plan)
    assert tuple(found) == groups
    assert without_result(found) == {}
    assert all(verdict.looked_at or verdict.findings for verdict in found.values())


def test_each_entry_of_the_result_has_its_group() -> None:
    found = verdicts(Cluster(HEALTHY))
    result = as_result_of_groups(found)
    for key in ("findings", "looked_at"):
        assert [one["group"] for one in result[key]] == [group for group, verdict in found.items() for _one in getattr(verdict, key)]
    assert {one["subject"] for one in result["looked_at"] if one["group"] == "control_plane"} == {"control plane"}
    assert as_result_of_groups({}) == {"findings": [], "looked_at": []}


def test_a_check_without_a_result_is_an_error_of_its_group_and_hides_no_other() -> None:
    cluster = Cluster(HEALTHY, Service=failure("HTTP status 500"), Node=failure("HTTP status 403"))
    found = verdicts(cluster, groups=["nodes", "workloads", "dns", "services"])
    assert found["workloads"].looked_at
    assert without_result(found) == {
        "nodes": Finding("checks_have_a_result", "error", "command", "no result: HTTP status 403", "exit status 0", "Look."),
        "dns": Finding("checks_have_a_result", "error", "command", "no result: HTTP status 500", "exit status 0", "Look."),
    }


@pytest.mark.parametrize(
    ("plan", "groups"),
    [
        ("192.168.4.0/24", {"calico", "dns", "services", "drift"}),
        ({}, {"calico", "dns", "drift"}),
        ({**SPECIFICATION, "pod_cidr": "10.244.0.0/33"}, {"calico", "dns", "drift"}),
        ({**SPECIFICATION, "services": [{"name": "grafana"}]}, {"services"}),
        ({**SPECIFICATION, "node_port_range": "30000:32767"}, {"services"}),
    ],
)
def test_a_damaged_plan_is_an_error_of_the_groups_that_need_what_is_wrong(plan: object, groups: set[str]) -> None:
    found = verdicts(Cluster(HEALTHY), plan=plan)
    assert tuple(found) == GROUPS
    assert set(without_result(found)) >= groups
    assert not set(without_result(found)) & set(WITHOUT_PLAN)


def test_a_fault_of_a_check_is_an_error_with_its_place() -> None:
    def read_yaml(_text: str) -> object:
        raise KeyError("clusterDNS")

    cluster = Cluster(
        [*HEALTHY, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kubelet-config"}, "data": {"kubelet": "a"}}]
    )
    found = without_result(verdicts(cluster, {"read_yaml": read_yaml}, groups=["nodes", "dns"]))
    assert list(found) == ["dns"]
    assert found["dns"].subject == "check of dns"
    assert found["dns"].found.startswith("no result: KeyError: 'clusterDNS' (test_cluster_check.py, line ")


def test_an_api_server_that_does_not_answer_is_no_finding() -> None:
    with pytest.raises(Unavailable, match="connection refused"):
        verdicts(Cluster(HEALTHY, SILENT), groups=["nodes", "calico"])


def test_an_expired_certificate_is_found_although_the_api_server_does_not_answer() -> None:
    found = verdicts(Cluster(HEALTHY, SILENT, -1, Node=SILENT), groups=["nodes", "certificates", "workloads"])
    assert list(found) == ["nodes", "certificates"]
    assert list(without_result(found)) == ["nodes"]
    assert "expired on " in found["certificates"].findings[0].found


def served(service: dict[str, Any]) -> Iterator[Object]:
    """A Service of the plan, and its endpoints."""
    metadata = {"name": service["name"], "namespace": service["namespace"], "labels": {"kubernetes.io/service-name": service["name"]}}
    ports = [{"port": service["port"], "nodePort": service["node_port"], "protocol": "TCP"}]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"type": "NodePort", "ports": ports}}
    endpoints = [{"addresses": ["10.244.0.9"]}]
    yield {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata, "endpoints": endpoints}


@pytest.mark.parametrize(
    ("answer", "severities"), [(Answer(200), []), (Answer(problem="no answer within 5 s", silent_to="198.51.100.7"), ["unknown"])]
)
def test_the_plan_has_the_services_and_the_addresses_that_may_reach_them(answer: Answer, severities: list[str]) -> None:
    web = {"name": "web", "namespace": "apps", "port": 80, "node_port": 30980, "sources": ["192.0.2.0/24"]}
    services, visitor = [*SERVICES, web], Visitor(answer)
    cluster = Cluster([one for each in services for one in served(each)])
    found = verdicts(cluster, {"node_ports": visitor}, plan={**SPECIFICATION, "services": services}, groups=["services"])
    assert {(one.node.name, one.port) for one in visitor.questions} == {
        (host["name"], each["node_port"]) for host in HOSTS for each in services
    }
    assert [one.severity for one in found["services"].findings if "apps/web" in one.subject] == severities
