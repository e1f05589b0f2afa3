# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories put back from their archives: whole or not at all, and what was there stays or is kept aside."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import sha256_of
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalArchives, LocalDirectories
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archiving import Order, Wish, archive, read_wish, restore

NOW = 1795649580.0
STAMP = "20261125T233300Z"


class Still(LocalDirectories):
    """This host's directories at a time that stands still. room: free bytes; killed_at: the step that does not come to pass."""

    def __init__(self, room: int = 1 << 30, killed_at: int = 0) -> None:
        self.room, self.killed_at, self.steps = room, killed_at, 0

    def now(self) -> float:
        return NOW

    def free(self, path: str) -> int:
        return self.room

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self.killed_at:
            raise KeyboardInterrupt

    def remove(self, path: str) -> None:
        self._step()
        super().remove(path)

    def rename(self, old: str, new: str) -> None:
        self._step()
        super().rename(old, new)

    def unpack_directory(self, archive: str, into: str) -> None:
        super().unpack_directory(archive, into)
        self._step()


@pytest.fixture
def wish(tmp_path: Path) -> Wish:
    """A wish for a directory that is not there, of which there is an archive."""
    config = tmp_path / "host" / "config"
    (config / "data").mkdir(parents=True)
    (config / "data" / "jellyfin.db").write_text("users")
    (config / "data" / "jellyfin.db").chmod(0o640)
    os.utime(config / "data" / "jellyfin.db", (1, 1))
    os.link(config / "data" / "jellyfin.db", config / "hard")
    (config / "soft").symlink_to("/nowhere")
    (config / "data").chmod(0o550)
    (tmp_path / "archives").mkdir()
    done = archive(Order(str(config), f"{tmp_path}/archives", "jellyfin", "1", 1), LocalArchives(), check_mode=False)
    (config / "data").chmod(0o750)
    config.rename(tmp_path / "host" / "elsewhere")
    return Wish(done.path, done.sha256, str(config), replace=False, keep=2)


def users(path: str) -> str:
    return Path(path, "data", "jellyfin.db").read_text()


def test_it_comes_back_as_it_was(wish: Wish) -> None:
    assert restore(wish, Still(), check_mode=False).changed
    config = Path(wish.destination)
    status = (config / "data" / "jellyfin.db").stat()
    assert (users(wish.destination), status.st_mode & 0o777, status.st_mtime) == ("users", 0o640, 1)
    assert (config / "data").stat().st_mode & 0o777 == 0o550
    assert os.path.samefile(config / "hard", config / "data" / "jellyfin.db")
    assert os.readlink(config / "soft") == "/nowhere"
    assert sorted(os.listdir(config.parent)) == ["config", "elsewhere"]


@pytest.mark.parametrize("is_there", [False, True])
def test_an_empty_directory_is_none(wish: Wish, is_there: bool) -> None:
    if is_there:
        os.mkdir(wish.destination)
    assert restore(wish, Still(), check_mode=False).aside == ""
    assert users(wish.destination) == "users"


def newer(wish: Wish) -> Wish:
    """The wish, where somebody has written to the directory since."""
    Path(wish.destination, "data").mkdir(parents=True)
    Path(wish.destination, "data", "jellyfin.db").write_text("newer")
    return Wish(wish.archive, wish.sha256, wish.destination, replace=True, keep=2)


def test_what_is_there_stays_unless_it_is_to_be_replaced_and_then_it_is_aside(wish: Wish) -> None:
    replacing = newer(wish)
    assert not restore(wish, Still(), check_mode=False).changed
    assert users(wish.destination) == "newer"
    for day in ("01", "02"):
        os.mkdir(f"{wish.destination}.before-202611{day}T000000Z")
    predicted = restore(replacing, Still(), check_mode=True)
    assert users(wish.destination) == "newer"
    outcome = restore(replacing, Still(), check_mode=False)
    assert outcome == predicted
    assert (users(wish.destination), users(outcome.aside)) == ("users", "newer")
    assert outcome.aside == f"{wish.destination}.before-{STAMP}"
    assert outcome.removed == (f"{wish.destination}.before-20261101T000000Z",)
    assert not os.path.exists(outcome.removed[0])


def test_killed_anywhere_it_is_there_whole_or_not_at_all_and_nothing_is_lost(wish: Wish) -> None:
    replacing = newer(wish)
    parent = Path(wish.destination).parent
    for killed_at in range(1, 8):
        with pytest.raises(KeyboardInterrupt):
            restore(replacing, Still(killed_at=killed_at), check_mode=False)
        there = users(wish.destination) if os.path.exists(wish.destination) else None
        kept = [users(str(path)) for path in parent.iterdir() if path.name.startswith("config.before-")]
        assert there in ("newer", "users", None)
        assert "newer" in [there, *kept], killed_at
        if kept:
            break
    assert kept
    restore(wish, Still(), check_mode=False)
    assert users(wish.destination) == "users"
    assert not os.path.exists(f"{wish.destination}.vmstation-restoring")


def _cut(wish: Wish) -> Wish:
    path = Path(wish.archive)
    path.write_bytes(path.read_bytes()[:-9])
    return Wish(wish.archive, sha256_of(wish.archive), wish.destination, wish.replace, wish.keep)


def _leading_out(wish: Wish) -> Wish:
    with tarfile.open(wish.archive, "w:gz") as opened:
        for name in ("config", "config/../../outside"):
            member = tarfile.TarInfo(name)
            member.type = tarfile.DIRTYPE if name == "config" else tarfile.REGTYPE
            opened.addfile(member)
    return Wish(wish.archive, "", wish.destination, wish.replace, wish.keep)


def _through_a_link(wish: Wish) -> Wish:
    with tarfile.open(wish.archive, "w:gz") as opened:
        root, link, through = tarfile.TarInfo("config"), tarfile.TarInfo("config/link"), tarfile.TarInfo("config/link/outside")
        root.type, link.type, link.linkname = tarfile.DIRTYPE, tarfile.SYMTYPE, "/tmp"
        for member in (root, link, through):
            opened.addfile(member)
    return Wish(wish.archive, "", wish.destination, wish.replace, wish.keep)


def _linked(wish: Wish) -> Wish:
    os.symlink("elsewhere", wish.destination)
    return Wish(wish.archive, wish.sha256, wish.destination, replace=True, keep=1)


UNFIT: dict[str, tuple[Callable[[Wish], Wish], str]] = {
    "no archive": (lambda wish: Wish("/nowhere", "", wish.destination, False, 1), "no file /nowhere"),
    "another checksum": (lambda wish: Wish(wish.archive, "0" * 64, wish.destination, False, 1), f"required: {'0' * 64}"),
    "cut short": (_cut, "truncated or damaged"),
    "a name that leads out": (_leading_out, "a member config/../../outside"),
    "a name through a link": (_through_a_link, "a member config/link/outside"),
    "a link in its place": (_linked, "a mount point or a link"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_put_back_is_told_and_nothing_is_left(wish: Wish, case: str) -> None:
    change, message = UNFIT[case]
    unfit = change(wish)
    before = sorted(os.listdir(os.path.dirname(wish.destination)))
    with pytest.raises(Refusal) as caught:
        restore(unfit, Still(), check_mode=False)
    assert message in str(caught.value)
    assert sorted(os.listdir(os.path.dirname(wish.destination))) == before


def test_little_room_is_told_before_anything_is_written(wish: Wish) -> None:
    with pytest.raises(Refusal, match=r"found 2 B free; required: 5 B beside what is there"):
        restore(wish, Still(room=2), check_mode=False)


@pytest.mark.parametrize(
    ("options", "subject"), [({"destination": "config"}, "destination"), ({"destination": "/"}, "destination"), ({"keep": 0}, "keep")]
)
def test_options_that_cannot_be_followed_are_refused_by_name(options: dict[str, object], subject: str) -> None:
    good = {"archive": "/a.tar.gz", "sha256": "", "destination": "/data/config/", "existing": "keep", "keep": 3}
    assert read_wish(good) == Wish("/a.tar.gz", "", "/data/config", replace=False, keep=3)
    with pytest.raises(Refusal) as caught:
        read_wish({**good, **options})
    assert caught.value.subject == subject
