# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""cluster_health_check against a real API server. Nothing but it and etcd runs, so that each status stays as it is written here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import cache

import pytest

pytest.importorskip("kubernetes")
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._health.io import HealthApi
from ansible_collections.vmstation.cluster.plugins.module_utils._health.judge import Outcome, check
from ansible_collections.vmstation.cluster.plugins.module_utils._health.model import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Unavailable

from tests.cluster.build import missing
from tests.cluster.programs import API_SERVER
from tests.cluster.server import Cluster, running
from tests.unit.health.objects import ASLEEP, FAULTS, HOMELAB, MASTER, Object, healthy

WANTED = Wanted(control_plane=(MASTER,), nodes=(MASTER, HOMELAB, ASLEEP), asleep=frozenset({ASLEEP}), replicas=2)
NAMESPACES = ("apps", "monitoring", "kube-system")
# lists, reports and discoveries (26), and the questions to the programs of monitoring, of which Prometheus also counts the alerts sent
REQUESTS = 34


@cache
def now() -> datetime:
    """The moment of the checks. The objects are made when this file's tests begin: they are older than a Pod that is given its time."""
    return datetime.now(timezone.utc) + timedelta(minutes=10)


class Later(HealthApi):
    """Asks as of another moment."""

    def __init__(self, kubeconfig: str, moment: datetime) -> None:
        super().__init__(kubeconfig)
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One of its own, without the programs that would put right what is broken here."""
    if unbuilt := missing(API_SERVER):
        pytest.skip(f"not built: {' '.join(unbuilt)}")
    with running() as made:
        made.end("kube-controller-manager")
        made.end("kube-scheduler")
        for namespace in NAMESPACES:
            made.kubectl("create", "namespace", namespace, check=False)
            made.kubectl("create", "serviceaccount", "default", f"--namespace={namespace}", check=False)
        apply(made, healthy(now()))
        yield made


def apply(cluster: Cluster, objects: list[Object]) -> None:
    """The objects, and then what only controllers and kubelets write of them."""
    spoken = [{key: value for key, value in one.items() if key != "status"} for one in objects]
    cluster.kubectl("apply", "--filename=-", stdin=as_list(spoken))
    told = [{key: one[key] for key in ("apiVersion", "kind", "metadata", "status")} for one in objects if "status" in one]
    # an API service has its status from the API server itself
    told = [one for one in told if one["kind"] != "APIService"]
    if told:
        cluster.kubectl("apply", "--server-side", "--force-conflicts", "--subresource=status", "--filename=-", stdin=as_list(told))


def as_list(objects: list[Object]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})


def outcome(cluster: Cluster, wanted: Wanted = WANTED, later: timedelta = timedelta()) -> tuple[Outcome, Later]:
    api = Later(str(cluster.kubeconfig), now() + later)
    return check(wanted, api), api


def found(cluster: Cluster, wanted: Wanted = WANTED, later: timedelta = timedelta()) -> list[tuple[str, Finding]]:
    findings = outcome(cluster, wanted, later)[0].findings
    return [(group, one) for group, several in findings.items() for one in several]


def test_a_cluster_that_is_well_has_no_finding_at_few_requests(cluster: Cluster) -> None:
    told, api = outcome(cluster)
    assert [one for several in told.findings.values() for one in several] == []
    assert "etcd " in told.looked_at["control_plane"]
    assert told.looked_at["workloads"] == "6 workloads and 13 Pods"
    assert "API server's certificate), " in told.looked_at["certificates"]
    assert api.calls <= REQUESTS


def test_a_component_without_a_pod_and_with_an_old_lease_is_found(cluster: Cluster) -> None:
    spec = {"spec": {"renewTime": (now() - timedelta(seconds=75)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}
    cluster.kubectl("patch", "lease", "kube-scheduler", "--namespace=kube-system", "--type=merge", f"--patch={json.dumps(spec)}")
    cluster.kubectl("delete", "pod", f"kube-scheduler-{MASTER}", "--namespace=kube-system", "--grace-period=0", "--force", "--wait=false")
    [(group, finding)] = [one for one in found(cluster) if one[0] == "control_plane"]
    assert (group, finding.subject, finding.severity) == ("control_plane", "kube-scheduler", "error")
    assert finding.found == "no Pod kube-scheduler-masternode; its Lease was last renewed 75 s ago: no Pod is scheduled"
    apply(cluster, [one for one in healthy(now()) if one["metadata"]["name"].startswith("kube-scheduler")])
    assert found(cluster, Wanted(("control_plane",), (MASTER,))) == []


def test_leases_that_nobody_renews_are_an_etcd_without_writes(cluster: Cluster) -> None:
    told = found(cluster, Wanted(("control_plane",), (MASTER,)), timedelta(seconds=75))
    assert [one.subject for _group, one in told] == ["etcd"]


@pytest.mark.parametrize(("days", "severities"), [(340, {"warning"}), (360, {"error"})])
def test_certificates_that_end_soon_are_found(cluster: Cluster, days: int, severities: set[str]) -> None:
    told = found(cluster, Wanted(("certificates",)), timedelta(days=days))
    assert {one.subject for _group, one in told} == {"API server's certificate", "kubeconfig's client certificate"}
    assert {one.severity for _group, one in told} == severities


@pytest.fixture(scope="module")
def broken(cluster: Cluster) -> dict[str, tuple[str, Finding]]:
    """All faults at once, and what was found."""
    objects = [one for fault in FAULTS.values() for one in fault.objects(now())]
    apply(cluster, objects)
    return {one.subject: (group, one) for group, one in found(cluster)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_its_reason(broken: dict[str, tuple[str, Finding]], name: str) -> None:
    fault = FAULTS[name]
    group, finding = broken[fault.subject]
    assert (group, finding.severity) == (fault.group, fault.severity)
    assert fault.found in finding.found
    assert fault.fix in finding.fix
    assert set(broken) == {one.subject for one in FAULTS.values()}


def test_a_namespace_that_does_not_end_is_found(cluster: Cluster) -> None:
    cluster.kubectl("create", "namespace", "ending")
    cluster.kubectl("delete", "namespace", "ending", "--wait=false")
    told = {one.subject: one for _group, one in found(cluster, Wanted(("api",)))}
    finding = told["Namespace ending"]
    assert finding.severity == "error"
    assert finding.found.startswith("Terminating for ")


def test_without_etcd_one_line_says_so(cluster: Cluster) -> None:
    """The last: the cluster is of no use afterwards."""
    cluster.end("etcd")
    with pytest.raises(Unavailable, match="the API server's check `etcd` fails"):
        found(cluster)
