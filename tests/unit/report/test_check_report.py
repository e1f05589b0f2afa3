# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says of what the checks returned, in each of its forms."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import jsonschema
import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import LINKED_HOSTS, report
from ansible_collections.vmstation.cluster.plugins.module_utils._report.collect import EACH, ONCE, check_results
from ansible_collections.vmstation.cluster.plugins.module_utils._report.document import document
from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES, chosen_groups
from ansible_collections.vmstation.cluster.plugins.module_utils._report.junit import junit
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Report
from ansible_collections.vmstation.cluster.plugins.module_utils._report.palette import DARK, GROUND, LIGHT, TEXT
from ansible_collections.vmstation.cluster.plugins.module_utils._report.table import table

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
        ("nodes", "node_ready_check", {"failed": True, "msg": "boom"}, "", ("error", "node_ready_check", "no judgement: boom")),
        (
            "drift",
            "cluster_drift_check",
            {"failed": True, "msg": samples.REFUSED},
            "",
            ("error", "cluster_drift_check", "no judgement: kubeconfig ~/.kube/x: no file of this name that can be read"),
        ),
        ("hosts", "ping", {"unreachable": True, "msg": "no route"}, "homelab", ("error", "host homelab", "no route")),
        ("hosts", "wake_on_lan", {"failed": True, "msg": "no MAC"}, "", ("error", "wake_on_lan", "no judgement: no MAC")),
        ("firewall", "firewall_ports", {"failed": True, "msg": "x"}, "homelab", ("error", "firewall_ports on homelab", "no judgement: x")),
        (
            "firewall",
            "firewall_ports",
            {"backend": "ufw", "added": ["179/tcp"], "removed": []},
            "homelab",
            ("error", "firewall of homelab (ufw)", "shut: 179/tcp"),
        ),
        (
            "firewall",
            "firewall_ports",
            {"backend": "ufw", "added": [], "removed": ["1/tcp"]},
            "homelab",
            ("warning", "firewall of homelab (ufw)", "open, but needed by nothing in the plan: 1/tcp"),
        ),
        (
            "nodes",
            "node_ready_check",
            {"findings": [], "nodes": {"homelab": {"ready": True, "schedulable": False}}},
            "",
            ("warning", "node homelab", "ready, but cordoned"),
        ),
        (
            "services",
            "service_check",
            {"findings": [samples.finding("list of services", "warning", rule="services_can_be_read")], "services": []},
            "",
            ("unknown", "list of services", "this"),
        ),
        (
            "calico",
            "calico_check",
            {"findings": [samples.finding("nodes a and b", "warning", rule="bgp_sessions_are_known")], "nodes": []},
            "",
            ("unknown", "nodes a and b", "this"),
        ),
        (
            "calico",
            "calico_check",
            {"findings": [], "nodes": [{"name": "homelab", "verdict": "a new word"}]},
            "",
            ("unknown", "node homelab", "not all of Calico on it is known"),
        ),
        (
            "nodes",
            "node_ready_check",
            {"findings": [], "nodes": {"homelab": {"ready": True, "schedulable": True, "pressures": ["DiskPressure"]}}},
            "",
            ("error", "node homelab", "ready, but under DiskPressure: kubelet evicts Pods from it, and it takes no new ones"),
        ),
        (
            "hosts",
            "container_images",
            {"imported": ["registry.k8s.io/pause:3.10.2", "x:1"], "pinned": []},
            "homelab",
            ("error", "images on homelab", "missing: registry.k8s.io/pause:3.10.2, x:1"),
        ),
        (
            "hosts",
            "container_images",
            {"imported": [], "pinned": ["x:1"]},
            "homelab",
            ("warning", "images on homelab", "not pinned: x:1"),
        ),
        ("dns", "cluster_dns_check", {"findings": [samples.finding("DNS")]}, "homelab", ("error", "host homelab: DNS", "this")),
    ],
)
def test_a_check_gets_one_line(group: str, check: str, result: dict[str, Any], host: str, wanted: tuple[str, str, str]) -> None:
    assert one(group, check, result, host) == [wanted]


def test_what_a_refusal_requires_and_its_next_step_are_kept() -> None:
    told = report(samples.options([samples.entry("drift", "cluster_drift_check", {"failed": True, "msg": samples.REFUSED})]))
    assert [(line.expected, line.fix) for line in told.lines] == [("a kubeconfig", "Name the right file.")]


def test_of_a_host_that_cannot_be_reached_only_that_is_said() -> None:
    told = samples.options([samples.entry(*EACH[variable], {}, "homelab") for variable in EACH])
    told["results"][0]["result"] = {"unreachable": True, "msg": "no route"}
    assert [line.finding for line in report(told).lines] == ["no route"]


def test_of_a_host_that_sleeps_only_that_is_said() -> None:
    told = samples.options([samples.entry(*EACH[variable], {}, "homelab") for variable in EACH], asleep=["homelab"])
    assert [(line.subject, line.mark) for line in report(told).lines] == [("host homelab", "asleep")]
    assert {host.name: host.power for host in report(told).hosts}["homelab"] == "asleep"


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


def test_a_link_of_which_nothing_is_known_is_not_well() -> None:
    told = samples.healthy()
    told["results"] = [entry for entry in told["results"] if entry["group"] != "calico"]
    assert {link.mark for link in report(told).links} == {"unknown"}


def test_many_hosts_have_no_links() -> None:
    assert report(samples.healthy(samples.many(LINKED_HOSTS))).links
    assert not report(samples.healthy(samples.many(LINKED_HOSTS + 1))).links


def test_a_report_of_nothing_is_not_well() -> None:
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


@pytest.mark.parametrize("only", ["dns,nonsense", "DNS", None, 4, [4], {"dns": True}])
def test_a_group_that_does_not_exist_is_refused(only: object) -> None:
    with pytest.raises(Refusal, match="Choose from plan, hosts"):
        chosen_groups(only)


def test_what_left_no_result_is_collected_as_not_run() -> None:
    hostvars = {"a": {"check_calico": {"findings": []}, "check_dns": {"skipped": True}}, "b": {}}
    found = check_results(hostvars, ["a", "b"], ["calico", "dns", "drift"])
    assert [(entry["check"], entry["host"], entry["result"]) for entry in found] == [
        ("calico_check", "", {"findings": []}),
        ("rollout_check", "", {}),
        ("coredns_check", "", {}),
        ("cluster_drift_check", "", {}),
        ("cluster_dns_check", "b", {}),
    ]


def test_every_variable_is_one_that_the_playbook_registers() -> None:
    roles = [f"roles/node/tasks/{name}.yml" for name in ("firewall", "missing_images", "source_by_one_host")]
    tasks = "".join((samples.CHECKOUT / path).read_text() for path in ("playbooks/check.yml", *roles))
    assert [variable for variable in (*ONCE, *EACH) if f"register: {variable}\n" not in tasks] == []


@every_sample
def test_the_document_is_as_its_schema_says(told: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document(report(told)), SCHEMA)


def test_the_schema_knows_every_key() -> None:
    wrong = {**document(report(samples.healthy())), "more": 1}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


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
    assert sum(line.startswith("  ") and "  fix: " in line for line in lines) >= made.counts["error"]
    assert all("\n" not in line for line in lines[:-1])


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("ground", GROUND)
@pytest.mark.parametrize("ink", TEXT)
@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_has_the_contrast_that_wcag_asks_for(colours: dict[str, str], ink: str, ground: str) -> None:
    darker, lighter = sorted((luminance(colours[ink]), luminance(colours[ground])))
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5
