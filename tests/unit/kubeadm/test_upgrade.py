# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When kubeadm upgrades a host, what it is with_diagnosis, and what is refused."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import Mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import Stuck
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import NodeHost
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.upgrade import (
    LOG,
    Outcome,
    Request,
    ensure,
    read_request,
    with_diagnosis,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.fakes import AnsweringHost
from tests.unit.kubeadm.node_files import Files, control_plane
from tests.unit.kubeadm.test_init import QUIET, STANDS, marked

OLD, NEW = "v1.36.3", "v1.36.4"
COMPONENTS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
PARTS = (*COMPONENTS, "kubeadm-config", "kube-proxy")
MANIFESTS = "/etc/kubernetes/manifests"
CONTROL_PLANE = Request("control_plane", "home", NEW, "192.168.4.63")
WORKER = Request("worker", "home", NEW)


def manifest(component: str, release: str) -> str:
    return f"apiVersion: v1\nspec:\n  containers:\n    image: registry.k8s.io/{component}:{release}\n"


class UpgradedHost(AnsweringHost):
    """A host whose kubeadm upgrades what has another release, up to a part where it is to fail."""

    def __init__(self, *, worker: bool = False, **releases: str) -> None:
        self.releases = {part: releases.get(part.replace("-", "_"), OLD) for part in PARTS}
        self.kubelet, self.kubeadm = releases.get("kubelet", OLD), releases.get("kubeadm", NEW)
        if worker:
            self.files = marked(Files({"/etc/kubernetes/kubelet.conf": "x"}), Mark("home", "worker", "homelab", installed=True))
        else:
            self.files = marked(control_plane(), STANDS)
            self._write_manifests()
        self.fails_before = ""
        self.ran: list[str] = []
        self.ready_after = 0.0
        self.clock = 0.0

    def _write_manifests(self) -> None:
        self.files.write({f"{MANIFESTS}/{name}.yaml": manifest(name, self.releases[name]) for name in COMPONENTS})

    def has(self, program: str) -> bool:
        return program != "crictl"

    def answer(self, argv: list[str], _stdin: str) -> tuple[int, str, str]:
        if argv[:2] == ["kubeadm", "version"]:
            return 0, self.kubeadm, ""
        if argv[:2] == ["kubelet", "--version"]:
            return 0, f"Kubernetes {self.kubelet}\n", ""
        if argv[:2] == ["kubeadm", "upgrade"]:
            self.ran.append(" ".join(argv))
            return self._upgrade()
        if argv[:3] == ["kubeadm", "init", "phase"]:
            self.ran.append(" ".join(argv[:5]))
            self._write_manifests()
            return 0, "", ""
        if argv[0] == "kubectl":
            return self._api(argv[-1])
        return 0, "", ""

    def _upgrade(self) -> tuple[int, str, str]:
        for part in PARTS:
            if part == self.fails_before:
                return 1, "", "error: it was cut short\n"
            self.releases[part] = NEW
            if MANIFESTS + "/etcd.yaml" in self.files:
                self._write_manifests()
        return 0, "", ""

    def _api(self, words: str) -> tuple[int, str, str]:
        path = words.removeprefix("--raw=")
        if path == "/readyz":
            return (0, "ok", "") if self.clock >= self.ready_after else (1, "", "connection refused")
        if path.endswith("kubeadm-config"):
            return 0, json.dumps({"data": {"ClusterConfiguration": f"a: b\nkubernetesVersion: {self.releases['kubeadm-config']}\n"}}), ""
        image = f"registry.k8s.io/kube-proxy:{self.releases['kube-proxy']}"
        return 0, json.dumps({"spec": {"template": {"spec": {"containers": [{"image": image}]}}}}), ""

    def host(self) -> NodeHost:
        return NodeHost(
            commands=self,
            files=self.files,
            write=self.files.write,
            look=lambda: QUIET,
            lock=lambda _wait: nullcontext(),
            detached=lambda work: work(),
            now=lambda: self.clock,
            sleep=self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.clock += seconds


APPLY = (
    "kubeadm upgrade apply v1.36.4 --yes --certificate-renewal=true --skip-phases=addon/coredns "
    "--ignore-preflight-errors=CoreDNSMigration,CoreDNSUnsupportedPlugins"
)


def test_a_control_plane_is_upgraded_once() -> None:
    host = UpgradedHost()
    assert ensure(CONTROL_PLANE, host.host()) == Outcome(True, dict.fromkeys(PARTS, OLD), dict.fromkeys(PARTS, NEW))
    assert host.ran == [APPLY]
    assert not ensure(CONTROL_PLANE, host.host()).changed
    assert host.ran == [APPLY]


@pytest.mark.parametrize("part", PARTS)
def test_an_upgrade_that_was_cut_short_anywhere_is_taken_up(part: str) -> None:
    host = UpgradedHost()
    host.fails_before = part
    with pytest.raises(Refusal, match="it was cut short"):
        ensure(CONTROL_PLANE, host.host())
    host.fails_before = ""
    assert ensure(CONTROL_PLANE, host.host()).after == dict.fromkeys(PARTS, NEW)
    assert host.ran == [APPLY] * 2


def test_a_manifest_that_was_taken_away_and_not_replaced_is_made_first() -> None:
    host = UpgradedHost()
    del host.files[f"{MANIFESTS}/kube-scheduler.yaml"]
    assert ensure(CONTROL_PLANE, host.host()).changed
    assert host.ran == ["kubeadm init phase control-plane scheduler", APPLY]


def test_an_api_server_that_is_starting_is_waited_for() -> None:
    host = UpgradedHost()
    host.ready_after = 42.0
    assert ensure(CONTROL_PLANE, host.host()).changed
    host = UpgradedHost()
    host.ready_after = 9999.0
    with pytest.raises(Stuck, match="not ready after 900 s: connection refused"):
        ensure(CONTROL_PLANE, host.host())
    assert host.ran == []


def test_a_part_that_kubeadm_leaves_behind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    host = UpgradedHost()
    monkeypatch.setattr(host, "_upgrade", lambda: (0, "", ""))
    with pytest.raises(Refusal, match=r"still kube-apiserver v1\.36\.3"):
        ensure(CONTROL_PLANE, host.host())


def test_a_worker_is_upgraded_until_its_kubelet_is() -> None:
    host = UpgradedHost(worker=True)
    request = replace(WORKER, ignore=("SystemVerification",))
    assert ensure(request, host.host()).changed
    assert ensure(request, host.host()).changed
    host.kubelet = NEW
    assert not ensure(request, host.host()).changed
    assert host.ran == ["kubeadm upgrade node --ignore-preflight-errors=SystemVerification"] * 2


@pytest.mark.parametrize("request_", [CONTROL_PLANE, WORKER], ids=["control plane", "worker"])
def test_check_mode_predicts_and_runs_nothing(request_: Request) -> None:
    host = UpgradedHost(worker=request_ is WORKER, kubeadm=OLD)
    outcome = ensure(replace(request_, check=True), host.host())
    assert (outcome.changed, set(outcome.before.values()), outcome.after) == (True, {OLD}, {})
    assert host.ran == []
    upgraded = UpgradedHost(worker=request_ is WORKER, kubelet=NEW, **{part.replace("-", "_"): NEW for part in PARTS})
    assert not ensure(replace(request_, check=True), upgraded.host()).changed


def test_kubeadm_of_another_release_is_refused() -> None:
    host = UpgradedHost(kubeadm=OLD)
    with pytest.raises(Refusal, match=r"kubeadm: found version v1\.36\.3"):
        ensure(CONTROL_PLANE, host.host())
    assert host.ran == []


@pytest.mark.parametrize("request_", [CONTROL_PLANE, WORKER], ids=["control plane", "worker"])
def test_a_host_of_another_cluster_is_refused(request_: Request) -> None:
    host = UpgradedHost(worker=request_ is WORKER)
    with pytest.raises(Refusal, match=r"of other \(foreign\)"):
        ensure(replace(request_, cluster="other"), host.host())
    assert host.ran == []


def test_what_kubeadm_said_goes_with_its_refusal() -> None:
    host = UpgradedHost()
    host.fails_before = "kube-proxy"
    with pytest.raises(Refusal) as caught:
        ensure(CONTROL_PLANE, host.host())
    refusal = with_diagnosis(caught.value, host.host())
    assert isinstance(refusal, Stuck)
    assert refusal.details["kubeadm_output"] == ["error: it was cut short"]
    assert LOG in str(refusal)
    other = Refusal("this host", "x", "y", "z")
    assert with_diagnosis(other, host.host()) is other


OPTIONS: dict[str, Any] = {
    "role": "control_plane",
    "cluster_name": "home",
    "release": "1.36.4",
    "address": "192.168.4.63",
    "ignore_preflight_errors": [],
    "timeout": 900,
}


def test_options_are_read() -> None:
    assert read_request(OPTIONS, check=False) == CONTROL_PLANE


@pytest.mark.parametrize("change", [{"release": "1.36"}, {"address": ""}])
def test_options_of_no_sense_are_refused(change: dict[str, str]) -> None:
    with pytest.raises(Refusal):
        read_request({**OPTIONS, **change}, check=False)
