# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that check.yml finds: one row each. `python -m tests.faults` writes their table into docs/check-faults.md.

tests/cluster/test_faults.py injects those of FAULTS into a real API server, tests/integration/test_host_faults.py those of HOST_FAULTS into
a host. SHOWN are those that another test injects: tests/unit/report/test_faults.py compares the row with that test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.unit.health import objects

if TYPE_CHECKING:
    from tests.cluster.whole import Whole

CHECKOUT = Path(__file__).resolve().parents[1]
DOCUMENT = CHECKOUT / "docs/check-faults.md"
MASTER, STORAGE, HOMELAB = "masternode", "storagenodet3500", "homelab"
HOST, CONTROLLER, OWNER = "no: on the host", "no: by a controller, and none runs there", "no: your decision"
API_SERVER = "tests/cluster/test_faults.py::test_a_fault_is_found_and_its_fix_works"


@dataclass(frozen=True)
class Expected:
    """The line of the report: its group, rule, object and mark."""

    group: str
    rule: str
    subject: str
    mark: str = "error"


@dataclass(frozen=True)
class Fault:
    """One that is injected into a real API server.

    fix: the command of the line's fix that the test runs, after which the line is gone. unfollowed: why it runs none. later: how much the
    API server's clock has gone on. gate: whether it belongs to the tests of each change.
    """

    expected: Expected
    inject: Callable[[Whole], object]
    fix: str = ""
    unfollowed: str = ""
    later: timedelta = timedelta(0)
    gate: bool = False

    @property
    def test(self) -> str:
        return API_SERVER


@dataclass(frozen=True)
class HostFault:
    """One that commands on a host inject. fix: the command of the line's fix that the test runs there. restore: what ends it otherwise.

    check: the module that is run, and what it is told besides.
    """

    expected: Expected
    commands: str
    fix: str = ""
    restore: str = ""
    check: str = "node_preflight_check"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def test(self) -> str:
        return "tests/integration/test_host_faults.py::test_a_fault_of_a_host_is_found_and_its_fix_works"


@dataclass(frozen=True)
class Shown:
    """One that a test of hosts injects. said: what that test, or the table before it, expects of the check. follows: it runs the fix."""

    expected: Expected
    test: str
    said: str
    follows: bool = False


def _late(whole: Whole, where: str, seconds: float) -> None:
    whole.put(objects.lease(where, whole.now, seconds))


def _without_component(name: str) -> Callable[[Whole], None]:
    def inject(whole: Whole) -> None:
        whole.remove("Pod", f"kube-system/{name}-{MASTER}")
        _late(whole, f"kube-system/{name}", 75)

    return inject


def _condition(kind: str, status: str, reason: str = "Injected") -> Callable[[Whole], None]:
    """A condition of the node homelab."""

    def inject(whole: Whole) -> None:
        node = whole.baseline("Node", HOMELAB)
        kept = [one for one in node["status"]["conditions"] if one["type"] != kind]
        given = {**kept[0], "type": kind, "status": status, "reason": reason, "message": "injected"}
        node["status"]["conditions"] = [*kept, given]
        whole.put(node)

    return inject


def _replicas(kind: str, where: str, count: int, *pods: str) -> Callable[[Whole], None]:
    """A workload that was scaled, and whose status follows."""

    def inject(whole: Whole) -> None:
        scaled = objects.workload(kind, where, count, count)
        whole.change(kind, where, spec={"replicas": count}, status={**scaled["status"], "observedGeneration": 99})
        if pods:
            whole.remove("Pod", *pods)

    return inject


def _waiting(reason: str, message: str, **others: Any) -> dict[str, Any]:
    return {"containerStatuses": [objects.container({"waiting": {"reason": reason, "message": message}}, **others)]}


def _stuck(where: str, node: str, status: dict[str, Any]) -> Callable[[Whole], None]:
    """The one Pod of a Deployment, in this state."""

    def inject(whole: Whole) -> None:
        namespace, _slash, name = where.partition("/")
        whole.change("Deployment", where, status={"availableReplicas": 0, "readyReplicas": 0})
        whole.put(objects.hashed(f"{namespace}/{name}-abc-1", node, name, ready=False, status=status))

    return inject


def _without_image(whole: Whole) -> None:
    _stuck("monitoring/grafana", MASTER, _waiting("ContainerCreating", ""))(whole)
    uid = whole.get(whole.baseline("Pod", "monitoring/grafana-abc-1"))["metadata"]["uid"]
    said = 'failed to get sandbox image "registry.k8s.io/pause:3.10.2": failed to pull image: no route to host'
    one = objects.event("monitoring/grafana-abc-1", "Pod", "FailedCreatePodSandBox", said, whole.now)
    one["involvedObject"]["uid"] = uid
    whole.put(one)


def _off_a_node(namespace: str, name: str, node: str) -> Callable[[Whole], None]:
    def inject(whole: Whole) -> None:
        status = objects.workload("DaemonSet", f"{namespace}/{name}", 2, 2)["status"]
        whole.change("DaemonSet", f"{namespace}/{name}", status=status)
        whole.remove("Pod", f"{namespace}/{name}-{node}")

    return inject


def _without_endpoints(whole: Whole) -> None:
    _replicas("Deployment", "jellyfin/jellyfin", 0, "jellyfin/jellyfin-abc-1")(whole)
    whole.remove("EndpointSlice", "jellyfin/jellyfin-1")


def _thief(whole: Whole) -> None:
    whole.remove("Service", "monitoring/grafana")
    ports = [{"port": 80, "nodePort": 30300, "protocol": "TCP"}]
    whole.put(objects.made("v1", "Service", "apps/thief", spec={"type": "NodePort", "ports": ports}))


def _ending(whole: Whole) -> None:
    ending = objects.made("v1", "Namespace", "ending")
    whole.put(ending)
    whole.cluster.kubectl("delete", "namespace", "ending", "--wait=false")


def _nospace(whole: Whole) -> None:
    """No Lease can be renewed."""
    for where in ("kube-system/kube-scheduler", "kube-system/kube-controller-manager", *(f"kube-node-lease/{name}" for name in NODES)):
        _late(whole, where, 75)


def _small_quota(whole: Whole) -> None:
    etcd = whole.baseline("Pod", f"kube-system/etcd-{MASTER}")
    etcd["spec"]["containers"][0]["command"].append("--quota-backend-bytes=1000000")
    whole.put(etcd)


def _taint(key: str, effect: str) -> Callable[[Whole], None]:
    return lambda whole: whole.change("Node", HOMELAB, spec={"taints": [{"key": key, "effect": effect}]})


def _report_of_bgp(whole: Whole) -> None:
    for reporter, peer in ((MASTER, "192.168.4.62"), (HOMELAB, "192.168.4.63")):
        one = whole.baseline("CalicoNodeStatus", reporter)
        for session in one["status"]["bgp"]["peersV4"]:
            if session["peerIP"] == peer:
                session["state"] = "Active"
        whole.put(one)


def _without_tunnel(whole: Whole) -> None:
    node = whole.baseline("Node", HOMELAB)
    del node["metadata"]["annotations"]["projectcalico.org/IPv4IPIPTunnelAddr"]
    whole.put(node)


def _together(whole: Whole) -> None:
    """Both Pods of CoreDNS are on one node."""
    one = whole.baseline("Pod", "kube-system/coredns-abc-2")
    one["spec"]["nodeName"] = MASTER
    whole.put(one)


def _deaf_dns(whole: Whole) -> None:
    for number in (1, 2):
        one = whole.baseline("Pod", f"kube-system/coredns-abc-{number}")
        one["status"]["conditions"][0]["status"] = "False"
        one["status"]["containerStatuses"][0]["ready"] = False
        whole.put(one)
    whole.change("Deployment", "kube-system/coredns", status={"availableReplicas": 0, "readyReplicas": 0})


def _job(whole: Whole) -> None:
    whole.put(objects.job("apps/import", "Failed", "Job has reached the specified backoff limit"))


def _policy(whole: Whole) -> None:
    spec = {"podSelector": {}, "policyTypes": ["Ingress"]}
    whole.put(objects.made("networking.k8s.io/v1", "NetworkPolicy", "kube-system/deny-all", spec=spec))


def _api_service(whole: Whole) -> None:
    spec = {"group": "gone.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100}
    spec |= {"insecureSkipTLSVerify": True, "service": {"namespace": "apps", "name": "gone"}}
    whole.put(objects.made("apiregistration.k8s.io/v1", "APIService", "v1.gone.example.com", spec=spec))
    # the API server's own controller writes its status
    whole.cluster.kubectl("wait", "--for=condition=Available=false", "apiservice/v1.gone.example.com", "--timeout=60s")


def _quota(whole: Whole) -> None:
    conditions = [{"type": "ReplicaFailure", "status": "True", "message": objects.QUOTA, "reason": "FailedCreate"}]
    whole.put(objects.workload("Deployment", "apps/limited", 1, 0, conditions=conditions))


def _held(whole: Whole) -> None:
    """A Pod of a workload that is well, which nothing ends."""
    one = objects.hashed("apps/web-abc-9", HOMELAB, "web", ready=False)
    one["metadata"]["finalizers"] = ["example.com/held"]
    whole.put(one)
    whole.cluster.kubectl("delete", "pod", "web-abc-9", "--namespace=apps", "--wait=false")


def _volume(phase: str) -> Callable[[Whole], None]:
    return lambda whole: whole.change("PersistentVolume", "monitoring-loki", status={"phase": phase, "message": "no such directory"})


NODES = (MASTER, STORAGE, HOMELAB)
FAULTS: dict[str, Fault] = {
    "kube-scheduler does not run": Fault(
        Expected("control_plane", "control_plane_components_run", "kube-scheduler"),
        _without_component("kube-scheduler"), unfollowed=HOST, gate=True,
    ),
    "kube-controller-manager does not run": Fault(
        Expected("control_plane", "control_plane_components_run", "kube-controller-manager"),
        _without_component("kube-controller-manager"), unfollowed=HOST,
    ),
    "kube-apiserver's static Pod is not ready": Fault(
        Expected("control_plane", "control_plane_components_run", "kube-apiserver"),
        lambda whole: whole.put({**(one := whole.baseline("Pod", f"kube-system/kube-apiserver-{MASTER}")), "status": {
            **one["status"], "conditions": [{**one["status"]["conditions"][0], "status": "False"}],
            **_waiting("CrashLoopBackOff", "back-off", last=objects.ended("Error", 1), restarts=9),
        }}), unfollowed=HOST,
    ),
    "etcd takes no writes (NOSPACE)": Fault(
        Expected("control_plane", "the_cluster_takes_writes", "etcd"), _nospace, unfollowed=HOST, gate=True,
    ),
    "etcd's database has nearly reached its quota": Fault(
        Expected("control_plane", "etcd_has_room", "etcd's database"), _small_quota, unfollowed=HOST,
    ),
    "the API server's certificate ends in 3 days": Fault(
        Expected("certificates", "certificates_stay_valid", "API server's certificate"),
        lambda _whole: None, unfollowed=HOST, later=timedelta(days=362), gate=True,
    ),
    "the kubeconfig's certificate ends within a month": Fault(
        Expected("certificates", "certificates_stay_valid", "kubeconfig's client certificate", "warning"),
        lambda _whole: None, unfollowed=HOST, later=timedelta(days=340),
    ),
    "a validating webhook whose Service is gone": Fault(
        Expected("api", "webhooks_have_a_server", "ValidatingWebhookConfiguration leftover"),
        lambda whole: whole.put(objects.webhook("Validating", "leftover", "gone")),
        "kubectl delete validatingwebhookconfiguration leftover", gate=True,
    ),
    "a mutating webhook whose Service has no endpoint": Fault(
        Expected("api", "webhooks_have_a_server", "MutatingWebhookConfiguration idle"),
        lambda whole: whole.put(objects.service("apps/idle"), objects.webhook("Mutating", "idle", "idle")),
        "kubectl delete mutatingwebhookconfiguration idle",
    ),
    "an APIService without a server": Fault(
        Expected("api", "api_services_are_available", "APIService v1.gone.example.com"), _api_service,
        "kubectl delete apiservice v1.gone.example.com", gate=True,
    ),
    "a namespace stays in the state Terminating": Fault(
        Expected("api", "namespaces_end", "Namespace ending"), _ending, unfollowed=CONTROLLER,
    ),
    "a Deployment of the owner crash-loops": Fault(
        Expected("workloads", "workloads_are_rolled_out", "Deployment apps/web", "warning"),
        _stuck("apps/web", HOMELAB, _waiting("CrashLoopBackOff", "back-off", last=objects.ended("Error", 3), restarts=7)),
        unfollowed=OWNER, gate=True,
    ),
    "an image that no registry has": Fault(
        Expected("workloads", "workloads_are_rolled_out", "Deployment monitoring/grafana"),
        _stuck("monitoring/grafana", MASTER, _waiting("ImagePullBackOff", "no such image")), unfollowed=HOST,
    ),
    "the pause image is gone, and no registry answers": Fault(
        Expected("workloads", "workloads_are_rolled_out", "Deployment monitoring/grafana"), _without_image, unfollowed=HOST, gate=True,
    ),
    "a container was killed for lack of memory": Fault(
        Expected("workloads", "containers_keep_running", "Pod apps/web-abc-1", "warning"),
        lambda whole: whole.put(objects.hashed("apps/web-abc-1", HOMELAB, "web", status={"containerStatuses": [objects.container(
            objects.RUNNING, ready=True, restarts=1, last=objects.ended("OOMKilled", 137, objects.at(whole.now, 900)[:19] + "Z"))]})),
        unfollowed=OWNER,
    ),
    "a Pod does not end, though its workload is well": Fault(
        Expected("workloads", "pods_end", "Pod apps/web-abc-9", "warning"), _held, unfollowed=HOST, gate=True,
    ),
    "a Pod that fits on no node": Fault(
        Expected("workloads", "pods_run", "Pod apps/large", "warning"),
        lambda whole: whole.put(objects.pod("apps/large", ready=False, status=objects.unscheduled("3 Insufficient memory."))),
        unfollowed=OWNER,
    ),
    "a ResourceQuota that is exhausted": Fault(
        Expected("workloads", "workloads_are_rolled_out", "Deployment apps/limited", "warning"), _quota, unfollowed=OWNER,
    ),
    "a Job that failed": Fault(
        Expected("workloads", "jobs_succeed", "Job apps/import", "warning"), _job, "kubectl --namespace apps delete job import",
    ),
    "CoreDNS has one replica in place of two": Fault(
        Expected("workloads", "workloads_have_their_replicas", "Deployment kube-system/coredns"),
        _replicas("Deployment", "kube-system/coredns", 1, "kube-system/coredns-abc-2"),
        "kubectl --namespace kube-system scale deployment coredns --replicas=2", gate=True,
    ),
    "calico-kube-controllers is scaled to 0": Fault(
        Expected("workloads", "workloads_have_their_replicas", "Deployment kube-system/calico-kube-controllers"),
        _replicas("Deployment", "kube-system/calico-kube-controllers", 0, "kube-system/calico-kube-controllers-abc-1"),
        "kubectl --namespace kube-system scale deployment calico-kube-controllers --replicas=1",
    ),
    "kube-state-metrics is scaled to 0": Fault(
        Expected("workloads", "workloads_have_their_replicas", "Deployment monitoring/kube-state-metrics"),
        _replicas("Deployment", "monitoring/kube-state-metrics", 0, "monitoring/kube-state-metrics-abc-1"),
        "kubectl --namespace monitoring scale deployment kube-state-metrics --replicas=1",
    ),
    "Jellyfin is scaled to 0": Fault(
        Expected("services", "services_have_ready_endpoints", "Service jellyfin/jellyfin"),
        _without_endpoints, unfollowed=CONTROLLER, gate=True,
    ),
    "kube-proxy does not run on a node": Fault(
        Expected("workloads", "every_node_has_its_daemons", "DaemonSet kube-system/kube-proxy"),
        _off_a_node("kube-system", "kube-proxy", HOMELAB), unfollowed=CONTROLLER, gate=True,
    ),
    "alloy does not run on a node": Fault(
        Expected("workloads", "every_node_has_its_daemons", "DaemonSet monitoring/alloy"),
        _off_a_node("monitoring", "alloy", STORAGE), unfollowed=CONTROLLER,
    ),
    "node-exporter's DaemonSet was deleted": Fault(
        Expected("workloads", "workloads_exist", "DaemonSet monitoring/node-exporter"),
        lambda whole: whole.remove("DaemonSet", "monitoring/node-exporter"), unfollowed=HOST,
    ),
    "kube-proxy's DaemonSet was deleted": Fault(
        Expected("workloads", "workloads_exist", "DaemonSet kube-system/kube-proxy"),
        lambda whole: whole.remove("DaemonSet", "kube-system/kube-proxy"), unfollowed=HOST,
    ),
    "a kubelet renews its Lease no longer, and its node is still Ready": Fault(
        Expected("workloads", "kubelets_renew_their_leases", "node homelab"),
        lambda whole: _late(whole, "kube-node-lease/homelab", 62), unfollowed=HOST, gate=True,
    ),
    "a claim for which there is no volume": Fault(
        Expected("storage", "claims_are_bound", "PersistentVolumeClaim apps/films", "warning"),
        lambda whole: whole.put(objects.claim("apps/films", "Pending")), unfollowed=OWNER,
    ),
    "a volume of monitoring has failed": Fault(
        Expected("storage", "volumes_can_be_used", "PersistentVolume monitoring-loki"), _volume("Failed"), unfollowed=HOST,
    ),
    "a claim of monitoring was deleted": Fault(
        Expected("storage", "volumes_can_be_used", "PersistentVolume monitoring-loki"), _volume("Released"), unfollowed=HOST,
    ),
    "a claim is being deleted while a Pod uses it": Fault(
        Expected("storage", "volumes_stay", "PersistentVolumeClaim monitoring/prometheus"),
        lambda whole: whole.delete("PersistentVolumeClaim", "monitoring/prometheus"), unfollowed=CONTROLLER, gate=True,
    ),
    "a node is not ready": Fault(
        Expected("nodes", "nodes_are_ready", "node homelab"), _condition("Ready", "Unknown"), unfollowed=HOST, gate=True,
    ),
    "a node has been deleted": Fault(
        Expected("nodes", "nodes_are_ready", "node homelab"), lambda whole: whole.remove("Node", HOMELAB), unfollowed=HOST,
    ),
    "a node has too little disk space": Fault(
        Expected("nodes", "nodes_are_under_no_pressure", "node homelab"), _condition("DiskPressure", "True"), unfollowed=HOST, gate=True,
    ),
    "a node has too little memory": Fault(
        Expected("nodes", "nodes_are_under_no_pressure", "node homelab"), _condition("MemoryPressure", "True"), unfollowed=HOST,
    ),
    "the network of a node is not available": Fault(
        Expected("nodes", "nodes_are_ready", "node homelab"), _condition("NetworkUnavailable", "True"), unfollowed=HOST,
    ),
    "a node is cordoned": Fault(
        Expected("nodes", "nodes_are_not_cordoned", "node homelab", "warning"),
        lambda whole: whole.change("Node", HOMELAB, spec={"unschedulable": True}), "kubectl uncordon homelab", gate=True,
    ),
    "a node has a taint that evicts Pods": Fault(
        Expected("nodes", "nodes_evict_no_pods", "node homelab", "warning"), _taint("leftover", "NoExecute"),
        "kubectl taint node homelab leftover:NoExecute-", gate=True,
    ),
    "calico-node does not run on a node": Fault(
        Expected("calico", "calico_runs_on_every_node", "node homelab"),
        _off_a_node("kube-system", "calico-node", HOMELAB), unfollowed=CONTROLLER,
    ),
    "a node has no tunnel": Fault(
        Expected("calico", "tunnels_have_addresses_of_their_own", "node homelab"), _without_tunnel, unfollowed=HOST,
    ),
    "a BGP session is down": Fault(
        Expected("calico", "bgp_sessions_are_established", "nodes homelab and masternode"), _report_of_bgp, unfollowed=HOST, gate=True,
    ),
    "Calico's pool is disabled": Fault(
        Expected("drift", "ip_pools_are_the_plans", "IPPool default-ipv4-ippool"),
        lambda whole: whole.change("IPPool", "default-ipv4-ippool", spec={"disabled": True}),
        "kubectl patch ippool default-ipv4-ippool --type=merge --patch='{\"spec\":{\"disabled\":false}}'",
    ),
    "Pods reach nothing outside the cluster (natOutgoing)": Fault(
        Expected("drift", "ip_pools_are_the_plans", "IPPool default-ipv4-ippool"),
        lambda whole: whole.change("IPPool", "default-ipv4-ippool", spec={"natOutgoing": False}),
        "kubectl patch ippool default-ipv4-ippool --type=merge --patch='{\"spec\":{\"natOutgoing\":true}}'", gate=True,
    ),
    "no Pod of CoreDNS is ready": Fault(
        Expected("dns", "a_replica_is_ready", "Deployment kube-system/coredns"), _deaf_dns, unfollowed=CONTROLLER,
    ),
    "both Pods of CoreDNS are on one node": Fault(
        Expected("dns", "replicas_are_on_different_nodes", "Deployment kube-system/coredns", "warning"), _together, unfollowed=CONTROLLER,
    ),
    "the DNS Service selects no Pod": Fault(
        Expected("dns", "the_dns_service_selects_coredns", "Service kube-system/kube-dns"),
        lambda whole: whole.change("Service", "kube-system/kube-dns", spec={"selector": {"k8s-app": "other"}}),
        "kubectl --namespace kube-system patch service kube-dns", gate=True,
    ),
    "the DNS Service was deleted": Fault(
        Expected("dns", "the_dns_service_is_there", "Service kube-system/kube-dns"),
        lambda whole: whole.remove("Service", "kube-system/kube-dns"), unfollowed=HOST,
    ),
    "a NetworkPolicy shuts CoreDNS off": Fault(
        Expected("dns", "policies_let_queries_in", "NetworkPolicy kube-system/deny-all"), _policy,
        "kubectl --namespace kube-system delete networkpolicy deny-all",
    ),
    "the Corefile forwards to another server": Fault(
        Expected("dns", "the_corefile_is_the_wanted_one", "ConfigMap kube-system/coredns"),
        lambda whole: whole.change("ConfigMap", "kube-system/coredns", data={"Corefile": whole.baseline("ConfigMap", "kube-system/coredns")[
            "data"]["Corefile"].replace("192.168.4.1", "192.168.4.99")}), unfollowed=HOST,
    ),
    "another Service has taken Grafana's NodePort": Fault(
        Expected("services", "services_exist", "Service monitoring/grafana"), _thief, unfollowed=OWNER, gate=True,
    ),
}  # fmt: skip

# the host of tests/integration/test_host_faults.py, and another one, which is off
NEAR, NEAR_ADDRESS, FAR, FAR_ADDRESS = "near", "192.168.4.125", "far", "192.168.4.126"
MEDIA, STATE = "/srv/media", "/var/lib/vmstation"
_READER = {"user": 58096, "groups": [58096]}
_DISK = {"paths": [{"path": MEDIA, "must_exist": True, "mounted": True, "not_empty": True, "readable_by": _READER}]}
_DATA = {"paths": [{"path": STATE, "must_exist": True, "writable": True, "minimum_free_inodes": 100}]}
HOST_FAULTS: dict[str, HostFault] = {
    "the kernel of a host forwards no packets": HostFault(
        Expected("hosts", "packets_are_forwarded", "net.ipv4.ip_forward"),
        "sysctl --write net.ipv4.ip_forward=0", "sysctl --write net.ipv4.ip_forward=1",
    ),
    "a host has the address of another one, too": HostFault(
        Expected("hosts", "addresses_belong_to_one_host", f"address {FAR_ADDRESS}"),
        f"ip address add {FAR_ADDRESS}/24 dev eth0", f"ip address delete {FAR_ADDRESS}",
    ),
    "another host answers at the address of a host": HostFault(
        Expected("hosts", "the_host_is_the_planned_one", f"host {NEAR}"), f"hostname {FAR}", restore=f"hostname {NEAR}",
    ),
    "the name of a host was changed": HostFault(
        Expected("hosts", "hostname_is_the_inventory_name", "hostname", "warning"), "hostname debian", "hostnamectl set-hostname near",
    ),
    "/etc/hosts has another address of a host": HostFault(
        Expected("hosts", "hosts_file_has_the_planned_addresses", f"/etc/hosts, {FAR}"),
        f"echo '192.168.4.99 {FAR}' >> /etc/hosts", restore="cp /etc/hosts /tmp/hosts; grep -v 192.168.4.99 /tmp/hosts > /etc/hosts",
    ),
    "the default route of a host is lost": HostFault(
        Expected("hosts", "default_route_is_there", "default route (IPv4)"),
        "ip route show default > /tmp/route; ip route delete default", restore="ip route add $(cat /tmp/route)",
    ),
    "kubelet's client certificate ends in 3 days": HostFault(
        Expected("hosts", "certificates_stay_valid", "certificate /var/lib/kubelet/pki/kubelet-client-current.pem"),
        "mkdir -p /var/lib/kubelet/pki; openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj /CN=node "
        "-keyout /dev/null -out /var/lib/kubelet/pki/kubelet-client-current.pem",
        restore="rm -r /var/lib/kubelet/pki",
    ),
    "a disk is nearly full": HostFault(
        Expected("hosts", "disk_has_room", "file system /var/lib/kubelet with /var/lib/kubelet", "warning"),
        "mkdir -p /var/lib/kubelet; mount -t tmpfs -o size=20M none /var/lib/kubelet; head -c 18M /dev/zero > /var/lib/kubelet/large",
        restore="umount /var/lib/kubelet",
    ),
    "the disk with the media is not mounted": HostFault(
        Expected("storage", "directories_are_mounted", f"directory {MEDIA}"), f"umount {MEDIA}",
        restore=f"mount -t tmpfs none {MEDIA}; touch {MEDIA}/film", check="local_storage_check", options=_DISK,
    ),
    "the media are gone": HostFault(
        Expected("storage", "directories_are_not_empty", f"directory {MEDIA}"), f"rm {MEDIA}/film",
        restore=f"touch {MEDIA}/film", check="local_storage_check", options=_DISK,
    ),
    "Jellyfin may not read the media": HostFault(
        Expected("storage", "directories_are_readable", f"directory {MEDIA}"), f"chmod 0750 {MEDIA}",
        "chmod --recursive o+rX", check="local_storage_check", options=_DISK,
    ),
    "a disk with data has become read-only": HostFault(
        Expected("storage", "directories_are_writable", f"directory {STATE}"), f"mount -o remount,ro {STATE}",
        f"mount -o remount,rw {STATE}", check="local_storage_check", options=_DATA,
    ),
    "a disk with data has no inodes left": HostFault(
        Expected("storage", "directories_have_inodes", f"directory {STATE}"), f"mount -o remount,nr_inodes=50 {STATE}",
        restore=f"mount -o remount,nr_inodes=1000 {STATE}", check="local_storage_check", options=_DATA,
    ),
}  # fmt: skip

SHOWN: dict[str, Shown] = {
    "Pods get no answer from the DNS, their host does": Shown(
        Expected("dns", "pods_get_answers", "DNS inside Pods"),
        "tests/integration/test_cluster_dns_check.py::test_a_pod_that_a_policy_cuts_off_is_found_while_its_host_gets_answers",
        '("pods_get_answers", "error", "DNS inside Pods")',
    ),
    "names outside the cluster do not resolve": Shown(
        Expected("dns", "names_outside_resolve", "UDP, kubernetes.io"),
        "tests/integration/test_cluster_dns_check.py::test_an_upstream_that_is_dead_is_found",
        '("names_outside_resolve", "UDP, kubernetes.io", "SERVFAIL")',
    ),
    "a firewall drops DNS over UDP": Shown(
        Expected("dns", "the_dns_address_answers", "UDP"),
        "tests/integration/test_cluster_dns_check.py::test_a_firewall_that_drops_one_transport_is_told_apart",
        '("the_dns_address_answers", "UDP", "no answer within 1.4 s")',
    ),
    "packets between Pods are too large for a host": Shown(
        Expected("hosts", "large_packets_reach_other_hosts", "path to far"),
        "tests/integration/test_large_packets.py::test_packets_that_are_too_large_for_the_other_host_are_found",
        '("error", "path to far", "packets of 1500 bytes are not answered, small ones are")',
    ),
    "an interface is smaller than the tunnel's packets": Shown(
        Expected("hosts", "pods_packets_fit_the_interface", "interface eth0"),
        "tests/integration/test_large_packets.py::test_packets_that_are_too_large_for_the_other_host_are_found",
        '("error", "interface eth0", "MTU 1400',
    ),
    "an image of the installation source is gone": Shown(
        Expected("hosts", "images_are_there", "images on homelab"),
        "tests/integration/test_node_role.py::test_a_removed_image_and_overwritten_programs_are_repaired_and_said",
        "images_are_there", follows=True,
    ),
    "an open port of the plan was closed": Shown(
        Expected("firewall", "planned_ports_are_open", "firewall of homelab (firewalld)"),
        "tests/site/test_site.py::test_the_check_names_each_damage_and_the_next_run_wakes_who_sleeps_and_repairs_all",
        '"firewall",\n        "homelab",', follows=True,
    ),
    "calico-node's DaemonSet was deleted": Shown(
        Expected("calico", "calico_runs_on_every_node", "DaemonSet calico-node"),
        "tests/site/test_site.py::test_the_check_names_each_damage_and_the_next_run_wakes_who_sleeps_and_repairs_all",
        '"calico", "DaemonSet calico-node"', follows=True,
    ),
    "a worker was reset": Shown(
        Expected("nodes", "nodes_are_ready", "node storagenodet3500"),
        "tests/site/test_site.py::test_the_check_names_each_damage_and_the_next_run_wakes_who_sleeps_and_repairs_all",
        '"nodes", "storagenodet3500"', follows=True,
    ),
    "Prometheus stores no samples, though it answers": Shown(
        Expected("monitoring", "samples_are_stored", "Prometheus"),
        "tests/cluster/test_health_monitoring.py::test_a_prometheus_without_samples_is_found_although_it_answers",
        '("error", "Prometheus", "no sample of the last 5 minutes")',
    ),
    "a target of Prometheus is down, an alert fires, a rule fails": Shown(
        Expected("monitoring", "targets_answer", "Prometheus job dead", "warning"),
        "tests/cluster/test_health_monitoring.py::test_what_prometheus_reports_is_found",
        '("warning", "Prometheus job dead")',
    ),
    "ufw was switched off, or its unit disabled": Shown(
        Expected("firewall", "rules_come_back", "firewall of masternode (ufw)"),
        "tests/integration/test_firewall_ufw.py::test_a_check_reports_a_denial_in_front_and_a_ufw_that_was_switched_off",
        "ufw.service is not enabled",
    ),
    "a rule of ufw denies a port of the plan": Shown(
        Expected("firewall", "rules_are_unaltered", "firewall of masternode (ufw)"),
        "tests/integration/test_firewall_ufw.py::test_a_check_reports_a_denial_in_front_and_a_ufw_that_was_switched_off",
        '["repaired"]',
    ),
    "a chain of nftables has lost its jump to the plan's": Shown(
        Expected("firewall", "rules_are_unaltered", "firewall of storagenodet3500 (nftables)"),
        "tests/integration/test_firewall_nftables.py::test_a_lost_jump_and_a_foreign_rule_in_our_chain_are_put_right",
        "has lost its jump to vmstation_worker.forward", follows=True,
    ),
    "etcd does not answer": Shown(
        Expected("control_plane", "", "etcd"),
        "tests/cluster/test_health_check.py::test_without_etcd_one_line_says_so",
        "the API server's check `etcd` fails",
    ),
    "kubelets get another DNS address": Shown(
        Expected("drift", "kubelet_config_is_the_plans", "ConfigMap kube-system/kubelet-config"),
        "tests/cluster/test_drift_check.py::test_a_fault_is_found_and_its_fix_works",
        '"kubelet_config_is_the_plans",\n        "ConfigMap kube-system/kubelet-config"', follows=True,
    ),
    "kube-proxy has another pod network": Shown(
        Expected("drift", "kube_proxy_is_as_planned", "ConfigMap kube-system/kube-proxy"),
        "tests/cluster/test_drift_check.py::test_a_fault_is_found_and_its_fix_works",
        '"kube_proxy_is_as_planned",\n        "ConfigMap kube-system/kube-proxy"', follows=True,
    ),
    "a second DNS Service": Shown(
        Expected("drift", "no_second_service_is_dns", "Service kube-system/coredns"),
        "tests/cluster/test_drift_check.py::test_a_fault_is_found_and_its_fix_works",
        '"no_second_service_is_dns",\n        "Service kube-system/coredns"', follows=True,
    ),
}  # fmt: skip


Row = tuple[str, Expected, str, str]


def rows() -> Iterator[Row]:
    """Fault, line of the report, test, and whether the fix was followed."""
    for name, fault in FAULTS.items():
        yield name, fault.expected, fault.test, fault.unfollowed or "yes"
    for name, of_host in HOST_FAULTS.items():
        yield name, of_host.expected, of_host.test, "yes" if of_host.fix else OWNER
    for name, shown in SHOWN.items():
        yield name, shown.expected, shown.test, "yes" if shown.follows else HOST


def table() -> str:
    lines = ["| Fault | Group | Mark | Object | Rule | Fix followed by the test | Test |", "|---|---|---|---|---|---|---|"]
    for name, one, test, followed in rows():
        where = test.partition("::")[0]
        rule = f"`{one.rule}`" if one.rule else "the check ends with this error"
        lines.append(f"| {name} | `{one.group}` | {one.mark} | {one.subject} | {rule} | {followed} | `{where}` |")
    return "\n".join(lines)


BEGIN, END = "<!-- faults: made from tests/faults.py -->", "<!-- end of faults -->"


def rendered() -> str:
    """The page as it must be: a person's text, with the table between its marks."""
    before, _begin, rest = DOCUMENT.read_text().partition(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    DOCUMENT.write_text(rendered())
