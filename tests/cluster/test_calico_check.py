# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""calico_check and calico_info against a real API server with Calico's own definitions: no node runs, the objects are made up."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.calico_objects import Placing
from tests.cluster.play import run_module
from tests.cluster.server import Cluster
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError
from tests.lab.venv import ensure_venv
from tests.unit.calico.clusters import ADDRESSES, NOW, PLANNED, World, block
from tests.unit.calico.faults import FAULTS, HOMELAB
from tests.unit.network_plan.plans import plan

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import node_rules, survey
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.verdict import Verdict, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster import api as reader
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KubernetesApi

# of the lists that may be refused, how RBAC calls them
KINDS = {
    "nodes": "", "pods": "", "daemonsets": "apps", "ippools": "crd.projectcalico.org", "blockaffinities": "crd.projectcalico.org",
    "felixconfigurations": "crd.projectcalico.org", "bgpconfigurations": "crd.projectcalico.org", "bgppeers": "crd.projectcalico.org",
    "caliconodestatuses": "crd.projectcalico.org",
}  # fmt: skip
REQUEST = {"plan": plan(), "nodes": PLANNED, "asleep": []}


@pytest.fixture(scope="module")
def calico(cluster: Cluster) -> Iterator[Placing]:
    """A cluster that knows Calico's kinds."""
    placing = Placing(cluster)
    try:
        placing.define()
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no definitions of Calico: {error}")
    yield placing
    placing.remove()


@pytest.fixture(autouse=True)
def _empty(calico: Placing) -> None:
    calico.clear()


def _judged(kubeconfig: Path) -> tuple[Verdict, KubernetesApi]:
    api = KubernetesApi(str(kubeconfig))
    return judge(node_rules.request(REQUEST), survey.look(api), NOW), api


def _check(kubeconfig: Path, **options: object) -> dict[str, Any]:
    return run_module("calico_check", kubeconfig, **{**REQUEST, **options})


def test_a_healthy_cluster_brings_no_finding(cluster: Cluster, calico: Placing) -> None:
    calico.place(World())
    result = _check(cluster.kubeconfig)
    assert not result.get("failed"), result
    assert (result["changed"], result["findings"]) == (False, [])
    assert {node["name"]: node["verdict"] for node in result["nodes"]} == dict.fromkeys(ADDRESSES, "ok")
    # the kinds of v1, apps/v1, projectcalico.org/v3, crd.projectcalico.org/v1, and nine lists
    assert result["api_calls"] == 4 + 9


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_on_its_object(cluster: Cluster, calico: Placing, name: str) -> None:
    change, rule, severity, subject, said, spoiled = FAULTS[name]
    world = World()
    change(world)
    calico.place(world)
    verdict, _api = _judged(cluster.kubeconfig)
    finding = next(one for one in verdict.findings if one.rule == rule)
    # the API server lists by name
    assert (finding.severity, set(finding.subject.replace(",", "").split())) == (severity, set(subject.replace(",", "").split()))
    for phrase in said:
        assert phrase in str(finding)
    assert {node["name"] for node in verdict.nodes if node["verdict"] == "error"} == set(spoiled)


def test_a_router_gets_the_nodes_as_its_neighbours(cluster: Cluster, calico: Placing, tmp_path: Path) -> None:
    calico.place(World())
    written = tmp_path / "neighbours.conf"
    variables = json.dumps({"router_kubeconfig": str(cluster.kubeconfig), "router_file": str(written)})
    argv = [f"{ensure_venv()}/bin/ansible-playbook", str(CHECKOUT / "examples/router_peers.yml"), "-e", variables]
    for changed in (1, 0):
        process = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=CHECKOUT, timeout=120)
        assert f"changed={changed} " in process.stdout, process.stdout + process.stderr
    lines = [f"protocol bgp '{name}-1' from cluster {{ neighbor {address} as 64512; }}" for name, address in sorted(ADDRESSES.items())]
    assert written.read_text().splitlines() == lines


def test_a_fault_makes_the_task_fail_and_is_named(cluster: Cluster, calico: Placing) -> None:
    world = World()
    world.session("masternode", HOMELAB, "Active")
    calico.place(world)
    result = _check(cluster.kubeconfig)
    assert result["failed"]
    assert "nodes homelab and masternode" in result["msg"]
    assert "`nc -vz 192.168.4.62 179` on masternode" in result["msg"]
    assert not _check(cluster.kubeconfig, fail_on="never").get("failed")


def test_a_sleeping_node_is_asleep(cluster: Cluster, calico: Placing) -> None:
    world = World()
    world.switch_off(HOMELAB)
    calico.place(world)
    result = _check(cluster.kubeconfig, asleep=[HOMELAB])
    assert result["findings"] == []
    assert {node["name"]: node["verdict"] for node in result["nodes"]}[HOMELAB] == "asleep"


def test_statuses_are_made_once(cluster: Cluster, calico: Placing) -> None:
    world = World()
    world.drop("CalicoNodeStatus", HOMELAB)
    calico.place(world)
    seen = []
    for check_mode in (True, False, True, False):
        result = _check(cluster.kubeconfig, check_mode=check_mode, create_status=True)
        seen.append((result["changed"], result["created"], [finding["rule"] for finding in result["findings"]]))
    assert seen == [
        (True, [HOMELAB], ["bgp_sessions_are_known"]),
        (True, [HOMELAB], ["bgp_sessions_are_known"]),
        (False, [], ["bgp_sessions_are_known"]),
        (False, [], ["bgp_sessions_are_known"]),
    ]
    made = json.loads(cluster.kubectl("get", "caliconodestatuses", HOMELAB, "--output=json").stdout)
    assert made["spec"] == {"node": HOMELAB, "classes": ["Agent", "BGP", "Routes"], "updatePeriodSeconds": 10}


def _limited(cluster: Cluster, directory: Path, forbidden: str) -> Path:
    """The kubeconfig of an account that may list all of the kinds but one."""
    rules = [{"apiGroups": [group], "resources": [kind], "verbs": ["list"]} for kind, group in KINDS.items() if kind != forbidden]
    cluster.kubectl("create", "serviceaccount", "checker", "--namespace=default", check=False)
    subject = {"kind": "ServiceAccount", "name": "checker", "namespace": "default"}
    group = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": "calico-checker"}, "rules": rules}
    binding = {
        "apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "calico-checker"}, "subjects": [subject],
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "calico-checker"},
    }  # fmt: skip
    documents = {"apiVersion": "v1", "kind": "List", "items": [role, binding]}
    cluster.kubectl("apply", "--filename=-", stdin=json.dumps(documents))
    token = cluster.kubectl("create", "token", "checker", "--namespace=default").stdout.strip()
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"][0]["user"] = {"token": token}
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def limited(cluster: Cluster, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    yield _limited(cluster, tmp_path, request.param)
    for kind in ("clusterrole", "clusterrolebinding"):
        cluster.kubectl("delete", kind, "calico-checker", "--ignore-not-found")


def _has_permission(kubeconfig: Path, kind: str) -> bool:
    return not any(f"list {kind}" in str(refusal) for refusal in survey.look(KubernetesApi(str(kubeconfig))).unknown)


@pytest.mark.parametrize("limited", KINDS, indirect=True)
def test_a_list_that_rbac_forbids_is_unknown_and_the_rest_is_judged(calico: Placing, limited: Path, request: pytest.FixtureRequest) -> None:
    forbidden = request.node.callspec.params["limited"]
    world = World()
    world.put("BlockAffinity", block(HOMELAB, "10.244.0.128/26", state="pending"))
    calico.place(world)
    # an authorizer learns of a role some moments later
    calico.wait("the role of the account", lambda: all(_has_permission(limited, kind) for kind in KINDS if kind != forbidden))
    verdict, _api = _judged(limited)
    unknown = [one for one in verdict.findings if one.rule == "calico_can_be_read"]
    assert [one.severity for one in unknown] == ["unknown"]
    assert f"the permission to list {forbidden}" in str(unknown[0])
    assert f"Allow the user of {limited} to list {forbidden}" in unknown[0].fix
    judges_blocks = forbidden not in {"nodes", "blockaffinities"}
    assert ("blocks_are_confirmed" in {one.rule for one in verdict.findings}) == judges_blocks
    assert "ok" not in {node["verdict"] for node in verdict.nodes} or forbidden in {"daemonsets", "felixconfigurations"}


def test_lists_come_in_pages(cluster: Cluster, calico: Placing, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World({f"n{number:02}": f"192.168.4.{number + 1}" for number in range(12)})
    calico.place(world)
    monkeypatch.setitem(REQUEST, "nodes", [{"name": name, "address": address} for name, address in world.addresses.items()])
    whole, api = _judged(cluster.kubeconfig)
    assert [str(finding) for finding in whole.findings] == []
    calls = api.calls
    monkeypatch.setattr(reader, "PAGE", 5)
    paged, api = _judged(cluster.kubeconfig)
    assert paged.nodes == whole.nodes
    # four lists of 12, each in three pages instead of one: Nodes, Pods, BlockAffinities, CalicoNodeStatuses
    assert api.calls - calls >= 4 * 2


def test_the_facts_are_told(cluster: Cluster, calico: Placing) -> None:
    calico.place(World())
    facts = run_module("calico_info", cluster.kubeconfig)
    assert facts["api_version"] == "crd.projectcalico.org/v1"
    assert (facts["changed"], facts["unknown"]) == (False, [])
    assert facts["daemon_set"]["readiness"] == ["/bin/calico-node", "-felix-ready", "-bird-ready"]
    homelab = next(node for node in facts["nodes"] if node["name"] == HOMELAB)
    assert homelab["tunnels"] == {"IPIPv4": "10.244.0.128"}
    assert homelab["bgp"]["established"] == ["192.168.4.61", "192.168.4.63"]
    assert homelab["calico_node"]["ready"]
    assert facts["bgp"] == {"nodeToNodeMeshEnabled": True}
    assert {one["node"] for one in facts["blocks"]} == set(ADDRESSES)


def test_a_server_that_is_not_there_is_named(cluster: Cluster, tmp_path: Path) -> None:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(content))
    result = _check(tmp_path / "kubeconfig")
    assert result["failed"]
    assert "https://127.0.0.1:1" in result["msg"]
    assert "connection refused" in result["msg"]
    assert "nodes" not in result
