# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster_drift_check against a real API server that holds what kubeadm itself makes of the plan. Kubelets are servers of this process."""

from __future__ import annotations

import http.server
import json
import os
import shlex
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("kubernetes")
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import pool_documents, read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import ControlPlane, as_text, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import ranges_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import CONFIGURATION

from tests.cluster.build import binary, missing
from tests.cluster.calico_images import calico_manifest
from tests.cluster.here import own_address
from tests.cluster.hollow import HollowNodes, hollow_nodes
from tests.cluster.programs import API_SERVER, PROGRAMS, version
from tests.cluster.server import Cluster, running
from tests.lab.cache import CHECKOUT
from tests.lab.say import LabError
from tests.unit.network_plan.plans import SPECIFICATION

MASTER, STORAGE, HOMELAB = NAMES = ("masternode", "storagenodet3500", "homelab")
RELEASE = version(PROGRAMS["kubeadm"])
MODULE = "ansible_collections.vmstation.cluster.plugins.modules.cluster_drift_check"


def _own_address() -> str:
    """One that the API server goes to, which refuses nodes on loopback. What is sent there stays on this machine all the same."""
    try:
        return own_address()
    except OSError:
        pytest.skip("no address but loopback, to which no API server goes")


class Kubelet:
    """The port of a kubelet: real TLS, and of its paths the one."""

    def __init__(self, address: str, certificates: Path) -> None:
        self.configuration: dict[str, Any] = {"clusterDNS": ["10.233.0.3"], "clusterDomain": "cluster.local"}
        self.asked: list[str] = []
        kubelet = self

        class Answers(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                kubelet.asked.append(self.path)
                body = json.dumps({"kubeletconfig": kubelet.configuration}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_words: object) -> None:
                """Nothing to log."""

        self._server = http.server.ThreadingHTTPServer((address, 0), Answers)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def end(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Site:
    """A cluster as site.yml makes it, but for its machines."""

    def __init__(self, cluster: Cluster, nodes: HollowNodes, directory: Path) -> None:
        self.cluster, self.nodes, self.directory = cluster, nodes, directory
        self.address = _own_address()
        self.hosts = [{"name": name, "address": self.address} for name in NAMES]
        self.kubelets = {name: Kubelet(self.address, cluster.certificates) for name in NAMES}
        documents = init_documents(SPECIFICATION, ControlPlane(MASTER, [self.address], RELEASE.removeprefix("v")))
        self.configuration = directory / "kubeadm.json"
        self.configuration.write_text(as_text(documents))

    def kubectl(self, *argv: str, stdin: str = "") -> str:
        return self.cluster.kubectl(*argv, stdin=stdin).stdout

    def apply(self, *documents: dict[str, Any]) -> None:
        self.kubectl("apply", "--filename=-", stdin="\n---\n".join(map(json.dumps, documents)))

    def kubeadm(self, *argv: str) -> None:
        """In its container or its host's root it would write into /etc: what it writes goes to the directory of the test."""
        environment = {**os.environ, "KUBEADM_INIT_DRYRUN_DIR": str(self.directory)}
        subprocess.run([str(binary("kubeadm")), *argv], capture_output=True, check=True, timeout=120, env=environment)

    def phase(self, *argv: str) -> None:
        self.kubeadm("init", "phase", *argv, f"--config={self.configuration}", f"--kubeconfig={self.cluster.kubeconfig}")

    def make(self) -> None:
        self.kubectl("wait", "--namespace=kube-system", "--for=create", "serviceaccount/default", "--timeout=60s")
        self.phase("upload-config", "all")
        self.phase("addon", "kube-proxy")
        self.kubeadm("init", "phase", "control-plane", "all", "--dry-run", f"--config={self.configuration}")
        for name in NAMES:
            self.add_node(name)
        for component in ("kube-apiserver", "kube-controller-manager"):
            self.apply(self.static_pod(component))
        self.apply(
            ranges_manifest("10.233.0.0/24"), *(one for one in yaml.safe_load_all(calico_manifest().read_text()) if _defines_pools(one))
        )
        self.kubectl("wait", "--for=condition=Ready", "servicecidr/vmstation-10-233-0-0-24", "--timeout=60s")
        self.kubectl("wait", "--for=condition=Established", "crd/ippools.crd.projectcalico.org", "--timeout=60s")
        dns = {"clusterIP": "10.233.0.3", "selector": {"k8s-app": "kube-dns"}, "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}]}
        self.apply(
            *pool_documents(read_plan(SPECIFICATION, "test"), (), nat_outgoing=True),
            _in_kube_system("Service", "kube-dns", {"k8s-app": "kube-dns"}, spec=dns),
            _in_kube_system("ConfigMap", "coredns", {}, data={"Corefile": corefile(dns_plan(SPECIFICATION))}),
        )

    def add_node(self, name: str, kubelet_version: str = RELEASE) -> None:
        self.nodes.add(name, control_plane=name == MASTER)
        status = {"addresses": [{"type": "InternalIP", "address": self.address}], "nodeInfo": {"kubeletVersion": kubelet_version}}
        if name in self.kubelets:
            status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": self.kubelets[name].port}}
        self.kubectl("patch", f"node/{name}", "--subresource=status", "--type=merge", f"--patch={json.dumps({'status': status})}")

    def static_pod(self, component: str) -> dict[str, Any]:
        """As a kubelet shows it in the API, of kubeadm's own manifest."""
        pod = yaml.safe_load((self.directory / f"{component}.yaml").read_text())
        pod["metadata"]["name"] = f"{component}-{MASTER}"
        pod["spec"]["nodeName"] = MASTER
        return dict(pod)

    def check(self, **options: object) -> dict[str, Any]:
        arguments = {"kubeconfig": str(self.cluster.kubeconfig), "plan": SPECIFICATION, "nodes": self.hosts, **options}
        process = subprocess.run(
            [sys.executable, "-m", MODULE], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}), capture_output=True, text=True,
            check=False, timeout=120, env={**os.environ, "PYTHONPATH": str(CHECKOUT / "collections")},
        )  # fmt: skip
        return dict(json.loads(process.stdout))

    def follow(self, command: str) -> None:
        """A command of a fix, on this cluster."""
        program, *words = shlex.split(command.replace(CONFIGURATION, str(self.configuration)))
        if program == "kubeadm":
            words.append(f"--kubeconfig={self.cluster.kubeconfig}")
        {"kubectl": self.kubectl, "kubeadm": self.kubeadm}[program](*words)


def _defines_pools(document: dict[str, Any] | None) -> bool:
    return bool(document) and document["metadata"]["name"] == "ippools.crd.projectcalico.org"


def _in_kube_system(kind: str, name: str, labels: dict[str, str], **content: object) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "kube-system", "labels": labels}, **content}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as cluster, hollow_nodes(cluster) as nodes, ExitStack() as stack:
        made = Site(cluster, nodes, tmp_path_factory.mktemp("drift"))
        for kubelet in made.kubelets.values():
            stack.callback(kubelet.end)
        try:
            made.make()
        except LabError as error:
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
        yield made


@contextmanager
def _instead(site: Site, thing: str, change: Sequence[tuple[str, str]]) -> Iterator[None]:
    """The object with other words in it, until the end of the block."""
    before = site.kubectl("get", "--namespace=kube-system", thing, "--output=json")
    after = before
    for old, new in change:
        assert old in after, f"{thing} says nothing of {old}"
        after = after.replace(old, new)
    site.kubectl("replace", "--force", "--filename=-", stdin=after)
    try:
        yield
    finally:
        site.kubectl("replace", "--force", "--filename=-", stdin=before)


def _found(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(one["rule"], one["subject"], one["found"]) for one in result["findings"]]


def _healthy(site: Site) -> dict[str, Any]:
    result = site.check(fail_on="warning")
    assert not result.get("failed"), result["msg"]
    assert result["findings"] == []
    return result


def test_a_cluster_of_this_plan_has_no_drift(site: Site) -> None:
    result = _healthy(site)
    assert {one["equal"] for one in result["compared"]} == {True}
    compared = {(one["subject"], one["source"]): one["live"] for one in result["compared"]}
    assert compared[f"Pod kube-system/kube-apiserver-{MASTER}", "--service-cluster-ip-range"] == "10.96.0.0/12"
    assert compared["ServiceCIDR of 10.233.0.0/24", "spec.cidrs"] == "10.233.0.0/24"
    assert compared["IPPool default-ipv4-ippool", "spec.ipipMode"] == "Always"
    assert compared[f"node {HOMELAB}", "kubelet's clusterDNS"] == "10.233.0.3"
    assert not result["changed"]


@dataclass(frozen=True)
class Fault:
    """What somebody does, on which object it is found, in what words, and which command of the fix puts it right."""

    done: Sequence[str]
    rule: str
    subject: str
    found: str
    command: str
    severity: str = "error"
    afterwards: Sequence[str] = ()
    stdin: str = ""


STRAY_POOL = {
    "apiVersion": "crd.projectcalico.org/v1",
    "kind": "IPPool",
    "metadata": {"name": "stray"},
    "spec": {"cidr": "10.50.0.0/16", "vxlanMode": "Always"},
}
SPARE_RANGE = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "ServiceCIDR",
    "metadata": {"name": "spare"},
    "spec": {"cidrs": ["10.234.0.0/24"]},
}
KUBE_SYSTEM = "--namespace=kube-system"
SECOND_DNS = _in_kube_system("Service", "coredns", {"k8s-app": "kube-dns"}, spec={"clusterIP": "10.96.0.10", "ports": [{"port": 53}]})
OTHER_DNS = {"data": {"kubelet": "clusterDNS: [10.96.0.10]\nclusterDomain: cluster.local\n"}}
OTHER_PODS = {"data": {"config.conf": "clusterCIDR: 10.0.0.0/16\nmode: iptables\n"}}
CREATE = ("create", "--filename=-")

FAULTS = {
    "a node stays cordoned": Fault(
        ("cordon", HOMELAB),
        "nodes_that_are_awake_are_not_cordoned",
        f"node {HOMELAB}",
        "spec.unschedulable: cordoned",
        f"kubectl uncordon {HOMELAB}",
        "warning",
    ),
    "a second DNS Service": Fault(
        CREATE,
        "no_second_service_is_dns",
        "Service kube-system/coredns",
        "k8s-app: a second DNS Service, at 10.96.0.10",
        "kubectl --namespace kube-system delete service coredns",
        stdin=json.dumps(SECOND_DNS),
    ),
    "kubelets are told another DNS address": Fault(
        ("patch", KUBE_SYSTEM, "configmap/kubelet-config", "--type=merge", f"--patch={json.dumps(OTHER_DNS)}"),
        "kubelet_config_is_the_plans",
        "ConfigMap kube-system/kubelet-config",
        "clusterDNS: 10.96.0.10",
        f"kubeadm init phase upload-config kubelet --config {CONFIGURATION}",
    ),
    "kube-proxy has another pod network": Fault(
        ("patch", KUBE_SYSTEM, "configmap/kube-proxy", "--type=merge", f"--patch={json.dumps(OTHER_PODS)}"),
        "kube_proxy_is_as_planned",
        "ConfigMap kube-system/kube-proxy",
        "clusterCIDR: 10.0.0.0/16",
        f"kubeadm init phase addon kube-proxy --config {CONFIGURATION}",
    ),
    "a service range that nobody planned": Fault(
        CREATE,
        "service_ranges_are_the_plans",
        "ServiceCIDR spare",
        "spec.cidrs: 10.234.0.0/24",
        "kubectl delete servicecidr spare",
        "warning",
        stdin=json.dumps(SPARE_RANGE),
    ),
    "a pool that nobody planned": Fault(
        CREATE,
        "ip_pools_are_the_plans",
        "IPPool stray",
        "spec.cidr: 10.50.0.0/16",
        'kubectl patch ippool stray --type=merge --patch=\'{"spec":{"disabled":true}}\'',
        afterwards=("delete", "ippool", "stray"),
        stdin=json.dumps(STRAY_POOL),
    ),
    "the pool gives no addresses": Fault(
        ("patch", "ippool/default-ipv4-ippool", "--type=merge", '--patch={"spec":{"disabled":true}}'),
        "ip_pools_are_the_plans",
        "IPPool default-ipv4-ippool",
        "spec.disabled: true",
        'kubectl patch ippool default-ipv4-ippool --type=merge --patch=\'{"spec":{"disabled":false}}\'',
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_and_its_fix_works(site: Site, name: str) -> None:
    fault = FAULTS[name]
    site.kubectl(*fault.done, stdin=fault.stdin)
    result = site.check(fail_on="warning")
    assert result["failed"]
    assert _found(result) == [(fault.rule, fault.subject, fault.found)]
    assert result["findings"][0]["severity"] == fault.severity
    assert f"`{fault.command}`" in result["findings"][0]["fix"]
    site.follow(fault.command)
    _healthy(site)
    if fault.afterwards:
        site.kubectl(*fault.afterwards)


def test_a_range_that_is_being_deleted_ends_after_the_next_step(site: Site) -> None:
    """The DNS Service has an address of it, so its deletion waits for another object of the same range."""
    name = "vmstation-10-233-0-0-24"
    site.kubectl("delete", "servicecidr", name, "--wait=false")
    (finding,) = site.check(fail_on="error")["findings"]
    assert finding["found"] == "spec.cidrs: 10.233.0.0/24, not ready: it is being deleted: Services still use addresses of it"
    echo, manifest, _pipe, _kubectl, *words = shlex.split(finding["fix"].split("`")[1])
    assert echo == "echo"
    site.kubectl(*words, stdin=manifest)
    site.kubectl("wait", "--for=delete", f"servicecidr/{name}", "--timeout=60s")
    site.kubectl("wait", "--for=condition=Ready", f"servicecidr/again-{name}", "--timeout=60s")
    _healthy(site)
    site.apply(ranges_manifest("10.233.0.0/24"))
    site.kubectl("delete", "servicecidr", f"again-{name}", "--timeout=60s")
    site.kubectl("wait", "--for=condition=Ready", f"servicecidr/{name}", "--timeout=60s")


def test_a_node_that_the_inventory_does_not_have(site: Site) -> None:
    site.add_node("oldhost")
    site.nodes.switch_off("oldhost")
    result = site.check()
    assert ("nodes_are_hosts_of_the_inventory", "node oldhost", "inventory: nothing") in _found(result)
    assert "kubectl delete node oldhost" in result["findings"][0]["fix"]
    site.follow("kubectl delete node oldhost")
    _healthy(site)


def test_a_host_that_is_no_node(site: Site) -> None:
    result = site.check(nodes=[*site.hosts, {"name": "Newhost", "address": "192.168.4.64"}])
    assert _found(result) == [("hosts_are_nodes", "node newhost", "Node: nothing")]


def test_another_address_in_the_inventory(site: Site) -> None:
    hosts = [one if one["name"] != HOMELAB else {**one, "address": "192.168.4.62"} for one in site.hosts]
    found = [("nodes_have_the_inventorys_addresses", f"node {HOMELAB}", f"InternalIP: {site.address}")]
    assert _found(site.check(nodes=hosts)) == found


def test_another_service_range_in_the_plan(site: Site) -> None:
    found = _found(site.check(plan={**SPECIFICATION, "service_cidr": "10.112.0.0/12"}))
    assert found == [
        ("kubeadm_config_is_the_plans", "ConfigMap kube-system/kubeadm-config", "networking.serviceSubnet: 10.96.0.0/12"),
        ("control_plane_flags_are_the_plans", f"Pod kube-system/kube-apiserver-{MASTER}", "--service-cluster-ip-range: 10.96.0.0/12"),
        (
            "control_plane_flags_are_the_plans",
            f"Pod kube-system/kube-controller-manager-{MASTER}",
            "--service-cluster-ip-range: 10.96.0.0/12",
        ),
        ("service_ranges_are_the_plans", "ServiceCIDR kubernetes", "spec.cidrs: 10.96.0.0/12"),
    ]


def test_another_dns_address_and_version_in_the_plan(site: Site) -> None:
    found = _found(site.check(plan={**SPECIFICATION, "dns_service_ip": "10.96.0.10", "kubernetes_version": "1.35"}))
    subjects = {(rule, subject) for rule, subject, _expected in found}
    assert ("the_control_plane_has_the_planned_version", "API server") in subjects
    assert ("the_dns_service_has_the_planned_addresses", "Service kube-system/kube-dns") in subjects
    assert ("service_ranges_are_the_plans", "ServiceCIDR vmstation-10-233-0-0-24") in subjects
    for name in NAMES:
        assert ("kubelets_run_as_planned", f"node {name}", "kubelet's clusterDNS: 10.233.0.3") in found
        assert ("kubelets_have_the_planned_version", f"node {name}", f"kubelet's version: {RELEASE}") in found


def test_another_flag_of_the_api_server(site: Site) -> None:
    with _instead(
        site, f"pod/kube-apiserver-{MASTER}", [("--service-node-port-range=30000-32767", "--service-node-port-range=20000-22767")]
    ):
        result = site.check()
    assert _found(result) == [
        ("control_plane_flags_are_the_plans", f"Pod kube-system/kube-apiserver-{MASTER}", "--service-node-port-range: 20000-22767")
    ]
    assert "kubeadm init phase control-plane apiserver" in result["findings"][0]["fix"]


def test_a_corefile_of_another_domain(site: Site) -> None:
    with _instead(site, "configmap/coredns", [("kubernetes cluster.local", "kubernetes other.local")]):
        result = site.check()
    assert _found(result) == [
        ("the_cluster_domain_is_served", "ConfigMap kube-system/coredns", "Corefile: kubernetes for other.local in-addr.arpa ip6.arpa")
    ]


def test_a_pool_of_another_encapsulation(site: Site) -> None:
    with _instead(site, "ippool/default-ipv4-ippool", [('"ipipMode": "Always"', '"ipipMode": "CrossSubnet"')]):
        result = site.check()
    assert _found(result) == [("ip_pools_are_the_plans", "IPPool default-ipv4-ippool", "spec.ipipMode: CrossSubnet")]


def test_a_kubelet_that_runs_with_another_dns_address(site: Site) -> None:
    kubelet = site.kubelets[HOMELAB]
    right, kubelet.configuration = kubelet.configuration, {**kubelet.configuration, "clusterDNS": ["10.96.0.10"]}
    try:
        assert _found(site.check()) == [("kubelets_run_as_planned", f"node {HOMELAB}", "kubelet's clusterDNS: 10.96.0.10")]
        assert _found(site.check(kubelets=False)) == []
    finally:
        kubelet.configuration = right


def test_a_sleeping_node_is_not_asked_and_may_be_cordoned(site: Site) -> None:
    asked = site.kubelets[HOMELAB].asked
    asked.clear()
    site.kubectl("cordon", HOMELAB)
    try:
        result = site.check(asleep=[HOMELAB], fail_on="warning")
    finally:
        site.kubectl("uncordon", HOMELAB)
    assert result["findings"] == []
    assert asked == []
    unknown = [(one["subject"], one["live"]) for one in result["compared"] if one["equal"] == "unknown"]
    assert unknown == [(f"node {HOMELAB}", "asleep, not asked")] * 2


def test_a_node_that_is_silent_is_unknown_and_not_waited_for(site: Site) -> None:
    site.kubelets[HOMELAB].asked.clear()
    site.nodes.switch_off(HOMELAB)
    try:
        result = site.check()
    finally:
        site.nodes.switch_on(HOMELAB)
    assert _found(result) == [
        ("what_is_compared_can_be_read", f"node {HOMELAB}, configuration of its kubelet", "a kubelet that has fallen silent")
    ]
    assert site.kubelets[HOMELAB].asked == []


def test_a_kubelet_that_does_not_answer_is_unknown(site: Site) -> None:
    with socket.create_server((site.address, 0)) as mute:
        endpoint = {"status": {"daemonEndpoints": {"kubeletEndpoint": {"Port": mute.getsockname()[1]}}}}
        site.kubectl("patch", f"node/{STORAGE}", "--subresource=status", "--type=merge", f"--patch={json.dumps(endpoint)}")
        try:
            result = site.check(timeout=2)
        finally:
            endpoint["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] = site.kubelets[STORAGE].port
            site.kubectl("patch", f"node/{STORAGE}", "--subresource=status", "--type=merge", f"--patch={json.dumps(endpoint)}")
    assert _found(result) == [("what_is_compared_can_be_read", f"node {STORAGE}, configuration of its kubelet", "no answer within 2 s")]
    assert result["findings"][0]["severity"] == "unknown"


@pytest.fixture
def reader(site: Site) -> Iterator[Path]:
    """The kubeconfig of somebody who may read everything but ConfigMaps and kubelets."""
    site.kubectl("create", "serviceaccount", "reader", "--namespace=default")
    rules = [
        {"apiGroups": [""], "resources": ["nodes", "pods", "services"], "verbs": ["get", "list"]},
        {"apiGroups": ["networking.k8s.io", "crd.projectcalico.org"], "resources": ["*"], "verbs": ["get", "list"]},
    ]
    site.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "reader"}, "rules": rules})
    site.kubectl("create", "clusterrolebinding", "reader", "--clusterrole=reader", "--serviceaccount=default:reader")
    config = yaml.safe_load(site.cluster.kubeconfig.read_text())
    config["users"] = [{"name": "reader", "user": {"token": site.kubectl("create", "token", "reader").strip()}}]
    config["contexts"] = [{"name": "reader", "context": {"cluster": config["clusters"][0]["name"], "user": "reader"}}]
    path = site.directory / "reader.conf"
    path.write_text(json.dumps({**config, "current-context": "reader"}))
    yield path
    site.kubectl("delete", "clusterrolebinding,clusterrole,serviceaccount", "reader", "--namespace=default")


def test_what_is_forbidden_is_unknown_and_the_rest_is_compared(site: Site, reader: Path) -> None:
    result = site.check(kubeconfig=str(reader), nodes=[*site.hosts, {"name": "newhost", "address": "192.168.4.64"}], fail_on="never")
    rules = [one["rule"] for one in result["findings"]]
    assert rules[0] == "hosts_are_nodes"
    assert set(rules[1:]) == {"what_is_compared_can_be_read"}
    missing_verbs = {one["expected"] for one in result["findings"][1:]}
    assert missing_verbs == {"the permission to get configmaps in namespace kube-system", "the permission to get nodes/proxy"}
    unknown = {one["subject"] for one in result["compared"] if one["equal"] == "unknown"}
    config_maps = {f"ConfigMap kube-system/{name}" for name in ("kubeadm-config", "kubelet-config", "kube-proxy", "coredns")}
    assert unknown == {*config_maps, *(f"node {name}" for name in NAMES)}


def test_the_number_of_requests_grows_by_the_kubelets_alone(site: Site) -> None:
    more = [f"more{number}" for number in range(20)]
    few, asked = site.check(kubelets=False)["api_calls"], site.check()["api_calls"]
    for name in more:
        site.add_node(name)
    try:
        many = site.check(nodes=[*site.hosts, *({"name": name, "address": site.address} for name in more)], kubelets=False)
    finally:
        site.kubectl("delete", "node", *more)
    assert many["findings"] == []
    assert (many["api_calls"], asked) == (few, few + len(NAMES))


def test_without_an_api_server_it_fails_and_says_so(site: Site, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere.conf"
    nowhere.write_text(site.cluster.kubeconfig.read_text().replace(site.cluster.url, "https://127.0.0.1:1"))
    result = site.check(kubeconfig=str(nowhere), fail_on="never")
    assert result["failed"]
    assert "connection refused" in result["msg"]
