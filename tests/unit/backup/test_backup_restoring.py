# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore on its host: what is refused before anything is touched, what stands afterwards, and that a kill anywhere loses nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import Wish, restore
from ansible_collections.vmstation.cluster.plugins.module_utils._etcd.etcd import bump
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, Mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import COMPONENTS, MANIFESTS, PKI, RESTORING
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.backup.control_planes import BACKED_UP, NOW, Killed, Memory, backup, control_plane

ARCHIVE = "/var/lib/vmstation/restore/backup.tar.gz"
WISH = Wish(ARCHIVE, "trial", "master", ("192.168.4.63",), keep=3, force=False, socket="/run/containerd.sock")
DB = "/var/lib/etcd/member/snap/db"
ASIDE = "/var/lib/etcd/vmstation-before-20261125T234300Z"


def a_host(tree: dict[str, str]) -> Memory:
    host = Memory(tree)
    host.archives[ARCHIVE] = backup()
    host.time = NOW + 600
    return host


HOSTS = {
    "as it was": control_plane("new"),
    "wiped": {"/etc/vmstation/grafana": "new"},
    "fresh": {},
    "without etcd's data": {path: text for path, text in control_plane("new").items() if path != DB},
    "of another authority": {**control_plane("new"), f"{PKI}/extra.crt": "new", "/etc/kubernetes/bootstrap-kubelet.conf": "new"},
}


def assert_restored(host: Memory) -> None:
    wanted = control_plane("old")
    assert {path: host.tree.get(path) for path in BACKED_UP} == {path: wanted[path] for path in BACKED_UP}
    assert host.tree[DB] == "restored snapshot of old"
    assert [path for path in host.below(PKI) if path not in BACKED_UP] == []
    # kubeadm makes these anew, of the authority that was restored
    gone = ["/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/pki/kubelet-client-current.pem", RESTORING]
    gone += [f"{MANIFESTS}/{name}.yaml" for name in COMPONENTS]
    assert [path for path in gone if host.exists(path)] == []
    assert not host.exists("/var/lib/etcd/vmstation-restoring")
    assert host.running == [] or not host.argvs


@pytest.mark.parametrize("case", HOSTS)
def test_whatever_is_left_the_backup_stands_and_the_former_state_is_aside(case: str) -> None:
    host = a_host(HOSTS[case])
    outcome = restore(WISH, host.host(), host, check_mode=False)
    assert_restored(host)
    assert host.running == []
    assert outcome.aside == ("" if case == "fresh" else ASIDE)
    if DB in HOSTS[case]:
        assert host.tree[f"{ASIDE}/member/snap/db"] == "new"
    former = {path: text for path, text in HOSTS[case].items() if path.startswith(("/etc/kubernetes", "/etc/vmstation"))}
    assert {path: host.tree.get(f"{ASIDE}/files{path}") for path in former} == former


def test_check_mode_looks_and_touches_nothing() -> None:
    host = a_host(control_plane("new"))
    restore(WISH, host.host(), host, check_mode=True)
    assert host.tree == control_plane("new")
    assert not [argv for argv in host.argvs if argv[0] in ("ctr", "systemctl")]


def _mark(mark: Mark) -> Callable[[Memory], None]:
    return lambda host: host.tree.update({MARKER: mark.as_text()})


def _archive(**changed: object) -> Callable[[Memory], None]:
    return lambda host: host.archives.update({ARCHIVE: backup(**changed)})  # type: ignore[arg-type]


UNFIT: dict[str, tuple[Callable[[Memory], object], str]] = {
    "a backup of another cluster": (_archive(cluster="other"), "a backup of the cluster other; required: one of trial"),
    "a backup of another host": (_archive(host="slave"), "slave with 192.168.4.63"),
    "a backup of another address": (_archive(address="10.0.0.1"), "master with 10.0.0.1"),
    "a backup without its mark": (_archive(members=backup()[0].members[:5]), "everything that a control plane cannot be recreated without"),
    "a newer kubeadm": (lambda host: host.answers.update({"kubeadm version": "v1.37.0"}), "kubeadm: found version v1.37.0"),
    "an older kubelet": (lambda host: host.answers.update({"kubelet --version": "Kubernetes v1.35.9"}), "kubelet: found version v1.35.9"),
    "a host of another cluster": (_mark(Mark("other", "control_plane", "m", True)), "a control plane of the cluster other"),
    "a worker": (_mark(Mark("trial", "worker", "m", True)), "a worker of the cluster trial"),
    "a cluster that is not ours": (lambda host: host.tree.pop(MARKER), "left by another cluster"),
    "no room": (lambda host: setattr(host, "room", 1 << 20), "found 1 MiB free"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_does_not_fit_is_refused_before_anything_is_touched(case: str) -> None:
    host = a_host(control_plane("new"))
    UNFIT[case][0](host)
    before = dict(host.tree)
    with pytest.raises(Refusal) as caught:
        restore(WISH, host.host(), host, check_mode=False)
    assert UNFIT[case][1] in str(caught.value)
    assert host.tree == before
    assert len(host.running) == len(COMPONENTS)


def test_another_etcd_is_refused_while_the_old_one_runs() -> None:
    host = a_host(control_plane("new"))
    host.answers["config images list"] = "registry.k8s.io/etcd:3.7.1-0"
    with pytest.raises(Refusal, match=r"etcd 3.7.1; required: etcd 3.6"):
        restore(WISH, host.host(), host, check_mode=False)
    assert (host.tree[DB], len(host.running)) == ("new", len(COMPONENTS))


def test_force_puts_aside_what_is_not_ours() -> None:
    host = a_host(control_plane("new"))
    del host.tree[MARKER]
    assert restore(replace(WISH, force=True), host.host(), host, check_mode=False).aside == ASIDE
    assert_restored(host)


def test_killed_anywhere_nothing_is_lost_and_the_next_run_restores() -> None:
    whole = a_host(control_plane("new"))
    restore(WISH, whole.host(), whole, check_mode=False)
    assert whole.steps > 60
    for killed_at in range(1, whole.steps + 1):
        host = a_host(control_plane("new"))
        host.killed_at = killed_at
        with pytest.raises(Killed):
            restore(WISH, host.host(), host, check_mode=False)
        assert "new" in [text for path, text in host.tree.items() if path.endswith("member/snap/db")], killed_at
        host.killed_at, host.time = 0, host.time + 60
        restore(WISH, host.host(), host, check_mode=False)
        assert_restored(host)
        assert "new" in [text for path, text in host.tree.items() if path.endswith("member/snap/db")], killed_at


def test_the_file_that_tells_of_half_a_restore_is_there_while_there_is_one() -> None:
    whole = a_host(control_plane("new"))
    restore(WISH, whole.host(), whole, check_mode=False)
    mixed = 0
    for killed_at in range(1, whole.steps + 1):
        host = a_host(control_plane("new"))
        host.killed_at = killed_at
        with pytest.raises(Killed):
            restore(WISH, host.host(), host, check_mode=False)
        states = {text for path, text in host.tree.items() if path in (*BACKED_UP, DB) and path != MARKER}
        if len({"old" in text for text in states}) > 1 or DB not in host.tree:
            mixed += 1
            assert RESTORING in host.tree, killed_at
    assert mixed > 5


def test_of_former_states_the_newest_are_kept() -> None:
    host = a_host(control_plane("new"))
    for day in ("01", "02", "03"):
        host.tree[f"/var/lib/etcd/vmstation-before-202611{day}T000000Z/member/snap/db"] = day
    outcome = restore(WISH, host.host(), host, check_mode=False)
    assert list(outcome.removed) == ["/var/lib/etcd/vmstation-before-20261101T000000Z"]
    assert f"{ASIDE}/member/snap/db" in host.tree


def test_expired_certificates_are_renewed_with_kubeadm() -> None:
    host = a_host(control_plane("new"))
    names = {"apiserver": -1, "admin.conf": -90000, "scheduler.conf": 90000}
    entries = [{"name": name, "expirationDate": "x", "residualTime": seconds} for name, seconds in names.items()]
    host.answers["check-expiration"] = json.dumps(
        {"certificates": entries, "certificateAuthorities": [{"name": "ca", "expirationDate": "x", "residualTime": -1}]}
    )
    assert restore(WISH, host.host(), host, check_mode=False).renewed == ["apiserver", "admin.conf"]
    assert [argv[3] for argv in host.argvs if argv[:3] == ["kubeadm", "certs", "renew"]] == ["apiserver", "admin.conf"]


def test_an_image_that_is_missing_is_pulled() -> None:
    host = a_host({})
    host.answers["images list --quiet"] = "registry.k8s.io/pause:3.10\n"
    restore(WISH, host.host(), host, check_mode=False)
    assert [argv[:4] for argv in host.argvs if "pull" in argv] == [["kubeadm", "config", "images", "pull"]]


def test_the_revision_is_ahead_of_all_that_clients_have_seen_and_of_an_earlier_restore() -> None:
    host = a_host(control_plane("new"))
    restore(WISH, host.host(), host, check_mode=False)
    argv = next(argv for argv in host.argvs if "--mark-compacted" in argv)
    assert f"--bump-revision={1_000_000_000 + 600_000}" in argv
    assert "--initial-cluster=master=https://192.168.4.63:2380" in argv
    assert bump(NOW, NOW + 1) > bump(NOW, NOW) == bump(NOW, NOW - 99) == 1_000_000_000
