# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of check_report as check.yml passes them: the three hosts of the inventory, well and not so well, one host, and many."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge

CHECKOUT = Path(__file__).resolve().parents[3]
PLAN = yaml.safe_load((CHECKOUT / "inventory/group_vars/all/network_plan.yml").read_text())["network_plan"]
NODES = [
    {"name": "masternode", "address": "192.168.4.63", "role": "control_plane", "sleeps": False},
    {"name": "storagenodet3500", "address": "192.168.4.61", "role": "worker", "sleeps": True, "mac": "b8:ac:6f:7e:6c:9d"},
    {"name": "homelab", "address": "192.168.4.62", "role": "worker", "sleeps": True, "mac": "d0:94:66:30:d6:63"},
]
HOSTILE = "<script>alert(1)</script>\" onload='x' & ]]> \x01"
REFUSED = "kubeconfig ~/.kube/x: found no file of this name that can be read; required: a kubeconfig. Name the right file."

Options = dict[str, Any]


def finding(subject: str, severity: str = "error", **told: str) -> dict[str, str]:
    return {"rule": "a_rule", "severity": severity, "subject": subject, "found": "this", "expected": "that", "fix": "Do it.", **told}


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
        "ports": None,
        **others,
    }


def healthy(nodes: list[dict[str, Any]] | None = None) -> Options:
    """Every check ran on every host, and found nothing."""
    nodes = NODES if nodes is None else nodes
    names = [node["name"] for node in nodes]
    plan = {key: value for key, value in PLAN.items() if key != "declared_ports"}
    results = [
        entry("plan", "network_plan_check", {"findings": [], "derived": judge(plan, nodes).derived}),
        entry("hosts", "wake_on_lan", {"hosts": []}),
        entry("nodes", "node_ready_check", {"findings": [], "nodes": {name: {"ready": True, "schedulable": True} for name in names}}),
        entry("calico", "calico_check", {"findings": [], "nodes": [{"name": name, "verdict": "ok"} for name in names], "api_calls": 9}),
        entry("dns", "rollout_check", {"findings": [], "workloads": [workload()]}),
        entry("dns", "coredns_check", {"findings": [], "replicas": [{"name": "coredns-1", "node": names[0], "is_ready": True}]}),
        entry("services", "service_check", {"findings": [], "services": [service(one, names) for one in PLAN["services"]]}),
        entry("drift", "cluster_drift_check", {"findings": [], "compared": [{"equal": True}] * 40, "api_calls": 7}),
    ]
    for name in names:
        results += [
            entry("hosts", "ping", {"ping": "pong"}, name),
            entry("hosts", "node_preflight_check", {"findings": []}, name),
            entry("hosts", "container_images", {"changed": False, "imported": [], "pinned": []}, name),
            entry("firewall", "firewall_ports", {"backend": "nftables", "added": [], "removed": [], "ports": [{}] * 7}, name),
            entry("dns", "cluster_dns_check", {"findings": [], "answers": [{}] * 6}, name),
        ]
    return options(results, nodes)


def faulty() -> Options:
    """homelab sleeps; masternode and storagenodet3500 do not reach each other; Grafana is silent on one of them; a list is forbidden."""
    told = healthy()
    told["asleep"] = ["homelab"]
    told["results"] = [one for one in told["results"] if one["host"] != "homelab"]
    awake = ["masternode", "storagenodet3500"]
    results = {(one["check"], one["host"]): one["result"] for one in told["results"]}
    results["network_plan_check", ""]["findings"] = judge_findings()
    results["node_ready_check", ""]["nodes"]["homelab"] = {"ready": False, "asleep": True, "reason": "not ready: silent since 21:14"}
    results["node_ready_check", ""]["nodes"]["storagenodet3500"]["schedulable"] = False
    results["calico_check", ""]["nodes"] = [
        {"name": "masternode", "verdict": "error"},
        {"name": "storagenodet3500", "verdict": "error"},
        {"name": "homelab", "verdict": "asleep"},
    ]
    results["calico_check", ""]["findings"] = [
        finding(
            "nodes masternode and storagenodet3500",
            rule="bgp_sessions_are_established",
            found="masternode says of storagenodet3500: Connect since 21:41:00",
            expected="established with every node that is awake",
            fix="Open 179/tcp on storagenodet3500: `ansible-playbook site.yml --limit storagenodet3500` does.",
        )
    ]
    results["firewall_ports", "storagenodet3500"].update(backend="firewalld", added=["179/tcp from 192.168.4.0/24"])
    results["service_check", ""]["services"] = [service(one, awake) for one in PLAN["services"]]
    silent = {"node": "storagenodet3500", "status": 0, "problem": "no answer within 5 s"}
    results["service_check", ""]["services"][0]["answers"] = [{"node": "masternode", "status": 200, "problem": ""}, silent]
    results["service_check", ""]["findings"] = [
        finding(
            "Service monitoring/grafana",
            rule="node_ports_answer",
            found="storagenodet3500 (http://192.168.4.61:30300/api/health): no answer within 5 s",
            expected="an HTTP status below 400 on every node that is awake",
            fix="Look at that node: its firewall, whose rules site.yml puts right, its kube-proxy, and its way to the other nodes' pods.",
        ),
        finding(
            "Kubernetes API https://192.168.4.63:6443, list of endpointslices",
            "warning",
            rule="services_can_be_read",
            found="HTTP status 403: endpointslices.discovery.k8s.io is forbidden",
            expected="the permission to list endpointslices",
            fix="Let the user of ~/.kube/vmstation.config list endpointslices.",
        ),
    ]
    results["cluster_drift_check", ""].clear()
    results["cluster_drift_check", ""].update(failed=True, msg=REFUSED)
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
    results = [entry("calico", "calico_check", {"findings": [told], "nodes": [{"name": HOSTILE, "verdict": HOSTILE}]}), *failed]
    return options(results, nodes, plan=plan, cluster=HOSTILE, generated_at=HOSTILE, ports={HOSTILE: [port]})


def many(count: int) -> list[dict[str, Any]]:
    addresses = [f"192.168.{third}.{last}" for third, last in product((4, 5), range(10, 210))]
    return [
        {"name": f"node{index:03}", "address": addresses[index], "role": "worker" if index else "control_plane", "sleeps": False}
        for index in range(count)
    ]


def judge_findings() -> list[dict[str, str]]:
    return [vars(one) for one in judge(PLAN, NODES).findings]


def workload() -> dict[str, Any]:
    return {"kind": "Deployment", "namespace": "kube-system", "name": "coredns", "rolled_out": True, "available": 2, "desired": 2}


def service(planned: dict[str, Any], names: list[str]) -> dict[str, Any]:
    answers = [{"node": name, "status": 200, "problem": ""} for name in names]
    return {**{key: planned[key] for key in ("namespace", "name", "node_port")}, "ready_endpoints": 1, "answers": answers}
