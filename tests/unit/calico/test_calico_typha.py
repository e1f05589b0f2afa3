# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Typha: when a cluster uses it, what the manifest becomes, what is removed, and what the check says of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.filter.calico_manifests import calico_manifests
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import node_rules, preflight, survey, verdict
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.io import read_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import Wishes, as_planned, outstanding, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.typha import Placement, Running, installed, running
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports import typha_replicas, uses_typha
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.calico.clusters import NOW, PLANNED, World, WorldReader
from tests.unit.calico.manifests import documents, node, one, with_typha
from tests.unit.network_plan.plans import HOSTS, plan

Hosts = list[dict[str, Any]]


def many(count: int, sleepers: int = 0) -> Hosts:
    return [{"name": f"Node{at}", "role": "worker", "sleeps": at < sleepers} for at in range(count)]


# when a cluster uses it


@pytest.mark.parametrize(
    ("word", "hosts", "runs", "uses", "files"),
    [
        ("auto", 3, False, False, ["calico.yaml"]),
        ("auto", 3, True, False, ["calico.yaml"]),
        ("auto", 25, True, False, ["calico.yaml"]),
        ("auto", 26, False, False, ["calico.yaml", "calico-typha.yaml"]),
        ("auto", 26, True, True, ["calico.yaml", "calico-typha.yaml"]),
        ("auto", 50, False, False, ["calico.yaml", "calico-typha.yaml"]),
        ("auto", 50, True, True, ["calico.yaml", "calico-typha.yaml"]),
        ("auto", 51, False, True, ["calico-typha.yaml"]),
        ("auto", 1000, True, True, ["calico-typha.yaml"]),
        ("present", 3, False, True, ["calico-typha.yaml"]),
        ("absent", 3, True, False, ["calico.yaml"]),
        ("absent", 51, True, False, ["calico.yaml"]),
    ],
)
def test_the_plan_the_hosts_and_the_cluster_decide(word: str, hosts: int, runs: bool, uses: bool, files: list[str]) -> None:
    assert uses_typha(read_plan(plan(typha=word), "test"), hosts, runs) is uses
    assert calico_manifests(plan(typha=word), many(hosts)) == files


def test_a_plan_with_another_word_is_refused() -> None:
    with pytest.raises(AnsibleFilterError, match=r"calico_manifests: network_plan\.typha: found 'yes'"):
        calico_manifests(plan(typha="yes"), HOSTS)


@pytest.mark.parametrize(
    ("hosts", "never_sleep", "replicas"),
    [(51, 51, 3), (600, 600, 3), (601, 601, 4), (1000, 1000, 5), (51, 2, 2), (51, 1, 1), (51, 0, 1), (1, 1, 1), (0, 0, 1)],
)
def test_replicas_follow_the_hosts_and_those_that_never_sleep(hosts: int, never_sleep: int, replicas: int) -> None:
    assert typha_replicas(hosts, never_sleep) == replicas


@pytest.mark.parametrize(
    ("hosts", "placement"),
    [
        (many(60), Placement(3)),
        (many(60, 2), Placement(3, ("node0", "node1"))),
        (many(4, 3), Placement(1, ("node0", "node1", "node2"))),
        (many(2, 2), Placement(1)),
    ],
)
def test_typha_runs_only_where_hosts_never_sleep(hosts: Hosts, placement: Placement) -> None:
    assert Placement.of(hosts) == placement


# what the manifest becomes


def made(found: list[dict[str, Any]] | None = None, placement: Placement | None = None) -> list[dict[str, Any]]:
    parts = as_planned(found or with_typha(), read_plan(plan(), "test"), Wishes(typha=placement or Placement(3, ("homelab",))))
    assert parts.typha
    return parts.rest


def test_replicas_and_hosts_are_set() -> None:
    deployment = one(made(), "Deployment", "calico-typha")
    assert deployment["spec"]["replicas"] == 3
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "NotIn", "values": ["homelab"]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
    assert deployment["spec"]["template"]["spec"]["affinity"] == affinity
    assert "affinity" not in one(made(placement=Placement(3)), "Deployment", "calico-typha")["spec"]["template"]["spec"]


def test_its_image_is_replaced_like_others_and_may_be_named_without_it() -> None:
    wishes = Wishes(images={"typha": "registry.example.org/typha:v3.32.1"})
    rest = as_planned(with_typha(), read_plan(plan(), "test"), wishes).rest
    assert one(rest, "Deployment", "calico-typha")["spec"]["template"]["spec"]["containers"][0]["image"] == wishes.images["typha"]
    assert not as_planned(documents(), read_plan(plan(), "test"), wishes).typha


def test_the_variable_that_names_typha_is_the_manifests() -> None:
    with pytest.raises(Refusal, match=r"calico_node_env\.FELIX_TYPHAK8SSERVICENAME"):
        as_planned(documents(), read_plan(plan(), "test"), Wishes(node_env={"FELIX_TYPHAK8SSERVICENAME": "other"}))


def _drop(kind: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda found: found.remove(one(found, kind, "calico-typha"))


@pytest.mark.parametrize(
    ("message", "change"),
    [
        ("Service calico-typha: found 0 objects", _drop("Service")),
        (
            "typha_service_name: found none",
            lambda found: one(found, "ConfigMap", "calico-config")["data"].update(typha_service_name="none"),
        ),
        ("FELIX_TYPHAK8SSERVICENAME: found no such variable", lambda found: node(found)["env"].pop()),
        ("calico-typha: replicas: found None", lambda found: one(found, "Deployment", "calico-typha")["spec"].pop("replicas")),
        ("affinity", lambda found: one(found, "Deployment", "calico-typha")["spec"]["template"]["spec"].update(affinity={})),
    ],
)
def test_a_manifest_that_lacks_a_part_is_refused(message: str, change: Callable[[list[dict[str, Any]]], object]) -> None:
    found = with_typha()
    change(found)
    with pytest.raises(Refusal) as refusal:
        made(found)
    assert message in str(refusal.value)


# which of the two manifests is read


def _text(found: list[dict[str, Any]]) -> str:
    return "---\n".join(json.dumps(document) + "\n" for document in found)


TEXTS = {"calico.yaml": _text(documents()), "calico-typha.yaml": _text(with_typha())}
SUMS = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in TEXTS.items()}
TEXTS["SHA256SUMS"] = "".join(f"{digest}  manifests/{name}\n" for name, digest in SUMS.items())


def options(hosts: Hosts, **changes: Any) -> dict[str, Any]:
    given = {"path": "calico.yaml", "sums": None, "sha256": SUMS["calico.yaml"], "known": {"3.32.1": SUMS["calico.yaml"]}, "version": ""}
    of_typha = {"path": "calico-typha.yaml", "sha256": SUMS["calico-typha.yaml"], "known": {"3.32.1": SUMS["calico-typha.yaml"]}}
    return {**given, "typha": of_typha, "hosts": hosts, **changes}


def read(word: str = "auto", runs: bool = False, **changes: Any) -> dict[str, Any]:
    opened: list[str] = []

    def read_text(path: str, _subject: str) -> str:
        opened.append(path)
        return TEXTS[path]

    params = {"plan": plan(typha=word), "manifest": options(**{"hosts": HOSTS, **changes})}
    return {**read_manifest(params, runs, read_text, read_documents), "opened": opened}


@pytest.mark.parametrize("from_directory", [False, True], ids=["download", "directory"])
@pytest.mark.parametrize(
    ("word", "hosts", "runs", "name"),
    [
        ("auto", HOSTS, False, "calico.yaml"),
        ("auto", HOSTS, True, "calico.yaml"),
        ("auto", many(51), False, "calico-typha.yaml"),
        ("auto", many(40), True, "calico-typha.yaml"),
        ("present", HOSTS, False, "calico-typha.yaml"),
        ("absent", many(51), True, "calico.yaml"),
    ],
)
def test_only_the_manifest_that_is_used_is_read(word: str, hosts: Hosts, runs: bool, name: str, from_directory: bool) -> None:
    answer = read(word, runs, hosts=hosts, sums="SHA256SUMS" if from_directory else None)
    assert answer["opened"] == ([*(["SHA256SUMS"] if from_directory else []), name])
    assert answer["typha"] is (name == "calico-typha.yaml")
    assert ("quay.io/calico/typha:v3.32.1" in answer["images"]) is answer["typha"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"typha": None}, "Calico's manifest with Typha: found no option manifest.typha; required: the path of calico-typha.yaml"),
        (
            {"typha": {"path": "calico.yaml", "sha256": SUMS["calico.yaml"], "known": {}}},
            "Calico's manifest with Typha calico.yaml: found no calico-typha in it; required: calico-typha in it",
        ),
        ({"typha": {"path": "calico-typha.yaml", "sha256": "", "known": {"3.32.0": "0"}}}, "known are those of 3.32.0"),
        ({"sums": "SHA256SUMS", "typha": {"path": "calico.yaml", "known": {}}}, "manifests/calico-typha.yaml: found SHA-256"),
    ],
)
def test_a_manifest_without_typha_does_not_stand_in_for_it(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read("present", **changes)
    assert message in str(refusal.value)


def test_a_manifest_with_typha_does_not_stand_in_for_one_without() -> None:
    with pytest.raises(Refusal, match=r"Calico's manifest calico-typha\.yaml: found calico-typha in it; required: no calico-typha in it"):
        read(path="calico-typha.yaml", sha256=SUMS["calico-typha.yaml"])


# what is removed, and what the preflight says


class Cluster:
    """A cluster with these kinds of Typha's objects, and nothing pending."""

    server = "https://192.0.2.1:6443"

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds

    def get(self, _api_version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any] | None:
        assert (name, namespace) == ("calico-typha", "kube-system")
        return {} if kind in self._kinds else None

    def preview(self, objects: list[dict[str, Any]], _manager: str) -> Iterator[Any]:
        return iter(())


def test_what_there_is_of_typha_is_removed_the_deployment_last() -> None:
    everything = installed(Cluster("Deployment", "Service", "PodDisruptionBudget"))
    assert [found["kind"] for found in everything] == ["PodDisruptionBudget", "Service", "Deployment"]
    assert {(found["metadata"]["namespace"], found["metadata"]["name"]) for found in everything} == {("kube-system", "calico-typha")}
    assert [found["kind"] for found in installed(Cluster("Deployment"))] == ["Deployment"]
    assert installed(Cluster()) == []


def test_nothing_is_removed_while_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest.pending", lambda *_arguments: [])
    typha = installed(Cluster("Deployment"))
    manifest = {"definitions": [], "felix": {}, "rest": []}
    for uses in (True, False):
        assert outstanding({**manifest, "typha": uses}, [], typha, Cluster(), "test")["removals"] == ([] if uses else typha)


@pytest.mark.parametrize(
    ("word", "hosts", "runs", "words"),
    [
        ("auto", 51, True, ()),
        ("auto", 3, False, ()),
        ("present", 3, True, ()),
        ("auto", None, True, ()),
        ("auto", 50, True, ("found Typha, for 50 hosts; expected more than 50 hosts", "It is kept down to 26 hosts", "set typha: absent")),
        ("auto", 25, True, ("expected none, as network_plan.typha is auto, and there are 25 hosts or fewer", "Set typha: present")),
        ("absent", 51, True, ("expected none, as network_plan.typha is absent.", "It is removed as soon as")),
    ],
)
def test_a_typha_that_is_kept_or_removed_is_reported(word: str, hosts: int | None, runs: bool, words: tuple[str, ...]) -> None:
    case = preflight.Case(read_plan(plan(typha=word), "test"), "3.32.1", hosts=hosts, typha_runs=runs)
    findings = preflight.judge(case)
    assert [(finding.rule, finding.severity, finding.subject) for finding in findings] == (
        [("typha_follows_the_plan", "info", "Deployment kube-system/calico-typha")] if words else []
    )
    for phrase in words:
        assert phrase in str(findings[0])


# what calico_check says


def checked(word: str, uses: bool, typha: Running | None = None) -> verdict.Verdict:
    facts = survey.look(WorldReader(World()))
    assert facts.daemon_sets
    facts.daemon_sets = (replace(facts.daemon_sets[0], uses_typha=uses),)
    facts.typha = typha
    request = node_rules.request({"plan": plan(typha=word), "nodes": PLANNED, "asleep": []})
    return verdict.judge(request, facts, NOW)


PENDING = {
    "metadata": {"name": "calico-typha-1", "namespace": "kube-system", "labels": {"k8s-app": "calico-typha"}},
    "spec": {},
    "status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]},
}


def deployment(ready: int) -> dict[str, Any]:
    labels = {"k8s-app": "calico-typha"}
    return {"metadata": {"name": "calico-typha", "labels": labels}, "spec": {"replicas": 3}, "status": {"readyReplicas": ready}}


@pytest.mark.parametrize(
    ("word", "uses", "typha", "severity", "words"),
    [
        ("auto", False, None, "", ()),
        ("present", True, running([deployment(3)], []), "", ()),
        ("present", True, None, "", ()),
        ("present", False, None, "warning", ("found no Typha; expected Typha, as network_plan.typha is present", "installs it")),
        (
            "auto",
            True,
            running([deployment(3)], []),
            "warning",
            ("expected no Typha, as network_plan.typha is auto, and there are 3 hosts",),
        ),
        ("present", True, running([], []), "error", ("Deployment kube-system/calico-typha: found none of this name",)),
        ("present", True, running([deployment(0)], []), "error", ("0 of 3 replicas ready", "kubectl describe deployment")),
        ("present", True, running([deployment(2)], [PENDING]), "warning", ("2 of 3 replicas ready; Pod calico-typha-1: Pending",)),
    ],
)
def test_the_check_names_a_typha_that_is_not_as_planned(
    word: str, uses: bool, typha: Running | None, severity: str, words: tuple[str, ...]
) -> None:
    judged = checked(word, uses, typha)
    findings = judged.findings
    if typha:
        facts = f"{typha.ready} of {typha.replicas or 0} replicas ready"
        state = "ok" if typha.ready == typha.replicas else severity
        assert [(one.facts, one.state) for one in judged.looked_at if one.subject == "Typha"] == [(facts, state)]
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
    for phrase in words:
        assert phrase in str(findings[0])


def test_typha_is_read_only_where_calico_node_uses_it() -> None:
    world = World()
    reader = WorldReader(world)
    assert survey.look(reader).typha is None
    assert "apps/v1 Deployment" not in reader.listed
    [daemon_set] = world.objects["DaemonSet"].values()
    daemon_set["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "FELIX_TYPHAK8SSERVICENAME"}]
    assert survey.look(WorldReader(world)).typha == Running()
    world.objects["Deployment"] = {"calico-typha": deployment(1)}
    world.put("Pod", PENDING)
    facts = survey.look(WorldReader(world))
    assert facts.typha
    assert (facts.typha.replicas, facts.typha.ready, [one.name for one in facts.typha.stuck]) == (3, 1, ["calico-typha-1"])
    assert "calico-typha-1" not in [one.name for one in (facts.pods or {}).values()]
    refused = survey.look(WorldReader(world, forbidden="Deployment"))
    assert (refused.typha, [refusal.subject for refusal in refused.unknown]) == (None, ["list of Deployment"])
