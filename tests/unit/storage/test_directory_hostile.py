# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hostile archives of a directory: refused before anything is written, and nothing outside of the directory is touched."""

from __future__ import annotations

import os
import tarfile
import tracemalloc
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalArchives, LocalDirectories
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archiving import Order, Wish, archive, restore

from tests.unit.storage.hostile import CASES, Entry, below, write_archive, write_bomb


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim"
    path.mkdir(0o700)
    (path / "secret").write_text("secret")
    (path / "secret").chmod(0o600)
    return path


def standing(victim: Path) -> list[tuple[int, int, int, float]]:
    return [(one.st_mode, one.st_uid, one.st_nlink, one.st_mtime) for one in (victim.stat(), (victim / "secret").stat())]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("check_mode", [True, False])
def test_what_leads_elsewhere_is_refused_and_nothing_is_written(tmp_path: Path, victim: Path, case: str, check_mode: bool) -> None:
    entries, said = below("config", victim)[case]
    hostile = write_archive(tmp_path / "a.tar.gz", entries)
    (tmp_path / "host").mkdir()
    before = standing(victim)
    with pytest.raises(Refusal) as caught:
        restore(Wish(hostile, "", f"{tmp_path}/host/config", replace=False, keep=1), LocalDirectories(), check_mode=check_mode)
    assert said in str(caught.value)
    assert (os.listdir(tmp_path / "host"), standing(victim)) == ([], before)


@pytest.mark.parametrize("case", [case for case in CASES if case not in ("setuid", "setgid")])
def test_taking_out_alone_follows_no_link_either(tmp_path: Path, victim: Path, case: str) -> None:
    entries, _said = below("config", victim)[case]
    before = standing(victim)
    with pytest.raises(Refusal):
        LocalDirectories().unpack_directory(write_archive(tmp_path / "a.tar.gz", entries), f"{tmp_path}/out")
    assert standing(victim) == before


def test_a_top_that_is_a_link_is_refused(tmp_path: Path, victim: Path) -> None:
    hostile = write_archive(tmp_path / "a.tar.gz", [Entry("config", tarfile.SYMTYPE, to=str(victim)), Entry("config/x")])
    with pytest.raises(Refusal):
        restore(Wish(hostile, "", f"{tmp_path}/config", replace=False, keep=1), LocalDirectories(), check_mode=False)
    assert not (victim / "x").exists()
    assert not (tmp_path / "config").exists()


def test_a_header_of_any_length_takes_little_memory(tmp_path: Path) -> None:
    hostile = write_bomb(tmp_path / "a.tar.gz", 64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(Refusal, match="a header of 67108864 bytes"):
            LocalDirectories().unpacked_size(hostile)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_what_is_archived_here_has_nothing_that_would_be_refused(tmp_path: Path) -> None:
    source = tmp_path / "config"
    source.mkdir(0o2750)
    source.chmod(0o2750)
    (source / "program").write_text("")
    (source / "program").chmod(0o6755)
    done = archive(Order(str(source), str(tmp_path), "a", "1", 1), LocalArchives(), check_mode=False)
    restore(Wish(done.path, done.sha256, f"{tmp_path}/back", replace=False, keep=1), LocalDirectories(), check_mode=False)
    # a directory hands its group on, which gives nobody anything
    assert ((tmp_path / "back").stat().st_mode & 0o7777, (tmp_path / "back" / "program").stat().st_mode & 0o7777) == (0o2750, 0o755)
