# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found of a cluster that is well, and of each fault. tests/cluster asks a real API server the same."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._health import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._health.control_plane import end_of
from ansible_collections.vmstation.cluster.plugins.module_utils._health.judge import as_data, check
from ansible_collections.vmstation.cluster.plugins.module_utils._health.model import GROUPS, Wanted, moment_of, wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable

from tests.unit.health import objects
from tests.unit.health.objects import ASLEEP, FAULTS, HOMELAB, MASTER, PEM, Object, at, lease, pod
from tests.unit.kubelet.test_requests import NODES, request

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone.utc)
WANTED = Wanted(control_plane=(MASTER,), nodes=(MASTER, HOMELAB, ASLEEP), asleep=frozenset({ASLEEP}), replicas=2)
WELL = "[+]ping ok\n[+]etcd ok\nlivez check passed\n"


# by query, how the samples name it
ASKED = {
    judge.QUESTIONS[key][3]["query"]: f"?{name}"
    for key, name in {
        judge.AGE: "age",
        judge.RECEIVERS: "receivers",
        judge.GIVEN_UP: "given_up",
        judge.ARRIVED: "arrived",
    }.items()
}


class Cluster:
    """What was read comes from a list of objects."""

    server = "https://masternode:6443"

    def __init__(
        self, found: Sequence[Object], health: object = WELL, size: object = 24e6, days: float = 365, programs: dict[str, Any] | None = None
    ) -> None:
        self.programs = objects.monitoring() if programs is None else programs
        self.objects, self._health, self._size = found, health, size
        self.asked: list[str] = []
        self.certificate = certificate(NOW + timedelta(days=days))

    def now(self) -> datetime:
        return NOW

    def at_once(self, questions: Sequence[Callable[[], Any]]) -> list[Any]:
        return [answer(question) for question in questions]

    def health(self, path: str) -> str:
        return given(self._health)

    def metric(self, _name: str) -> float:
        return given(self._size)

    def program(self, namespace: str, service: str, port: int, path: str, query: dict[str, str]) -> Object | None:
        assert namespace == "monitoring"
        return given(self.programs.get(f"{service}:{port}{path}" + ASKED.get(query.get("query", ""), "")))

    def serving_certificate(self) -> bytes:
        return self.certificate

    def client_certificate(self) -> None:
        return None

    def items(self, api_version: str, kind: str, *_namespace: str, **_selectors: str) -> Iterator[Object]:
        self.asked.append(kind)
        yield from (one for one in self.objects if (one["apiVersion"], one["kind"]) == (api_version, kind))


def answer(question: Callable[[], Any]) -> Any:
    try:
        return question()
    except Refusal as refusal:
        return refusal


def given(value: Any) -> Any:
    if isinstance(value, Refusal):
        raise value
    return value


def element(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(2, "big")
    return bytes([tag, 0x82]) + size + content


def certificate(end: datetime) -> bytes:
    """As much of one as is read."""
    validity = element(0x30, element(0x17, b"250101000000Z") + element(0x18, end.strftime("%Y%m%d%H%M%SZ").encode()))
    nothing = element(0x30, b"")
    return element(0x30, element(0x30, element(0xA0, b"") + element(0x02, b"1") + nothing + nothing + validity))


def found_in(cluster: Cluster, asked: Wanted = WANTED) -> list[tuple[str, Finding]]:
    return [(group, one) for group, findings in check(asked, cluster).findings.items() for one in findings]  # type: ignore[arg-type]


def old(several: Sequence[Object]) -> list[Object]:
    """Made long ago."""
    return [{**one, "metadata": {"creationTimestamp": "2026-01-01T00:00:00Z", **one["metadata"]}} for one in several]


def without(several: Sequence[Object], *names: str) -> list[Object]:
    return [one for one in several if one["metadata"]["name"] not in names]


HEALTHY = old(objects.healthy(NOW))


def test_a_cluster_that_is_well_has_no_finding() -> None:
    cluster = Cluster(HEALTHY)
    outcome = check(WANTED, cluster)  # type: ignore[arg-type]
    assert [one for findings in outcome.findings.values() for one in findings] == []
    assert tuple(outcome.looked_at) == GROUPS
    # no list twice, and none that only explains what is not well
    assert len(cluster.asked) == len(set(cluster.asked))
    assert not {"Event", "StorageClass"} & set(cluster.asked)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_its_reason(name: str) -> None:
    fault = FAULTS[name]
    [(group, finding)] = found_in(Cluster(HEALTHY + old(fault.objects(NOW))))
    assert (group, finding.severity, finding.subject) == (fault.group, fault.severity, fault.subject)
    assert fault.found in finding.found
    assert fault.fix in finding.fix


def test_a_pod_has_its_time() -> None:
    new = pod("apps/new", ready=False, status=objects.unscheduled("a moment"))
    new["metadata"]["creationTimestamp"] = at(NOW, 30)
    leaving = pod("apps/leaving", HOMELAB)
    leaving["metadata"]["deletionTimestamp"] = at(NOW, 30)
    assert found_in(Cluster([*HEALTHY, new, leaving])) == []
    new["metadata"]["creationTimestamp"] = leaving["metadata"]["deletionTimestamp"] = at(NOW, 90)
    assert [one.subject for _group, one in found_in(Cluster([*HEALTHY, new, leaving]))] == ["Pod apps/new", "Pod apps/leaving"]


def test_a_pod_that_does_not_end_is_found_although_its_workload_is_well() -> None:
    leaving = objects.hashed("kube-system/coredns-abc-9", HOMELAB, "coredns", ready=False)
    leaving["metadata"]["deletionTimestamp"] = at(NOW, 200)
    assert found_in(Cluster([*HEALTHY, *old([leaving])])) == []
    leaving["metadata"]["deletionTimestamp"] = at(NOW, 400)
    [(_group, finding)] = found_in(Cluster([*HEALTHY, *old([leaving])]))
    assert (finding.rule, finding.severity, finding.subject) == ("pods_end", "warning", "Pod kube-system/coredns-abc-9")
    assert finding.found == "Terminating for 7 minutes on homelab, beyond its grace period"
    assert "`kubectl --namespace kube-system delete pod coredns-abc-9 --grace-period=0 --force`" in finding.fix
    # of a host that is off, that is known
    leaving["spec"]["nodeName"] = ASLEEP
    assert found_in(Cluster([*HEALTHY, *old([leaving])])) == []


def test_what_is_deleted_while_pods_use_it_is_found_before_it_has_gone() -> None:
    leaving = objects.claim("monitoring/loki", "Bound"), objects.volume("monitoring-loki", "Bound", "monitoring/loki")
    using = pod("monitoring/loki-1", HOMELAB, volumes=[{"name": "data", "persistentVolumeClaim": {"claimName": "loki"}}])
    for one in leaving:
        one["metadata"]["deletionTimestamp"] = at(NOW, 30)
    assert found_in(Cluster([*HEALTHY, *old([*leaving, using])])) == []
    for one in leaving:
        one["metadata"]["deletionTimestamp"] = at(NOW, 90)
    found = found_in(Cluster([*HEALTHY, *old([*leaving, using])]))
    assert [(group, one.rule, one.severity, one.subject) for group, one in found] == [
        ("storage", "volumes_stay", "error", "PersistentVolumeClaim monitoring/loki"),
        ("storage", "volumes_stay", "error", "PersistentVolume monitoring-loki"),
    ]
    assert "Pods that do: loki-1" in found[0][1].found


def test_a_container_that_ends_again_and_again_is_found_after_the_first_hour() -> None:
    ends = objects.container(objects.RUNNING, ready=True, last=objects.ended("Error", 1, at(NOW, 300)), restarts=5)
    one = pod("apps/shaky", HOMELAB, status={"containerStatuses": [ends]})
    one["metadata"]["creationTimestamp"] = at(NOW, 3500)
    assert found_in(Cluster([*HEALTHY, one])) == []
    one["metadata"]["creationTimestamp"] = at(NOW, 3700)
    [(_group, finding)] = found_in(Cluster([*HEALTHY, one]))
    assert (finding.severity, finding.subject) == ("warning", "Pod apps/shaky")


def test_a_pod_that_is_missing_behind_one_that_is_asleep_is_found() -> None:
    wants_three = objects.workload("Deployment", "apps/web", 3, 1)
    [(_group, finding)] = found_in(Cluster([wants_three if one["metadata"]["name"] == "web" else one for one in HEALTHY]))
    assert finding.subject == "Deployment apps/web"


COMPONENTS = {
    "no Pod": (
        without(HEALTHY, f"kube-scheduler-{MASTER}"),
        "kube-scheduler",
        "no Pod kube-scheduler-masternode: no Pod is scheduled",
    ),
    "no Lease": (without(HEALTHY, "kube-controller-manager"), "kube-controller-manager", "no Lease kube-system/kube-controller-manager"),
    "an old Lease": (
        [*without(HEALTHY, "kube-scheduler"), lease("kube-system/kube-scheduler", NOW, 75)],
        "kube-scheduler",
        "its Lease was last renewed 75 s ago",
    ),
    "a Pod that is not ready": (
        [*without(HEALTHY, f"etcd-{MASTER}"), pod(f"kube-system/etcd-{MASTER}", MASTER, ready=False, labels={"tier": "control-plane"})],
        "etcd",
        "its readiness probe does not pass",
    ),
}


def test_a_control_plane_outside_of_pods_is_said_and_only_its_leases_are_checked() -> None:
    outside = [one for one in HEALTHY if not (one["kind"] == "Pod" and one["metadata"].get("labels", {}).get("tier"))]
    (item,) = as_data(check(replace(WANTED, groups=("control_plane",)), Cluster(outside)))["looked_at"]  # type: ignore[arg-type]
    assert (item["state"], "no Pods of etcd, kube-apiserver, " in item["facts"]) == ("ok", True)
    late = [*without(outside, "kube-scheduler"), lease("kube-system/kube-scheduler", NOW, 75)]
    [(group, finding)] = found_in(Cluster(old(late)))
    assert (group, finding.subject, finding.severity) == ("control_plane", "kube-scheduler", "error")


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component_of_the_control_plane_that_does_not_work_is_found(name: str) -> None:
    several, subject, found = COMPONENTS[name]
    [(group, finding)] = found_in(Cluster(old(several)))
    assert (group, finding.severity, finding.subject) == ("control_plane", "error", subject)
    assert found in finding.found


def test_a_silent_node_is_told_once_for_all_its_pods() -> None:
    silent = [*without(HEALTHY, HOMELAB), lease(f"kube-node-lease/{HOMELAB}", NOW, 62)]
    lost = [{**one, "status": {}} if one.get("spec", {}).get("nodeName") == HOMELAB else one for one in silent]
    [(group, finding)] = found_in(Cluster(lost))
    assert (group, finding.subject) == ("workloads", f"node {HOMELAB}")
    assert "62 s ago" in finding.found


def test_that_nothing_can_be_written_is_the_cause_of_all_old_leases() -> None:
    late = [
        lease(f"{one['metadata']['namespace']}/{one['metadata']['name']}", NOW, 300) if one["kind"] == "Lease" else one for one in HEALTHY
    ]
    [(_group, finding)] = found_in(Cluster(old(late)))
    assert (finding.subject, finding.severity) == ("etcd", "error")
    assert "alarm disarm" in finding.fix


@pytest.mark.parametrize(("size", "flag", "severity"), [(1.8e9, "", "warning"), (2.1e9, "", "error"), (2.1e9, "8589934592", None)])
def test_the_size_of_etcd_is_compared_with_its_quota(size: float, flag: str, severity: str | None) -> None:
    several = without(HEALTHY, f"etcd-{MASTER}")
    etcd = pod(f"kube-system/etcd-{MASTER}", MASTER, labels={"tier": "control-plane", "component": "etcd"})
    etcd["spec"]["containers"][0]["command"] = ["etcd", *([f"--quota-backend-bytes={flag}"] if flag else [])]
    found = found_in(Cluster([*several, etcd], size=size))
    assert [one.severity for _group, one in found] == ([severity] if severity else [])


def test_an_api_server_that_is_not_ready_is_found() -> None:
    [(_group, finding)] = found_in(Cluster(HEALTHY, health="[+]ping ok\n[-]poststarthook/rbac failed: reason withheld\n"))
    assert finding.found == "failing checks: poststarthook/rbac"


def test_without_etcd_nothing_more_is_asked() -> None:
    cluster = Cluster(HEALTHY, health="[-]etcd failed: reason withheld\n")
    with pytest.raises(Unavailable, match="the API server's check `etcd` fails"):
        found_in(cluster)
    assert cluster.asked == []


@pytest.mark.parametrize(("days", "severity"), [(31, None), (29, "warning"), (6, "error"), (-1, "error")])
def test_a_certificate_that_ends_soon_is_found(days: float, severity: str | None) -> None:
    found = found_in(Cluster(HEALTHY, days=days))
    assert [(group, one.severity) for group, one in found] == ([("certificates", severity)] if severity else [])


SERVING = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest"}


@pytest.mark.parametrize(
    ("changes", "age", "conditions", "found", "fix"),
    [
        ({}, 100, [], None, None),
        ({}, 400, [], "not approved for 7 minutes, although it matches", "systemctl status vmstation-kubelet-approver.timer"),
        ({"usages": ["client auth"]}, 400, [], "not approved for 7 minutes: usages client auth", "`kubectl delete csr csr-1`"),
        ({"username": "system:node:guest"}, 9000, [], "node guest is not in the inventory", "then run site.yml"),
        ({}, 400, [{"type": "Denied", "status": "True", "message": "by hand"}], "denied (by hand)", "`kubectl delete csr csr-1`"),
        ({}, 400, [{"type": "Approved", "status": "True"}], None, None),
        ({"signerName": "example.com/own"}, 400, [], None, None),
    ],
)
def test_a_request_of_a_kubelet_that_is_not_approved_is_found(
    changes: dict[str, Any], age: float, conditions: list[Object], found: str | None, fix: str | None
) -> None:
    made = (NOW - timedelta(seconds=age)).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = {**SERVING, **request(**changes), "status": {"conditions": conditions}}
    asked["metadata"] = {"name": "csr-1", "creationTimestamp": made}
    with_addresses = replace(WANTED, addresses=NODES, groups=("certificates",))
    told = [one for _group, one in found_in(Cluster([*HEALTHY, asked]), with_addresses)]
    assert len(told) == (found is not None)
    if found and fix:
        assert told[0].severity == "error" and found in told[0].found and fix in told[0].fix


def test_an_expired_certificate_is_why_nothing_answers() -> None:
    silence = Refusal("API", "a TLS connection that failed: certificate has expired", "one", "Renew it.")
    cluster = Cluster(HEALTHY, health=silence, days=-1)
    outcome = check(WANTED, cluster)  # type: ignore[arg-type]
    assert list(outcome.looked_at) == ["certificates"]
    assert cluster.asked == []
    with pytest.raises(Refusal):
        check(replace(WANTED, groups=("api",)), cluster)  # type: ignore[arg-type]


def test_a_namespace_that_does_not_end_is_found_with_what_remains() -> None:
    said = "Some resources are remaining: configmaps. has 1 resource instances, widgets.example.com has 2 resource instances"
    status = {"phase": "Terminating", "conditions": [{"type": "NamespaceContentRemaining", "status": "True", "message": said}]}
    one = objects.made("v1", "Namespace", "ending", metadata={"deletionTimestamp": at(NOW, 400)}, status=status)
    [(group, finding)] = found_in(Cluster([*HEALTHY, one]))
    assert (group, finding.subject) == ("api", "Namespace ending")
    assert finding.found.startswith("Terminating for 7 minutes: Some resources")
    assert "get configmaps,widgets.example.com " in finding.fix
    one["metadata"]["deletionTimestamp"] = at(NOW, 60)
    assert found_in(Cluster([*HEALTHY, one])) == []


def test_what_may_not_be_read_is_said_once() -> None:
    class Forbidding(Cluster):
        def items(self, api_version: str, kind: str, *_namespace: str, **_selectors: str) -> Iterator[Object]:
            raise Refusal(f"list of {kind}", "HTTP status 403", f"the permission to list {kind}", "Permit it.")

        def health(self, path: str) -> str:
            raise Refusal(path, "HTTP status 403: no", "the permission", "Permit it.")

    found = found_in(Forbidding(HEALTHY))
    subjects = [one.subject for _group, one in found]
    assert len(subjects) == len(set(subjects))
    assert {(one.rule.endswith("_can_be_read"), one.severity) for _group, one in found} == {(True, "unknown")}
    assert len(found) == 2 + 13


def monitored(**differing: Any) -> list[Finding]:
    cluster = Cluster(HEALTHY, programs={**objects.monitoring(), **differing})
    return check(replace(WANTED, groups=("workloads", "monitoring")), cluster).findings["monitoring"]  # type: ignore[arg-type,return-value]


QUERY, RULES = "prometheus:9090/api/v1/query", "prometheus:9090/api/v1/rules"
NO_ENDPOINTS = Unavailable("Service", 'HTTP status 503: no endpoints available for service "prometheus"', "HTTP status 200", "Wait.")


@pytest.mark.parametrize(
    ("differing", "severity", "subject", "found", "fix"),
    [
        ({f"{QUERY}?age": objects.vector()}, "error", "Prometheus", "no sample of the last 5 minutes", "full or read-only"),
        ({f"{QUERY}?age": objects.vector(({}, "190.2"))}, "error", "Prometheus", "the last sample is 190 s old", "logs --selector"),
        (
            {QUERY: objects.vector(({"job": "felix", "node": HOMELAB}, "0"), ({"job": "felix", "node": ASLEEP}, "0"))},
            "warning",
            "Prometheus job felix",
            "homelab did not answer for 2 minutes",
            "/targets",
        ),
        (
            {RULES: objects.rules({"name": "Mine", "health": "err", "lastError": "boom"})},
            "warning",
            "Prometheus rule Mine",
            "boom",
            "/rules",
        ),
        (
            {RULES: objects.rules(objects.alert("DiskFull", HOMELAB))},
            "warning",
            "alert DiskFull",
            "DiskFull on homelab",
            "Free some space.",
        ),
        ({"loki:3100/ready": {"unwell": "HTTP status 503: shutting down"}}, "error", "Service monitoring/loki", "shutting down", "logs"),
        ({QUERY: NO_ENDPOINTS}, "unknown", "Service monitoring/prometheus", "no endpoints", "get pods"),
    ],
)
def test_monitoring_that_does_not_work_is_found(differing: dict[str, Any], severity: str, subject: str, found: str, fix: str) -> None:
    [finding] = monitored(**differing)
    assert (finding.severity, finding.subject) == (severity, subject)
    assert found in finding.found
    assert fix in finding.fix


def test_a_host_that_is_asleep_fires_no_alert_of_the_report() -> None:
    assert monitored(**{RULES: objects.rules(objects.alert("NodeDown", ASLEEP))}) == []


def test_alerts_that_only_carry_a_fact_are_no_finding() -> None:
    watchdog = {**objects.alert("Watchdog", HOMELAB), "labels": {"severity": "none"}}
    assert monitored(**{RULES: objects.rules(watchdog)}) == []


PHONE = {"receiver_name": "phone", "integration": "webhook"}


def given_up(at: str, reason: str = "clientError", **of: str) -> tuple[dict[str, str], str]:
    return {**PHONE, **of, "reason": reason}, at


@pytest.mark.parametrize(
    ("failed", "arrived", "found"),
    [
        ([given_up("1000")], [], ["the receiver rejected it (HTTP status 4xx)"]),
        ([given_up("1000")], [(PHONE, "970")], ["the receiver rejected it (HTTP status 4xx)"]),
        # the last reason
        ([given_up("1000"), given_up("1030", "serverError")], [], ["the receiver failed (HTTP status 5xx)"]),
        ([given_up("1000", "unheardOf")], [], ["the receiver cannot be reached"]),
        ([given_up("1000")], [(PHONE, "1030")], []),
        # a receiver that there is no more
        ([given_up("1000", receiver_name="former")], [], []),
        ([], [(PHONE, "1030")], []),
    ],
)
def test_a_receiver_whose_last_alert_was_not_delivered_is_found(
    failed: list[tuple[dict[str, str], str]], arrived: list[tuple[dict[str, str], str]], found: list[str]
) -> None:
    told = monitored(
        **{
            f"{QUERY}?receivers": objects.vector((PHONE, "1")),
            f"{QUERY}?given_up": objects.vector(*failed),
            f"{QUERY}?arrived": objects.vector(*arrived),
            # what the check itself finds out is not told twice
            RULES: objects.rules(*([objects.alert("AlertsNotDelivered", "")] if found else [])),
        }
    )
    assert [(one.severity, one.subject) for one in told] == [("warning", "receiver phone (webhook)")] * len(found)
    for one, words in zip(told, found):
        assert one.found.startswith(f"the last notification failed: {words}")
        assert "playbooks/test_alert.yml" in one.fix


def test_who_gets_alerts_is_told() -> None:
    receivers = objects.vector((PHONE, "1"), ({"receiver_name": "heartbeat", "integration": "webhook"}, "1"))
    cluster = Cluster(HEALTHY, programs={**objects.monitoring(), f"{QUERY}?receivers": receivers})
    assert check(WANTED, cluster).looked_at["monitoring"].endswith("; alerts go to phone")  # type: ignore[arg-type]


def test_targets_that_are_down_are_told_once() -> None:
    down = objects.vector(({"job": "alloy", "instance": "10.244.0.7:12345"}, "0"))
    told = monitored(**{QUERY: down, RULES: objects.rules(objects.alert("TargetDown", HOMELAB))})
    assert [one.subject for one in told] == ["Prometheus job alloy"]


def test_a_program_whose_workload_does_not_run_is_told_once() -> None:
    broken = old([objects.workload("Deployment", "monitoring/prometheus", 1, 0)])
    silent = {key: NO_ENDPOINTS for key in objects.monitoring() if key.startswith("prometheus")}
    found = found_in(Cluster([*HEALTHY, *broken], programs={**objects.monitoring(), **silent}))
    assert [(group, one.subject) for group, one in found] == [("workloads", "Deployment monitoring/prometheus")]


def test_a_cluster_without_monitoring_is_well() -> None:
    outcome = check(WANTED, Cluster(HEALTHY, programs={}))  # type: ignore[arg-type]
    assert (outcome.findings["monitoring"], outcome.looked_at["monitoring"]) == ([], "not installed")


def test_a_kube_proxy_that_was_deleted_is_found() -> None:
    [(_group, finding)] = found_in(Cluster([one for one in HEALTHY if "kube-proxy" not in one["metadata"]["name"]]))
    assert (finding.severity, finding.subject, finding.found) == ("error", "DaemonSet kube-system/kube-proxy", "none of this name")
    assert "kubeadm init phase addon kube-proxy" in finding.fix


def test_what_is_installed_together_and_was_deleted_is_found() -> None:
    ours = [
        objects.workload("Deployment", "monitoring/grafana", 1, 1),
        objects.workload("DaemonSet", "kube-system/calico-node", 2, 2),
        *(pod(f"kube-system/calico-node-{node}", node, ("DaemonSet", "calico-node")) for node in (MASTER, HOMELAB)),
    ]
    assert [one.subject for _group, one in found_in(Cluster(HEALTHY + old(ours)))] == ["Deployment kube-system/calico-kube-controllers"]
    ours[0]["metadata"]["labels"] = {"app.kubernetes.io/part-of": "monitoring"}
    assert [one.subject for _group, one in found_in(Cluster(HEALTHY + old(ours)))] == [
        "Deployment kube-system/calico-kube-controllers",
        *(f"Deployment monitoring/{name}" for name in ("prometheus", "loki", "kube-state-metrics")),
        *(f"DaemonSet monitoring/{name}" for name in ("node-exporter", "alloy")),
    ]


def test_only_the_newest_job_of_a_schedule_counts() -> None:
    failed, later = objects.job("apps/daily-1", "Failed", "no"), objects.job("apps/daily-2", "Complete", "yes")
    for index, one in enumerate((failed, later)):
        owner = {"kind": "CronJob", "name": "daily", "uid": "1", "controller": True}
        one["metadata"] |= {"ownerReferences": [owner], "creationTimestamp": f"2026-11-2{index}T00:00:00Z"}
    assert found_in(Cluster([*HEALTHY, failed, later])) == []
    assert [one.subject for _group, one in found_in(Cluster([*HEALTHY, failed]))] == ["Job apps/daily-1"]


def test_an_event_says_why() -> None:
    fault = old(FAULTS["a quota that is full"].objects(NOW))
    fault[0]["metadata"]["uid"] = "StatefulSet-db"
    [(_group, finding)] = found_in(Cluster(HEALTHY + fault))
    assert "FailedCreate: exceeded quota: small" in finding.found
    assert "edit resourcequota small" in finding.fix


def test_the_end_of_a_real_certificate_is_read() -> None:
    assert end_of(ssl.PEM_cert_to_DER_cert(PEM)) == datetime(2036, 11, 26, 18, 33, 59, tzinfo=timezone.utc)


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x03\x02\x01\x05", b"no certificate", certificate(NOW)[:-3]])
def test_what_is_no_certificate_is_unknown(der: bytes) -> None:
    assert isinstance(end_of(der), Refusal)


def test_the_options_are_read() -> None:
    hosts = [{"name": "MasterNode", "address": "192.168.4.63", "role": "control_plane"}, {"name": HOMELAB, "address": ["fd00:4::62"]}]
    params = {
        "nodes": hosts,
        "asleep": ["HomeLab"],
        "groups": ["api", "control_plane"],
        "namespaces": ["a"],
        "dns_replicas": 3,
        "certificate_days": 9,
        "monitoring_namespace": "watch",
    }
    addresses = {MASTER: frozenset({"192.168.4.63"}), HOMELAB: frozenset({"fd00:4::62"})}
    hosts_of = ((MASTER,), (MASTER, HOMELAB), frozenset({HOMELAB}))
    assert wanted(params) == Wanted(("control_plane", "api"), *hosts_of, frozenset({"a"}), 3, 9, "watch", addresses)
    with pytest.raises(Refusal, match="certificate_days"):
        wanted({**params, "certificate_days": -1})


def test_the_module_returns_plain_data() -> None:
    told = as_data(check(WANTED, Cluster(HEALTHY, days=20)))  # type: ignore[arg-type]
    assert [(one["group"], one["severity"]) for one in told["findings"]] == [("certificates", "warning")]
    states = {one["group"]: (one["subject"], one["state"]) for one in told["looked_at"]}
    assert states["certificates"] == ("certificates", "warning")
    assert states["control_plane"] == ("control plane", "ok")
    assert "ready" in next(one["facts"] for one in told["looked_at"] if one["group"] == "control_plane")


def test_what_holds_only_without_findings_is_not_said_with_some() -> None:
    silent = replace(WANTED, groups=("control_plane",))
    without_one = without(HEALTHY, f"kube-scheduler-{MASTER}")
    told = as_data(check(silent, Cluster(without_one)))  # type: ignore[arg-type]
    (item,) = told["looked_at"]
    assert item["state"] == "error"
    assert "renew" not in item["facts"]


@pytest.mark.parametrize("text", ["2026-11-29T12:00:00Z", "2026-11-29T12:00:00.000000Z"])
def test_times_of_the_api_are_read(text: str) -> None:
    assert moment_of(text) == NOW
    assert moment_of("") is moment_of(None) is None
