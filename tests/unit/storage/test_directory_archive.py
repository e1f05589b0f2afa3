# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of a directory: their names, what stays, and that none is there by half."""

from __future__ import annotations

import hashlib
import os
import pwd
import resource
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalArchives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archiving import Order, archive, file_name, no_longer_kept, order

ORDER = Order("/data/config", "/data/backups", "jellyfin", "10.11.10", 2)
OPTIONS = {
    "source": "/data/config/",
    "destination": "/data/backups",
    "name": "jellyfin",
    "label": "10.11.10",
    "keep": 2,
    "owner": None,
    "maximum_size": None,
    "timeout": 3600,
}


def archive_of(time: str, label: str = "10.11.9") -> str:
    return f"jellyfin-{label}-{time}.tar.gz"


OLD, OLDER, NEW = archive_of("20260901T000000Z"), archive_of("20260101T000000Z", "10.11.10-rc1"), archive_of("20261001T000000Z")
STRANGERS = ["notes.txt", "jellyfin-mine.tar.gz", "other-1-20200101T000000Z.tar.gz", "other-1-20200101T000000Z.tar.gz.unfinished"]


@pytest.mark.parametrize(
    ("files", "gone"),
    [
        ([NEW], []),
        ([OLD, NEW], []),
        ([OLD, OLDER, NEW], [OLDER]),
        ([OLD, OLDER], [OLDER]),
        ([OLDER, *STRANGERS, NEW], []),
        ([f"{OLDER}.unfinished", OLD], [f"{OLDER}.unfinished"]),
        ([], []),
    ],
)
def test_the_newest_stay(files: list[str], gone: list[str]) -> None:
    assert no_longer_kept(ORDER, files, NEW) == gone


def test_one_that_stays_alone() -> None:
    assert no_longer_kept(Order("/a", "/b", "jellyfin", "1", 1), [OLD, OLDER, NEW], NEW) == [OLDER, OLD]


def test_options_are_read() -> None:
    assert order(OPTIONS) == ORDER
    assert file_name(ORDER, "20261124T101500Z") == "jellyfin-10.11.10-20261124T101500Z.tar.gz"


@pytest.mark.parametrize(
    ("label", "written"), [("my/image:1 b", "my_image_1_b"), ("../..", "unlabelled"), ("", "unlabelled"), ("v1-rc.2", "v1-rc.2")]
)
def test_a_label_becomes_a_part_of_a_file_name(label: str, written: str) -> None:
    assert order({**OPTIONS, "label": label}).label == written


@pytest.mark.parametrize(
    ("options", "subject"),
    [
        ({"source": "config"}, "source"),
        ({"destination": "backups"}, "destination"),
        ({"destination": "/data/config/backups"}, "destination"),
        ({"destination": "/data/config"}, "destination"),
        ({"name": "a-b"}, "name"),
        ({"name": "../x"}, "name"),
        ({"keep": 0}, "keep"),
        ({"timeout": 0}, "timeout"),
        ({"maximum_size": "much"}, "maximum_size"),
    ],
)
def test_options_that_cannot_be_followed_are_refused_by_name(options: dict[str, object], subject: str) -> None:
    with pytest.raises(Refusal) as caught:
        order({**OPTIONS, **options})
    assert caught.value.subject == subject


@pytest.fixture
def wanted(tmp_path: Path) -> Order:
    (tmp_path / "config" / "data").mkdir(parents=True)
    (tmp_path / "config" / "data" / "jellyfin.db").write_text("users")
    (tmp_path / "config" / "data" / "jellyfin.db").chmod(0o640)
    (tmp_path / "config" / "link").symlink_to("data/jellyfin.db")
    (tmp_path / "backups").mkdir()
    return Order(f"{tmp_path}/config", f"{tmp_path}/backups", "jellyfin", "10.11.10", 2)


def test_an_archive_holds_everything_for_its_owner_alone(wanted: Order, tmp_path: Path) -> None:
    done = archive(wanted, LocalArchives(), check_mode=False)
    assert os.listdir(wanted.destination) == [os.path.basename(done.path)]
    assert os.stat(done.path).st_mode & 0o777 == 0o600
    assert done.size == os.path.getsize(done.path)
    with tarfile.open(done.path) as opened:
        opened.extractall(tmp_path / "restored", filter="tar")
    restored = tmp_path / "restored" / "config"
    assert (restored / "link").read_text() == "users"
    assert (restored / "data" / "jellyfin.db").stat().st_mode & 0o777 == 0o640


def test_the_oldest_goes_only_after_the_new_one_stands(wanted: Order) -> None:
    for name in (OLD, OLDER):
        Path(wanted.destination, name).write_text("")
    done = archive(wanted, LocalArchives(), check_mode=False)
    assert done.removed == (f"{wanted.destination}/{OLDER}",)
    assert sorted(os.listdir(wanted.destination)) == sorted([OLD, os.path.basename(done.path)])


def test_check_mode_tells_and_writes_nothing(wanted: Order) -> None:
    for name in (OLD, OLDER):
        Path(wanted.destination, name).write_text("")
    done = archive(wanted, LocalArchives(), check_mode=True)
    assert (done.removed, done.size) == ((f"{wanted.destination}/{OLDER}",), 0)
    assert sorted(os.listdir(wanted.destination)) == sorted([OLD, OLDER])


@pytest.fixture
def no_room() -> Iterator[None]:
    """No file may grow beyond 64 KiB: it fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("no_room")
def test_an_archive_that_fails_leaves_nothing_and_removes_nothing(wanted: Order) -> None:
    for name in (OLD, OLDER):
        Path(wanted.destination, name).write_text("")
    for number in range(4):
        Path(wanted.source, f"picture-{number}").write_bytes(os.urandom(60 * 1024))
    with pytest.raises(Refusal, match="file too large") as caught:
        archive(wanted, LocalArchives(), check_mode=False)
    assert wanted.destination in caught.value.next_step
    assert sorted(os.listdir(wanted.destination)) == sorted([OLD, OLDER])


class Small(LocalArchives):
    """Archives on a file system with as good as no room."""

    def free(self, directory: str) -> int:
        return 4


@pytest.mark.parametrize(
    ("archives", "limits", "message"),
    [
        (LocalArchives(), {"largest": 6}, "found 2 KiB; required: 6 B at most"),
        (Small(), {}, "found 4 B free; required: 2 KiB for an archive of"),
        (LocalArchives(), {"timeout": 0}, "found not complete after 0 s"),
        (LocalArchives(), {"owner": "nobody-of-this-name"}, "found no user nobody-of-this-name on this host"),
    ],
)
def test_what_would_be_too_much_is_told_and_leaves_nothing(
    wanted: Order, archives: LocalArchives, limits: dict[str, object], message: str
) -> None:
    Path(wanted.source, "picture").write_bytes(os.urandom(2048))
    with pytest.raises(Refusal) as caught:
        archive(replace(wanted, **limits), archives, check_mode=False)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert os.listdir(wanted.destination) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_whoever_fetches_it_may_read_it(wanted: Order) -> None:
    done = archive(replace(wanted, owner="nobody"), LocalArchives(), check_mode=False)
    assert (os.stat(done.path).st_uid, os.stat(done.path).st_mode & 0o777) == (pwd.getpwnam("nobody").pw_uid, 0o600)
    assert done.sha256 == hashlib.sha256(Path(done.path).read_bytes()).hexdigest()


@pytest.mark.parametrize("missing", ["config", "backups"])
def test_directories_that_are_not_there_are_named(wanted: Order, tmp_path: Path, missing: str) -> None:
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    with pytest.raises(Refusal, match=f"no directory {tmp_path}/{missing}"):
        archive(wanted, LocalArchives(), check_mode=False)
