# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups that somebody else wrote: not chosen, and refused by name before anything is written; and nothing in clear beside an archive."""

from __future__ import annotations

import json
import os
import stat
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import read_wish, restore
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Key
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check, copy, keep
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import Part, read_manifest
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import Contents, LocalPacking, Member
from ansible_collections.vmstation.cluster.plugins.module_utils._host.private import held_directory, new_directory
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.backup.control_planes import CREATED, NAME, Memory, backup, control_plane
from tests.unit.backup.test_backup_archives import GPG, PACKING, needs_gpg, options, pack, passphrase
from tests.unit.backup.test_backup_restoring import ARCHIVE, WISH, a_host
from tests.unit.storage.hostile import CASES, Entry, below, write_archive, write_bomb, write_huge, write_tail

NEWER = "trial-20991231T000000Z.tar.gz"


class Reversed:
    """Encryption that needs no program. seen: the directory of each file in clear, its mode, and what else is beside the archive then."""

    def __init__(self, failing: bool = False) -> None:
        self.seen: list[tuple[Path, int]] = []
        self.failing = failing

    def encrypt(self, source: str, target: str, key: Key) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[::-1])

    def decrypt(self, source: str, target: str, key: Key) -> None:
        Path(target).write_bytes(Path(source).read_bytes()[::-1])
        self.seen.append((Path(target).parent, stat.S_IMODE(Path(target).parent.stat().st_mode)))
        if self.failing:
            raise Refusal("archive", "damaged", "a whole one", "Take another.")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this user's files for a while are."""
    path = tmp_path / "runtime"
    path.mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    return path


@pytest.fixture
def directory(tmp_path: Path, work: Path) -> Path:
    """Backups of which the newest is one that anybody may have written."""
    path = tmp_path / "backups"
    path.mkdir()
    pack(path, *backup())
    keep(options(path, passphrase_file=passphrase(tmp_path)), PACKING, Reversed())
    manifest, texts = backup(created="2099-12-31T00:00:00Z", parts=(Part("jellyfin", "storage", "1", 3, "sum"),))
    pack(path, manifest, texts, NEWER)
    (path / NEWER.replace(".tar", ".jellyfin.tar")).write_text("foe")
    return path


def test_with_a_key_the_newest_that_is_encrypted_is_taken_and_the_other_one_is_named(directory: Path) -> None:
    asked = options(directory, passphrase_file=passphrase(directory.parent))
    seen = check(asked, PACKING, Reversed())
    assert (os.path.basename(seen.path), seen.manifest.created) == (f"{NAME}.gpg", CREATED)
    (finding,) = seen.findings
    assert (finding.severity, finding.subject) == ("warning", f"archive {directory}/{NEWER}")
    told = copy({**asked, "destination": f"{directory.parent}/copy"}, PACKING, Reversed())
    assert told.path == seen.path
    assert not copy({**asked, "part": "jellyfin"}, PACKING, Reversed()).path


@pytest.mark.parametrize("key", [{"passphrase_file": "/key"}, {"recipients": ["me"]}])
@pytest.mark.parametrize("part", [None, "jellyfin"])
def test_with_a_key_one_that_is_not_encrypted_is_refused_by_name_unless_it_is_accepted(
    directory: Path, key: dict[str, object], part: str | None
) -> None:
    asked = options(directory, path=str(directory / NEWER), part=part, destination=f"{directory.parent}/copy", **key)
    for act in (check, copy):
        with pytest.raises(Refusal, match=r"which is not encrypted and may be another user's; .*restore_accept_unencrypted=true"):
            act(asked, PACKING, Reversed())
    assert not Path(f"{directory.parent}/copy").exists()
    assert check({**asked, "accept_unencrypted": True}, PACKING, Reversed()).path == str(directory / NEWER)


@pytest.mark.parametrize("accepted", [False, True])
def test_where_none_is_encrypted_the_switch_alone_takes_none(directory: Path, accepted: bool) -> None:
    (directory / f"{NAME}.gpg").unlink()
    with pytest.raises(Refusal, match=rf"no backup of trial that is encrypted, but others, such as {NEWER}; .*restore_archive={directory}"):
        check(options(directory, recipients=["me"], accept_unencrypted=accepted), PACKING, Reversed())


def test_without_a_key_the_newest_is_taken(directory: Path) -> None:
    assert check(options(directory), PACKING, Reversed()).path == str(directory / NEWER)


def _and(*more: Member) -> dict[str, object]:
    return {"members": (*backup()[0].members, *more)}


def a_file(path: str, name: str = "", **changed: object) -> Member:
    return replace(Member(name or f"files{path}", path, "file", 0o644, 0, 0, 3, "sum"), **changed)  # type: ignore[arg-type]


HOSTILE: dict[str, tuple[dict[str, object], str]] = {
    "a foreign path": (_and(a_file("/etc/cron.d/owned")), "files for /etc/cron.d/owned; required: files for /etc/kubernetes/pki, "),
    "beside a known path": (_and(a_file("/etc/kubernetes/pki-2/x")), "files for /etc/kubernetes/pki-2/x; required"),
    "a static Pod": (_and(a_file("/etc/kubernetes/manifests/x.yaml")), "files for /etc/kubernetes/manifests/x.yaml; required"),
    "another path than its name": (
        _and(a_file("/etc/cron.d/owned", "files/etc/vmstation/x")),
        "files/etc/vmstation/x for /etc/cron.d/owned",
    ),
    "no path": (_and(a_file("", "files/etc/vmstation/x")), "files/etc/vmstation/x for no path"),
    "traversal": (
        _and(a_file("/etc/vmstation/../cron.d/owned")),
        "for /etc/vmstation/../cron.d/owned; required: files and",
    ),
    "a relative path": (_and(a_file("etc/vmstation/x")), "filesetc/vmstation/x for etc/vmstation/x"),
    "two slashes": (_and(a_file("//etc/cron.d/owned")), "for //etc/cron.d/owned"),
    "a NUL": (_and(a_file("/etc/vmstation/\0")), "required: files and the path in full"),
    "setuid": (_and(a_file("/etc/vmstation/x", mode=0o4755)), "/etc/vmstation/x with mode 4755; required: files without setuid and setgid"),
    "setgid": (_and(a_file("/etc/vmstation/x", mode=0o2755)), "/etc/vmstation/x with mode 2755; required: files without setuid and setgid"),
    "a mode that is none": (_and(a_file("/etc/vmstation/x", mode=-1)), "required: files and the path in full"),
    "a device": (_and(a_file("/etc/vmstation/x", kind="other")), "required: files and the path in full"),
    "a name twice": (_and(a_file("/etc/vmstation/grafana", mode=0o666)), "more than once: files/etc/vmstation/grafana"),
}


@pytest.mark.parametrize("case", HOSTILE)
@pytest.mark.parametrize("check_mode", [True, False])
def test_what_goes_elsewhere_is_refused_and_nothing_is_touched(case: str, check_mode: bool) -> None:
    changed, said = HOSTILE[case]
    host = a_host(control_plane("new"))
    host.archives[ARCHIVE] = backup(**changed)
    with pytest.raises(Refusal) as caught:
        restore(WISH, host.host(), host, check_mode=check_mode)
    assert said in str(caught.value)
    assert (host.tree, host.steps) == (control_plane("new"), 0)


def with_an_application() -> Memory:
    host = a_host(control_plane("new"))
    manifest, texts = backup()
    source = Memory({"/srv/app/data/x": "old"})
    texts["files/srv/app/data/x"] = "old"
    member = replace(source.member("/srv/app/data/x", "files/srv/app/data/x"), path="/srv/app/data/x")
    host.archives[ARCHIVE] = (replace(manifest, members=(*manifest.members, member)), texts)
    return host


def test_paths_of_applications_are_those_of_the_restoring_side() -> None:
    host = with_an_application()
    with pytest.raises(Refusal, match=r"files for /srv/app/data/x; .*name them in `backup_paths`"):
        restore(WISH, host.host(), host, check_mode=False)
    restore(replace(WISH, paths=("/srv/app",)), host.host(), host, check_mode=False)
    assert host.tree["/srv/app/data/x"] == "old"


@pytest.mark.parametrize("given", [["srv"], ["/"], ["/srv/../etc"], ["/var/lib/etcd/x"]])
def test_paths_that_are_none_are_refused(given: list[str]) -> None:
    asked = {
        "archive": "/a",
        "cluster_name": "trial",
        "name": "master",
        "addresses": [],
        "keep": 1,
        "force": False,
        "containerd_address": "",
    }
    with pytest.raises(Refusal, match=r"paths\[0\]: found"):
        read_wish({**asked, "paths": given})


@pytest.mark.parametrize("path", ["/srv/app", "/srv/app/data"])
def test_a_link_on_the_host_is_named_before_anything_is_touched(path: str) -> None:
    host = with_an_application()
    host.links.add(path)
    with pytest.raises(Refusal, match=f"{path}: found a link; required: a directory, as in the backup"):
        restore(replace(WISH, paths=("/srv/app",)), host.host(), host, check_mode=False)
    assert host.steps == 0


def test_a_check_before_any_host_is_touched_names_what_goes_elsewhere(tmp_path: Path) -> None:
    manifest, texts = backup()
    (tmp_path / "x").write_text("x")
    foreign = replace(PACKING.member(str(tmp_path / "x"), "files/etc/cron.d/x"), path="/etc/cron.d/x")
    pack(tmp_path, replace(manifest, members=(*manifest.members, foreign)), {**texts, "files/etc/cron.d/x": "x"}, NAME)
    (finding,) = check(options(tmp_path, paths=[]), PACKING, GPG).findings
    assert (finding.severity, finding.found) == ("error", "files for /etc/cron.d/x")
    assert check(options(tmp_path, paths=["/etc/cron.d/x"]), PACKING, GPG).findings == ()
    assert check(options(tmp_path), PACKING, GPG).findings == ()


def test_nothing_is_put_through_a_link_below_its_place(tmp_path: Path) -> None:
    """One that another user makes after the look."""
    victim = tmp_path / "victim"
    victim.mkdir(0o700)
    (tmp_path / "real").mkdir()
    (tmp_path / "srv").symlink_to("real")
    place = f"{tmp_path}/srv/app"
    os.mkdir(place)
    os.symlink(victim, f"{place}/l")
    (tmp_path / "source").write_text("x")
    for member in (Member("", f"{place}/l", "directory", 0o777, 1000, 1000), Member("", f"{place}/l/x", "file", 0o777, 1000, 1000)):
        with pytest.raises(Refusal, match=r"parent directories that are not links"):
            PACKING.place(str(tmp_path / "source"), member, place)
    assert (os.listdir(victim), stat.S_IMODE(victim.stat().st_mode)) == ([], 0o700)
    # what is above may be a link of the owner's
    PACKING.place(str(tmp_path / "source"), Member("", f"{place}/d/x", "file", 0o640, os.getuid(), os.getgid()), place)
    assert stat.S_IMODE((tmp_path / "real/app/d/x").stat().st_mode) == 0o640


@pytest.mark.parametrize("case", CASES)
def test_an_archive_that_leads_elsewhere_is_refused_by_every_reader(tmp_path: Path, case: str) -> None:
    victim = tmp_path / "victim"
    victim.mkdir(0o700)
    (victim / "secret").write_text("secret")
    entries, said = below("files", victim)[case]
    hostile = write_archive(tmp_path / "a.tar.gz", [Entry("manifest.json", data=b"{}"), *entries])
    for read in (PACKING.look, lambda path: PACKING.unpack(path, str(tmp_path / "out"))):
        with pytest.raises(Refusal) as caught:
            read(hostile)
        assert said in str(caught.value)
    assert (stat.S_IMODE(victim.stat().st_mode), os.listdir(victim)) == (0o700, ["secret"])


def _write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return str(path)


MANIFEST = Entry("manifest.json", data=b"{}")
BOMBS: dict[str, tuple[Callable[[Path], str], str]] = {
    "an extended header": (lambda path: write_bomb(path, 64 << 20), "a header of 67108864 bytes"),
    "zeros behind its end": (lambda path: write_tail(path, [MANIFEST], 64 << 20), "more than 1 MiB behind its end"),
    "a file of many bytes": (lambda path: write_huge(path, MANIFEST, 65 << 30), "65 GiB unpacked, or more; required: 64 GiB at most"),
    "a manifest of brackets": (lambda path: write_archive(path, [MANIFEST._replace(data=b"[" * 100_000)]), "no readable manifest"),
    "no archive": (lambda path: _write(path, b"\x1f\x8b" + bytes(100)), "truncated or damaged"),
    "cut short": (lambda path: _write(path, Path(write_archive(path, [MANIFEST])).read_bytes()[:60]), "truncated or damaged"),
}


@pytest.mark.parametrize("case", [*CASES, *BOMBS])
def test_a_hostile_backup_is_refused_by_name_and_nothing_is_written(tmp_path: Path, work: Path, case: str) -> None:
    """What restore.yml does with it: a check, then a copy."""
    victim = tmp_path / "victim"
    victim.mkdir(0o700)
    (victim / "secret").write_text("secret")
    path = tmp_path / "a.tar.gz"
    if case in BOMBS:
        hostile, said = BOMBS[case][0](path), BOMBS[case][1]
    else:
        entries, said = below("files", victim)[case]
        hostile = write_archive(path, [MANIFEST, *entries])
    tracemalloc.start()
    try:
        for act in (check, copy):
            with pytest.raises(Refusal) as caught:
                act(options(tmp_path, path=hostile, destination=f"{tmp_path}/copy"), PACKING, Reversed())
            assert said in str(caught.value)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert (sorted(os.listdir(tmp_path)), os.listdir(work)) == (["a.tar.gz", "runtime", "victim"], [])
    assert (stat.S_IMODE(victim.stat().st_mode), os.listdir(victim)) == (0o700, ["secret"])


def test_nothing_is_taken_out_for_which_there_is_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = os.statvfs_result([4096, 4096, 10, 2, 2, 10, 10, 10, 0, 255])
    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: full)
    hostile = write_archive(tmp_path / "a.tar.gz", [MANIFEST, Entry("files", data=bytes(8192))])
    with pytest.raises(Refusal, match=r"8 KiB unpacked, or more; required: 8 KiB at most"):
        PACKING.unpack(hostile, str(tmp_path / "out"))
    assert os.listdir(tmp_path / "out") == ["manifest.json"]


def _text(**changed: object) -> str:
    return json.dumps({"schema": "vmstation.cluster/backup/1", **asdict(backup()[0]), **changed})


UNREADABLE = {
    "brackets": "[" * 100_000,
    "a list": "[]",
    "members that are none": _text(members=[5]),
    "members that are text": _text(members="abc"),
    "a mode that is text": _text(members=[{**asdict(a_file("/etc/vmstation/x")), "mode": "4755"}]),
    "a path that is a list": _text(members=[{**asdict(a_file("/etc/vmstation/x")), "path": ["/etc"]}]),
    "a truth for a number": _text(members=[{**asdict(a_file("/etc/vmstation/x")), "mode": True}]),
    "absent that is a number": _text(absent=5),
    "a part that is a list": _text(parts=[[]]),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_a_manifest_that_cannot_be_read_is_refused(case: str) -> None:
    with pytest.raises(Refusal, match="no readable manifest"):
        read_manifest(Contents(("manifest.json", UNREADABLE[case]), {}), "archive")


def _keep(directory: Path, encryption: Reversed) -> None:
    source = directory.parent / "fetched"
    pack(directory.parent, *backup(created="2026-11-26T00:00:00Z"), source.name)
    keep(options(directory, source=str(source), passphrase_file="/key"), PACKING, encryption)


def _check(directory: Path, encryption: Reversed) -> None:
    check(options(directory, passphrase_file="/key"), PACKING, encryption)


def _copy(directory: Path, encryption: Reversed) -> None:
    copied = copy(options(directory, passphrase_file="/key"), PACKING, encryption)
    assert Path(copied.destination).read_bytes()
    PACKING.remove(os.path.dirname(copied.destination))


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("act", [_keep, _check, _copy], ids=["keep", "check", "copy"])
def test_what_is_in_clear_is_in_a_private_directory_that_is_removed(
    directory: Path, work: Path, act: Callable[[Path, Reversed], None], failing: bool
) -> None:
    encryption = Reversed(failing)
    try:
        act(directory, encryption)
        assert not failing
    except Refusal:
        assert failing
    assert encryption.seen
    assert {(path.parent, mode) for path, mode in encryption.seen} == {(work, 0o700)}
    assert os.listdir(work) == []


@pytest.mark.parametrize("act", [_check, _copy], ids=["check", "copy"])
def test_what_a_killed_run_left_is_removed_by_the_next_and_what_one_uses_stays(
    directory: Path, work: Path, act: Callable[[Path, Reversed], None]
) -> None:
    name = {"_check": "vmstation-opened", "_copy": "vmstation-copied-trial"}[act.__name__]
    left = work / f"{name}.a1b2c3d4"
    others = [work / f"{name}.tar.gz", work / "vmstation-copied-trial.2.a1b2c3d4"]
    for path in (left, *others):
        path.mkdir()
        (path / "plain.tar.gz").write_text("secret")
    with held_directory("", 0) as used:
        act(directory, Reversed())
        assert not left.exists()
        assert os.path.isdir(used)
        assert all(path.exists() for path in others)


def test_without_room_in_one_directory_the_next_is_taken(work: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    made = new_directory("trial", "", 0)
    os.rmdir(made)
    assert not made.startswith(str(tmp_path / "nowhere"))
    with pytest.raises(Refusal, match=r"work_directory: found .* bytes free; required: .*backup_work_directory"):
        new_directory("trial", str(work), 1 << 60)


@pytest.mark.parametrize("mode", [0o777, 0o775])
def test_a_directory_that_others_write_to_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(mode)
    with pytest.raises(Refusal, match="can be written to by other users"):
        new_directory("trial", f"{tmp_path}/shared", 0)
    (tmp_path / "shared").chmod(mode | stat.S_ISVTX)
    assert os.path.isdir(new_directory("trial", f"{tmp_path}/shared", 0))


def test_the_clusters_files_are_roots_alone_whatever_an_archive_says(monkeypatch: pytest.MonkeyPatch) -> None:
    pki = "/etc/kubernetes/pki"
    given = [
        a_file(pki, kind="directory", size=0, sha256="", mode=0o2777, owner=1000, group=1000),
        a_file(f"{pki}/ca.crt", mode=0o666, owner=1000),
        a_file(f"{pki}/ca.key", mode=0o644, group=1000),
        a_file("/etc/vmstation/grafana", mode=0o600),
        a_file("/srv/app/data", mode=0o660, owner=472, group=472),
    ]
    placed: list[tuple[str, int, int, int]] = []
    host = a_host(control_plane("new"))
    manifest, texts = backup()
    kept = tuple(member for member in manifest.members if member.path not in {one.path for one in given})
    host.archives[ARCHIVE] = (replace(manifest, members=(*kept, *given)), texts)
    monkeypatch.setattr(
        "ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup._refuse_unfit_backup",
        lambda *_: host.archives[ARCHIVE][0],
    )
    monkeypatch.setattr(
        host, "place", lambda _source, member, _below: placed.append((member.path, member.mode, member.owner, member.group))
    )
    restore(replace(WISH, paths=("/srv/app",)), host.host(), host, check_mode=False)
    assert placed[-5:] == [
        (pki, 0o755, 0, 0),
        (f"{pki}/ca.crt", 0o644, 0, 0),
        (f"{pki}/ca.key", 0o600, 0, 0),
        ("/etc/vmstation/grafana", 0o600, 0, 0),
        ("/srv/app/data", 0o660, 472, 472),
    ]


@needs_gpg
def test_a_file_that_is_only_named_as_if_it_were_encrypted_is_refused(directory: Path) -> None:
    os.rename(directory / NEWER, directory / f"{NEWER}.gpg")
    with pytest.raises(Refusal, match="damaged"):
        check(options(directory, passphrase_file=passphrase(directory.parent)), LocalPacking(), GPG)


def test_a_backup_takes_no_setuid_of_files(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "program").write_text("")
    (tmp_path / "app" / "program").chmod(0o6755)
    (tmp_path / "app").chmod(0o2750)
    found = PACKING.copy(str(tmp_path / "app"), str(tmp_path / "stage"), "files")
    assert [one.mode for one in found] == [0o2750, 0o755]
