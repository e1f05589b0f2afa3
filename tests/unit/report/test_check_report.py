# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says of what the checks returned, in each of its forms."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from typing import Any

import jsonschema
import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import LINKED_HOSTS, check_results, report
from ansible_collections.vmstation.cluster.plugins.module_utils._report.forms import document, junit, metrics, table
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import TITLES, Report, chosen_groups

from tests.unit.report import check_samples as samples

SCHEMA = json.loads((samples.CHECKOUT / "docs/check-report.schema.json").read_text())
SAMPLES = {
    "healthy": samples.healthy(),
    "faulty": samples.faulty(),
    "hostile": samples.hostile(),
    "one host": samples.healthy(samples.many(1)),
    "many hosts": samples.healthy(samples.many(300)),
    "nothing": samples.options([]),
}
ON_EACH_HOST = [("hosts", "ping"), ("hosts", "container_images"), ("firewall", "firewall_ports"), ("dns", "cluster_dns_check")]
every_sample = pytest.mark.parametrize("told", SAMPLES.values(), ids=SAMPLES)


def said(told: dict[str, Any], group: str) -> list[tuple[str, str, str]]:
    return [(line.mark, line.subject, line.finding) for line in report(told).lines if line.group == group]


def one(group: str, check: str, result: dict[str, Any], host: str = "", asleep: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    return said(samples.options([samples.entry(group, check, result, host)], asleep=list(asleep)), group)


def test_a_healthy_cluster_is_as_planned_everywhere() -> None:
    told = report(samples.healthy())
    assert {line.mark for line in told.lines} == {"ok"}
    assert {host.mark for host in told.hosts} == {link.mark for link in told.links} == {one.mark for one in told.services} == {"ok"}
    assert len(told.links) == 3
    assert told.api_calls == 16


@pytest.mark.parametrize(
    ("group", "check", "result", "host", "wanted"),
    [
        ("nodes", "node_ready_check", {}, "", ("error", "node_ready_check", "the check did not run")),
        ("nodes", "node_ready_check", {"failed": True, "msg": "boom"}, "", ("error", "node_ready_check", "no result: boom")),
        (
            "drift",
            "cluster_drift_check",
            {"failed": True, **samples.REFUSED.as_result()},
            "",
            ("error", "cluster_drift_check", "no result: kubeconfig ~/.kube/x: no file of this name that can be read"),
        ),
        ("hosts", "ping", {"unreachable": True, "msg": "no route"}, "homelab", ("error", "host homelab", "no route")),
        ("hosts", "ping", {"changed": False}, "homelab", ("ok", "host homelab", "awake, and Ansible can work on it")),
        ("hosts", "wake_on_lan", {"failed": True, "msg": "no MAC"}, "", ("error", "wake_on_lan", "no result: no MAC")),
        ("firewall", "firewall_ports", {"failed": True, "msg": "x"}, "homelab", ("error", "firewall_ports on homelab", "no result: x")),
        # a finding replaces what it is about
        (
            "services",
            "service_check",
            samples.checked(samples.looked("Service a/b", state="error"), findings=[samples.finding("service a/B")]),
            "",
            ("error", "service a/B", "this"),
        ),
        # so does one of the same host, and one in a check of one object
        (
            "calico",
            "calico_check",
            samples.checked(
                samples.looked("node a", state="error", hosts=("a",)),
                samples.looked("node b", state="error", hosts=("b",)),
                findings=[samples.finding("nodes a and b", hosts=("a", "b"))],
            ),
            "",
            ("error", "nodes a and b", "this"),
        ),
        (
            "plan",
            "network_plan_check",
            samples.checked(samples.looked("network plan", state="error"), findings=[samples.finding("network_plan.gateway")]),
            "",
            ("error", "network_plan.gateway", "this"),
        ),
        # what is not known is no error, whatever its rule is called, and an error is one
        ("dns", "a_check", samples.checked(findings=[samples.finding("x", "unknown")]), "", ("unknown", "x", "this")),
        (
            "plan",
            "network_plan_check",
            samples.checked(findings=[samples.finding("network_plan.podcidr", rule="keys_are_known")]),
            "",
            ("error", "network_plan.podcidr", "this"),
        ),
        ("dns", "a_check", samples.checked(findings=[samples.finding("x", "a new word")]), "", ("error", "x", "this")),
        ("dns", "a_check", samples.checked(samples.looked("x", state="a new word")), "", ("unknown", "x", "14 things")),
        ("dns", "a_check", samples.checked(), "", ("unknown", "a_check", "nothing was checked")),
        # an info finding about a node that is asleep
        (
            "nodes",
            "node_ready_check",
            samples.checked(samples.looked("node a", state="asleep", hosts=("a",)), findings=[samples.finding("node a", "info", ("a",))]),
            "",
            ("asleep", "node a", "this"),
        ),
        (
            "dns",
            "cluster_dns_check",
            samples.checked(samples.looked("DNS", state="error"), findings=[samples.finding("DNS")]),
            "homelab",
            ("error", "host homelab: DNS", "this"),
        ),
    ],
)
def test_a_check_gets_one_line(group: str, check: str, result: dict[str, Any], host: str, wanted: tuple[str, str, str]) -> None:
    assert one(group, check, result, host) == [wanted]


@pytest.mark.parametrize(
    ("state", "findings"),
    [
        # nothing says why, what says why is about another host, or is less bad
        ("unknown", []),
        ("error", [samples.finding("node b", hosts=("b",))]),
        ("error", [samples.finding("nodes a and b", "warning", ("a", "b"))]),
        ("unknown", [samples.finding("list of Pods", "unknown")]),
    ],
)
def test_a_problem_without_a_finding_of_its_own_has_a_line(state: str, findings: list[dict[str, Any]]) -> None:
    told = samples.checked(samples.looked("node a", state=state, hosts=("a",)), findings=findings)
    assert (state, "node a", "14 things") in one("calico", "calico_check", told)


def test_the_host_of_a_line_is_the_only_one_that_it_is_about() -> None:
    findings = [samples.finding("x", hosts=hosts) for hosts in ((), ("HomeLab",), ("homelab", "masternode"))]
    made = report(samples.options([samples.entry("calico", "calico_check", samples.checked(findings=findings))]))
    assert [line["host"] for line in document(made)["lines"]] == ["", "homelab", ""]


def test_what_a_refusal_requires_and_its_next_step_are_kept() -> None:
    failed = {"failed": True, **samples.REFUSED.as_result()}
    told = report(samples.options([samples.entry("drift", "cluster_drift_check", failed)]))
    assert [(line.expected, line.fix) for line in told.lines] == [("a kubeconfig", "Name the right file.")]


def test_a_problem_that_two_checks_report_is_told_once() -> None:
    uncordon = samples.finding("node homelab", "warning", fix="`kubectl uncordon homelab`", found="ready, but cordoned")
    cordoned = samples.checked(findings=[uncordon])
    again = samples.finding("node homelab", "warning", fix="`kubectl uncordon homelab`", found="spec.unschedulable: cordoned")
    silent = samples.finding("node homelab", rule="nodes_are_ready", fix="Check that homelab is on.")
    results = [
        samples.entry("nodes", "node_ready_check", cordoned),
        samples.entry("calico", "calico_check", samples.checked(findings=[silent])),
        samples.entry("drift", "cluster_drift_check", samples.checked(findings=[again, {**silent, "severity": "warning"}])),
    ]
    told = report(samples.options(results))
    assert [(line.group, line.mark) for line in told.lines if line.mark != "ok"] == [("nodes", "warning"), ("calico", "error")]


def test_of_a_host_that_cannot_be_reached_only_that_is_said() -> None:
    told = samples.options([samples.entry(*check, {}, "homelab") for check in ON_EACH_HOST])
    told["results"][0]["result"] = {"unreachable": True, "msg": "no route"}
    assert [line.finding for line in report(told).lines] == ["no route"]


def test_of_a_host_that_sleeps_only_that_is_said() -> None:
    told = samples.options([samples.entry(*check, {}, "homelab") for check in ON_EACH_HOST], asleep=["homelab"])
    assert [(line.subject, line.mark) for line in report(told).lines] == [("host homelab", "asleep")]
    assert {host.name: host.power for host in report(told).hosts}["homelab"] == "asleep"


@pytest.mark.parametrize(
    ("mac", "card"),
    [
        ("d0:94:66:30:d6:63", "; its MAC address: d0:94:66:30:d6:63 (Dell Inc.)"),
        ("D0-94-66-30-D6-63", "; its MAC address: d0:94:66:30:d6:63 (Dell Inc.)"),
        ("02:00:00:00:00:01", "; its MAC address: 02:00:00:00:00:01 (locally administered)"),
        ("52:54:0", ""),
        (None, ""),
    ],
)
def test_a_host_that_sleeps_is_shown_with_its_network_card(mac: str | None, card: str) -> None:
    nodes = [{"name": "homelab", "address": "192.168.4.62", "mac": mac}]
    told = samples.options([samples.entry("hosts", "ping", {}, "homelab")], nodes, asleep=["homelab"])
    assert [line.finding for line in report(told).lines] == [f"asleep: its port is silent, and it may be put to sleep{card}"]


def test_the_faults_are_on_the_right_hosts_and_links() -> None:
    told = report(samples.faulty())
    links = {(link.source, link.target): link.mark for link in told.links}
    assert links == {
        ("masternode", "storagenodet3500"): "error",
        ("masternode", "homelab"): "asleep",
        ("storagenodet3500", "homelab"): "asleep",
    }
    assert {host.name: (host.power, host.mark) for host in told.hosts} == {
        "masternode": ("awake", "error"),
        "storagenodet3500": ("awake", "error"),
        "homelab": ("asleep", "asleep"),
    }
    assert {service.name: service.mark for service in told.services if service.mark != "ok"} == {"grafana": "error"}
    assert told.worst == "error"


def test_the_card_of_a_host_has_its_facts() -> None:
    cards = {host.name: [(fact.text, fact.mark) for fact in host.facts] for host in report(samples.faulty()).hosts}
    assert cards["masternode"] == [("Node", "ok"), ("Calico", "error"), ("DNS", "ok"), ("Firewall", "ok"), ("NodePorts 4 of 4", "ok")]
    assert cards["storagenodet3500"][-2:] == [("Firewall", "error"), ("NodePorts 3 of 4", "error")]
    assert cards["homelab"] == [("Node", "asleep"), ("Calico", "asleep")]


def test_two_nodes_that_do_not_reach_each_other_leave_the_other_links_as_planned() -> None:
    told = samples.healthy()
    result = next(one["result"] for one in told["results"] if one["check"] == "calico_check")
    result["findings"] = [samples.finding("nodes masternode and homelab", hosts=("homelab", "masternode"), found="Connect")]
    for item in result["looked_at"]:
        item["state"] = "ok" if item["subject"] == "node storagenodet3500" else "error"
    links = {(link.source, link.target): (link.mark, link.text) for link in report(told).links}
    assert links == {
        ("masternode", "storagenodet3500"): ("ok", "matches the plan"),
        ("masternode", "homelab"): ("error", "Connect"),
        ("storagenodet3500", "homelab"): ("ok", "matches the plan"),
    }


def test_a_link_of_which_nothing_is_known_is_not_well() -> None:
    told = samples.healthy()
    told["results"] = [entry for entry in told["results"] if entry["group"] != "calico"]
    assert {link.mark for link in report(told).links} == {"unknown"}


def test_many_hosts_have_no_links() -> None:
    assert report(samples.healthy(samples.many(LINKED_HOSTS))).links
    assert not report(samples.healthy(samples.many(LINKED_HOSTS + 1))).links


def test_a_report_of_nothing_is_not_well() -> None:
    assert report(samples.options([])).outcome == "unknown"
    assert report(samples.options([])).worst == "unknown"


@pytest.mark.parametrize(
    ("only", "wanted"),
    [
        ("", [group for group in TITLES if group != "pod_network"]),
        ([], [group for group in TITLES if group != "pod_network"]),
        ("dns, calico", ["calico", "dns"]),
        (["pod_network"], ["pod_network"]),
        ("dns,,dns", ["dns"]),
    ],
)
def test_groups_are_chosen_by_name(only: object, wanted: list[str]) -> None:
    assert chosen_groups(only) == wanted


def test_without_a_plan_groups_that_need_none_are_checked_and_one_error_names_the_others() -> None:
    able = chosen_groups("nodes, dns, drift", plan=False)
    checked = samples.entry("nodes", "node_ready_check", samples.checked(samples.looked("node a", "ready")))
    told = samples.options([checked], plan={}, unchecked=["dns", "drift"])
    assert able == ["nodes"]
    assert said(told, "nodes") == [("ok", "node a", "ready")]
    assert said(told, "plan") == [("error", "network_plan", "no value; not checked without it: DNS, Drift")]
    assert (report(told).outcome, report(told).links) == ("broken", ())


@pytest.mark.parametrize("only", ["dns,nonsense", "DNS", None, 4, [4], {"dns": True}])
def test_a_group_that_does_not_exist_is_refused(only: object) -> None:
    with pytest.raises(Refusal, match="Choose from plan, hosts"):
        chosen_groups(only)


CHECKS: list[dict[str, Any]] = [
    {"check": "calico_check", "groups": ["calico"], "result": "calico"},
    {"check": "coredns_check", "groups": ["dns"], "result": "coredns"},
    {"check": "cluster_drift_check", "groups": ["drift"], "result": "drift"},
    {"check": "cluster_dns_check", "groups": ["dns"], "result": "dns", "each_host": True},
    {"check": "cluster_health_check", "groups": ["api", "workloads"], "result": "health"},
]


def test_what_left_no_result_is_collected_as_not_run() -> None:
    hostvars = {"a": {"calico": {"findings": []}, "dns": {"skipped": True}}, "b": {}}
    found = check_results(hostvars, ["a", "b"], ["calico", "dns", "drift"], CHECKS)
    assert [(entry["check"], entry["host"], entry["result"]) for entry in found] == [
        ("calico_check", "", {"findings": []}),
        ("coredns_check", "", {}),
        ("cluster_drift_check", "", {}),
        ("cluster_dns_check", "b", {}),
    ]


def test_a_result_for_several_groups_is_one_of_each() -> None:
    findings = [{"group": "api", "subject": "a"}, {"group": "workloads", "subject": "b"}]
    looked_at = [{"group": "api", "subject": "API"}, {"group": "workloads", "subject": "Pods"}]
    told = {"findings": findings, "looked_at": looked_at, "api_calls": 20}
    found = check_results({"a": {"health": told}}, ["a"], ["workloads", "api"], CHECKS)
    assert [(one["group"], one["result"]) for one in found] == [
        ("api", {"findings": findings[:1], "looked_at": looked_at[:1], "api_calls": 20}),
        ("workloads", {"findings": findings[1:], "looked_at": looked_at[1:], "api_calls": 0}),
    ]
    # that it failed is told once
    failed = {"failed": True, "msg": "no answer"}
    found = check_results({"a": {"health": failed}}, ["a"], ["workloads", "api"], CHECKS)
    assert [(one["group"], one["result"]) for one in found] == [("api", failed)]


@pytest.mark.parametrize("checks", [None, "checks", ["calico"], [{"check": "calico_check", "groups": ["calico"]}]])
def test_checks_without_what_is_needed_of_each_are_an_error(checks: object) -> None:
    with pytest.raises(Refusal, match="Give each check the keys check, groups, result"):
        check_results({}, [], [], checks)


def reported() -> list[dict[str, Any]]:
    """The checks that check.yml reports."""
    plays = yaml.safe_load((samples.CHECKOUT / "playbooks/check.yml").read_text())
    (checks,) = [play["vars"]["checks_to_report"] for play in plays if "checks_to_report" in play.get("vars", {})]
    return list(checks)


def test_each_check_of_the_playbook_is_reported_by_the_variable_that_it_registers() -> None:
    parts = ("node/tasks/firewall", "node/tasks/missing_images", "node/tasks/source_by_one_host", "jellyfin/tasks/storage")
    roles = [f"roles/{name}.yml" for name in (*parts, "monitoring/tasks/storage")]
    tasks = "".join((samples.CHECKOUT / path).read_text() for path in ("playbooks/check.yml", *roles))
    assert [one for one in reported() if f"register: {one['result']}\n" not in tasks] == []
    in_groups = {group for one in reported() for group in one["groups"]}
    assert in_groups == set(TITLES)
    registered = set(re.findall(r"register: (check_\w+)\n", tasks)) - {"check_told"}
    assert registered <= {one["result"] for one in reported()}


@every_sample
def test_the_document_is_as_its_schema_says(told: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document(report(told)), SCHEMA)


def test_the_schema_knows_every_key() -> None:
    wrong = {**document(report(samples.healthy())), "more": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


SAMPLE = re.compile(r'[a-z_]+(\{[a-z]+="[a-z_]+"(,[a-z]+="[a-z_]+")?\})? \d+')


@every_sample
def test_the_metrics_are_as_prometheus_reads_them(told: dict[str, Any]) -> None:
    made = report(told)
    samples_of = [line for line in metrics(made).splitlines() if not line.startswith("#")]
    assert [line for line in samples_of if not SAMPLE.fullmatch(line)] == []
    assert samples_of.count(f'vmstation_check_outcome{{outcome="{made.outcome}"}} 1') == 1
    assert sum(int(line.split()[-1]) for line in samples_of if line.startswith("vmstation_check_lines")) == len(made.lines)


def test_the_metrics_have_the_time_of_the_checks_and_no_group_that_did_not_run() -> None:
    text = metrics(report(samples.healthy()))
    assert "\nvmstation_check_time_seconds 1795471200\n" in text
    assert 'vmstation_check_lines{group="hosts",mark="error"} 0\n' in text
    assert "pod_network" not in text


@every_sample
def test_junit_counts_what_it_holds(told: dict[str, Any]) -> None:
    made = report(told)
    root = ET.fromstring(junit(made))
    assert [int(root.attrib[name]) for name in ("tests", "failures", "skipped")] == [
        len(made.lines),
        len(root.findall(".//failure")),
        len(root.findall(".//skipped")),
    ]
    assert len(root.findall(".//testcase")) == len(made.lines)
    assert len(root.findall(".//failure")) == made.counts["error"]
    assert len(root.findall(".//skipped")) == made.counts["unknown"] + made.counts["asleep"]


@every_sample
def test_the_table_ends_with_the_verdict(told: dict[str, Any]) -> None:
    made: Report = report(told)
    lines = table(made)
    asked = f" ({made.api_calls} requests to the Kubernetes API)" if made.api_calls else ""
    assert lines[-1] == f"{made.cluster}: {made.verdict}{asked}"
    assert sum(line.startswith("ERROR") for line in lines) == made.counts["error"]
    assert len(table(made, verbose=True)) >= len(made.lines) + 1
    assert sum(line.startswith("  ") and "  fix: " in line for line in lines) >= made.counts["error"]
    assert all("\n" not in line for line in lines[:-1])


def test_the_table_of_a_cluster_that_is_well_is_short_and_has_the_worst_first() -> None:
    told = samples.healthy()
    next(one for one in told["results"] if one["group"] == "plan")["result"]["findings"] = samples.judge_findings()
    told["results"].append(samples.entry("services", "service_check", samples.checked(findings=[samples.finding("Service a/b")])))
    lines = table(report(told))
    assert lines[0].startswith("ERROR")
    (folded,) = [index for index, line in enumerate(lines) if "network_plan.declared_ports" in line]
    assert lines[folded].endswith(" 17 differences")
    assert lines[folded + 1].strip() == "fix: `-e check_verbose=true` lists them."
    assert [line for line in lines if line.startswith("ok") and "Hosts" in line and line.endswith("9 match the plan")]
    assert len(lines) <= 30
    # the verdict counts what a reader sees
    assert lines[-1].startswith("vmstation: 1 error, 1 warning, ")
    assert sum("network_plan.declared_ports" in line for line in table(report(told), verbose=True)) == 17
