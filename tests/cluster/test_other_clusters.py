# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of clusters that k3s, kubespray or kubeadm made, with their objects in a real API server: what does not apply is skipped."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("kubernetes")
from tests.cluster.build import missing
from tests.cluster.hollow import CONTROL_PLANE, hollow_nodes
from tests.cluster.play import run_module
from tests.cluster.programs import API_SERVER, PROGRAMS, version
from tests.cluster.server import Cluster, Ranges, running
from tests.lab.archive import build_and_install
from tests.lab.cache import CHECKOUT
from tests.lab.venv import ensure_venv

RELEASE = version(PROGRAMS["kubeadm"])
ADDRESSES = {"alpha": "192.168.4.63", "beta": "192.168.4.62"}
NODES = [
    {"name": name, "address": address, "role": "control_plane" if name == "alpha" else "worker", "sleeps": False}
    for name, address in ADDRESSES.items()
]
PLAN = {
    "node_cidr": "192.168.4.0/24",
    "gateway": "192.168.4.1",
    "upstream_dns": ["192.168.4.1"],
    "dns_domain": "cluster.local",
    "node_port_range": "30000-32767",
    "kubernetes_version": ".".join(RELEASE.lstrip("v").split(".")[:2]),
    "encapsulation": "VXLAN",
    "block_size": 26,
}
HEALTH = ["control_plane", "workloads", "api", "certificates", "monitoring"]
DNS = {"k8s-app": "kube-dns"}
COREFILE = (
    ".:53 {\n    errors\n    health\n    ready\n    kubernetes cluster.local in-addr.arpa ip6.arpa\n    forward . /etc/resolv.conf\n}\n"
)

Object = dict[str, Any]


@dataclass(frozen=True)
class Installer:
    """dns: the name of the DNS Service. static: the components with static Pods. daemons: DaemonSets by namespace and name."""

    pods: str
    services: str
    dns: str
    dns_address: str
    static: tuple[str, ...]
    daemons: tuple[str, ...]
    replicas: int
    cluster_dns: str
    pod_network: str
    annotations: Mapping[str, str]

    @property
    def plan(self) -> Object:
        return {**PLAN, "pod_cidr": self.pods, "service_cidr": self.services, "dns_service_ip": self.dns_address}


FLANNEL = {"flannel.alpha.coreos.com/backend-type": "vxlan"}
STATIC = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
INSTALLERS = {
    # one program, which has etcd or SQLite, kube-proxy and Flannel in it
    "k3s": Installer(
        "10.42.0.0/16", "10.43.0.0/16", "kube-dns", "10.43.0.10", (), ("kube-system/svclb-traefik",), 1, "10.43.0.10", "Flannel", FLANNEL
    ),
    # etcd is a service of the host, a cache answers DNS on each node, and Cilium takes the place of kube-proxy
    "kubespray": Installer(
        "10.233.64.0/18", "10.233.0.0/18", "coredns", "10.233.0.3", STATIC, ("kube-system/cilium", "kube-system/nodelocaldns"), 2,
        "169.254.25.10", "Cilium", {},
    ),
    "kubeadm": Installer(
        "10.244.0.0/16", "10.96.0.0/12", "kube-dns", "10.96.0.10", ("etcd", *STATIC),
        ("kube-flannel/kube-flannel-ds", "kube-system/kube-proxy"), 2, "10.96.0.10", "Flannel", FLANNEL,
    ),
}  # fmt: skip


def made(api_version: str, kind: str, where: str, **content: Any) -> Object:
    namespace, _slash, name = where.rpartition("/")
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **content.pop("metadata", {})}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def workload(kind: str, where: str, labels: Mapping[str, str], **spec: Any) -> Object:
    pods = {"tolerations": [{"operator": "Exists"}], "containers": [{"name": "app", "image": "app"}]}
    template = {"metadata": {"labels": labels}, "spec": pods}
    return made(
        "apps/v1", kind, where, spec={"selector": {"matchLabels": labels}, "template": template, **spec}, metadata={"labels": labels}
    )


def objects(of: Installer) -> Iterator[Object]:
    yield made("v1", "Namespace", "kube-flannel")
    yield workload("Deployment", "kube-system/coredns", DNS, replicas=of.replicas)
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    service = {"clusterIP": of.dns_address, "selector": DNS, "ports": ports}
    yield made("v1", "Service", f"kube-system/{of.dns}", metadata={"labels": DNS}, spec=service)
    yield made("v1", "ConfigMap", "kube-system/coredns", data={"Corefile": COREFILE})
    for where in of.daemons:
        yield workload("DaemonSet", where, {"app": where.rpartition("/")[2]})
    later = (datetime.now(timezone.utc) + timedelta(minutes=10)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    leaders = [f"kube-system/{one}" for one in of.static if one in {"kube-controller-manager", "kube-scheduler"}]
    for where in (*leaders, *(f"kube-node-lease/{name}" for name in ADDRESSES)):
        yield made("coordination.k8s.io/v1", "Lease", where, spec={"holderIdentity": "one", "renewTime": later})
    flags = {
        "kube-apiserver": [f"--service-cluster-ip-range={of.services}", "--service-node-port-range=30000-32767"],
        "kube-controller-manager": [
            f"--service-cluster-ip-range={of.services}", f"--cluster-cidr={of.pods}", "--allocate-node-cidrs=true",
        ],
    }  # fmt: skip
    for component in of.static:
        labels = {"component": component, "tier": "control-plane"}
        container = {"name": component, "image": component, "command": [component, *flags.get(component, ())]}
        spec = {"nodeName": "alpha", "tolerations": [{"operator": "Exists"}], "containers": [container]}
        yield made("v1", "Pod", f"kube-system/{component}-alpha", metadata={"labels": labels}, spec=spec)
    if of.static:
        networking = {"podSubnet": of.pods, "serviceSubnet": of.services, "dnsDomain": "cluster.local"}
        cluster = {"kind": "ClusterConfiguration", "kubernetesVersion": RELEASE, "networking": networking}
        yield _configuration("kubeadm-config", "ClusterConfiguration", cluster)
        yield _configuration("kubelet-config", "kubelet", {"clusterDNS": [of.cluster_dns], "clusterDomain": "cluster.local"})
    if "kube-system/kube-proxy" in of.daemons:
        yield _configuration("kube-proxy", "config.conf", {"clusterCIDR": of.pods, "mode": ""})


def _configuration(name: str, key: str, document: Object) -> Object:
    return made("v1", "ConfigMap", f"kube-system/{name}", data={key: yaml.safe_dump(document)})


@pytest.fixture(scope="module", params=INSTALLERS)
def cluster(request: pytest.FixtureRequest) -> Iterator[tuple[Cluster, Installer]]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    of = INSTALLERS[request.param]
    with running(Ranges(of.services, of.pods)) as made_cluster, hollow_nodes(made_cluster) as nodes:
        for name, address in ADDRESSES.items():
            nodes.add(name, control_plane=name == "alpha")
            # no installer of these but kubeadm's keeps Pods away from it
            made_cluster.kubectl("taint", "node", name, f"{CONTROL_PLANE}-", check=False)
            status = {"addresses": [{"type": "InternalIP", "address": address}], "nodeInfo": {"kubeletVersion": RELEASE}}
            patch = {"metadata": {"annotations": dict(of.annotations)}}
            made_cluster.kubectl("patch", "node", name, f"--patch={json.dumps(patch)}")
            made_cluster.kubectl("patch", "node", name, "--subresource=status", f"--patch={json.dumps({'status': status})}")
        listed = {"apiVersion": "v1", "kind": "List", "items": list(objects(of))}
        made_cluster.kubectl("apply", "--filename=-", stdin=json.dumps(listed))
        made_cluster.kubectl("rollout", "status", "deployment/coredns", "--namespace=kube-system", "--timeout=60s", timeout=90)
        yield made_cluster, of


def told(result: Mapping[str, Any]) -> tuple[list[str], str]:
    """The findings, and what was looked at."""
    findings = [f"{one['severity']}: {one['subject']}: {one['found']}" for one in result.get("findings", [result])]
    return findings, "\n".join(f"{one['subject']}: {one['facts']}" for one in result.get("looked_at", ()))


def test_its_control_plane_and_workloads_are_healthy(cluster: tuple[Cluster, Installer]) -> None:
    served, of = cluster
    asked = {"nodes": NODES, "groups": HEALTH, "dns_replicas": 2, "fail_on": "never"}
    findings, seen = told(run_module("cluster_health_check", served.kubeconfig, **asked))
    assert findings == []
    outside = {0: "no Pods of etcd, kube-apiserver, kube-controller-manager, kube-scheduler, which", 3: "no Pods of etcd, which", 4: ""}
    assert outside[len(of.static)] in seen
    assert "which run outside of Kubernetes" in seen or len(of.static) == 4


def test_another_pod_network_than_calico_is_said_and_not_checked(cluster: tuple[Cluster, Installer]) -> None:
    served, of = cluster
    findings, seen = told(run_module("calico_check", served.kubeconfig, plan=of.plan, nodes=NODES, fail_on="never"))
    assert (findings, seen) == ([], f"pod network: {of.pod_network}; it is not Calico, so nothing of Calico is checked")


def test_its_dns_is_found_by_whatever_name(cluster: tuple[Cluster, Installer]) -> None:
    served, of = cluster
    findings, seen = told(run_module("coredns_check", served.kubeconfig, plan=of.plan, corefile="another", fail_on="never"))
    assert findings == []
    assert f"{of.replicas} Pods of CoreDNS ready on " in seen
    assert "not installed by the role dns" in seen


def test_a_wrong_address_in_the_plan_is_found_there_too(cluster: tuple[Cluster, Installer]) -> None:
    served, of = cluster
    plan = {**of.plan, "dns_service_ip": of.dns_address.rpartition(".")[0] + ".99"}
    findings, _seen = told(run_module("coredns_check", served.kubeconfig, plan=plan, fail_on="never"))
    assert findings == [f"error: Service kube-system/{of.dns}: clusterIP {of.dns_address}"]


def test_its_values_are_the_plans(cluster: tuple[Cluster, Installer]) -> None:
    served, of = cluster
    findings, seen = told(run_module("cluster_drift_check", served.kubeconfig, plan=of.plan, nodes=NODES, kubelets=False, fail_on="never"))
    assert findings == []
    assert ("kubeadm did not make this cluster" in seen) is (not of.static)
    assert "the pod network is not Calico" in seen


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_and_install(tmp_path_factory.mktemp("installed"))


# without dns and drift, which ask hosts and kubelets, too
ASKED = "nodes,control_plane,certificates,api,workloads,monitoring,calico"


def test_the_example_says_that_it_is_healthy(cluster: tuple[Cluster, Installer], installed: Path, tmp_path: Path) -> None:
    served, of = cluster
    hosts = {name: {"ansible_host": address, "ansible_connection": "local"} for name, address in ADDRESSES.items()}
    groups = {"kube_control_plane": {"hosts": {"alpha": hosts["alpha"]}}, "kube_node": {"hosts": hosts}}
    (tmp_path / "hosts.json").write_text(json.dumps({"all": {"children": groups}}))
    given = {"cluster_kubeconfig": str(served.kubeconfig), "check_only": ASKED, "network_plan": of.plan}
    given |= {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}
    argv = ["ansible-playbook", "-i", "hosts.json", "-e", json.dumps(given), str(CHECKOUT / "examples/check_cluster.yml")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    environment |= {"PATH": f"{ensure_venv()}/bin:{os.environ['PATH']}", "ANSIBLE_COLLECTIONS_PATH": str(installed.parents[2])}
    process = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300, cwd=tmp_path, env=environment)
    assert process.returncode == 0, process.stdout + process.stderr
    assert f"{of.pod_network}; it is not Calico" in process.stdout
