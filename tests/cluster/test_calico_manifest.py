# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calico's real manifest as each plan wants it: what is edited is there, and nothing else changes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.filter.calico_manifest import calico_manifest as as_planned

from tests.cluster.calico_images import calico_manifest
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError
from tests.unit.calico.manifests import network, node, one, variables
from tests.unit.network_plan.plans import DUAL, HOSTS, IPV6, plan

VERSION = "3.28.5"
PLANS = {word: plan(encapsulation=word) for word in ("IPIP", "IPIPCrossSubnet", "VXLAN", "VXLANCrossSubnet", "None")}
PLANS |= {"dual stack": DUAL, "dual stack over IPIP": plan(DUAL, encapsulation="IPIP"), "IPv6": IPV6}


@pytest.fixture(scope="module")
def text() -> str:
    try:
        return calico_manifest().read_text()
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"no manifest of Calico: {error}")
    raise AssertionError


@pytest.fixture(scope="module")
def upstream(text: str) -> list[dict[str, Any]]:
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))


def made(text: str, one_plan: dict[str, Any], **options: object) -> dict[str, Any]:
    return as_planned(text, plan=one_plan, hosts=HOSTS, sha256=hashlib.sha256(text.encode()).hexdigest(), **options)


def leaves(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every scalar of a document under its path; what has a name is found by it, wherever it stands in a list."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            label = inner.get("name", position) if isinstance(inner, dict) else inner
            yield from leaves(inner, f"{path}[{label}]")
    else:
        yield path, value


def changes(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> set[str]:
    one_side, other_side = (
        {f"{document['kind']} {document['metadata']['name']}{path}": value for document in documents for path, value in leaves(document)}
        for documents in (before, after)
    )
    return {path for path in {**one_side, **other_side} if one_side.get(path, ...) != other_side.get(path, ...)}


@pytest.mark.parametrize("one_plan", PLANS.values(), ids=PLANS)
def test_only_what_follows_from_the_plan_is_changed(text: str, upstream: list[dict[str, Any]], one_plan: dict[str, Any]) -> None:
    answer = made(text, one_plan)
    assert (answer["version"], len(answer["definitions"]) + len(answer["rest"])) == (VERSION, len(upstream))
    pod = ".spec.template.spec"
    allowed = (
        "ConfigMap calico-config.data.",
        f"DaemonSet calico-node{pod}.containers[calico-node].env[",
        f"DaemonSet calico-node{pod}.containers[calico-node].livenessProbe.exec.command[-bird-live]",
        f"DaemonSet calico-node{pod}.containers[calico-node].readinessProbe.exec.command[-bird-ready]",
        "DaemonSet calico-node.spec.updateStrategy.rollingUpdate.maxUnavailable",
        f"Deployment calico-kube-controllers{pod}.affinity.",
    )
    changed = changes(upstream, [*answer["definitions"], *answer["rest"]])
    assert [path for path in sorted(changed) if not path.startswith(allowed)] == []


def test_the_specifications_plan_changes_this_and_no_more(text: str, upstream: list[dict[str, Any]]) -> None:
    rest = made(text, plan())["rest"]
    before, after = variables(upstream), variables(rest)
    assert {name: value for name, value in after.items() if before.get(name, ...) != value} == {
        "NO_DEFAULT_POOLS": "true",
        "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
    }
    assert changes([one(upstream, "ConfigMap", "calico-config")], [one(rest, "ConfigMap", "calico-config")]) == {
        "ConfigMap calico-config.data.veth_mtu"
    }


@pytest.mark.parametrize("word", ["VXLAN", "VXLANCrossSubnet"])
def test_vxlan_is_what_upstream_makes_of_it_in_its_own_manifest(text: str, word: str) -> None:
    path = calico_manifest().with_name("calico-vxlan.yaml")
    theirs = list(yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader))
    ours = made(text, plan(encapsulation=word))["rest"]
    for probe in ("livenessProbe", "readinessProbe"):
        assert node(ours)[probe] == node(theirs)[probe]
    backend = "calico_backend"
    assert one(ours, "ConfigMap", "calico-config")["data"][backend] == one(theirs, "ConfigMap", "calico-config")["data"][backend] == "vxlan"
    assert variables(ours)["CALICO_IPV4POOL_IPIP"] == variables(theirs)["CALICO_IPV4POOL_IPIP"] == "Never"


def test_typha_is_what_upstream_makes_of_it_but_for_its_replicas_and_hosts(text: str) -> None:
    theirs = calico_manifest().with_name("calico-typha.yaml").read_text()
    upstream = list(yaml.load_all(theirs, Loader=yaml.CSafeLoader))
    hosts = [{"name": f"node{at}", "role": "worker", "sleeps": at < 2} for at in range(60)]
    answer = as_planned(theirs, plan=plan(), hosts=hosts, sha256=hashlib.sha256(theirs.encode()).hexdigest())
    assert answer["typha"]
    assert [name.rpartition("/")[2] for name in answer["images"]] == [
        f"{name}:v{VERSION}" for name in ("cni", "kube-controllers", "node", "typha")
    ]
    changed = changes(upstream, [*answer["definitions"], *answer["rest"]])
    affinity = "Deployment calico-typha.spec.template.spec.affinity"
    of_typha = {path.partition(".nodeAffinity")[0] for path in changed if "typha" in path.lower()}
    assert of_typha == {affinity, "Deployment calico-typha.spec.replicas"}
    # all else is as without it
    without = as_planned(text, plan=plan(), hosts=hosts, sha256=hashlib.sha256(text.encode()).hexdigest())
    assert not without["typha"]
    difference = changes([*without["definitions"], *without["rest"]], [*answer["definitions"], *answer["rest"]])
    typha = ("PodDisruptionBudget calico-typha.", "Service calico-typha.", "Deployment calico-typha.")
    assert {path for path in difference if not path.startswith(typha)} == {
        "ConfigMap calico-config.data.typha_service_name",
        *(
            f"DaemonSet calico-node.spec.template.spec.containers[calico-node].env[FELIX_TYPHAK8SSERVICENAME].{path}"
            for path in ("name", "valueFrom.configMapKeyRef.key", "valueFrom.configMapKeyRef.name")
        ),
    }


def test_dual_stack_reaches_the_cni_configuration(text: str, upstream: list[dict[str, Any]]) -> None:
    before, after = network(upstream), network(made(text, DUAL)["rest"])
    assert after["plugins"][0]["ipam"] == {"type": "calico-ipam", "assign_ipv4": "true", "assign_ipv6": "true"}
    after["plugins"][0]["ipam"] = before["plugins"][0]["ipam"]
    assert after == before


def test_the_known_checksum_is_that_of_the_real_manifest(text: str) -> None:
    variables_of_role = yaml.safe_load((CHECKOUT / "roles" / "calico" / "vars" / "main.yml").read_text())
    known, known_typha = variables_of_role["_calico_manifest_checksums"], variables_of_role["_calico_typha_manifest_checksums"]
    assert as_planned(text, plan=plan(), sha256=known[VERSION], version=VERSION)["version"] == VERSION
    with_typha = calico_manifest().with_name("calico-typha.yaml").read_text()
    assert as_planned(with_typha, plan=plan(), sha256=known_typha[VERSION], version=VERSION)["typha"]
    assert list(known) == list(known_typha)


def test_a_real_field_of_felix_is_known_and_another_is_not(text: str) -> None:
    assert made(text, plan(), felix={"logSeverityScreen": "Warning"})["felix"]["spec"]["logSeverityScreen"] == "Warning"
    with pytest.raises(Exception, match=r"calico_felix\.loglevel"):
        made(text, plan(), felix={"loglevel": "Warning"})
    with pytest.raises(Exception, match="FELIX_VXLANMTU overrides"):
        made(text, plan(), felix={"vxlanMTU": 1400})
