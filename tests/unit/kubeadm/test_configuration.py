# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeadm's configuration: what the plan says, an owner's settings over it, contradictions refused; and kubeadm itself takes all of it."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import (
    ControlPlane,
    Extras,
    as_text,
    control_plane_endpoint,
    document_of,
    extra_service_cidrs,
    init_documents,
    node_addresses,
    node_registration,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports import PORT_FACTS
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.cluster.build import binary
from tests.lab.say import LabError

PLAN: dict[str, Any] = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "pod_cidr": "10.244.0.0/16",
    "service_cidr": "10.96.0.0/12",
    "dns_service_ip": "10.233.0.3",
    "kubernetes_version": "1.36",
    "encapsulation": "IPIP",
}
DUAL: dict[str, Any] = {
    **PLAN,
    "node_cidr": ["192.168.4.0/24", "fd00:4::/64"],
    "gateway": ["192.168.4.1", "fd00:4::1"],
    "pod_cidr": ["10.244.0.0/16", "fd00:10:244::/56"],
    "service_cidr": ["10.96.0.0/12", "fd00:10:96::/112"],
    "dns_service_ip": ["10.96.0.10", "fd00:10:96::a"],
}
SIX_FIRST: dict[str, Any] = {**DUAL, "service_cidr": DUAL["service_cidr"][::-1], "pod_cidr": DUAL["pod_cidr"][::-1]}
MASTER = ControlPlane("masternode", ["192.168.4.63"], "1.36.4")
BOTH = replace(MASTER, addresses=["192.168.4.63", "fd00:4::63"])


def documents(plan: dict[str, Any] | None = None, host: ControlPlane = MASTER) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in init_documents(plan or PLAN, host)}


def at(path: str, made: dict[str, dict[str, Any]]) -> Any:
    """A value by its path; a list of names and values counts as a mapping."""
    value: Any = made
    for key in path.split("."):
        pairs = isinstance(value, list) and {one["name"]: one["value"] for one in value}
        value = (pairs or value)[key]
    return value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("InitConfiguration.localAPIEndpoint.advertiseAddress", "192.168.4.63"),
        ("InitConfiguration.nodeRegistration.name", "masternode"),
        ("InitConfiguration.nodeRegistration.criSocket", "unix:///run/containerd/containerd.sock"),
        ("InitConfiguration.nodeRegistration.imagePullPolicy", "IfNotPresent"),
        ("InitConfiguration.nodeRegistration.kubeletExtraArgs.node-ip", "192.168.4.63"),
        ("InitConfiguration.nodeRegistration.taints", [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]),
        ("InitConfiguration.skipPhases", ["addon/coredns", "show-join-command"]),
        ("InitConfiguration.timeouts", {"controlPlaneComponentHealthCheck": "480s"}),
        ("ClusterConfiguration.kubernetesVersion", "v1.36.4"),
        ("ClusterConfiguration.controlPlaneEndpoint", "192.168.4.63:6443"),
        ("ClusterConfiguration.networking.podSubnet", "10.244.0.0/16"),
        ("ClusterConfiguration.networking.serviceSubnet", "10.96.0.0/12"),
        ("ClusterConfiguration.networking.dnsDomain", "cluster.local"),
        ("ClusterConfiguration.apiServer.certSANs", ["127.0.0.1", "localhost", "192.168.4.63", "masternode"]),
        ("ClusterConfiguration.apiServer.extraArgs.service-account-extend-token-expiration", "false"),
        ("ClusterConfiguration.apiServer.extraArgs.service-node-port-range", "30000-32767"),
        ("ClusterConfiguration.controllerManager.extraArgs.bind-address", "192.168.4.63"),
        ("ClusterConfiguration.controllerManager.extraArgs.allocate-node-cidrs", "false"),
        ("ClusterConfiguration.scheduler.extraArgs.bind-address", "192.168.4.63"),
        ("KubeletConfiguration.clusterDNS", ["10.233.0.3"]),
        ("KubeletConfiguration.clusterDomain", "cluster.local"),
        ("KubeletConfiguration.cgroupDriver", "systemd"),
        ("KubeProxyConfiguration.mode", "iptables"),
        ("KubeProxyConfiguration.clusterCIDR", "10.244.0.0/16"),
    ],
)
def test_the_plan_of_the_specification(path: str, value: object) -> None:
    assert at(path, documents()) == value


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("InitConfiguration.localAPIEndpoint.advertiseAddress", "192.168.4.63"),
        ("InitConfiguration.nodeRegistration.kubeletExtraArgs.node-ip", "192.168.4.63,fd00:4::63"),
        ("ClusterConfiguration.networking.podSubnet", "10.244.0.0/16,fd00:10:244::/56"),
        ("ClusterConfiguration.networking.serviceSubnet", "10.96.0.0/12,fd00:10:96::/112"),
        ("ClusterConfiguration.apiServer.certSANs", ["127.0.0.1", "localhost", "192.168.4.63", "fd00:4::63", "masternode"]),
        ("KubeletConfiguration.clusterDNS", ["10.96.0.10", "fd00:10:96::a"]),
        ("KubeProxyConfiguration.clusterCIDR", "10.244.0.0/16,fd00:10:244::/56"),
    ],
)
def test_dual_stack(path: str, value: object) -> None:
    assert at(path, documents(DUAL, BOTH)) == value


def test_the_address_is_of_the_family_of_the_primary_service_network() -> None:
    made = documents(SIX_FIRST, BOTH)
    assert at("InitConfiguration.localAPIEndpoint.advertiseAddress", made) == "fd00:4::63"
    assert at("InitConfiguration.nodeRegistration.kubeletExtraArgs.node-ip", made) == "fd00:4::63,192.168.4.63"
    assert at("ClusterConfiguration.controlPlaneEndpoint", made) == "[fd00:4::63]:6443"


def test_an_address_of_a_family_that_the_plan_does_not_use_is_left_out() -> None:
    assert node_addresses(PLAN, ["192.168.4.63", "fd00:4::63"], "masternode") == ["192.168.4.63"]


@pytest.mark.parametrize(
    ("endpoint", "written"),
    [
        ("", "192.168.4.63:6443"),
        ("k8s.home", "k8s.home:6443"),
        ("k8s.home:8443", "k8s.home:8443"),
        ("192.168.4.70", "192.168.4.70:6443"),
        ("192.168.4.70:7443", "192.168.4.70:7443"),
        ("fd00:4::70", "[fd00:4::70]:6443"),
        ("[fd00:4::70]:7443", "[fd00:4::70]:7443"),
    ],
)
def test_the_endpoint(endpoint: str, written: str) -> None:
    assert control_plane_endpoint(endpoint, "192.168.4.63") == written


def test_the_certificate_names_the_endpoint_and_what_an_owner_adds() -> None:
    made = documents(host=replace(MASTER, endpoint="k8s.home", extras=Extras(cert_sans=["10.0.0.1", "masternode"])))
    assert at("ClusterConfiguration.apiServer.certSANs", made)[2:] == ["192.168.4.63", "masternode", "k8s.home", "10.0.0.1"]


def test_settings_of_ones_own_are_laid_over() -> None:
    extras = Extras(
        kubelet={"failSwapOn": False, "clusterDNS": ["10.233.0.3"]},
        kube_proxy={"conntrack": {"maxPerCore": 0}, "nftables": {"minSyncPeriod": "1s"}},
        apiserver={"audit-log-maxage": 30, "enable-admission-plugins": ["NodeRestriction", "AlwaysPullImages"]},
        controller_manager={"bind-address": "127.0.0.1", "profiling": False},
        scheduler={"v": 2},
    )
    made = documents(host=replace(MASTER, extras=extras, kube_proxy_mode="nftables", hardened=False, kubelet_certificates=False))
    assert made["KubeletConfiguration"]["failSwapOn"] is False
    assert made["KubeProxyConfiguration"]["conntrack"] == {"maxPerCore": 0}
    assert made["KubeProxyConfiguration"]["mode"] == "nftables"
    assert made["ClusterConfiguration"]["apiServer"]["extraArgs"] == [
        {"name": "audit-log-maxage", "value": "30"},
        {"name": "enable-admission-plugins", "value": "NodeRestriction"},
        {"name": "enable-admission-plugins", "value": "AlwaysPullImages"},
        {"name": "service-account-extend-token-expiration", "value": "false"},
        {"name": "service-node-port-range", "value": "30000-32767"},
    ]
    assert at("ClusterConfiguration.controllerManager.extraArgs", made) == [
        {"name": "allocate-node-cidrs", "value": "false"},
        {"name": "bind-address", "value": "127.0.0.1"},
        {"name": "profiling", "value": "false"},
    ]


def test_a_schedulable_control_plane_has_no_taint_and_preflight_errors_are_kept() -> None:
    registration = documents(host=replace(MASTER, schedulable=True, ignore_preflight_errors=["Swap", "NumCPU"]))["InitConfiguration"][
        "nodeRegistration"
    ]
    assert registration["taints"] == []
    assert registration["ignorePreflightErrors"] == ["NumCPU", "Swap"]


def test_a_node_that_joins_is_registered_alike() -> None:
    made = documents()["InitConfiguration"]["nodeRegistration"]
    assert {key: value for key, value in made.items() if key != "taints"} == node_registration("MasterNode", ["192.168.4.63"])


def test_metrics_leave_loopback_only_where_the_plan_opens_their_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = documents()
    assert at("ClusterConfiguration.etcd.local.extraArgs.listen-metrics-urls", opened) == "http://127.0.0.1:2381,http://192.168.4.63:2381"
    assert opened["KubeProxyConfiguration"]["metricsBindAddress"] == "0.0.0.0:10249"
    six = documents(SIX_FIRST, BOTH)
    assert at("ClusterConfiguration.etcd.local.extraArgs.listen-metrics-urls", six) == "http://[::1]:2381,http://[fd00:4::63]:2381"
    assert six["KubeProxyConfiguration"]["metricsBindAddress"] == "[::]:10249"
    validate(init_documents(SIX_FIRST, BOTH))
    unscraped = tuple(fact for fact in PORT_FACTS if fact.name not in ("etcd metrics", "kube-proxy metrics"))
    assert len(unscraped) == len(PORT_FACTS) - 2
    monkeypatch.setattr("ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.ports.PORT_FACTS", unscraped)
    shut = documents(DUAL, BOTH)
    assert "etcd" not in shut["ClusterConfiguration"]
    assert "metricsBindAddress" not in shut["KubeProxyConfiguration"]


@pytest.mark.parametrize(
    ("extras", "subject", "change"),
    [
        (Extras(kubelet={"clusterDNS": ["10.96.0.10"]}), "kubelet_configuration.clusterDNS", "network_plan.dns_service_ip"),
        (Extras(kubelet={"clusterDomain": "home"}), "kubelet_configuration.clusterDomain", "network_plan.dns_domain"),
        (Extras(kubelet={"kind": "Other"}), "kubelet_configuration.kind", "Remove it."),
        (Extras(kube_proxy={"clusterCIDR": "10.0.0.0/8"}), "kube_proxy_configuration.clusterCIDR", "network_plan.pod_cidr"),
        (Extras(kube_proxy={"mode": "ipvs"}), "kube_proxy_configuration.mode", "kube_proxy_mode"),
        (Extras(apiserver={"service-node-port-range": "20000-22000"}), "service-node-port-range", "network_plan.node_port_range"),
        (Extras(apiserver={"service-cluster-ip-range": "10.0.0.0/12"}), "service-cluster-ip-range", "network_plan.service_cidr"),
        (Extras(apiserver={"advertise-address": "10.0.0.1"}), "apiserver_extra_args.advertise-address", "inventory"),
        (Extras(apiserver={"secure-port": 443}), "apiserver_extra_args.secure-port", "Remove it."),
        (Extras(controller_manager={"cluster-cidr": "10.0.0.0/8"}), "controller_manager_extra_args.cluster-cidr", "network_plan.pod_cidr"),
        (Extras(scheduler={"--v": 2}), "scheduler_extra_args.--v", "bind-address"),
        (Extras(scheduler={"v": {"a": 1}}), "scheduler_extra_args.v", "command line"),
        (Extras(kubelet=["maxPods"]), "kubelet_configuration", "name: value"),  # type: ignore[arg-type]
    ],
)
def test_a_setting_that_contradicts_the_plan_is_refused(extras: Extras, subject: str, change: str) -> None:
    with pytest.raises(Refusal) as refused:
        init_documents(PLAN, replace(MASTER, extras=extras))
    assert subject in refused.value.subject
    assert change in refused.value.next_step


@pytest.mark.parametrize(
    ("plan", "host", "message"),
    [
        (PLAN, replace(MASTER, release="1.36"), "a full version like 1.36.4"),
        (PLAN, replace(MASTER, release="v1.36.4"), "a full version like 1.36.4"),
        (PLAN, replace(MASTER, release="1.35.1"), "a release of 1.36"),
        ({**PLAN, "kubernetes_version": "1.30"}, replace(MASTER, release="1.30.1"), "1.31 or newer"),
        (PLAN, replace(MASTER, addresses=["masternode"]), "an IPv4 or IPv6 address"),
        (PLAN, replace(MASTER, addresses=["fd00:4::63"]), "no IPv4 address"),
        (DUAL, MASTER, "no IPv6 address"),
        (PLAN, replace(MASTER, kube_proxy_mode="ipvs"), "one of iptables, nftables"),
        ({**PLAN, "pod_cidr": "10.244.0.0"}, MASTER, "network_plan.pod_cidr"),
        ({key: value for key, value in PLAN.items() if key != "dns_service_ip"}, MASTER, "network_plan.dns_service_ip"),
        ("a text", MASTER, "network_plan"),
    ],
)
def test_what_cannot_be_rendered_is_refused(plan: Any, host: ControlPlane, message: str) -> None:
    with pytest.raises(Refusal, match=message.replace(".", r"\.")):
        init_documents(plan, host)


def test_extra_service_ranges() -> None:
    assert extra_service_cidrs(PLAN) == ["10.233.0.0/24"]
    assert extra_service_cidrs(DUAL) == []
    with pytest.raises(Refusal, match=r"Kubernetes 1\.33 or newer"):
        extra_service_cidrs({**PLAN, "kubernetes_version": "1.32"})


def test_a_missing_document_is_named() -> None:
    with pytest.raises(Refusal, match="no InitConfiguration"):
        document_of([], "InitConfiguration")


def validate(made: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """kubeadm's own judgement; without the program the test is skipped, or fails in CI."""
    try:
        program = binary("kubeadm")
    except LabError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    argv = [str(program), "config", "validate", "--config=/dev/stdin"]
    process = subprocess.run(argv, input=as_text(made), capture_output=True, text=True, timeout=60, check=False)
    assert process.returncode == 0, process.stderr
    return process


CASES = {
    "IPv4": (PLAN, MASTER),
    "dual stack": (DUAL, BOTH),
    "dual stack, IPv6 first": (SIX_FIRST, BOTH),
    "a small pod network": ({**PLAN, "pod_cidr": "10.244.0.0/25", "block_size": 28}, MASTER),
    "a name as endpoint": (PLAN, replace(MASTER, endpoint="k8s.home:8443")),
    "one host, nftables": (PLAN, replace(MASTER, schedulable=True, kube_proxy_mode="nftables", cluster_name="home")),
    "not hardened": (PLAN, replace(MASTER, hardened=False)),
    "settings of one's own": (
        PLAN,
        replace(
            MASTER,
            ignore_preflight_errors=["SystemVerification"],
            extras=Extras(
                kubelet={"failCgroupV1": False, "failSwapOn": False, "maxPods": 200},
                kube_proxy={"conntrack": {"maxPerCore": 0, "tcpEstablishedTimeout": "0s"}},
                apiserver={"profiling": False},
                cert_sans=["10.0.0.1"],
                apiserver_volumes=[{"name": "own", "hostPath": "/srv/own", "mountPath": "/srv/own", "readOnly": True}],
            ),
        ),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_kubeadm_takes_it(case: str) -> None:
    process = validate(init_documents(*CASES[case]))
    assert process.stdout == "ok\n"
    # the one warning there may be: kubeadm would take another address for DNS
    warnings = [line for line in process.stderr.splitlines() if "clusterDNS" not in line]
    assert warnings == []


def test_kubeadm_refuses_an_unknown_field() -> None:
    made = init_documents(PLAN, replace(MASTER, extras=Extras(kubelet={"maxPods": "many"})))
    with pytest.raises(AssertionError, match="maxPods"):
        validate(made)


def test_the_text_is_one_json_document_per_part() -> None:
    made = init_documents(PLAN, MASTER)
    assert [json.loads(part) for part in as_text(made).split("---\n")] == made
