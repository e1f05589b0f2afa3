# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup on its host: what is in it, what is refused, and what is left when it fails."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import Order, make, order
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Part, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import Contents
from ansible_collections.vmstation.cluster.plugins.module_utils._host.mark import MARKER, Mark
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.state import ENCRYPTION, PKI, RESTORING
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.backup.control_planes import IMAGE, NAME, Killed, Memory, control_plane

DIRECTORY = "/var/lib/vmstation/backup"
ORDER = Order("trial", ("/etc/vmstation", "/etc/nothing"), DIRECTORY, "ansible", "/run/containerd.sock")


@pytest.fixture
def host() -> Memory:
    return Memory(control_plane("old"))


def test_a_backup_has_what_cannot_be_made_again_and_what_was_asked_for(host: Memory) -> None:
    outcome = make(ORDER, host.host(), host, check_mode=False)
    names = {member.name for member in outcome.manifest.members}
    assert {"etcd.db", f"files{PKI}/etcd/ca.key", f"files{PKI}/sa.key", f"files{MARKER}", "files/etc/vmstation/grafana"} <= names
    assert not [name for name in names if "manifests" in name or "kubelet.conf" in name or "kubelet-client" in name]
    told = outcome.as_result()
    assert (told["path"], told["sha256"], told["backup"]["absent"]) == (f"{DIRECTORY}/{NAME}", "sum", ["/etc/nothing"])
    versions = (told["backup"]["kubernetes"], told["backup"]["etcd"], told["backup"]["snapshot"])
    assert versions == ("1.36.2", "3.6.8", {"hash": 7, "revision": 41, "keys": 900})


@pytest.mark.parametrize("in_use", [True, False])
def test_a_key_for_secrets_is_in_the_backup_if_the_api_server_uses_it(host: Memory, in_use: bool) -> None:
    host.tree[ENCRYPTION] = "key"
    if in_use:
        host.tree["/etc/kubernetes/manifests/kube-apiserver.yaml"] += f"    - --encryption-provider-config={ENCRYPTION}\n"
    members = make(ORDER, host.host(), host, check_mode=False).manifest.members
    assert (ENCRYPTION in {member.path for member in members}) is in_use


def test_nothing_but_the_archive_is_left(host: Memory) -> None:
    for left in (f"{NAME}.unfinished", "trial-20261101T000000Z.tar.gz", "stage/etcd.db", "notes.txt"):
        host.tree[f"{DIRECTORY}/{left}"] = "left"
    make(ORDER, host.host(), host, check_mode=False)
    assert host.entries(DIRECTORY) == ("notes.txt", NAME)
    assert host.tree[f"{DIRECTORY}/{NAME}"].startswith("manifest.json etcd.db files/")


def test_check_mode_runs_nothing(host: Memory) -> None:
    before = dict(host.tree)
    assert make(ORDER, host.host(), host, check_mode=True).path == f"{DIRECTORY}/{NAME}"
    assert (host.tree, host.argvs) == (before, [])


def test_etcds_own_programs_run_in_a_container(host: Memory) -> None:
    make(ORDER, host.host(), host, check_mode=False)
    save = next(line for line in map(" ".join, host.argvs) if "snapshot save" in line)
    assert f"run --rm --net-host --mount type=bind,src={DIRECTORY}/stage,dst={DIRECTORY}/stage,options=rbind:rw" in save
    assert re.search(rf"{IMAGE} vmstation-etcd-[0-9a-f]{{8}} /usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379", save)


def test_containers_and_tasks_of_killed_runs_are_removed_and_no_others(host: Memory) -> None:
    host.answers = {
        "containers list --quiet": "vmstation-etcd-1\netcd\nvmstation-etcd-2\n",
        "tasks list --quiet": "vmstation-etcd-2\netcd\nvmstation-etcd-3\n",
    }
    make(ORDER, host.host(), host, check_mode=False)
    lines = [line.partition("k8s.io ")[2] for line in map(" ".join, host.argvs)]
    assert lines[2] == f"containers create {IMAGE} vmstation-etcd-3"
    steps = ("tasks kill --all --signal SIGKILL", "tasks delete --force", "containers delete")
    assert lines[3:12] == [f"{step} vmstation-etcd-{number}" for number in (1, 2, 3) for step in steps]
    assert "snapshot save" in lines[12]


def test_a_program_of_the_host_is_taken_first(host: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "has", lambda _program: True)
    make(ORDER, host.host(), host, check_mode=False)
    assert {argv[0] for argv in host.argvs} == {"etcdctl", "etcdutl"}


def _drop(path: str) -> Callable[[Memory], None]:
    return lambda host: host.tree.pop(path) and None


def _put(path: str, text: str) -> Callable[[Memory], None]:
    return lambda host: host.tree.update({path: text})


UNFIT = {
    "no mark": (_drop(MARKER), "no complete control plane of vmstation.cluster"),
    "a worker": (_put(MARKER, Mark("trial", "worker", "w", installed=True).as_text()), "no complete control plane of vmstation.cluster"),
    "an init that was killed": (_put(MARKER, Mark("trial", "control_plane", "m").as_text()), "no complete control plane"),
    "another cluster": (_put(MARKER, Mark("other", "control_plane", "m", installed=True).as_text()), "the control plane of other"),
    "a lost key": (_drop(f"{PKI}/sa.key"), "/etc/kubernetes/pki/sa.key missing or incomplete"),
    "half a restore": (_put(RESTORING, "{}"), "an incomplete restore"),
    "no etcd": (_drop("/etc/kubernetes/manifests/etcd.yaml"), "/etc/kubernetes/manifests/etcd.yaml: found not there"),
    "no room": (lambda host: setattr(host, "room", 1 << 20), "found 1 MiB free"),
    "a damaged snapshot": (_put("/var/lib/etcd/member/snap/db", "x"), "a checksum that is not its own"),
    "an empty snapshot": (lambda host: host.answers.update({"snapshot status": '{"hash":1,"revision":1,"totalKey":0}'}), "no keys in it"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_restored_is_no_backup(host: Memory, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    damage, message = UNFIT[case]
    damage(host)
    if case == "a damaged snapshot":
        monkeypatch.setattr(host, "ends_with_its_checksum", lambda _path: False)
    with pytest.raises(Refusal, match=message):
        make(ORDER, host.host(), host, check_mode=False)
    assert host.entries(DIRECTORY) == ()


def test_killed_anywhere_there_is_no_half_backup_and_the_next_run_makes_a_whole_one(host: Memory) -> None:
    whole = Memory(control_plane("old"))
    make(ORDER, whole.host(), whole, check_mode=False)
    for killed_at in range(1, whole.steps + 1):
        host = Memory(control_plane("old"))
        host.killed_at = killed_at
        with pytest.raises(Killed):
            make(ORDER, host.host(), host, check_mode=False)
        named = host.tree.get(f"{DIRECTORY}/{NAME}")
        assert named in (None, whole.tree[f"{DIRECTORY}/{NAME}"]), killed_at
        host.killed_at = 0
        make(ORDER, host.host(), host, check_mode=False)
        assert host.tree == whole.tree, killed_at


def test_the_manifest_tells_what_lies_beside_the_backup_and_what_does_not(host: Memory) -> None:
    parts = (Part("jellyfin", "storage", "10.11.11", 7, "sum"), Part("other", "storage", missing="storage is asleep"))
    outcome = make(replace(ORDER, parts=parts), host.host(), host, check_mode=False)
    read = read_manifest(Contents(("manifest.json", outcome.manifest.as_text()), {}), "archive")
    assert read.parts == parts
    assert [one["missing"] for one in outcome.as_result()["backup"]["parts"]] == ["", "storage is asleep"]


def test_a_manifest_of_an_earlier_release_has_no_parts(host: Memory) -> None:
    text = json.loads(make(ORDER, host.host(), host, check_mode=False).manifest.as_text())
    del text["parts"]
    assert read_manifest(Contents(("manifest.json", json.dumps(text)), {}), "archive").parts == ()


BAD = {
    "a part without a checksum": ({"parts": [{"name": "jellyfin", "sha256": "", "missing": ""}]}, "found neither"),
    "a part that is there and missing": ({"parts": [{"name": "jellyfin", "sha256": "a", "missing": "b"}]}, "found both"),
    "a part with a dot": ({"parts": [{"name": "a.b", "sha256": "a", "missing": ""}]}, "parts[0].name: found 'a.b'"),
    "a relative path": ({"paths": ["etc/vmstation"]}, "paths[0]: found 'etc/vmstation'"),
    "etcd's own directory": (
        {"destination": "/var/lib/etcd/backup"},
        "destination: found '/var/lib/etcd/backup'; required: a path that begins with /, outside of /var/lib/etcd",
    ),
    "a name with a slash": ({"cluster_name": "a/b"}, "cluster_name: found 'a/b'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_options_are_refused(case: str) -> None:
    changed, message = BAD[case]
    good = {
        "cluster_name": "trial",
        "paths": [],
        "destination": DIRECTORY,
        "owner": "root",
        "containerd_address": "/run/c.sock",
        "parts": [],
    }
    with pytest.raises(Refusal) as caught:
        order({**good, **changed})
    assert message in str(caught.value)
