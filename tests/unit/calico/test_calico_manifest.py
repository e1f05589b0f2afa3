# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream's manifest in, ours out: what each plan makes of a small manifest, and what is refused when it lacks something."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.filter.calico_manifest import calico_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.io import read_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import Parts, Wishes, as_planned
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.calico.manifests import documents, network, node, one, variables
from tests.unit.network_plan.plans import DUAL, HOSTS, IPV6, plan

BIRD = (["/bin/calico-node", "-felix-live", "-bird-live"], ["/bin/calico-node", "-felix-ready", "-bird-ready"])
NO_BIRD = (["/bin/calico-node", "-felix-live"], ["/bin/calico-node", "-felix-ready"])


def made(one_plan: dict[str, Any] | None = None, found: list[dict[str, Any]] | None = None, **wishes: object) -> Parts:
    return as_planned(documents() if found is None else found, read_plan(one_plan or plan(), "test"), Wishes(**wishes))


@pytest.mark.parametrize(
    ("word", "made_of_it", "commands"),
    [
        ("IPIP", ("bird", "1480", "Always", "Never"), BIRD),
        ("IPIPCrossSubnet", ("bird", "1480", "CrossSubnet", "Never"), BIRD),
        ("VXLAN", ("vxlan", "1450", "Never", "Always"), NO_BIRD),
        ("VXLANCrossSubnet", ("vxlan", "1450", "Never", "CrossSubnet"), NO_BIRD),
        ("None", ("bird", "1500", "Never", "Never"), BIRD),
    ],
)
def test_the_encapsulation_decides_on_backend_mtu_modes_and_probes(
    word: str, made_of_it: tuple[str, ...], commands: tuple[list[str], list[str]]
) -> None:
    rest = made(plan(encapsulation=word)).rest
    data, given = one(rest, "ConfigMap", "calico-config")["data"], variables(rest)
    found = (data["calico_backend"], data["veth_mtu"], given["CALICO_IPV4POOL_IPIP"], given["CALICO_IPV4POOL_VXLAN"])
    assert found == made_of_it
    assert (node(rest)["livenessProbe"]["exec"]["command"], node(rest)["readinessProbe"]["exec"]["command"]) == commands


def test_one_family_leaves_the_cni_configuration_byte_for_byte() -> None:
    config = one(made().rest, "ConfigMap", "calico-config")["data"]["cni_network_config"]
    assert config == one(documents(), "ConfigMap", "calico-config")["data"]["cni_network_config"]


@pytest.mark.parametrize(
    ("one_plan", "assigned", "wanted"),
    [
        (
            plan(),
            {},
            {"IP": "autodetect", "FELIX_IPV6SUPPORT": "false", "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip", "IP6": None},
        ),
        (
            DUAL,
            {"assign_ipv4": "true", "assign_ipv6": "true"},
            {
                "IP": "autodetect",
                "IP6": "autodetect",
                "FELIX_IPV6SUPPORT": "true",
                "IP_AUTODETECTION_METHOD": "kubernetes-internal-ip",
                "IP6_AUTODETECTION_METHOD": "kubernetes-internal-ip",
                "CALICO_IPV6POOL_VXLAN": "Always",
                "CALICO_ROUTER_ID": None,
            },
        ),
        (
            plan(DUAL, encapsulation="IPIP"),
            {"assign_ipv4": "true", "assign_ipv6": "true"},
            {"CALICO_IPV4POOL_IPIP": "Always", "CALICO_IPV6POOL_VXLAN": "Never"},
        ),
        (
            IPV6,
            {"assign_ipv4": "false", "assign_ipv6": "true"},
            {"IP": "none", "IP6": "autodetect", "CALICO_ROUTER_ID": "hash", "IP_AUTODETECTION_METHOD": None},
        ),
    ],
    ids=["ipv4", "dual", "dual over IPIP", "ipv6"],
)
def test_the_families_of_the_plan_decide_on_addresses(
    one_plan: dict[str, Any], assigned: dict[str, str], wanted: dict[str, str | None]
) -> None:
    rest = made(one_plan).rest
    assert network(rest)["plugins"][0]["ipam"] == {"type": "calico-ipam", **assigned}
    assert {name: variables(rest).get(name) for name in wanted} == wanted
    assert '"mtu": __CNI_MTU__' in one(rest, "ConfigMap", "calico-config")["data"]["cni_network_config"]


def test_no_node_makes_pools_of_its_own() -> None:
    assert variables(made().rest)["NO_DEFAULT_POOLS"] == "true"
    assert not {"CALICO_IPV4POOL_CIDR", "CALICO_IPV6POOL_CIDR"} & set(variables(made().rest))


@pytest.mark.parametrize(
    ("wanted", "veth"), [("plan", "1480"), ("auto", "0"), (1400, "1400"), ("8980", "8980")], ids=["plan", "auto", "number", "text"]
)
def test_the_mtu_is_the_plans_calicos_or_yours(wanted: int | str, veth: str) -> None:
    assert one(made(mtu=wanted).rest, "ConfigMap", "calico-config")["data"]["veth_mtu"] == veth


@pytest.mark.parametrize(
    ("one_plan", "wanted"), [(plan(), "big"), (plan(), 100), (plan(), 65000), (DUAL, 1279), (plan(), -1), (plan(), "14.5")]
)
def test_an_mtu_that_cannot_be_is_refused(one_plan: dict[str, Any], wanted: int | str) -> None:
    with pytest.raises(Refusal, match="calico_mtu"):
        made(one_plan, mtu=wanted)


def test_documents_keep_their_order_definitions_before_all_else() -> None:
    parts = made()
    assert [document["metadata"]["name"] for document in parts.definitions] == [
        "felixconfigurations.crd.projectcalico.org",
        "ippools.crd.projectcalico.org",
    ]
    assert [document["kind"] for document in parts.rest] == ["ServiceAccount", "ConfigMap", "DaemonSet", "Deployment"]


def test_upstreams_documents_stay_as_they_were() -> None:
    found = documents()
    made(DUAL, found, awake=("masternode",), sleepers=2, images={"node": "mine"})
    assert found == documents()


def test_a_later_releases_probe_keeps_its_own_words() -> None:
    found = documents()
    words = ["calico", "component", "node", "health"]
    node(found)["livenessProbe"]["exec"]["command"] = [*words, "--felix-live", "--bird-live"]
    node(found)["readinessProbe"]["exec"]["command"] = [*words, "--felix-ready", "--bird-ready"]
    rest = made(plan(encapsulation="VXLAN"), found).rest
    assert node(rest)["livenessProbe"]["exec"]["command"] == [*words, "--felix-live"]
    assert node(rest)["readinessProbe"]["exec"]["command"] == [*words, "--felix-ready"]


def test_images_are_replaced_by_name_and_never_pulled_anew() -> None:
    parts = made(images={"node": "registry.example.org/node:mine"})
    pod = one(parts.rest, "DaemonSet", "calico-node")["spec"]["template"]["spec"]
    every = [*pod["initContainers"], *pod["containers"]]
    assert [container["image"] for container in every] == ["quay.io/calico/cni:v3.32.1", "registry.example.org/node:mine"]
    assert {container["imagePullPolicy"] for container in every} == {"IfNotPresent"}


def test_felix_serves_metrics_and_takes_settings() -> None:
    assert made().felix["spec"] == {"prometheusMetricsEnabled": True, "prometheusMetricsPort": 9091}
    assert made(felix={"prometheusMetricsPort": 9191}).felix["spec"]["prometheusMetricsPort"] == 9191


def test_variables_of_calico_node_are_added_and_replaced() -> None:
    rest = made(node_env={"FELIX_VXLANMTU": 1400, "CLUSTER_TYPE": "k8s", "FELIX_BPFENABLED": False}).rest
    entries = {entry["name"]: entry for entry in node(rest)["env"]}
    assert entries["FELIX_VXLANMTU"] == {"name": "FELIX_VXLANMTU", "value": "1400"}
    assert entries["FELIX_BPFENABLED"]["value"] == "false"
    assert len(entries) == len(node(rest)["env"])


def test_a_rollout_does_not_wait_for_hosts_that_sleep() -> None:
    asleep = one(made(awake=("masternode",), sleepers=2).rest, "DaemonSet", "calico-node")
    assert asleep["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 3
    assert one(made().rest, "DaemonSet", "calico-node")["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] == 1


def test_controllers_prefer_hosts_that_never_sleep() -> None:
    pod = one(made(awake=("masternode",), sleepers=2).rest, "Deployment", "calico-kube-controllers")["spec"]["template"]["spec"]
    names = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["masternode"]}
    wanted = [{"weight": 100, "preference": {"matchExpressions": [names]}}]
    assert pod["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == wanted
    for nobody in ({"awake": ("a", "b")}, {"sleepers": 2}):
        pod = one(made(**nobody).rest, "Deployment", "calico-kube-controllers")["spec"]["template"]["spec"]
        assert "affinity" not in pod


def _drop(kind: str, name: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda found: found.remove(one(found, kind, name))


def _without_variable(name: str) -> Callable[[list[dict[str, Any]]], object]:
    return lambda found: node(found).update(env=[entry for entry in node(found)["env"] if entry["name"] != name])


def _pod(kind: str, name: str) -> Callable[[list[dict[str, Any]]], dict[str, Any]]:
    return lambda found: one(found, kind, name)["spec"]["template"]["spec"]


LACKS: list[tuple[str, Callable[[list[dict[str, Any]]], object]]] = [
    ("DaemonSet calico-node: found 0 objects; DaemonSet: none", _drop("DaemonSet", "calico-node")),
    ("Deployment calico-kube-controllers: found 0 objects", _drop("Deployment", "calico-kube-controllers")),
    ("ConfigMap calico-config: found 0 objects", _drop("ConfigMap", "calico-config")),
    (
        "CustomResourceDefinition ippools.crd.projectcalico.org: found 0 objects",
        _drop("CustomResourceDefinition", "ippools.crd.projectcalico.org"),
    ),
    (
        "CustomResourceDefinition felixconfigurations.crd.projectcalico.org",
        _drop("CustomResourceDefinition", "felixconfigurations.crd.projectcalico.org"),
    ),
    ("found 2 objects; DaemonSet: calico-node, calico-node", lambda found: found.append(one(found, "DaemonSet", "calico-node"))),
    ("container calico-node: found agent", lambda found: node(found).update(name="agent")),
    ("variable CALICO_IPV4POOL_IPIP: found no such variable", _without_variable("CALICO_IPV4POOL_IPIP")),
    ("variable CALICO_IPV4POOL_VXLAN", _without_variable("CALICO_IPV4POOL_VXLAN")),
    ("variable CALICO_IPV6POOL_VXLAN", _without_variable("CALICO_IPV6POOL_VXLAN")),
    ("variable FELIX_IPV6SUPPORT", _without_variable("FELIX_IPV6SUPPORT")),
    ("variable IP: found no such variable", _without_variable("IP")),
    ("calico_backend: found nothing", lambda found: one(found, "ConfigMap", "calico-config")["data"].pop("calico_backend")),
    ("veth_mtu: found nothing", lambda found: one(found, "ConfigMap", "calico-config")["data"].pop("veth_mtu")),
    ("cni_network_config: found nothing", lambda found: one(found, "ConfigMap", "calico-config")["data"].pop("cni_network_config")),
    ("calico_backend: found nothing; required: a string to edit", lambda found: one(found, "ConfigMap", "calico-config").pop("data")),
    ("cni_network_config: found no plugin", lambda found: one(found, "ConfigMap", "calico-config")["data"].update(cni_network_config="{}")),
    ("livenessProbe: found no command", lambda found: node(found).pop("livenessProbe")),
    ("readinessProbe: found httpGet", lambda found: node(found)["readinessProbe"]["exec"].update(command=["httpGet"])),
    ("container calico-node: image", lambda found: node(found).update(image="quay.io/calico/node:master")),
    ("maxUnavailable: found None", lambda found: one(found, "DaemonSet", "calico-node")["spec"].pop("updateStrategy")),
    ("tolerations", lambda found: _pod("Deployment", "calico-kube-controllers")(found).pop("tolerations")),
    ("affinity", lambda found: _pod("Deployment", "calico-kube-controllers")(found).update(affinity={})),
    (
        "no field vxlanMode",
        lambda found: one(found, "CustomResourceDefinition", "ippools.crd.projectcalico.org")["spec"]["versions"][0]["schema"][
            "openAPIV3Schema"
        ]["properties"]["spec"]["properties"].pop("vxlanMode"),
    ),
    (
        "found versions v3",
        lambda found: one(found, "CustomResourceDefinition", "ippools.crd.projectcalico.org")["spec"]["versions"][0].update(name="v3"),
    ),
    ("document 1: found not a Kubernetes object", lambda found: found.insert(0, {"kind": "List"})),
]


@pytest.mark.parametrize(("message", "take"), LACKS, ids=[message[:40] for message, _take in LACKS])
@pytest.mark.parametrize("one_plan", [DUAL, plan(DUAL, encapsulation="IPIP")], ids=["vxlan", "bird"])
def test_what_a_manifest_lacks_is_named(message: str, take: Callable[[Any], object], one_plan: dict[str, Any]) -> None:
    found = documents()
    take(found)
    with pytest.raises(Refusal) as refusal:
        made(one_plan, found, awake=("masternode",), sleepers=2)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith("Calico's manifest: ")


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"node_env": {"IP": "can-reach=1.1.1.1"}}, "calico_node_env.IP"),
        ({"node_env": {"CALICO_IPV4POOL_CIDR": "10.0.0.0/8"}}, "calico_node_env.CALICO_IPV4POOL_CIDR"),
        ({"felix": {"vxlanMTU": 1400}}, "calico_felix.vxlanMTU: found a setting that calico-node's variable FELIX_VXLANMTU overrides"),
        ({"felix": {"VxlanMtu": 1400}}, "a field of FelixConfiguration, vxlanMTU"),
        ({"felix": {"nonsense": 1}}, "calico_felix.nonsense"),
        ({"images": {"csi": "x"}}, "calico_images.csi: found an image that this release does not use"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(wishes: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        made(**wishes)
    assert message in str(refusal.value)


@pytest.mark.parametrize("field", ["pod_cidr", "encapsulation", "node_cidr"])
def test_a_plan_that_does_not_say_enough_is_refused(field: str) -> None:
    broken = {key: value for key, value in plan().items() if key != field}
    with pytest.raises(AnsibleFilterError, match=rf"network_plan\.{field}"):
        calico_manifest(TEXT, plan=broken, sha256=DIGEST)


TEXT = "---\n".join(json.dumps(document) + "\n" for document in documents())
DIGEST = hashlib.sha256(TEXT.encode()).hexdigest()
SUMS = f"{'0' * 64}  bin/kubeadm\n{DIGEST}  manifests/calico.yaml\n"


@pytest.mark.parametrize(
    "vouched",
    [
        {"sha256": DIGEST},
        {"sha256": DIGEST.upper(), "version": "3.32.1"},
        {"sums": SUMS},
        {"sums": f"{DIGEST} *./manifests/calico.yaml"},
        {"sums": SUMS, "known": {"3.32.1": DIGEST, "3.28.5": "0" * 64}},
    ],
)
def test_a_text_that_somebody_vouches_for_is_taken(vouched: dict[str, Any]) -> None:
    answer = calico_manifest(TEXT, plan=plan(), hosts=HOSTS, **vouched)
    assert answer["version"] == "3.32.1"
    assert answer["images"] == ["quay.io/calico/cni:v3.32.1", "quay.io/calico/kube-controllers:v3.32.1", "quay.io/calico/node:v3.32.1"]
    affinity = one(answer["rest"], "Deployment", "calico-kube-controllers")["spec"]["template"]["spec"]["affinity"]
    assert "masternode" in str(affinity)
    assert "homelab" not in str(affinity)


@pytest.mark.parametrize(
    ("vouched", "message"),
    [
        ({}, f"SHA-256 {DIGEST}; required: a checksum for it; known are those of no version"),
        ({"sha256": "1" * 64}, f"SHA-256 {DIGEST}; required: {'1' * 64}"),
        ({"sums": ""}, "required: a line for it, as in SHA256SUMS"),
        ({"sums": SUMS.replace(DIGEST, "2" * 64)}, f"required: {'2' * 64}, as in SHA256SUMS"),
        ({"sums": f"{DIGEST}  manifests/other.yaml"}, "a line for it"),
        (
            {"sums": SUMS, "known": {"3.32.1": "3" * 64}},
            f"manifests/calico.yaml of version 3.32.1: found SHA-256 {DIGEST}; required: upstream's",
        ),
        ({"sha256": DIGEST, "version": "3.31.7"}, "found version 3.32.1; required: 3.31.7"),
        ({"sha256": DIGEST, "colour": "blue"}, "calico_manifest: colour"),
    ],
)
def test_a_text_that_nobody_vouches_for_is_refused(vouched: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError) as refusal:
        calico_manifest(TEXT, plan=plan(), **vouched)
    assert message in str(refusal.value)


def test_a_text_that_is_no_yaml_is_refused() -> None:
    text = "a: [b"
    with pytest.raises(AnsibleFilterError, match="required: YAML"):
        calico_manifest(text, plan=plan(), sha256=hashlib.sha256(text.encode()).hexdigest())


def test_the_text_of_the_test_is_what_the_documents_are() -> None:
    assert list(yaml.safe_load_all(TEXT)) == documents()


def test_a_manifest_from_a_lookup_is_read() -> None:
    """ansible-core 2.19 and newer return a subclass of str, which the C parser of PyYAML rejects."""

    class Tagged(str):
        __slots__ = ()

    assert read_documents(Tagged("kind: List\n---\n"), "manifest") == [{"kind": "List"}]
