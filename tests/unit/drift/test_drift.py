# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of a cluster that differs from its plan in one thing, and of one that cannot be read in part."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Callable

import pytest
import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.documents import pool_documents, read_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.judge import UNREAD, as_data, compare_all, findings
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import Sight, Wanted, look, read_wanted, written
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import ControlPlane, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import ranges_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

from tests.unit.network_plan.plans import DUAL, FLAWLESS, HOSTS, IPV6, IPV6_HOSTS, SPECIFICATION

Object = dict[str, Any]
DUAL_PLAN = DUAL | {"dns_service_ip": ["10.96.0.10", "fd00:10:96::a"]}
DUAL_HOSTS = [{**host, "address": [host["address"], six["address"]]} for host, six in zip(HOSTS, IPV6_HOSTS)]
API, POOLS, NETWORKING = "v1", "crd.projectcalico.org/v1", "networking.k8s.io/v1"


def _forbidden(permission: str) -> Refusal:
    return Refusal(
        "Kubernetes API", f"HTTP status 403: cannot {permission.replace(' ', ' resource ')}", f"the permission to {permission}", ""
    )


class World:
    """A cluster made from a plan, as its API tells of it. Its kinds may be forbidden or be out of order."""

    server = "https://192.168.4.63:6443"

    def __init__(self, plan: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]]) -> None:
        self.plan, self.hosts = plan, hosts
        wanted = wanted_of(plan, hosts)
        first = wanted.hosts[0]
        release = "{}.{}.4".format(*wanted.version)
        _init, cluster, kubelet, proxy = init_documents(plan, ControlPlane("masternode", list(first.addresses), release))
        services, pods = cluster["networking"]["serviceSubnet"], cluster["networking"]["podSubnet"]
        self.refused: dict[str, Refusal] = {}
        self.kubelet_answers: dict[str, Any] = {}
        self.maps: dict[str, dict[str, str]] = {
            "kubeadm-config": {"ClusterConfiguration": yaml.safe_dump(cluster)},
            "kubelet-config": {"kubelet": yaml.safe_dump(kubelet)},
            "kube-proxy": {"config.conf": yaml.safe_dump(proxy)},
            "coredns": {"Corefile": corefile(dns_plan(plan))},
        }
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        ranges = [{"metadata": {"name": "kubernetes"}, "spec": {"cidrs": services.split(",")}}, *map(ranges_manifest, wanted.extra_ranges)]
        self.objects: dict[tuple[str, str], list[Object]] = {
            (API, "Node"): [_node(host.name, host.addresses, f"v{release}") for host in wanted.hosts],
            (API, "Pod"): [
                _pod(
                    "kube-apiserver",
                    "--service-account-extend-token-expiration=false",
                    f"--service-cluster-ip-range={services}",
                    "--service-node-port-range=30000-32767",
                ),
                _pod(
                    "kube-controller-manager",
                    "--allocate-node-cidrs=false",
                    f"--cluster-cidr={pods}",
                    f"--service-cluster-ip-range={services}",
                ),
            ],
            (API, "Service"): [_service("kube-dns", list(wanted.dns.addresses)), _service("metrics", ["10.96.3.3"], "metrics")],
            (NETWORKING, "ServiceCIDR"): [{**one, "status": ready} for one in ranges],
            ("apps/v1", "DaemonSet"): [],
            (POOLS, "IPPool"): pool_documents(read_plan(plan, "test"), (), nat_outgoing=True),
        }
        self.version, self.manager = f"v{release}", "vmstation.cluster"
        self.told: dict[str, Any] = {key: kubelet[key] for key in ("clusterDNS", "clusterDomain")}
        self.asked: list[str] = []

    def serves(self, api_version: str, kind: str) -> bool:
        return (api_version, kind) in self.objects

    def items(self, api_version: str, kind: str, _namespace: str = "", _labels: str = "") -> Iterator[Object]:
        self._refuse(kind)
        yield from copy.deepcopy(self.objects[api_version, kind])

    def get(self, _api_version: str, kind: str, name: str, _namespace: str = "") -> Object | None:
        self._refuse(kind)
        metadata = {"name": name, "managedFields": [{"manager": self.manager}]}
        return {"metadata": metadata, "data": self.maps[name]} if name in self.maps else None

    def read(self, path: str) -> Object:
        self._refuse(path)
        return {"gitVersion": self.version}

    def ask(self, nodes: Sequence[str], _seconds: float) -> dict[str, Any]:
        self.asked = list(nodes)
        return {name: self.kubelet_answers.get(name, {"kubeletconfig": self.told}) for name in nodes}

    def _refuse(self, what: str) -> None:
        if what in self.refused:
            raise self.refused[what]

    def look(self, wanted: Wanted) -> Sight:
        return look(wanted, self, self, yaml.safe_load)

    def found(self, **options: Any) -> list[Finding]:
        wanted = wanted_of(self.plan, self.hosts, **options)
        return findings(compare_all(wanted, self.look(wanted)))

    def one(self, kind: str, name: str) -> Object:
        return next(
            one for (_version, a_kind), many in self.objects.items() if a_kind == kind for one in many if one["metadata"]["name"] == name
        )

    def rewrite(self, config_map: str, old: str, new: str) -> None:
        (key,) = self.maps[config_map]
        assert old in self.maps[config_map][key]
        self.maps[config_map][key] = self.maps[config_map][key].replace(old, new)

    def flag(self, component: str, old: str, new: str) -> None:
        command = self.one("Pod", f"{component}-masternode")["spec"]["containers"][0]["command"]
        assert old in command
        command[command.index(old)] = new


def _node(name: str, addresses: Sequence[str], version: str = "v1.36.4") -> Object:
    status = {
        "addresses": [{"type": "InternalIP", "address": one} for one in addresses] + [{"type": "Hostname", "address": name}],
        "conditions": [{"type": "Ready", "status": "True"}],
        "nodeInfo": {"kubeletVersion": version},
        "images": [{"names": ["image"] * 50}],
    }
    return {"metadata": {"name": name}, "spec": {}, "status": status}


def _pod(component: str, *flags: str) -> Object:
    metadata = {"name": f"{component}-masternode", "labels": {"tier": "control-plane", "component": component}}
    return {"metadata": metadata, "spec": {"containers": [{"command": [component, *flags]}]}}


def _service(name: str, addresses: list[str], leads_to: str = "kube-dns") -> Object:
    return {"metadata": {"name": name}, "spec": {"clusterIPs": addresses, "selector": {"k8s-app": leads_to}}}


def wanted_of(plan: object, hosts: Sequence[Mapping[str, Any]], **options: Any) -> Wanted:
    return read_wanted({"plan": plan, "nodes": hosts, "asleep": [], "kubelets": True, "timeout": 15, "nat_outgoing": True, **options})


@pytest.mark.parametrize(
    ("plan", "hosts"),
    [(SPECIFICATION, HOSTS), (FLAWLESS, HOSTS), (DUAL_PLAN, DUAL_HOSTS), (IPV6, IPV6_HOSTS), (SPECIFICATION, DUAL_HOSTS)],
    ids=["specification", "flawless", "dual stack", "IPv6", "hosts with an address more than the plan needs"],
)
def test_a_cluster_of_a_plan_has_no_drift(plan: Mapping[str, Any], hosts: Sequence[Mapping[str, Any]]) -> None:
    world, wanted = World(plan, hosts), wanted_of(plan, hosts)
    compared = compare_all(wanted, world.look(wanted))
    assert [one for one in compared if one.equal is not True] == []
    assert findings(compared) == []
    subjects = {one["subject"].split()[0] for one in as_data(compared)}
    assert subjects == {"API", "ConfigMap", "Pod", "ServiceCIDR", "Service", "IPPool", "node"}


def _add(kind: tuple[str, str], thing: Object) -> Callable[[World], None]:
    return lambda world: world.objects[kind].append(thing)


@pytest.mark.parametrize(
    ("manager", "address", "subjects"),
    [
        # the role dns made the cluster's DNS: its Service is missing
        ("vmstation.cluster", "10.96.0.10", ["kube-dns: clusterIP: nothing", "other: k8s-app: a second DNS Service, at 10.96.0.10"]),
        ("kubespray", "10.96.0.10", ["other: clusterIP: 10.96.0.10"]),
        ("kubespray", "10.233.0.3", []),
        ("vmstation.cluster", "10.233.0.3", []),
    ],
)
def test_only_another_installer_calls_the_dns_service_differently(manager: str, address: str, subjects: list[str]) -> None:
    world = World(SPECIFICATION, HOSTS)
    world.manager = manager
    world.objects[API, "Service"][0] = _service("other", [address])
    assert [f"{one.subject}: {one.found}" for one in world.found()] == [f"Service kube-system/{one}" for one in subjects]


def _set_kubelet(world: World, **told: Any) -> None:
    world.kubelet_answers["homelab"] = {"kubeletconfig": {**world.told, **told}}


STRAY = {"metadata": {"name": "stray"}, "spec": {"cidr": "10.50.0.0/16"}}
RESTING = {"metadata": {"name": "stray"}, "spec": {"cidr": "10.50.0.0/16", "disabled": True}}
MANAGER = "kube-controller-manager"
# what is done to a cluster of the specification; severity, subject, found and a part of the fix of the only finding, or none
CASES: dict[str, tuple[Callable[[World], Any], tuple[str, str, str, str] | None]] = {
    "another version of the API server": (
        lambda world: setattr(world, "version", "v1.35.9"),
        ("error", "API server", "/version: v1.35.9", "upgrade.yml"),
    ),
    "kubeadm has another pod network": (
        lambda world: world.rewrite("kubeadm-config", "10.244.0.0/16", "10.245.0.0/16"),
        ("error", "ConfigMap kube-system/kubeadm-config", "networking.podSubnet: 10.245.0.0/16", "another pod_cidr"),
    ),
    "kubeadm has another domain": (
        lambda world: world.rewrite("kubeadm-config", "cluster.local", "other.local"),
        ("error", "ConfigMap kube-system/kubeadm-config", "networking.dnsDomain: other.local", "another dns_domain"),
    ),
    "kubeadm has another version": (
        lambda world: world.rewrite("kubeadm-config", "v1.36.4", "v1.35.4"),
        ("error", "ConfigMap kube-system/kubeadm-config", "kubernetesVersion: v1.35.4", "upload-config kubeadm"),
    ),
    "kubeadm has other NodePorts": (
        lambda world: world.rewrite("kubeadm-config", "30000-32767", "20000-22767"),
        ("error", "ConfigMap kube-system/kubeadm-config", "apiServer.extraArgs service-node-port-range: 20000-22767", "upload-config"),
    ),
    "the API server has other NodePorts": (
        lambda world: world.flag("kube-apiserver", "--service-node-port-range=30000-32767", "--service-node-port-range=20000-22767"),
        ("error", "Pod kube-system/kube-apiserver-masternode", "--service-node-port-range: 20000-22767", "control-plane apiserver"),
    ),
    "the default of a flag is as good": (
        lambda world: world.flag("kube-apiserver", "--service-node-port-range=30000-32767", "--v=2"),
        None,
    ),
    "the API server extends tokens, as it does by default": (
        lambda world: world.flag("kube-apiserver", "--service-account-extend-token-expiration=false", "--v=2"),
        (
            "warning",
            "Pod kube-system/kube-apiserver-masternode",
            "--service-account-extend-token-expiration: true",
            "control-plane apiserver",
        ),
    ),
    "the API server has another service range": (
        lambda world: world.flag("kube-apiserver", "--service-cluster-ip-range=10.96.0.0/12", "--service-cluster-ip-range=10.96.0.0/16"),
        ("error", "Pod kube-system/kube-apiserver-masternode", "--service-cluster-ip-range: 10.96.0.0/16", "reset.yml"),
    ),
    "the controller manager has no pod network": (
        lambda world: world.flag(MANAGER, "--cluster-cidr=10.244.0.0/16", "--v=2"),
        ("error", f"Pod kube-system/{MANAGER}-masternode", "--cluster-cidr: nothing", "control-plane controller-manager"),
    ),
    "nodes get CIDRs": (
        lambda world: world.flag(MANAGER, "--allocate-node-cidrs=false", "--allocate-node-cidrs"),
        ("warning", f"Pod kube-system/{MANAGER}-masternode", "--allocate-node-cidrs: true", "Calico needs no node CIDRs"),
    ),
    "the extra service range is not there": (
        lambda world: world.objects[NETWORKING, "ServiceCIDR"].pop(),
        ("error", "ServiceCIDR of 10.233.0.0/24", "spec.cidrs: nothing", "control_plane"),
    ),
    "the extra service range is not ready": (
        lambda world: world.objects[NETWORKING, "ServiceCIDR"][1].update(status={}),
        ("error", "ServiceCIDR of 10.233.0.0/24", "spec.cidrs: 10.233.0.0/24, not ready: no condition Ready yet", "control_plane"),
    ),
    "kubelet-config without a domain": (
        lambda world: world.rewrite("kubelet-config", "clusterDomain: cluster.local", ""),
        ("error", "ConfigMap kube-system/kubelet-config", "clusterDomain: nothing", "upload-config kubelet"),
    ),
    "kube-proxy in another mode": (
        lambda world: world.rewrite("kube-proxy", "mode: iptables", "mode: ipvs"),
        ("error", "ConfigMap kube-system/kube-proxy", "mode: ipvs", "addon kube-proxy"),
    ),
    "kube-proxy in its own mode": (lambda world: world.rewrite("kube-proxy", "mode: iptables", 'mode: ""'), None),
    "no DNS Service": (
        lambda world: world.objects[API, "Service"].pop(0),
        ("error", "Service kube-system/kube-dns", "clusterIP: nothing", "Run the role dns."),
    ),
    "a DNS Service at another address": (
        lambda world: world.one("Service", "kube-dns")["spec"].update(clusterIPs=["10.96.0.10"]),
        ("error", "Service kube-system/kube-dns", "clusterIP: 10.96.0.10", "delete service kube-dns"),
    ),
    "a second DNS Service": (
        _add((API, "Service"), _service("dns", ["10.96.0.10"])),
        ("error", "Service kube-system/dns", "k8s-app: a second DNS Service, at 10.96.0.10", "delete service dns"),
    ),
    "a headless Service for the metrics of CoreDNS": (
        _add((API, "Service"), {"metadata": {"name": "stack-coredns"}, "spec": {"clusterIP": "None", "selector": {"k8s-app": "kube-dns"}}}),
        None,
    ),
    "no Corefile": (
        lambda world: world.maps.pop("coredns"),
        ("error", "ConfigMap kube-system/coredns", "Corefile: no Corefile", "role dns"),
    ),
    "a Corefile that is none": (
        lambda world: world.maps["coredns"].update(Corefile=".:53 {\n  errors\n"),
        ("error", "ConfigMap kube-system/coredns", "Corefile: ", "role dns"),
    ),
    "no pool": (
        lambda world: world.objects[POOLS, "IPPool"].clear(),
        ("error", "IPPool of 10.244.0.0/16", "spec.cidr: nothing", "role calico"),
    ),
    "no Calico": (
        lambda world: world.objects.pop((POOLS, "IPPool")),
        ("error", "IPPool of 10.244.0.0/16", "spec.cidr: nothing", "role calico"),
    ),
    "a pool of another block size": (
        lambda world: world.objects[POOLS, "IPPool"][0]["spec"].update(blockSize=27),
        ("error", "IPPool default-ipv4-ippool", "spec.blockSize: 27", "network_plan.block_size"),
    ),
    "a pool whose Pods do not leave the cluster": (
        lambda world: world.objects[POOLS, "IPPool"][0]["spec"].update(natOutgoing=False),
        ("error", "IPPool default-ipv4-ippool", "spec.natOutgoing: false", '{"spec":{"natOutgoing":true}}'),
    ),
    "a pool that nobody planned": (
        _add((POOLS, "IPPool"), STRAY),
        ("error", "IPPool stray", "spec.cidr: 10.50.0.0/16", "kubectl delete ippool stray"),
    ),
    "a pool that nobody planned, and that gives nothing": (_add((POOLS, "IPPool"), RESTING), None),
    "a stale node": (
        _add((API, "Node"), _node("oldhost", ["192.168.4.70"])),
        ("warning", "node oldhost", "inventory: nothing", "remove_worker.yml -e worker=oldhost"),
    ),
    "a host that has not joined": (
        lambda world: world.objects[API, "Node"].pop(),
        ("error", "node homelab", "Node: nothing", "Run site.yml"),
    ),
    "a range that is being deleted": (
        lambda world: world.objects[NETWORKING, "ServiceCIDR"][1]["metadata"].update(deletionTimestamp="2026-11-29T00:00:00Z"),
        (
            "error",
            "ServiceCIDR of 10.233.0.0/24",
            "spec.cidrs: 10.233.0.0/24, not ready: it is being deleted: Services still use addresses of it",
            '"metadata": {"name": "again-vmstation-10-233-0-0-24"}, "spec": {"cidrs": ["10.233.0.0/24"]}}\' | kubectl create --filename=-`',
        ),
    ),
    "a node at another address": (
        lambda world: world.one("Node", "homelab").update(_node("homelab", ["192.168.4.99"])),
        ("error", "node homelab", "InternalIP: 192.168.4.99", "--node-ip"),
    ),
    "a cordoned node": (
        lambda world: world.one("Node", "homelab")["spec"].update(unschedulable=True),
        ("warning", "node homelab", "spec.unschedulable: cordoned", "kubectl uncordon homelab"),
    ),
    "a kubelet that is behind": (
        lambda world: world.one("Node", "homelab")["status"].update(nodeInfo={"kubeletVersion": "v1.33.1"}),
        ("warning", "node homelab", "kubelet's version: v1.33.1", "upgrade.yml"),
    ),
    "a kubelet that is too far behind": (
        lambda world: world.one("Node", "homelab")["status"].update(nodeInfo={"kubeletVersion": "v1.32.1"}),
        ("error", "node homelab", "kubelet's version: v1.32.1", "upgrade.yml"),
    ),
    "a kubelet that is ahead": (
        lambda world: world.one("Node", "homelab")["status"].update(nodeInfo={"kubeletVersion": "v1.37.0"}),
        ("error", "node homelab", "kubelet's version: v1.37.0", "upgrade.yml"),
    ),
    "a kubelet that has not reported yet": (
        lambda world: world.one("Node", "homelab")["status"].update(nodeInfo=None),
        ("error", "node homelab", "kubelet's version: nothing", "upgrade.yml"),
    ),
    "a kubelet with another DNS address": (
        lambda world: _set_kubelet(world, clusterDNS=["10.96.0.10"]),
        ("error", "node homelab", "kubelet's clusterDNS: 10.96.0.10", "systemctl restart kubelet"),
    ),
    "a kubelet without a domain": (
        lambda world: _set_kubelet(world, clusterDomain=None),
        ("error", "node homelab", "kubelet's clusterDomain: nothing", "kubelet-config"),
    ),
    "a domain with its dot": (lambda world: _set_kubelet(world, clusterDomain="cluster.local."), None),
    "a kubelet that cannot be reached": (
        lambda world: world.kubelet_answers.update(homelab=Unavailable("x", "HTTP status 503: dial tcp", "HTTP status 200", "")),
        ("unknown", "node homelab, configuration of its kubelet", "HTTP status 503: dial tcp", "10250/tcp"),
    ),
    "a kubelet that answers something else": (
        lambda world: world.kubelet_answers.update(homelab={}),
        ("unknown", "node homelab, configuration of its kubelet", "an answer without kubeletconfig", "journalctl"),
    ),
    "a silent kubelet": (
        lambda world: world.one("Node", "homelab")["status"].update(conditions=[{"type": "Ready", "status": "Unknown"}]),
        ("unknown", "node homelab, configuration of its kubelet", "a kubelet that has fallen silent", "wake.yml"),
    ),
    "no Pod of the API server": (
        lambda world: world.objects[API, "Pod"].pop(0),
        ("unknown", "flags of kube-apiserver", "no Pod in kube-system", "/etc/kubernetes/manifests/kube-apiserver.yaml"),
    ),
    "ServiceCIDR objects are forbidden": (
        lambda world: world.refused.update(ServiceCIDR=_forbidden("list servicecidrs")),
        ("unknown", "Kubernetes API", "HTTP status 403", ""),
    ),
    "Pods are forbidden": (
        lambda world: world.refused.update(Pod=_forbidden("list pods")),
        ("unknown", "Kubernetes API", "HTTP status 403", ""),
    ),
    "Services are forbidden": (
        lambda world: world.refused.update(Service=_forbidden("list services")),
        ("unknown", "Kubernetes API", "HTTP status 403", ""),
    ),
    "nodes are forbidden": (
        lambda world: world.refused.update(Node=_forbidden("list nodes")),
        ("unknown", "Kubernetes API", "HTTP status 403", ""),
    ),
    "the version is forbidden": (
        lambda world: world.refused.update({"/version": _forbidden("get /version")}),
        ("unknown", "Kubernetes API", "HTTP status 403", ""),
    ),
    "ConfigMaps are forbidden": (
        lambda world: world.refused.update(ConfigMap=_forbidden("get configmaps")),
        ("unknown", "Kubernetes API", "HTTP status 403", ""),
    ),
    "Calico's API server is down": (
        lambda world: world.refused.update(IPPool=Unavailable("Kubernetes API", "HTTP status 503", "HTTP status 200", "Wait.")),
        ("unknown", "Kubernetes API", "HTTP status 503", "Wait."),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_one_thing_that_differs(name: str) -> None:
    change, expected = CASES[name]
    world = World(SPECIFICATION, HOSTS)
    change(world)
    found = world.found()
    if expected is None:
        assert found == []
        return
    severity, subject, text, fix = expected
    assert [(one.severity, one.subject) for one in found] == [(severity, subject)]
    assert found[0].found.startswith(text)
    assert fix in found[0].fix
    assert found[0].hosts == ((subject.split()[1].rstrip(","),) if subject.startswith("node ") else ())


def test_a_pool_of_another_encapsulation_differs_in_both_modes() -> None:
    world = World(SPECIFICATION, HOSTS)
    world.objects[POOLS, "IPPool"][0]["spec"].update(ipipMode="Never", vxlanMode="Always")
    assert [one.found for one in world.found()] == ["spec.ipipMode: Never", "spec.vxlanMode: Always"]


def test_ranges_for_nodes_that_run_out() -> None:
    world = World(SPECIFICATION, HOSTS)
    world.flag(MANAGER, "--allocate-node-cidrs=false", "--allocate-node-cidrs=true")
    world.one("Pod", f"{MANAGER}-masternode")["spec"]["containers"][0]["command"].append("--node-cidr-mask-size=17")
    assert [one.found for one in world.found()] == ["--allocate-node-cidrs: true", "--node-cidr-mask-size: 17: room for 2 nodes"]


def test_a_permission_that_is_missing_for_all_kubelets_is_told_once() -> None:
    world = World(SPECIFICATION, HOSTS)
    for host in HOSTS:
        found = f'HTTP status 403: nodes "{host["name"]}" is forbidden: User "x" cannot get resource "nodes/proxy" in API group ""'
        world.kubelet_answers[host["name"]] = Refusal("Kubernetes API", found, "", "")
    (finding,) = world.found()
    assert (finding.rule, finding.severity) == (UNREAD, "unknown")
    assert finding.expected == "the permission to get nodes/proxy"


def test_a_sleeping_host_is_not_asked_may_be_cordoned_and_have_no_node() -> None:
    world = World(SPECIFICATION, HOSTS)
    world.one("Node", "homelab")["spec"]["unschedulable"] = True
    assert world.found(asleep=["Homelab"]) == []
    assert world.asked == ["masternode", "storagenodet3500"]
    world.objects[API, "Node"].pop()
    (finding,) = world.found(asleep=["homelab"])
    assert (finding.severity, finding.subject, finding.found) == ("warning", "node homelab", "Node: nothing")


def test_no_kubelet_is_asked_unless_wanted() -> None:
    world = World(SPECIFICATION, HOSTS)
    wanted = wanted_of(SPECIFICATION, HOSTS, kubelets=False)
    compared = compare_all(wanted, world.look(wanted))
    assert world.asked == []
    assert not [one for one in compared if one.point.rule == "kubelets_run_as_planned"]


def test_an_unknown_is_never_equal() -> None:
    world, wanted = World(SPECIFICATION, HOSTS), wanted_of(SPECIFICATION, HOSTS, asleep=["homelab"])
    for kind in ("Node", "Pod", "Service", "ServiceCIDR", "IPPool", "ConfigMap", "/version"):
        world.refused[kind] = _forbidden(f"list {kind}")
    assert {one["equal"] for one in as_data(compare_all(wanted, world.look(wanted)))} == {"unknown"}


def test_an_api_server_that_does_not_answer_ends_the_look() -> None:
    world = World(SPECIFICATION, HOSTS)
    world.refused["Pod"] = Unavailable("Kubernetes API", "no connection within 5 s", "an answer", "Look.")
    with pytest.raises(Unavailable):
        world.found()


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"timeout": 0}, "timeout"),
        ({"plan": {**SPECIFICATION, "pod_cidr": "10.244.0.0/33"}}, "cluster_drift_check: network_plan.pod_cidr"),
        ({"plan": {**SPECIFICATION, "dns_domain": "-"}}, "network_plan.dns_domain"),
        ({"plan": {**SPECIFICATION, "kubernetes_version": "1.32"}}, "network_plan.dns_service_ip"),
        ({"nodes": [{"name": "homelab", "address": "fd00:4::62"}]}, "host homelab"),
    ],
)
def test_options_that_say_too_little_are_refused(options: dict[str, Any], subject: str) -> None:
    with pytest.raises(Refusal) as refusal:
        wanted_of(**{"plan": SPECIFICATION, "hosts": HOSTS, **options})
    assert refusal.value.subject == subject


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "nothing"),
        ([], "nothing"),
        ("", "nothing"),
        (["10.96.0.10", "fd00:0:0::0a"], "10.96.0.10, fd00::a"),
        ("10.244.0.0/16,fd00:10:244::0/56", "10.244.0.0/16, fd00:10:244::/56"),
        ("cluster.local.", "cluster.local"),
        (26, "26"),
    ],
)
def test_values_have_one_spelling(value: object, text: str) -> None:
    assert written(value) == text
