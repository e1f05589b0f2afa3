# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of check_report as check.yml passes them: the three hosts of the inventory, well and not so well, one host, and many."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, as_result
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CHECKOUT = Path(__file__).resolve().parents[3]
PLAN = yaml.safe_load((CHECKOUT / "inventory/group_vars/all/network_plan.yml").read_text())["network_plan"]
HEALTH = ("control_plane", "certificates", "api", "workloads", "storage")
NODES = [
    {"name": "masternode", "address": "192.168.4.63", "role": "control_plane", "sleeps": False},
    {"name": "storagenodet3500", "address": "192.168.4.61", "role": "worker", "sleeps": True, "mac": "b8:ac:6f:7e:6c:9d"},
    {"name": "homelab", "address": "192.168.4.62", "role": "worker", "sleeps": True, "mac": "d0:94:66:30:d6:63"},
]
HOSTILE = "<script>alert(1)</script>\" onload='x' & ]]> \x01"
REFUSED = Refusal("kubeconfig ~/.kube/x", "no file of this name that can be read", "a kubeconfig", "Name the right file.")

Options = dict[str, Any]


def finding(subject: str, severity: str = "error", hosts: tuple[str, ...] = (), **told: str) -> dict[str, Any]:
    given = {"rule": "a_rule", "severity": severity, "subject": subject, "found": "this", "expected": "that", "fix": "Do it.", **told}
    return {**given, "hosts": list(hosts)}


def looked(subject: str, facts: str = "14 things", state: str = "ok", hosts: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"subject": subject, "facts": facts, "state": state, "hosts": list(hosts)}


def checked(*looked_at: dict[str, Any], findings: Sequence[dict[str, Any]] = (), **others: object) -> dict[str, Any]:
    """The result of a check."""
    return {"findings": list(findings), "looked_at": list(looked_at), **others}


def entry(group: str, check: str, result: dict[str, Any], host: str = "") -> dict[str, Any]:
    return {"group": group, "check": check, "host": host, "result": result}


def options(results: list[dict[str, Any]], nodes: list[dict[str, Any]] | None = None, **others: object) -> Options:
    return {
        "cluster": "vmstation",
        "generated_at": "2026-11-23T22:00:00Z",
        "plan": PLAN,
        "nodes": NODES if nodes is None else nodes,
        "asleep": [],
        "results": results,
        "derived": None,
        "unchecked": [],
        **others,
    }


def healthy(nodes: list[dict[str, Any]] | None = None) -> Options:
    """Every check ran on every host, and found nothing."""
    nodes = NODES if nodes is None else nodes
    names = [node["name"] for node in nodes]
    plan = {key: value for key, value in PLAN.items() if key != "declared_ports"}
    verdict = judge(plan, nodes)
    results = [
        entry("plan", "network_plan_check", as_result(verdict.findings, verdict.looked_at)),
        entry("hosts", "wake_on_lan", {"changed": False}),
        entry("nodes", "node_ready_check", checked(*(looked(f"node {name}", hosts=(name,)) for name in names))),
        entry("calico", "calico_check", checked(*(looked(f"node {name}", hosts=(name,)) for name in names), api_calls=9)),
        *(entry(group, "cluster_health_check", checked(looked(group))) for group in HEALTH),
        entry("dns", "coredns_check", checked(looked("cluster DNS"))),
        entry("services", "service_check", checked(*(looked(service(one), hosts=tuple(names)) for one in PLAN["services"]))),
        entry("drift", "cluster_drift_check", checked(looked("plan and cluster"), api_calls=7)),
    ]
    for name in names:
        results += [
            entry("hosts", "ping", {"changed": False}, name),
            entry("hosts", "node_preflight_check", checked(looked(f"host {name}: software and leftovers")), name),
            entry("hosts", "container_images", checked(looked(f"images on {name}")), name),
            entry("firewall", "firewall_ports", checked(looked(f"firewall of {name} (nftables)")), name),
            entry("dns", "cluster_dns_check", checked(looked("DNS")), name),
        ]
    return options(results, nodes, derived=verdict.derived)


def faulty() -> Options:
    """homelab sleeps; masternode and storagenodet3500 do not reach each other; Grafana is silent on one of them; a list is forbidden."""
    told = healthy()
    told["asleep"] = ["homelab"]
    told["results"] = [one for one in told["results"] if one["host"] != "homelab"]
    master, storage = awake = ("masternode", "storagenodet3500")
    results = {(one["check"], one["host"]): one["result"] for one in told["results"]}
    verdict = judge(PLAN, NODES)
    results["network_plan_check", ""].update(as_result(verdict.findings, verdict.looked_at))
    cordoned = finding(f"node {storage}", "warning", (storage,), found="ready, but cordoned", fix=f"`kubectl uncordon {storage}`")
    results["node_ready_check", ""].update(
        checked(
            looked(f"node {master}", hosts=(master,)),
            looked(f"node {storage}", "ready, but cordoned", "warning", (storage,)),
            looked("node homelab", "not ready: silent since 21:14", "asleep", ("homelab",)),
            findings=[cordoned, finding("node homelab", "info", ("homelab",), found="not ready: silent since 21:14")],
        )
    )
    sessions = finding(
        f"nodes {master} and {storage}",
        hosts=awake,
        rule="bgp_sessions_are_established",
        found=f"{master} says of {storage}: Connect since 21:41:00",
        expected="established with every node that is awake",
        fix=f"Open 179/tcp on {storage}: `ansible-playbook site.yml --limit {storage}` does.",
    )
    results["calico_check", ""].update(
        checked(
            *(looked(f"node {name}", "not connected", "error", (name,)) for name in awake),
            looked("node homelab", "asleep", "asleep", ("homelab",)),
            findings=[sessions],
        )
    )
    closed = finding(f"firewall of {storage} (firewalld)", found="closed: 179/tcp from 192.168.4.0/24")
    results["firewall_ports", storage].update(
        checked(looked(f"firewall of {storage} (firewalld)", state="error"), findings=[closed]),
    )
    grafana = finding(
        "Service monitoring/grafana",
        hosts=(storage,),
        rule="node_ports_answer",
        found=f"{storage} (http://192.168.4.61:30300/api/health): no answer within 5 s",
        expected="an HTTP status below 400 on every node that is awake",
        fix="Check that node: its firewall, whose rules site.yml restores, its kube-proxy, and its connectivity to other nodes' pods.",
    )
    forbidden = finding(
        "Kubernetes API https://192.168.4.63:6443, list of endpointslices",
        "unknown",
        rule="services_can_be_read",
        found="HTTP status 403: endpointslices.discovery.k8s.io is forbidden",
        expected="the permission to list endpointslices",
        fix="Let the user of ~/.kube/vmstation.config list endpointslices.",
    )
    services = [service(one) for one in PLAN["services"]]
    seen = [looked(name, state="error" if name == grafana["subject"] else "ok", hosts=awake) for name in services]
    results["service_check", ""].update(checked(*seen, findings=[grafana, forbidden]))
    results["cluster_drift_check", ""].clear()
    results["cluster_drift_check", ""].update(failed=True, **REFUSED.as_result())
    return told


def hostile() -> Options:
    """Every value that comes from outside tries to be markup."""
    named = {"name": HOSTILE, "address": HOSTILE, "role": HOSTILE, "sleeps": False}
    nodes = [named, {**named, "name": "homelab"}]
    port = {
        "port": HOSTILE,
        "protocol": HOSTILE,
        "sources": [HOSTILE],
        "name": HOSTILE,
        "reason": HOSTILE,
        "document": f"https://{HOSTILE}",
    }
    told = finding(HOSTILE, rule=HOSTILE, found=HOSTILE, expected=HOSTILE, fix=HOSTILE)
    plan = {"gateway": HOSTILE, "node_cidr": HOSTILE, "pod_cidr": HOSTILE, "dns_service_ip": HOSTILE, "encapsulation": HOSTILE}
    plan["services"] = [{"name": HOSTILE, "namespace": HOSTILE, "node_port": 30300}]
    failed = [entry("drift", "cluster_drift_check", {"failed": True, "msg": HOSTILE})]
    failed.append(entry("hosts", "ping", {"unreachable": True}, HOSTILE))
    item = {"subject": HOSTILE, "facts": HOSTILE, "state": HOSTILE, "hosts": [HOSTILE]}
    results = [entry("calico", "calico_check", {"findings": [told], "looked_at": [item]}), *failed]
    return options(results, nodes, plan=plan, cluster=HOSTILE, generated_at=HOSTILE, derived={"ports": {HOSTILE: [port]}})


def many(count: int) -> list[dict[str, Any]]:
    addresses = [f"192.168.{third}.{last}" for third, last in product((4, 5), range(10, 210))]
    return [
        {"name": f"node{index:03}", "address": addresses[index], "role": "worker" if index else "control_plane", "sleeps": False}
        for index in range(count)
    ]


def judge_findings() -> list[dict[str, Any]]:
    return as_dicts(judge(PLAN, NODES).findings)


def service(planned: dict[str, Any]) -> str:
    return f"Service {planned['namespace']}/{planned['name']}"
