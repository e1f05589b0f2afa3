# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the answers of the hosts and the cluster to one file."""

from __future__ import annotations

import json
import os
import tarfile
from dataclasses import asdict
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis import host
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.archive import (
    CLUSTER,
    HOST,
    Order,
    archive,
    archive_name,
    contents,
    entries_of,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import MIB, Entry
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalArchives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.lab.cache import CHECKOUT

ROUTES = Entry("hosts/homelab/network/routes.txt", "complete", "ip route show", "default via 192.168.4.1\n")
GONE = Entry("hosts/storage", "failed", "host storage", note="no route to host")
SLEEPS = Entry("hosts/homelab", "asleep", "host homelab", note="asleep")


def test_what_the_plays_registered_is_collected() -> None:
    hostvars = {
        "masternode": {
            "diagnosis_cluster": {"entries": [asdict(Entry("pods.txt", "complete"))]},
            "diagnosis_host": {"msg": "sudo said\npassword: x"},
        },
        "homelab": {"diagnosis_host": {"entries": [asdict(Entry("network/routes.txt", "complete"))]}},
        "storage": {},
        "media": {"diagnosis_host": {"unreachable": True, "msg": "no route to host"}},
    }
    entries = entries_of(hostvars, ["masternode", "homelab", "storage", "media"], {"storage"}, {"ansible-core": "2.19.14"})
    assert [(entry["name"], entry["status"], entry.get("note", "")) for entry in entries] == [
        ("controller/versions.txt", "complete", ""),
        ("cluster/pods.txt", "complete", ""),
        ("hosts/masternode", "failed", "sudo said password: <redacted>"),
        ("hosts/homelab/network/routes.txt", "complete", ""),
        ("hosts/storage", "asleep", "asleep"),
        ("hosts/media", "failed", "no route to host"),
    ]


def test_the_playbook_registers_what_is_collected() -> None:
    playbook = (CHECKOUT / "playbooks" / "diagnose.yml").read_text()
    for variable in (CLUSTER, HOST):
        assert f"register: {variable}\n" in playbook


def test_without_a_cluster_that_was_asked_it_is_missing() -> None:
    entries = entries_of({"a": {"diagnosis_cluster": {"failed": True, "msg": "kubeconfig x: found no file"}}}, ["a"], (), {})
    assert [(entry["name"], entry["note"]) for entry in entries[1:]] == [
        ("cluster", "kubeconfig x: found no file"), ("hosts/a", "it was not asked")
    ]  # fmt: skip


def test_hostvars_must_be_the_hostvars() -> None:
    with pytest.raises(Refusal, match="the variable hostvars"):
        entries_of([], [], (), {})


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("a//b/./c", "a/b/c"),
        ("host\n1/a b", "host_1/a_b"),
        ("..", "unnamed"),
        ("index.txt", "index.txt.2"),
    ],
)
def test_names_stay_within_the_archive(name: str, written: str) -> None:
    assert written in contents([Entry(name, "complete", text="x\n")], {}, "heading", MIB).files


def test_two_of_one_name_are_both_kept() -> None:
    held = contents([Entry("a.txt", "complete", text="1\n"), Entry("a.txt", "complete", text="2\n")], {}, "heading", MIB)
    assert (held.files["a.txt"], held.files["a.txt.2"]) == ("1\n", "2\n")


def test_the_index_says_what_is_missing_first() -> None:
    absent = Entry("hosts/homelab/firewall/ufw.txt", "absent", "ufw status", note="no such program ufw on this host")
    index = contents([ROUTES, absent, GONE, SLEEPS], {}, "vmstation", MIB).files["index.txt"]
    assert index.index("asleep") < index.index("no route to host") < index.index("ip route show") < index.index("no such program ufw")
    rows = json.loads(contents([ROUTES, GONE], {}, "vmstation", MIB).files["index.json"])["entries"]
    assert [(row["name"], row["status"], row["size"]) for row in rows] == [(ROUTES.name, "complete", 24), (GONE.name, "failed", 0)]


def test_documents_of_the_controller_lose_their_secrets() -> None:
    held = contents([], {"hosts": {"hosts": [{"name": "a", "ansible_become_password": "hunter2"}]}}, "heading", MIB)
    assert '"name": "a"' in held.files["controller/hosts.json"]
    assert "hunter2" not in held.files["controller/hosts.json"]


@pytest.mark.parametrize(
    ("cluster", "name"), [("vmstation", "vmstation-diagnosis-T"), ("../my home", "my_home-diagnosis-T"), ("", "cluster-diagnosis-T")]
)
def test_the_archive_is_named_after_the_cluster(cluster: str, name: str) -> None:
    assert archive_name(cluster, "T") == name


def test_one_file_for_its_owner_alone(tmp_path: Path) -> None:
    done = archive(Order([ROUTES, GONE, SLEEPS], {"plan": {"a": 1}}, "vmstation", str(tmp_path), MIB), LocalArchives(), check_mode=False)
    assert [str(path) for path in tmp_path.iterdir()] == [done.path]
    assert os.stat(done.path).st_mode & 0o777 == 0o600
    assert done.size == os.path.getsize(done.path)
    with tarfile.open(done.path) as opened:
        top = os.path.basename(done.path).partition(".")[0]
        assert sorted(opened.getnames()) == sorted(
            f"{top}/{name}" for name in ("index.txt", "index.json", ROUTES.name, "controller/plan.json")
        )
        assert opened.extractfile(f"{top}/{ROUTES.name}").read() == ROUTES.text.encode()
    assert done.lines[0].startswith(f"{done.path}: ")
    assert done.lines[1:] == ["missing: hosts/homelab: asleep", "missing: hosts/storage: no route to host"]


def test_what_is_missing_for_one_reason_is_said_once() -> None:
    silent = [Entry(f"cluster/{name}.yaml", "failed", note="connection refused") for name in ("nodes", "pods", "services")]
    others = [Entry(f"hosts/{name}/network/rules.txt", "failed", note="did not end within 15 s") for name in ("a", "b")]
    held = contents([*others, *silent, Entry("cluster/version.yaml", "failed", note="slow"), GONE], {}, "heading", MIB)
    assert [str(one) for one in held.missing] == [
        "cluster/version.yaml: slow",
        "hosts/storage: no route to host",
        "cluster/nodes.yaml and 2 more: connection refused",
        "hosts/a/network/rules.txt: did not end within 15 s",
        "hosts/b/network/rules.txt: did not end within 15 s",
    ]


def test_it_is_bounded_whatever_it_is_given(tmp_path: Path) -> None:
    many = [Entry(f"a{number}", "complete", text="line\n" * 10_000) for number in range(10)]
    held = contents(many, {}, "heading", 100_000)
    assert sum(entry.size for entry in held.entries) <= 100_000
    assert {entry.status for entry in held.entries} == {"cut"}


def test_check_mode_writes_nothing(tmp_path: Path) -> None:
    done = archive(Order([ROUTES], {}, "vmstation", str(tmp_path), MIB), LocalArchives(), check_mode=True)
    assert (list(tmp_path.iterdir()), done.size) == ([], 0)
    assert done.path.startswith(f"{tmp_path}/vmstation-diagnosis-")


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=f"no directory {tmp_path}/x"):
        archive(Order([ROUTES], {}, "vmstation", f"{tmp_path}/x", MIB), LocalArchives(), check_mode=False)


def test_the_collection_knows_its_release(tmp_path: Path) -> None:
    assert host.version(CHECKOUT).endswith(" (checkout)")
    (tmp_path / "MANIFEST.json").write_text('{"collection_info": {"version": "1.2.3"}}')
    assert host.version(tmp_path) == "1.2.3"
