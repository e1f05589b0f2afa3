# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A control plane that lost something: which phases are run for it, what check mode predicts, and what is refused."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import Extras, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import Outcome, Request, Stuck, ensure
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import CONFIGURATION, verifies_kubelets
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.fakes import AnsweringHost
from tests.unit.health.objects import PEM
from tests.unit.kubeadm.node_files import Files, control_plane, whole
from tests.unit.kubeadm.test_configuration import MASTER, PLAN
from tests.unit.kubeadm.test_init import QUIET, STANDS, WANTED, marked

SYSTEM = "/api/v1/namespaces/kube-system"
NODE = {
    "metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}},
    "spec": {"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]},
}


class StandingHost(AnsweringHost):
    """A control plane whose programs do their work on a dictionary of files and one of API objects."""

    def __init__(self) -> None:
        self.files = marked(control_plane(), STANDS)
        self.files[CONFIGURATION] = WANTED.text
        self.unit = {"ActiveState": "active", "SubState": "running", "UnitFileState": "enabled", "Job": ""}
        self.objects: dict[str, Any] = {
            f"{SYSTEM}/configmaps/kubeadm-config": {},
            f"{SYSTEM}/configmaps/kubelet-config": {},
            f"{SYSTEM}/configmaps/kube-proxy": {},
            "/api/v1/namespaces/kube-public/configmaps/cluster-info": {},
            "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy": {},
            "/api/v1/nodes/masternode": NODE,
            "/apis/networking.k8s.io/v1/servicecidrs": {"items": []},
        }
        self.days = 364
        self.ready = "ok"
        self.changes: list[str] = []
        self.clock = 0.0

    def has(self, program: str) -> bool:
        return program != "crictl"

    def answer(self, argv: list[str], stdin: str) -> tuple[int, str, str]:
        line = " ".join(argv)
        if argv[:3] == ["kubeadm", "init", "phase"]:
            phase = [word for word in argv[3:] if not word.startswith("--")]
            self.changes.append(" ".join(phase))
            self._make(phase)
        elif line.startswith("systemctl show"):
            return 0, "".join(f"{key}={value}\n" for key, value in self.unit.items()), ""
        elif argv[0] == "systemctl":
            self.changes.append(line)
            self.unit.update(ActiveState="active", UnitFileState="enabled")
        elif line.startswith("kubeadm version"):
            return 0, "v1.36.4\n", ""
        elif line.startswith("kubeadm certs"):
            return 0, json.dumps({"certificates": [{"name": "apiserver", "expirationDate": "2027", "residualTime": self.days * 86400}]}), ""
        elif argv[0] == "kubectl":
            return self._api(argv, stdin)
        return 0, "", ""

    def _api(self, argv: list[str], stdin: str) -> tuple[int, str, str]:
        path = next((word.removeprefix("--raw=") for word in argv if word.startswith("--raw=")), "")
        if path == "/readyz":
            return (0, self.ready, "") if self.ready == "ok" else (1, "", self.ready)
        if "create" in argv:
            made = json.loads(stdin)
            self.changes.append(f"create {made['metadata']['name']}")
            self.objects[path]["items"].append({**made, "status": {"conditions": [{"type": "Ready", "status": "True"}]}})
        elif "patch" in argv:
            self.changes.append(" ".join(argv[argv.index("patch") : argv.index("patch") + 3]))
            self.objects[f"{SYSTEM}/configmaps/{argv[argv.index('patch') + 2]}"].update(json.loads(stdin))
        elif "taint" in argv:
            self.changes.append(" ".join(argv[argv.index("taint") :]))
        elif path in self.objects:
            return 0, json.dumps(self.objects[path]), ""
        else:
            return 1, "", 'Error from server (NotFound): "it" not found'
        return 0, "", ""

    def _make(self, phase: list[str]) -> None:
        made = {
            "kubeconfig admin": "/etc/kubernetes/admin.conf",
            "control-plane apiserver": "/etc/kubernetes/manifests/kube-apiserver.yaml",
        }.get(" ".join(phase))
        if made:
            assert made not in self.files, f"kubeadm refuses or keeps {made}"
            self.files[made] = whole(made)

    def tick(self) -> float:
        self.clock += 1
        return self.clock

    def host(self) -> NodeHost:
        return NodeHost(
            commands=self,
            files=self.files,
            write=self.files.write,
            look=lambda: QUIET,
            lock=lambda wait: nullcontext(),
            detached=lambda work: work(),
            now=self.tick,
            sleep=lambda seconds: None,
        )

    def ensure(self, *, check: bool = False, wanted: Wanted = WANTED, cidrs: tuple[str, ...] = ()) -> Outcome:
        return ensure(Request(wanted, cidrs, timeout=20, check=check), self.host())


def lose(standing: StandingHost, *paths: str) -> None:
    for path in paths:
        standing.files.pop(path, None)
        standing.objects.pop(path, None)


def test_nothing_is_done_to_what_is_whole_and_nothing_waited_for() -> None:
    standing, waited = StandingHost(), list[float]()
    before = Files(standing.files)
    outcome = ensure(Request(WANTED, (), timeout=20, check=False), replace(standing.host(), sleep=waited.append))
    assert waited == []
    assert (outcome.changed, outcome.repaired, outcome.findings, standing.changes) == (False, [], [], [])
    assert standing.files == before


@pytest.mark.parametrize(
    ("lost", "phase"),
    [
        ("/etc/kubernetes/admin.conf", "kubeconfig admin"),
        ("/etc/kubernetes/manifests/kube-apiserver.yaml", "control-plane apiserver"),
        (f"{SYSTEM}/configmaps/kubeadm-config", "upload-config kubeadm"),
        (f"{SYSTEM}/configmaps/kubelet-config", "upload-config kubelet"),
        ("/api/v1/namespaces/kube-public/configmaps/cluster-info", "bootstrap-token"),
        ("/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy", "addon kube-proxy"),
    ],
)
def test_what_is_missing_is_made_by_its_phase_and_check_mode_says_the_same(lost: str, phase: str) -> None:
    standing = StandingHost()
    lose(standing, lost)
    predicted = standing.ensure(check=True)
    assert standing.changes == []
    outcome = standing.ensure()
    assert standing.changes == [phase]
    assert predicted.repaired == outcome.repaired
    assert (predicted.changed, outcome.changed) == (True, True)
    assert lost.rpartition("/")[2] in outcome.repaired[0]
    assert f"`kubeadm init phase {phase}`" in outcome.repaired[0]


KUBELET_CONFIG = """clusterDomain: cluster.local
kind: KubeletConfiguration
resolvConf: /run/systemd/resolve/resolv.conf
rotateCertificates: true
"""


def test_the_resolver_of_the_control_plane_does_not_reach_the_workers() -> None:
    standing = StandingHost()
    standing.objects[f"{SYSTEM}/configmaps/kubelet-config"] = {"data": {"kubelet": KUBELET_CONFIG}}
    predicted = standing.ensure(check=True)
    assert (predicted.changed, standing.changes) == (True, [])
    outcome = standing.ensure()
    assert (outcome.changed, outcome.repaired, standing.changes) == (True, predicted.repaired, ["patch configmap kubelet-config"])
    kept = standing.objects[f"{SYSTEM}/configmaps/kubelet-config"]["data"]["kubelet"]
    assert kept == "clusterDomain: cluster.local\nkind: KubeletConfiguration\nrotateCertificates: true\n"
    assert not standing.ensure().changed


@pytest.mark.parametrize("mine", [None, "/etc/resolv.conf"])
def test_a_resolver_that_the_user_wants_on_all_hosts_stays(mine: str | None) -> None:
    resolver = mine or "/run/systemd/resolve/resolv.conf"
    extras = Extras(kubelet={"resolvConf": resolver})
    wanted = Wanted(tuple(init_documents(PLAN, replace(MASTER, cluster_name="home", extras=extras))))
    standing = StandingHost()
    standing.files[CONFIGURATION] = wanted.text
    standing.objects[f"{SYSTEM}/configmaps/kubelet-config"] = {"data": {"kubelet": KUBELET_CONFIG}}
    standing.ensure(wanted=wanted)
    assert standing.changes == []


def test_a_file_that_is_cut_short_goes_before_it_is_made_again() -> None:
    standing = StandingHost()
    standing.files["/etc/kubernetes/admin.conf"] = "apiVersion: v1\n"
    assert "was incomplete" in standing.ensure().repaired[0]
    assert standing.files["/etc/kubernetes/admin.conf"] == whole(".conf")


def test_a_kubelet_that_is_stopped_or_disabled_is_started() -> None:
    standing = StandingHost()
    standing.unit.update(ActiveState="inactive", UnitFileState="disabled")
    assert standing.ensure().repaired == ["kubelet: ActiveState inactive, UnitFileState disabled; enabled and started"]
    assert standing.changes == ["systemctl enable --now kubelet"]


def test_a_kubelet_that_is_just_starting_is_given_its_time() -> None:
    standing = StandingHost()
    standing.unit.update(ActiveState="inactive", Job="7")
    host = replace(standing.host(), sleep=lambda seconds: standing.unit.update(ActiveState="active", Job=""))
    outcome = ensure(Request(WANTED, (), timeout=20, check=False), host)
    assert (outcome.changed, standing.changes) == (False, [])


@pytest.mark.parametrize(
    ("spec", "schedulable", "change"),
    [
        ({}, False, "mark-control-plane"),
        (NODE["spec"], True, "taint node masternode node-role.kubernetes.io/control-plane-"),
        ({}, True, None),
    ],
)
def test_the_taint_is_as_wanted(spec: dict[str, Any], schedulable: bool, change: str | None) -> None:
    standing = StandingHost()
    standing.objects["/api/v1/nodes/masternode"] = {**NODE, "spec": spec}
    wanted = Wanted(tuple(init_documents(PLAN, replace(MASTER, cluster_name="home", schedulable=schedulable))))
    standing.files[CONFIGURATION] = wanted.text
    standing.ensure(wanted=wanted)
    assert standing.changes == ([change] if change else [])


def test_a_setting_that_is_new_is_written_down_and_shown() -> None:
    standing = StandingHost()
    wanted = Wanted(tuple(init_documents(PLAN, replace(MASTER, cluster_name="home", ignore_preflight_errors=["Swap"]))))
    outcome = standing.ensure(wanted=wanted)
    assert (outcome.before, outcome.after) == (WANTED.text, wanted.text)
    assert standing.files[CONFIGURATION] == wanted.text
    assert "rewritten" in outcome.repaired[0]


PLAIN = Wanted(tuple(init_documents(PLAN, replace(MASTER, cluster_name="home", kubelet_certificates=False))))
APISERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
VERIFIES = "apiVersion: v1\n- --kubelet-certificate-authority=/etc/kubernetes/pki/ca.crt\n"


@pytest.mark.parametrize("existing", [PLAIN, WANTED])
def test_what_a_restore_writes_again_verifies_kubelets_only_if_it_did_before(existing: Wanted) -> None:
    standing = StandingHost()
    standing.files[CONFIGURATION] = existing.text
    lose(standing, APISERVER, f"{SYSTEM}/configmaps/kubelet-config")
    outcome = ensure(Request(WANTED, (), timeout=20, unverified=PLAIN), standing.host())
    assert standing.changes == ["control-plane apiserver", "upload-config kubelet"]
    assert standing.files[CONFIGURATION] == existing.text
    assert not any("rewritten" in line for line in outcome.repaired)


@pytest.mark.parametrize(("manifest", "before", "after"), [("apiVersion: v1\n", WANTED, PLAIN), (VERIFIES, PLAIN, WANTED)])
def test_the_running_api_server_decides_whether_the_configuration_verifies_kubelets(manifest: str, before: Wanted, after: Wanted) -> None:
    standing = StandingHost()
    standing.files.update({CONFIGURATION: before.text, APISERVER: manifest})
    outcome = ensure(Request(WANTED, (), timeout=20, unverified=PLAIN), standing.host())
    assert (outcome.after, standing.files[CONFIGURATION]) == (after.text, after.text)


def test_a_manifest_that_is_cut_short_decides_nothing() -> None:
    found = [verifies_kubelets(Files({APISERVER: "apiVersion: v1\nspec", CONFIGURATION: one.text})) for one in (PLAIN, WANTED)]
    assert found == [False, True]


def test_an_existing_cluster_that_does_not_verify_kubelets_is_warned_of() -> None:
    standing = StandingHost()
    standing.files[CONFIGURATION] = PLAIN.text
    text = json.dumps(PLAIN.cluster)
    standing.objects[f"{SYSTEM}/configmaps/kubeadm-config"] = {"data": {"ClusterConfiguration": text}}
    answer = standing.answer
    standing.answer = lambda argv, stdin: (0, stdin, "") if "annotate" in argv else answer(argv, stdin)  # type: ignore[method-assign]
    outcome = ensure(Request(WANTED, (), timeout=20, unverified=PLAIN), standing.host())
    assert (outcome.changed, [finding.rule for finding in outcome.findings]) == (False, ["kubelets_are_verified"])


MOVED = Wanted(tuple(init_documents({**PLAN, "pod_cidr": "10.245.0.0/16"}, replace(MASTER, cluster_name="home"))))


def test_another_plan_changes_nothing_and_repairs_nothing() -> None:
    standing = StandingHost()
    outcome = standing.ensure(wanted=MOVED)
    assert (outcome.changed, standing.files[CONFIGURATION]) == (False, WANTED.text)
    lose(standing, "/etc/kubernetes/manifests/kube-apiserver.yaml")
    with pytest.raises(Refusal, match=r"podSubnet 10\.244\.0\.0/16, now 10\.245\.0\.0/16"):
        standing.ensure(wanted=MOVED)
    assert standing.changes == []


@pytest.mark.parametrize("lost", ["/etc/kubernetes/pki/sa.key", "/etc/kubernetes/pki/ca.crt", "/var/lib/etcd/member/snap/db"])
def test_a_loss_for_good_is_refused_and_nothing_is_made(lost: str) -> None:
    standing = StandingHost()
    lose(standing, lost, "/etc/kubernetes/admin.conf")
    with pytest.raises(Refusal, match="Restore them from a backup"):
        standing.ensure()
    assert standing.changes == []


@pytest.mark.parametrize("others", [{"peers": ("192.168.4.64", "192.168.4.65")}, {"joins": True}])
def test_one_of_several_that_lost_something_for_good_is_to_join_again(others: dict[str, Any]) -> None:
    """restore.yml rejects several control plane hosts."""
    standing = StandingHost()
    lose(standing, "/etc/kubernetes/pki/ca.crt")
    with pytest.raises(Refusal) as refusal:
        ensure(Request(WANTED, (), timeout=20, **others), standing.host())
    assert "Run `reset.yml --limit masternode`, then site.yml: the host joins" in refusal.value.next_step
    assert "with restore.yml" not in refusal.value.next_step
    assert standing.changes == []


def test_half_a_restore_is_refused_and_nothing_is_made() -> None:
    standing = StandingHost()
    standing.files["/etc/kubernetes/vmstation-restore.json"] = "{}"
    with pytest.raises(Refusal, match="an incomplete restore"):
        standing.ensure()
    assert standing.changes == []


def test_service_ranges_are_made_once() -> None:
    standing = StandingHost()
    assert standing.ensure(check=True, cidrs=("10.233.0.0/24",)).service_cidrs == ["10.233.0.0/24"]
    assert standing.changes == []
    assert standing.ensure(cidrs=("10.233.0.0/24",)).changed
    assert not standing.ensure(cidrs=("10.233.0.0/24",)).changed
    assert standing.changes == ["create vmstation-10-233-0-0-24"]


def test_an_api_server_without_service_ranges_is_named() -> None:
    standing = StandingHost()
    lose(standing, "/apis/networking.k8s.io/v1/servicecidrs")
    with pytest.raises(Refusal, match=r"Use Kubernetes 1\.33 or newer"):
        standing.ensure(cidrs=("10.233.0.0/24",))


def test_an_api_server_that_does_not_answer_is_waited_for_within_bounds() -> None:
    standing = StandingHost()
    standing.ready = "connection refused"
    with pytest.raises(Stuck, match=r"not ready after 20 s: connection refused[\s\S]*The host reports:\n- kubelet: active"):
        standing.ensure()
    assert standing.clock < 30


@pytest.mark.parametrize(("period", "days", "is_renewed"), [("", 31, False), ("", 29, True), ("240h0m0s", 4, False), ("240h0m0s", 2, True)])
def test_a_certificate_is_renewed_in_its_last_month_or_third(period: str, days: int, is_renewed: bool) -> None:
    standing = StandingHost()
    standing.days = days
    cluster = {**WANTED.cluster, **({"certificateValidityPeriod": period} if period else {})}
    wanted = replace(WANTED, documents=tuple(cluster if one["kind"] == "ClusterConfiguration" else one for one in WANTED.documents))
    standing.files["/etc/kubernetes/vmstation-kubeadm.yaml"] = wanted.text
    outcome = standing.ensure(check=True, wanted=wanted)
    assert [line for line in outcome.repaired if "kubeadm certs renew apiserver" in line] == outcome.repaired
    assert (bool(outcome.repaired), outcome.changed) == (is_renewed, is_renewed)
    assert standing.changes == []


def test_a_certificate_that_was_just_renewed_is_not_renewed_again() -> None:
    request = Request(WANTED, (), timeout=20, certificate_days=400, check=False)
    assert not ensure(request, StandingHost().host()).changed


KUBELET_CERTIFICATE = "/var/lib/kubelet/pki/kubelet-client-current.pem"
AFTER_ITS_END = datetime(2036, 11, 27, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize("check", [True, False])
def test_an_expired_certificate_of_the_kubelet_is_issued_again(check: bool) -> None:
    standing = StandingHost()
    standing.files[KUBELET_CERTIFICATE] = PEM
    host = replace(standing.host(), unix_time=lambda: AFTER_ITS_END)
    outcome = ensure(Request(WANTED, (), timeout=20, check=check), host)
    assert "expired on 2036-11-26T18:33:59Z" in outcome.repaired[0]
    assert (KUBELET_CERTIFICATE in standing.files) is check
    assert standing.changes == ([] if check else ["kubeconfig kubelet", "systemctl restart kubelet"])


def test_without_the_key_of_the_ca_the_kubelets_credentials_stay() -> None:
    standing = StandingHost()
    standing.files[KUBELET_CERTIFICATE] = PEM
    lose(standing, "/etc/kubernetes/pki/ca.key")
    before = Files(standing.files)
    with pytest.raises(Refusal, match=r"Issue one from your CA, with CN system:node:masternode and O system:nodes"):
        ensure(Request(WANTED, (), timeout=20, check=False), replace(standing.host(), unix_time=lambda: AFTER_ITS_END))
    assert (standing.changes, standing.files) == ([], before)


def test_check_mode_waits_for_nothing() -> None:
    standing, waited = StandingHost(), list[float]()
    standing.ready = "connection refused"
    outcome = ensure(Request(WANTED, (), timeout=20, check=True), replace(standing.host(), sleep=waited.append))
    assert not outcome.changed
    assert [finding.found for finding in outcome.findings] == ["not ready: connection refused"]
    assert waited == []
