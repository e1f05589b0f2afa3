# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule of Calico's preflight: a cluster as planned, and what one difference brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import (
    API_VERSION,
    TESTED,
    pool_documents,
    read_plan,
    read_pools,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.preflight import RULES, Case, judge, look, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.network_plan.plans import DUAL, IPV6, plan

ROLE = Path(__file__).resolve().parents[3] / "roles" / "calico"
AS_PLANNED = {
    "cidr": "10.244.0.0/16",
    "blockSize": 26,
    "ipipMode": "Always",
    "vxlanMode": "Never",
    "natOutgoing": True,
    "nodeSelector": "all()",
    "allowedUses": ["Workload", "Tunnel"],
}


def pool(name: str = "default-ipv4-ippool", **changes: object) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {**AS_PLANNED, **changes}}


def case(*pools: dict[str, Any], one_plan: dict[str, Any] | None = None, **changes: Any) -> Case:
    return Case(read_plan(one_plan or plan(), "test"), changes.pop("version", "3.32.1"), read_pools(list(pools)), **changes)


def found(one: Case) -> list[tuple[str, str]]:
    return [(finding.rule, finding.severity) for finding in judge(one)]


WELL = {
    "no pool": case(),
    "ours": case(pool()),
    "defaults left out": case(
        {"metadata": {"name": "default-ipv4-ippool"}, "spec": {"cidr": "10.244.0.0/16", "ipipMode": "Always", "natOutgoing": True}}
    ),
    "migrated": case(pool("new-pool")),
    "migrated, the old one disabled": case(pool("new-pool"), pool(cidr="10.10.0.0/16", disabled=True)),
    "of load balancers": case(pool(), pool("lb", cidr="192.168.4.240/28", allowedUses=["LoadBalancer"], ipipMode="Never")),
    "unreadable": case(pool(), pool("garbage", cidr="nonsense", disabled=True)),
    "no NAT": case(pool(natOutgoing=False), nat_outgoing=False),
    "ours runs": case(pool(), daemon_sets=(("kube-system", "calico-node"), ("kube-system", "kube-proxy"))),
}


@pytest.mark.parametrize("one", WELL.values(), ids=WELL)
def test_a_cluster_as_planned_brings_nothing(one: Case) -> None:
    assert found(one) == []


@pytest.mark.parametrize(
    ("one", "rule", "severity", "words"),
    [
        (
            case(pool(cidr="10.10.0.0/16")),
            "pools_have_the_planned_network",
            "error",
            ("IPPool default-ipv4-ippool: found cidr 10.10.0.0/16", "10.244.0.0/16", "/networking/ipam/migrate-pools"),
        ),
        (
            case(pool("mine", cidr="10.10.0.0/16")),
            "pools_have_the_planned_network",
            "error",
            ("IPPool mine: found cidr 10.10.0.0/16", "Set pod_cidr to 10.10.0.0/16"),
        ),
        (
            case(pool("half", cidr="10.244.0.0/17", disabled=True)),
            "pools_have_the_planned_network",
            "error",
            ("IPPool half: found cidr 10.244.0.0/17",),
        ),
        (
            case(pool(blockSize=24)),
            "pools_have_the_planned_block_size",
            "error",
            ("found blockSize 24; expected 26", "Set block_size to 24", "/networking/ipam/change-block-size"),
        ),
        (
            case(pool(ipipMode="Never", vxlanMode="Always")),
            "pools_have_the_planned_encapsulation",
            "error",
            ("found ipipMode Never, vxlanMode Always; expected encapsulation IPIP", "Set encapsulation to VXLAN"),
        ),
        (
            case(pool(ipipMode="Never")),
            "pools_have_the_planned_encapsulation",
            "error",
            ("Set encapsulation to None", "/networking/ipam/migrate-pools"),
        ),
        (case(pool(disabled=True)), "pools_serve_pods_of_every_node", "error", ("found disabled true; expected disabled false",)),
        (case(pool(nodeSelector="rack == 'a'")), "pools_serve_pods_of_every_node", "error", ("nodeSelector rack == 'a'", "kubectl edit")),
        (case(pool(allowedUses=["Tunnel"])), "pools_serve_pods_of_every_node", "error", ("allowedUses Tunnel",)),
        (case(pool(assignmentMode="Manual")), "pools_serve_pods_of_every_node", "error", ("assignmentMode Manual",)),
        (
            case(pool(), pool("more", cidr="10.245.0.0/16")),
            "pools_are_planned",
            "warning",
            ("IPPool more: found cidr 10.245.0.0/16, in use",),
        ),
        (case(pool(ipipMode="CrossSubnet")), "pools_have_the_planned_scope", "info", ("IPIP CrossSubnet; expected Always", "in place")),
        (case(pool(natOutgoing=False)), "pools_have_the_planned_nat", "info", ("natOutgoing false", "calico_nat_outgoing")),
        (
            case(daemon_sets=(("calico-system", "calico-node"),)),
            "no_other_pod_network_is_installed",
            "error",
            ("DaemonSet calico-system/calico-node: found Calico of the Tigera operator",),
        ),
        (case(daemon_sets=(("kube-flannel", "kube-flannel-ds"),)), "no_other_pod_network_is_installed", "error", ("Flannel",)),
        (
            case(version="3.28.5"),
            "calico_is_tested_with_the_kubernetes_version",
            "warning",
            (
                "Calico 3.28.5: found Kubernetes 1.36; expected Kubernetes 1.27 to 1.30",
                "/calico/3.28/getting-started/kubernetes/requirements",
            ),
        ),
        (case(version="3.40.0"), "calico_is_tested_with_the_kubernetes_version", "warning", ("a version in its requirements",)),
    ],
)
def test_a_difference_is_named_with_the_way_out(one: Case, rule: str, severity: str, words: tuple[str, ...]) -> None:
    findings = judge(one)
    assert [(finding.rule, finding.severity) for finding in findings] == [(rule, severity)]
    assert [(item.subject, item.state) for item in looked_at(one, findings)] == [("Calico", "ok" if severity == "info" else severity)]
    for word in words:
        assert word in str(findings[0])


def test_each_family_is_judged_by_its_own_pool() -> None:
    vxlan = {"ipipMode": "Never", "vxlanMode": "Always"}
    four = pool(**vxlan)
    six = pool("default-ipv6-ippool", cidr="fd00:10:244::/56", blockSize=122, **vxlan)
    assert found(case(four, six, one_plan=DUAL)) == []
    assert found(case(four, one_plan=DUAL)) == []
    other = pool("default-ipv6-ippool", cidr="fd99::/56", blockSize=122, **vxlan)
    assert found(case(four, other, one_plan=DUAL)) == [("pools_have_the_planned_network", "error")]


def test_every_difference_of_a_pool_is_told_at_once() -> None:
    rules = {rule for rule, _severity in found(case(pool(blockSize=24, ipipMode="Never", disabled=True, natOutgoing=False)))}
    assert rules == {
        "pools_have_the_planned_block_size",
        "pools_have_the_planned_encapsulation",
        "pools_serve_pods_of_every_node",
        "pools_have_the_planned_nat",
    }


@pytest.mark.parametrize(
    ("one_plan", "live", "wanted"),
    [
        (plan(), [], [("default-ipv4-ippool", "10.244.0.0/16", 26, "Always", "Never", True)]),
        (plan(encapsulation="VXLANCrossSubnet"), [], [("default-ipv4-ippool", "10.244.0.0/16", 26, "Never", "CrossSubnet", True)]),
        (plan(encapsulation="None", block_size=24), [], [("default-ipv4-ippool", "10.244.0.0/16", 24, "Never", "Never", True)]),
        (plan(), [pool("new-pool")], [("new-pool", "10.244.0.0/16", 26, "Always", "Never", True)]),
        (
            DUAL,
            [],
            [
                ("default-ipv4-ippool", "10.244.0.0/16", 26, "Never", "Always", True),
                ("default-ipv6-ippool", "fd00:10:244::/56", 122, "Never", "Always", True),
            ],
        ),
        (
            plan(DUAL, encapsulation="IPIPCrossSubnet", pod_cidr=["10.244.0.0/16", "2a02:8071::/56"]),
            [],
            [
                ("default-ipv4-ippool", "10.244.0.0/16", 26, "CrossSubnet", "Never", True),
                ("default-ipv6-ippool", "2a02:8071::/56", 122, "Never", "Never", False),
            ],
        ),
        (IPV6, [], [("default-ipv6-ippool", "fd00:10:244::/56", 122, "Never", "Always", True)]),
    ],
)
def test_the_pools_of_a_plan(one_plan: dict[str, Any], live: list[dict[str, Any]], wanted: list[tuple[Any, ...]]) -> None:
    made = pool_documents(read_plan(one_plan, "test"), read_pools(live), nat_outgoing=True)
    fields = ("cidr", "blockSize", "ipipMode", "vxlanMode", "natOutgoing")
    assert [(one["metadata"]["name"], *(one["spec"][name] for name in fields)) for one in made] == wanted
    assert found(Case(read_plan(one_plan, "test"), "3.32.1", read_pools(made))) == []


@pytest.mark.parametrize("resources", ["text", [{"metadata": {"name": "x"}}], [1]])
def test_what_is_no_pool_is_refused(resources: object) -> None:
    with pytest.raises(Refusal, match="pools: found"):
        read_pools(resources)


class Cluster:
    """What a cluster answers, by kind."""

    server = "https://192.0.2.1:6443"

    def __init__(self, **kinds: list[dict[str, Any]]) -> None:
        self._kinds = kinds

    def serves(self, api_version: str, kind: str) -> bool:
        return kind in self._kinds

    def items(self, api_version: str, kind: str, **_selectors: str) -> Iterator[dict[str, Any]]:
        assert api_version == {"IPPool": API_VERSION, "DaemonSet": "apps/v1"}[kind]
        return iter(self._kinds[kind])


def test_a_cluster_without_calicos_definitions_has_no_pools() -> None:
    params = {"plan": plan(), "version": "v3.32.1", "nat_outgoing": True}
    flannel = {"metadata": {"namespace": "kube-flannel", "name": "kube-flannel-ds"}}
    seen = look(params, Cluster(DaemonSet=[flannel]))
    assert (seen.live, seen.daemon_sets, seen.version) == ((), (("kube-flannel", "kube-flannel-ds"),), "3.32.1")
    assert [live.name for live in look(params, Cluster(DaemonSet=[], IPPool=[pool()])).live] == ["default-ipv4-ippool"]


def test_every_release_with_a_checksum_has_its_kubernetes_versions() -> None:
    checksums = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["_calico_manifest_checksums"]
    assert {tuple(map(int, release.split(".")[:2])) for release in checksums} <= set(TESTED)
    assert yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["calico_version"] in checksums
    assert all(len(checksum) == 64 for checksum in checksums.values())


def test_rules_are_named_once_and_errors_come_first() -> None:
    names = [rule.__name__ for rule, _severity in RULES]
    assert len(set(names)) == len(names)
    severities = [severity for _rule, severity in RULES]
    assert severities == sorted(severities, key=["error", "warning", "info"].index)
