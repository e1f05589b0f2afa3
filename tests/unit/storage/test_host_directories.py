# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories that are made where they are missing: one that is there keeps owner and mode, and none is taken from another program."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.io import LocalDirectoryMaker, LocalStorage
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.judge import carry_out, plan, read_wishes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="directories get owners, which takes root")
USER = 472


def steps(*entries: dict[str, object], check_mode: bool = False) -> list[str]:
    whole = [{"mode": "0755", "owner": None, "group": None, "for_owner": False, "owner_variables": [], **entry} for entry in entries]
    planned = plan(read_wishes({"directories": whole}), LocalStorage(10))
    if not check_mode:
        carry_out(planned, LocalDirectoryMaker())
    return [one.step for one in planned]


def data(path: Path) -> dict[str, object]:
    return {"path": str(path), "mode": "0750", "owner": USER, "group": USER, "for_owner": True}


def standing(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def test_what_is_missing_is_made_and_a_second_run_finds_nothing_to_do(tmp_path: Path) -> None:
    wishes = [{"path": f"{tmp_path}/a/b", "mode": "0711"}, data(tmp_path / "a/b/c")]
    assert steps(*wishes, check_mode=True) == ["create", "create"]
    assert not (tmp_path / "a").exists()
    before = os.umask(0o077)
    try:
        assert steps(*wishes) == ["create", "create"]
    finally:
        os.umask(before)
    assert [standing(tmp_path / path) for path in ("a/b", "a/b/c")] == [(0o711, 0, 0), (0o750, USER, USER)]
    assert steps(*wishes) == ["keep", "keep"]


@pytest.mark.parametrize("linked", [False, True])
def test_one_that_is_there_keeps_owner_and_mode(tmp_path: Path, linked: bool) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    etc.chmod(0o1777)
    os.chown(etc, 7, 8)
    if linked:
        (tmp_path / "link").symlink_to(etc)
    assert steps({"path": f"{tmp_path}/{'link' if linked else 'etc'}", "mode": "0700", "owner": 0}) == ["keep"]
    assert standing(etc) == (0o1777, 7, 8)


def _empty(path: Path) -> None:
    path.mkdir()


def _new_file_system(path: Path) -> None:
    (path / "lost+found").mkdir(parents=True)


@pytest.mark.parametrize("make", [_empty, _new_file_system])
def test_an_empty_one_is_given_to_the_program(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "grafana")
    assert steps(data(tmp_path / "grafana"), check_mode=True) == ["claim"]
    assert standing(tmp_path / "grafana")[1] == 0
    assert steps(data(tmp_path / "grafana")) == ["claim"]
    assert standing(tmp_path / "grafana") == (0o750, USER, USER)


def test_the_programs_own_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "grafana").mkdir()
    (tmp_path / "grafana" / "db").write_text("")
    # as the kubelet leaves it for a group of files
    os.chown(tmp_path / "grafana", USER, 999)
    (tmp_path / "grafana").chmod(0o2770)
    assert steps(data(tmp_path / "grafana")) == ["keep"]
    assert standing(tmp_path / "grafana") == (0o2770, USER, 999)


def test_anothers_is_refused_with_all_others_before_one_is_made(tmp_path: Path) -> None:
    (tmp_path / "grafana").mkdir()
    (tmp_path / "grafana" / "mine").write_text("")
    (tmp_path / "file").write_text("")
    with pytest.raises(Refusal) as caught:
        steps(data(tmp_path / "first"), data(tmp_path / "grafana"))
    assert "files in it, and user 0 as its owner; required: a directory that is missing, empty, or owned by user 472" in str(caught.value)
    assert f"that program's: stop it, and run `chown --recursive --no-dereference 472:472 {tmp_path}/grafana`." in str(caught.value)
    with pytest.raises(Refusal, match="that program's: set its_user to 0 and its_group to 0; or stop it, and run `chown"):
        steps({**data(tmp_path / "grafana"), "owner_variables": ["its_user", "its_group"]})
    with pytest.raises(Refusal, match=r"2 directories: found directory .*grafana: .*; directory .*file: not a directory"):
        steps(data(tmp_path / "first"), data(tmp_path / "grafana"), {"path": f"{tmp_path}/file"})
    assert not (tmp_path / "first").exists()
    assert standing(tmp_path / "grafana")[1] == 0


@pytest.mark.parametrize(
    ("entry", "subject"),
    [
        ({"path": "data"}, r"directories\[0\].path"),
        ({"path": "/data", "mode": "u+rwx"}, r"directories\[0\].mode"),
        ({"path": "/data", "mode": "77777"}, r"directories\[0\].mode"),
        ({"path": "/data", "for_owner": True}, r"directories\[0\].owner"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(entry: dict[str, object], subject: str) -> None:
    with pytest.raises(Refusal, match=subject):
        steps(entry, check_mode=True)


def test_a_backup_changes_no_directory_that_it_did_not_make_either(tmp_path: Path) -> None:
    (tmp_path / "srv").mkdir(0o755)
    (tmp_path / "srv").chmod(0o755)
    LocalPacking().make_directory(str(tmp_path / "srv"), 0o711)
    LocalPacking().make_directory(str(tmp_path / "new"), 0o711)
    assert [standing(tmp_path / name)[0] for name in ("srv", "new")] == [0o755, 0o711]
