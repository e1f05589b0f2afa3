# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole healthy cluster as the API shows it, in a real API server: all checks of check.yml that ask only the API judge it.

kubeadm itself makes its ConfigMaps, manifests and kube-proxy. Controllers and scheduler have ended, so that each status stays as it is
written here.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._health.io import HealthApi
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import ControlPlane, as_text, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import ranges_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import check_results, report
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Report
from ansible_collections.vmstation.cluster.plugins.module_utils._services.io import NodePortVisitor
from ansible_collections.vmstation.cluster.plugins.module_utils._services.judge import Answer, Question

from tests.cluster.build import binary
from tests.cluster.calico_objects import PLURALS, Placing
from tests.cluster.play import run_module
from tests.cluster.programs import PROGRAMS, version
from tests.cluster.server import Cluster
from tests.lab.cache import CHECKOUT
from tests.unit.calico.clusters import CALICO, VERSIONS, World
from tests.unit.health.objects import hashed, lease, made, pod, workload
from tests.unit.network_plan.plans import HOSTS, SERVICES, SPECIFICATION

Object = dict[str, Any]

MASTER, STORAGE, HOMELAB = NAMES = tuple(str(host["name"]) for host in HOSTS)
RELEASE = version(PROGRAMS["kubeadm"])
# that of the roles: what others apply is checked less
MANAGER = "vmstation.cluster"
PATIENCE = 60.0
# kind -> its plural, and whether it is in a namespace
KINDS = {
    "Lease": ("leases", True), "Pod": ("pods", True), "Deployment": ("deployments", True), "StatefulSet": ("statefulsets", True),
    "DaemonSet": ("daemonsets", True), "Job": ("jobs", True), "PersistentVolumeClaim": ("persistentvolumeclaims", True),
    "PersistentVolume": ("persistentvolumes", False), "Namespace": ("namespaces", False), "Node": ("nodes", False),
    "Service": ("services", True), "EndpointSlice": ("endpointslices", True), "ConfigMap": ("configmaps", True), "Event": ("events", True),
    "ServiceAccount": ("serviceaccounts", True), "NetworkPolicy": ("networkpolicies", True), "APIService": ("apiservices", False),
    "ValidatingWebhookConfiguration": ("validatingwebhookconfigurations", False), "ServiceCIDR": ("servicecidrs", False),
    "MutatingWebhookConfiguration": ("mutatingwebhookconfigurations", False), "StorageClass": ("storageclasses", False),
    **{kind: (plural, False) for kind, plural in PLURALS.items()},
}  # fmt: skip
CONFIG_MAPS = ("kubeadm-config", "kubelet-config", "kube-proxy")
# a finalizer would keep their deletion, and a generation what was changed
MADE_ANEW = {"PersistentVolumeClaim", "PersistentVolume", "Deployment", "DaemonSet"}
# the API server writes them itself
WITHOUT_STATUS = {"APIService", "Namespace"}


class Whole:
    """The cluster. A test changes objects, reads the report, and restores what it has touched."""

    def __init__(self, cluster: Cluster, directory: Path) -> None:
        self.cluster, self.directory = cluster, directory
        # no Pod is young
        self.now = datetime.now(timezone.utc) + timedelta(minutes=10)
        self._pool = cluster.client().rest_client.pool_manager
        self._baseline: dict[str, Object] = {}
        self._touched: dict[str, Object] = {}

    def make(self) -> None:
        Placing(self.cluster).define()
        configuration = self.directory / "kubeadm.json"
        addresses = [str(host["address"]) for host in HOSTS if host["role"] == "control_plane"]
        configuration.write_text(as_text(init_documents(SPECIFICATION, ControlPlane(MASTER, addresses, RELEASE.removeprefix("v")))))
        live = [f"--config={configuration}", f"--kubeconfig={self.cluster.kubeconfig}"]
        for argv in (["upload-config", "all", *live], ["addon", "kube-proxy", *live]):
            self._kubeadm(*argv)
        for part in ("control-plane all", "etcd local"):
            self._kubeadm(*part.split(), "--dry-run", f"--config={configuration}")
        self.cluster.kubectl("apply", "--filename=-", stdin=json.dumps(ranges_manifest("10.233.0.0/24")))
        self.cluster.kubectl("wait", "--for=condition=Ready", "servicecidr/vmstation-10-233-0-0-24", "--timeout=60s")
        self.cluster.end("kube-controller-manager")
        self.cluster.end("kube-scheduler")
        objects = list(healthy(self.now, self._static_pods()))
        for name in CONFIG_MAPS:
            data = self.get(made("v1", "ConfigMap", f"kube-system/{name}"))["data"]
            objects.append(made("v1", "ConfigMap", f"kube-system/{name}", data=data))
        proxy = workload("DaemonSet", "kube-system/kube-proxy", 3, 3)
        objects.append({**proxy, "spec": self.get(proxy)["spec"]})
        self._baseline = {_path(one): one for one in objects}
        for one in objects:
            self._put(one)
        for one in objects:
            if one["kind"] == "Node":
                # at its creation, admission adds a taint that only the controller manager takes away
                self._put(one)

    def _kubeadm(self, *argv: str) -> None:
        """In its container or its host's root it would write into /etc: what it writes goes to the directory of the test."""
        environment = {**os.environ, "KUBEADM_INIT_DRYRUN_DIR": str(self.directory)}
        command = [str(binary("kubeadm")), "init", "phase", *argv]
        subprocess.run(command, capture_output=True, check=True, timeout=120, env=environment)

    def _static_pods(self) -> list[Object]:
        """As a kubelet shows them in the API, of kubeadm's own manifests."""
        found = []
        for component in ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"):
            manifest = yaml.safe_load((self.directory / f"{component}.yaml").read_text())
            ready = pod(f"kube-system/{component}-{MASTER}", MASTER)["status"]
            manifest["metadata"]["name"] = f"{component}-{MASTER}"
            manifest["spec"]["nodeName"] = MASTER
            found.append({**manifest, "status": ready})
        return found

    # what a fault does

    def baseline(self, kind: str, where: str) -> Object:
        """A copy of an object of the healthy cluster."""
        namespace, _slash, name = where.rpartition("/")
        return next(
            copy.deepcopy(one)
            for one in self._baseline.values()
            if (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) == (kind, namespace, name)
        )

    def put(self, *objects: Object) -> None:
        for one in objects:
            self._touched[_path(one)] = one
            self._put(one)

    def change(self, kind: str, where: str, **content: Any) -> None:
        """An object of the healthy cluster, with other content in its spec, status or data."""
        one = self.baseline(kind, where)
        for part, fields in content.items():
            one.setdefault(part, {}).update(fields)
        self.put(one)

    def remove(self, kind: str, *places: str) -> None:
        for where in places:
            one = self.baseline(kind, where)
            self._touched[_path(one)] = one
            self._remove(one)

    def delete(self, kind: str, where: str) -> None:
        """As a user does: finalizers keep the object."""
        one = self.baseline(kind, where)
        self._touched[_path(one)] = one
        self._request("DELETE", _path(one))

    def restore(self) -> None:
        for path, one in self._touched.items():
            if path not in self._baseline or one["kind"] in MADE_ANEW:
                self._remove(one)
        for path in self._touched:
            if path in self._baseline:
                self._put(self._baseline[path])
        self._touched.clear()

    # what check.yml does

    def report(self, later: timedelta = timedelta(0)) -> Report:
        """What all checks say. later: how much the API server's clock has gone on."""
        told = self.run("cluster_check", later, **OPTIONS)
        results = check_results({MASTER: {REPORTED["result"]: told}}, [MASTER], GROUPS, [REPORTED])
        return report(
            {
                "cluster": "vmstation", "generated_at": "2026-11-23T22:00:00Z", "plan": SPECIFICATION, "nodes": HOSTS, "asleep": [],
                "unchecked": [], "results": results, "derived": None,
            }
        )  # fmt: skip

    def run(self, module: str, later: timedelta = timedelta(0), **options: Any) -> Object:
        """What a module returns. There are no nodes: their ports answer."""
        moment = self.now + later
        with mock.patch.object(HealthApi, "now", lambda _self: moment), mock.patch.object(NodePortVisitor, "ask", _answers):
            return run_module(module, self.cluster.kubeconfig, **{"fail_on": "never", **options})

    # the API

    def get(self, one: Object) -> Object:
        status, answer = self._request("GET", _path(one))
        assert status == 200, answer.get("message")
        return answer

    def _put(self, one: Object) -> None:
        """Apply the object as it is written, and its status."""
        # Calico's definitions have no status of its own
        path, content = _path(one), {key: value for key, value in one.items() if key != "status" or one["kind"] in CALICO}
        if one["kind"] == "Pod":
            # little of a Pod can be changed
            self._remove(one)
        self._apply(path, content)
        if "status" in one and one["kind"] not in {*WITHOUT_STATUS, *CALICO}:
            told = {key: one[key] for key in ("apiVersion", "kind", "status")}
            self._apply(f"{path}/status", {**told, "metadata": {"name": one["metadata"]["name"]}})

    def _apply(self, path: str, content: Object) -> None:
        began = time.monotonic()
        while True:
            status, answer = self._request("PATCH", f"{path}?fieldManager={MANAGER}&force=true", content)
            # the API server frees a NodePort some time after its Service has gone
            if "already allocated" not in str(answer.get("message")) or time.monotonic() - began > PATIENCE:
                break
            time.sleep(0.2)
        assert status < 300, f"{path}: {answer.get('message')}"

    def _remove(self, one: Object) -> None:
        path = _path(one)
        self._request("DELETE", path, {"gracePeriodSeconds": 0, "propagationPolicy": "Background"})
        began = time.monotonic()
        while (found := self._request("GET", path))[0] != 404:
            assert time.monotonic() - began < PATIENCE, f"{path} is still there"
            kept = found[1]
            if one["kind"] == "Namespace":
                self._request("PUT", f"{path}/finalize", {**kept, "spec": {"finalizers": []}})
            elif kept["metadata"].get("finalizers"):
                self._request("PUT", path, {**kept, "metadata": {**kept["metadata"], "finalizers": []}})

    def _request(self, method: str, path: str, body: object = None) -> tuple[int, Object]:
        form = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
        headers = {"Content-Type": form, "Accept": "application/json"}
        answer = self._pool.request(method, self.cluster.url + path, body=json.dumps(body).encode() if body else None, headers=headers)
        return answer.status, json.loads(answer.data)


def _reported() -> Object:
    """The line of cluster_check in the list of checks of playbooks/check.yml."""
    plays = yaml.safe_load((CHECKOUT / "playbooks" / "check.yml").read_text())
    (line,) = [one for one in plays[-1]["vars"]["checks_to_report"] if one["check"] == "cluster_check"]
    return line


REPORTED = _reported()
# the programs of monitoring do not run
GROUPS = [group for group in REPORTED["groups"] if group != "monitoring"]
OPTIONS: dict[str, Any] = {"plan": SPECIFICATION, "nodes": HOSTS, "groups": GROUPS, "dns_replicas": 2, "kubelets": False}
"""As playbooks/check.yml runs cluster_check."""


def _answers(_self: object, questions: Sequence[Question], _seconds: float) -> list[Answer]:
    return [Answer(200) for _question in questions]


def _path(one: Object) -> str:
    plural, has_namespace = KINDS[one["kind"]]
    version_ = one["apiVersion"]
    root = f"/api/{version_}" if "/" not in version_ else f"/apis/{version_}"
    within = f"/namespaces/{one['metadata']['namespace']}" if has_namespace else ""
    return f"{root}{within}/{plural}/{one['metadata']['name']}"


def healthy(now: datetime, static_pods: Iterable[Object]) -> Iterable[Object]:
    """Everything that the checks look at, and that kubeadm has not made."""
    for name in ("kube-system", "monitoring", "jellyfin", "apps"):
        yield made("v1", "Namespace", name)
        yield made("v1", "ServiceAccount", f"{name}/default")
    yield from _of_nodes(now)
    for component in ("kube-scheduler", "kube-controller-manager"):
        yield lease(f"kube-system/{component}", now, 1)
    yield from static_pods
    yield from _of_dns()
    for name in ("node-exporter", "alloy"):
        yield workload("DaemonSet", f"monitoring/{name}", 3, 3)
    for namespace, name in (("kube-system", "kube-proxy"), ("monitoring", "node-exporter"), ("monitoring", "alloy")):
        yield from (pod(f"{namespace}/{name}-{node}", node, ("DaemonSet", name)) for node in NAMES)
    yield from _deployed("kube-system/calico-kube-controllers", MASTER)
    yield from _deployed("monitoring/kube-state-metrics", HOMELAB)
    for name in ("prometheus", "loki", "grafana"):
        yield from _deployed(f"monitoring/{name}", MASTER, claim=name)
        yield from _volume("monitoring", name, f"/var/lib/vmstation/monitoring/{name}", MASTER)
    yield from _deployed("jellyfin/jellyfin", STORAGE, claim="config")
    yield from _volume("jellyfin", "config", "/var/lib/vmstation/jellyfin/config", STORAGE)
    yield from _deployed("apps/web", HOMELAB)
    for one in SERVICES:
        yield from _service(**one)


def _of_nodes(now: datetime) -> Iterable[Object]:
    world = World()
    for kind in ("DaemonSet", "Pod", *CALICO):
        for one in world.objects[kind].values():
            told = {"apiVersion": VERSIONS[kind], "kind": kind, **copy.deepcopy(one)}
            if kind == "DaemonSet":
                told["spec"]["template"]["spec"]["containers"][0]["command"] = ["calico-node"]
                told["status"] = workload(kind, "kube-system/calico-node", 3, 3)["status"]
            if kind == "Pod":
                owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "calico-node", "uid": "0", "controller": True}
                told["metadata"]["ownerReferences"] = [owner]
            yield told
    for host in HOSTS:
        name, one = str(host["name"]), copy.deepcopy(world.objects["Node"][host["name"]])
        is_first = host["role"] == "control_plane"
        labels = {"kubernetes.io/hostname": name, **({"node-role.kubernetes.io/control-plane": ""} if is_first else {})}
        taints = [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}] if is_first else []
        status = {
            "addresses": [{"type": "InternalIP", "address": host["address"]}],
            "nodeInfo": {"kubeletVersion": RELEASE},
            "conditions": [
                {**each, "lastHeartbeatTime": _now(now), "lastTransitionTime": _now(now)} for each in one["status"]["conditions"]
            ],
        }
        metadata = {"name": name, "labels": labels, "annotations": one["metadata"]["annotations"]}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {"taints": taints}, "status": status}
        yield made("v1", "Namespace", "kube-node-lease")
        yield lease(f"kube-node-lease/{name}", now, 4)


def _of_dns() -> Iterable[Object]:
    labels, where = {"k8s-app": "kube-dns"}, "kube-system/coredns"
    yield workload("Deployment", where, 2, 2)
    for number, node in enumerate((MASTER, HOMELAB), 1):
        one = hashed(f"{where}-abc-{number}", node, "coredns")
        one["metadata"]["labels"].update(labels)
        yield one
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    spec = {"clusterIP": "10.233.0.3", "selector": labels, "ports": ports}
    yield made("v1", "Service", "kube-system/kube-dns", metadata={"labels": labels}, spec=spec)
    yield made("v1", "ConfigMap", where, data={"Corefile": corefile(dns_plan(SPECIFICATION))})


def _deployed(where: str, node: str, claim: str = "") -> Iterable[Object]:
    namespace, _slash, name = where.partition("/")
    one = workload("Deployment", where, 1, 1)
    one["metadata"]["labels"] = {"app.kubernetes.io/part-of": namespace}
    yield one
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}] if claim else []
    yield hashed(f"{where}-abc-1", node, name, volumes=volumes)


def _volume(namespace: str, name: str, path: str, node: str) -> Iterable[Object]:
    """A directory of a host, as the roles make volumes of it."""
    terms = [{"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "persistentVolumeReclaimPolicy": "Retain"}
    spec |= {"claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": namespace, "name": name}}
    spec |= {"local": {"path": path}, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}
    labels = {"app.kubernetes.io/part-of": namespace}
    yield made("v1", "PersistentVolume", f"{namespace}-{name}", metadata={"labels": labels}, spec=spec, status={"phase": "Bound"})
    wants = {"accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": f"{namespace}-{name}"}
    wants["resources"] = {"requests": {"storage": "1Gi"}}
    yield made("v1", "PersistentVolumeClaim", f"{namespace}/{name}", spec=wants, status={"phase": "Bound"})


def _service(name: str, namespace: str, port: int, node_port: int, **_others: object) -> Iterable[Object]:
    selector = {"app.kubernetes.io/name": name}
    ports = [{"port": port, "nodePort": node_port, "protocol": "TCP"}]
    yield made("v1", "Service", f"{namespace}/{name}", spec={"type": "NodePort", "selector": selector, "ports": ports})
    yield _endpoints(namespace, name, ready=True)


def _endpoints(namespace: str, name: str, *, ready: bool) -> Object:
    target = {"kind": "Pod", "namespace": namespace, "name": f"{name}-abc-1"}
    endpoints = [{"addresses": ["10.244.0.9"], "conditions": {"ready": ready}, "targetRef": target}]
    labels = {"kubernetes.io/service-name": name}
    content = {"addressType": "IPv4", "endpoints": endpoints, "ports": [{"port": 80}]}
    return made("discovery.k8s.io/v1", "EndpointSlice", f"{namespace}/{name}-1", metadata={"labels": labels}, **content)


def _now(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
