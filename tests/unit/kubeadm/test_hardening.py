# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A hardened control plane: its settings, its key, which is made once and never lost, and one warning for a cluster that is not."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import place_of, with_own_mode
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import Member
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import Extras, init_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import drift
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.hardening import AUDIT_LOGS, in_one
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import Wanted, initialise
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.reset import DIRECTORIES, PATHS
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import (
    AUDIT_POLICY,
    CA_KEY,
    ENCRYPTION,
    SUPER_ADMIN_CONF,
    lost,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.kubeadm.node_files import KUBECONFIG, PEM, Files
from tests.unit.kubeadm.test_configuration import MASTER, PLAN, at, documents
from tests.unit.kubeadm.test_init import WANTED, Kubeadm
from tests.unit.kubeadm.test_repair import SYSTEM, StandingHost, lose

APISERVER = "/etc/kubernetes/manifests/kube-apiserver.yaml"
SOFT = Wanted(tuple(init_documents(PLAN, replace(MASTER, cluster_name="home", hardened=False))))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("ClusterConfiguration.apiServer.extraArgs.audit-policy-file", AUDIT_POLICY),
        ("ClusterConfiguration.apiServer.extraArgs.audit-log-maxsize", "50"),
        ("ClusterConfiguration.apiServer.extraArgs.encryption-provider-config", ENCRYPTION),
        *(
            (f"ClusterConfiguration.{component}.extraArgs.profiling", "false")
            for component in ("apiServer", "controllerManager", "scheduler")
        ),
        ("KubeletConfiguration.podPidsLimit", 4096),
        ("KubeletConfiguration.seccompDefault", True),
    ],
)
def test_a_new_cluster_is_hardened_and_one_variable_turns_it_off(path: str, value: object) -> None:
    assert at(path, documents()) == value
    with pytest.raises(KeyError):
        at(path, documents(host=replace(MASTER, hardened=False)))


def test_volumes_of_ones_own_follow_that_of_the_audit_log() -> None:
    own = {"name": "own", "hostPath": "/srv/own", "mountPath": "/srv/own"}
    (logs, second) = documents(host=replace(MASTER, extras=Extras(apiserver_volumes=[own])))["ClusterConfiguration"]["apiServer"][
        "extraVolumes"
    ]
    assert (logs["hostPath"], second) == ("/var/log/kubernetes/audit", own)
    assert "extraVolumes" not in documents(host=replace(MASTER, hardened=False))["ClusterConfiguration"]["apiServer"]


def test_init_makes_a_key_before_kubeadm_runs_and_keeps_the_one_that_is_there() -> None:
    files = Files()
    seen: list[str] = []
    initialise(WANTED, Kubeadm(files, does=lambda: seen.append(files[ENCRYPTION])).host(), 600)
    (provider, identity) = json.loads(seen[0])["resources"][0]["providers"]
    (key,) = provider["secretbox"]["keys"]
    assert (len(base64.b64decode(key["secret"])), identity) == (32, {"identity": {}})
    assert json.loads(files[AUDIT_POLICY])["rules"][-1] == {"level": "Metadata"}
    initialise(WANTED, Kubeadm(files).host(), 600)
    assert files[ENCRYPTION] == seen[0]
    other = Files()
    initialise(WANTED, Kubeadm(other).host(), 600)
    assert other[ENCRYPTION] != seen[0]


@pytest.mark.parametrize(
    ("wanted", "ca_key", "kept"), [(WANTED, True, False), (SOFT, True, True), (WANTED, False, True)], ids=["hardened", "not", "external CA"]
)
def test_a_new_cluster_does_not_keep_the_kubeconfig_that_bypasses_rbac(wanted: Wanted, ca_key: bool, kept: bool) -> None:
    files = Files()
    made = {SUPER_ADMIN_CONF: KUBECONFIG, **({CA_KEY: PEM} if ca_key else {})}
    initialise(wanted, Kubeadm(files, does=lambda: files.write(made)).host(), 600)
    assert (SUPER_ADMIN_CONF in files) is kept


def test_a_failed_init_keeps_it_for_the_next_run() -> None:
    files = Files()
    kubeadm = Kubeadm(files, 1, "error", does=lambda: files.write({SUPER_ADMIN_CONF: KUBECONFIG, CA_KEY: PEM}))
    with pytest.raises(Refusal):
        initialise(WANTED, kubeadm.host(), 600)
    assert SUPER_ADMIN_CONF in files


def test_an_existing_cluster_keeps_it_and_gets_a_warning() -> None:
    standing = StandingHost()
    standing.files[SUPER_ADMIN_CONF] = KUBECONFIG
    outcome = standing.ensure()
    (warning,) = [one for one in outcome.findings if one.rule == "no_kubeconfig_bypasses_rbac"]
    assert (warning.severity, warning.subject, outcome.changed) == ("warning", SUPER_ADMIN_CONF, False)
    assert "kubeadm init phase kubeconfig super-admin" in warning.fix
    assert SUPER_ADMIN_CONF in standing.files
    lose(standing, SUPER_ADMIN_CONF)
    assert not [one for one in standing.ensure().findings if one.rule == "no_kubeconfig_bypasses_rbac"]


def test_without_hardening_there_is_no_file_for_it() -> None:
    files = Files()
    initialise(SOFT, Kubeadm(files).host(), 600)
    assert not {AUDIT_POLICY, ENCRYPTION} & set(files)


def test_a_key_in_use_that_is_gone_is_a_loss_and_is_not_made_anew() -> None:
    standing = StandingHost()
    standing.files[APISERVER] += f"- --encryption-provider-config={ENCRYPTION}\n"
    assert not standing.ensure().changed
    lose(standing, ENCRYPTION)
    with pytest.raises(Refusal, match=rf"{ENCRYPTION} missing or incomplete; .*Restore them from a backup"):
        standing.ensure()
    assert ENCRYPTION not in standing.files
    assert lost(standing.files) == [ENCRYPTION]


def test_an_upgrade_keeps_the_key_that_a_repaired_or_restored_api_server_uses() -> None:
    standing = StandingHost()
    standing.files[APISERVER] += f"- --encryption-provider-config={ENCRYPTION}\n"
    standing.objects[f"{SYSTEM}/configmaps/kubeadm-config"] = {"data": {"ClusterConfiguration": "apiServer: {}\n"}}
    check = standing.ensure(check=True)
    assert standing.changes == []
    outcome = standing.ensure()
    assert standing.changes == ["upload-config kubeadm"]
    assert outcome.changed and check.changed and outcome.repaired == check.repaired
    standing.objects[f"{SYSTEM}/configmaps/kubeadm-config"] = {"data": {"ClusterConfiguration": f"value: {ENCRYPTION}\n"}}
    assert not standing.ensure().changed


def test_the_files_of_a_cluster_that_is_not_hardened_are_written_for_later() -> None:
    standing = StandingHost()
    lose(standing, ENCRYPTION, AUDIT_POLICY)
    check = standing.ensure(check=True)
    assert ENCRYPTION not in standing.files
    assert (
        standing.ensure().repaired
        == check.repaired
        == [f"{path}: was missing; written for the API server" for path in (AUDIT_POLICY, ENCRYPTION)]
    )
    assert not standing.ensure().changed


@pytest.mark.parametrize("manifest", [f"- --encryption-provider-config={ENCRYPTION}\n", None])
def test_hardening_is_not_turned_off_while_secrets_are_encrypted(manifest: str | None) -> None:
    standing = StandingHost()
    standing.files.write({APISERVER: manifest})
    with pytest.raises(Refusal, match="Set `control_plane_hardened: true`"):
        standing.ensure(wanted=SOFT)
    assert standing.changes == []


def test_a_cluster_that_never_used_the_key_can_stay_as_it_is() -> None:
    standing = StandingHost()
    standing.files["/etc/kubernetes/vmstation-kubeadm.yaml"] = SOFT.text
    assert not standing.ensure(wanted=SOFT).changed


def test_a_cluster_that_is_not_hardened_gets_one_warning() -> None:
    found = [
        *drift(WANTED.cluster, SOFT.cluster, "ConfigMap kube-system/kubeadm-config"),
        *drift(WANTED.documents[2], {**SOFT.documents[2], "clusterDomain": "home"}, "ConfigMap kube-system/kubelet-config"),
    ]
    (domain, warning) = in_one(found)
    assert domain.subject.endswith("KubeletConfiguration.clusterDomain")
    assert (warning.severity, warning.rule) == ("warning", "the_control_plane_is_hardened")
    assert "ClusterConfiguration.apiServer.extraVolumes" in warning.found
    assert "KubeletConfiguration.seccompDefault" in warning.found
    assert "control_plane_hardened: false" in warning.fix
    assert in_one(drift(WANTED.cluster, WANTED.cluster, "here")) == []


def test_a_reset_removes_the_audit_log_and_the_directory_made_for_it() -> None:
    assert AUDIT_LOGS in PATHS
    assert AUDIT_LOGS.rpartition("/")[0] in DIRECTORIES


def test_a_backup_has_the_key_and_a_restore_gives_it_to_root_alone() -> None:
    assert place_of(ENCRYPTION, ()) == "/etc/kubernetes/pki"
    assert with_own_mode(Member("", ENCRYPTION, "file", 0o644, 1000, 1000)).mode == 0o600
