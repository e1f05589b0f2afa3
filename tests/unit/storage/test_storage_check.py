# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is found about directories, from what was seen of them, and on this machine's own file systems."""

from __future__ import annotations

import os
import re
import struct
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._notation import read_size, show_size
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal, Unavailable
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.io import LocalStorage, Place, Reader
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.judge import (
    Mount,
    Seen,
    Wanted,
    as_data,
    judge,
    look,
    looked_at,
    mount_of,
    read_mounts,
    request,
    seconds,
)

GIB = 1024**3
MEDIA = Wanted("/srv/media", must_exist=True, mounted=True, not_empty=True)
CONFIG = Wanted("/var/lib/jellyfin", minimum_free=2 * GIB, minimum_free_inodes=1000)
ROOT, DISK = Mount("/", "ext4", "/dev/sda1"), Mount("/srv/media", "xfs", "/dev/sdb1")
THERE = Place("/srv/media", True, True, False, 1000, 1000, 0o755, 100 * GIB, 5000, 400 * GIB)
NOT_YET = Place("/var/lib", False, False, True, None, None, None, 100 * GIB, 5000, 400 * GIB)
LOGS = Wanted("/var/lib/loki", maximum_used=75)
READER = Reader(58096, (58096, 44))
FILMS = replace(MEDIA, reader=READER)
HANGING = Unavailable("/srv/media", "no answer within 10 s", "a directory that answers", "Look at its server.")

CASES = {
    "a library": (Seen(MEDIA, THERE, DISK), []),
    "below a mount point": (Seen(MEDIA, THERE, Mount("/srv", "xfs", "/dev/sdb1")), []),
    "missing": (Seen(MEDIA, replace(NOT_YET, nearest="/srv"), ROOT), [("directories_exist", "; /srv exists", "mount")]),
    "not mounted": (
        Seen(MEDIA, replace(THERE, is_empty=True), ROOT),
        [("directories_are_mounted", "a directory of /dev/sda1 (ext4, mounted at /)", "findmnt --target /srv/media")],
    ),
    "mounted on demand, and the disk is away": (
        Seen(MEDIA, THERE, Mount("/srv/media", "autofs", "systemd-1")),
        [("directories_are_mounted", "autofs", "")],
    ),
    "on a mount that nobody lists": (Seen(MEDIA, THERE, None), [("directories_are_mounted", "does not list", "fstab")]),
    "empty": (Seen(MEDIA, replace(THERE, is_empty=True), DISK), [("directories_are_not_empty", "an empty directory", "mount it")]),
    "a file": (Seen(MEDIA, replace(THERE, is_directory=False), DISK), [("paths_are_directories", "not a directory", "Move it away")]),
    "it hangs": (Seen(MEDIA, HANGING), [("directories_answer", "no answer within 10 s", "Look at its server.")]),
    "room, before it exists": (Seen(CONFIG, NOT_YET, ROOT), []),
    "exactly enough": (Seen(CONFIG, replace(NOT_YET, free=2 * GIB, free_inodes=1000), ROOT), []),
    "a byte too little": (
        Seen(CONFIG, replace(NOT_YET, free=2 * GIB - 1), ROOT),
        [("directories_have_room", "1.9 GiB free on /dev/sda1", "du --one-file-system --human-readable --max-depth=2 /`")],
    ),
    "no inodes": (Seen(CONFIG, replace(NOT_YET, free_inodes=999), ROOT), [("directories_have_inodes", "999 inodes", "--inodes")]),
    "inodes are not counted": (Seen(CONFIG, replace(NOT_YET, free_inodes=None), ROOT), []),
    "exactly as full as it may be": (Seen(LOGS, NOT_YET, ROOT), []),
    "a byte fuller than it may be": (
        Seen(LOGS, replace(NOT_YET, free=100 * GIB - 1), ROOT),
        [("file_systems_are_not_nearly_full", "76 % of 400 GiB in use on /dev/sda1", "du --one-file-system")],
    ),
    "a file system without a size": (Seen(LOGS, replace(NOT_YET, free=0, size=0), ROOT), []),
    "read-only": (
        Seen(replace(CONFIG, writable=True), replace(THERE, is_read_only=True), DISK),
        [("directories_are_writable", "mounted read-only, on /dev/sdb1", "mount -o remount,rw /srv/media")],
    ),
    "media are only read": (Seen(MEDIA, replace(THERE, is_read_only=True), DISK), []),
    "open to its reader": (Seen(FILMS, THERE, DISK), []),
    "closed to its reader": (
        Seen(FILMS, replace(THERE, mode=0o750), DISK, is_closed=True),
        [
            (
                "directories_are_readable",
                "mode 0750 and owner 1000:1000; user 58096 with groups 58096, 44 cannot list it",
                "`setfacl --recursive --modify=user:58096:rX,default:user:58096:rX /srv/media`",
            )
        ],
    ),
    "empty, and closed to its reader": (
        Seen(FILMS, replace(THERE, is_empty=True), DISK, is_closed=True),
        [("directories_are_not_empty", "an empty directory", "")],
    ),
    "full, and watched by the check of the host": (Seen(LOGS, replace(NOT_YET, free=GIB), ROOT, is_watched=True), []),
    "both are short": (
        Seen(replace(MEDIA, minimum_free=GIB), replace(THERE, is_empty=True, free=0), DISK),
        [("directories_are_not_empty", "empty", ""), ("directories_have_room", "0 B free on /dev/sdb1", "/srv/media`")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_findings(case: str) -> None:
    seen, wanted = CASES[case]
    found = judge([seen])
    assert [finding.rule for finding in found] == [rule for rule, _found, _fix in wanted]
    for finding, (_rule, words, fix) in zip(found, wanted, strict=True):
        severity = "warning" if finding.rule == "file_systems_are_not_nearly_full" else "error"
        assert (finding.severity, finding.subject) == (severity, f"directory {seen.wanted.path}")
        assert words in finding.found
        assert fix in finding.fix


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [
        ("2GiB", 2 * GIB),
        ("2 GiB", 2 * GIB),
        ("1.5GiB", 1610612736),
        ("500MB", 500_000_000),
        ("2147483648", 2 * GIB),
        (7, 7),
        ("1TiB", 1024**4),
        ("0", 0),
    ],
)
def test_sizes(given: object, bytes_: int) -> None:
    assert read_size("x", given) == bytes_


@pytest.mark.parametrize("given", ["", "2G", "2gib", "-1", "GiB", "2GiB free", "1e9", "1,5GiB"])
def test_what_is_no_size_is_refused(given: str) -> None:
    with pytest.raises(Refusal, match="a size such as 2GiB") as caught:
        read_size("paths[0].minimum_free", given)
    assert caught.value.subject == "paths[0].minimum_free"


@pytest.mark.parametrize(("size", "shown"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KiB"), (2 * GIB - 1, "1.9 GiB"), (2 * GIB, "2 GiB")])
def test_a_size_is_shown_rounded_down(size: int, shown: str) -> None:
    assert show_size(size) == shown


MOUNTINFO = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv/media rw,relatime shared:20 - autofs systemd-1 rw,fd=45
31 30 8:17 / /srv/media rw,relatime shared:21 - xfs /dev/sdb1 rw
32 22 0:50 / /srv/my\\040films rw shared:3 master:2 - nfs4 nas:/my\\040films rw,vers=4.2
nonsense
"""


@pytest.mark.parametrize(
    ("path", "point", "file_system", "device"),
    [
        ("/srv/media/films", "/srv/media", "xfs", "/dev/sdb1"),
        ("/srv/media", "/srv/media", "xfs", "/dev/sdb1"),
        ("/srv/mediathek", "/", "ext4", "/dev/sda1"),
        ("/", "/", "ext4", "/dev/sda1"),
        ("/srv/my films/a", "/srv/my films", "nfs4", "nas:/my films"),
    ],
)
def test_the_mount_of_a_path_is_the_last_and_longest(path: str, point: str, file_system: str, device: str) -> None:
    assert mount_of(path, read_mounts(MOUNTINFO)) == Mount(point, file_system, device)


def test_without_a_list_of_mounts_nothing_is_known() -> None:
    assert mount_of("/srv", read_mounts("")) is None


ENTRY = {
    "path": "/srv//media/",
    "must_exist": True,
    "mounted": False,
    "not_empty": False,
    "minimum_free": None,
    "minimum_free_inodes": None,
    "maximum_used": 100,
    "writable": False,
    "readable_by": None,
}


def test_options_are_read() -> None:
    assert request(
        {
            "paths": [
                {**ENTRY, "readable_by": {"user": 58096, "groups": [58096, 44]}},
                {**ENTRY, "path": "//data", "minimum_free": "1GiB", "minimum_free_inodes": 5, "maximum_used": 75},
            ]
        }
    ) == (
        Wanted("/srv/media", must_exist=True, reader=READER),
        Wanted("/data", must_exist=True, minimum_free=GIB, minimum_free_inodes=5, maximum_used=75),
    )


@pytest.mark.parametrize(
    ("entry", "subject"),
    [
        ({"path": "srv/media"}, "paths[1].path"),
        ({"path": ""}, "paths[1].path"),
        ({"minimum_free": "much"}, "paths[1].minimum_free"),
        ({"minimum_free_inodes": -1}, "paths[1].minimum_free_inodes"),
        ({"maximum_used": 0}, "paths[1].maximum_used"),
        ({"maximum_used": 101}, "paths[1].maximum_used"),
        ({"readable_by": {"user": -1, "groups": [1]}}, "paths[1].readable_by"),
        ({"readable_by": {"user": 1, "groups": [1, 2**32 - 1]}}, "paths[1].readable_by"),
        ({"readable_by": {"user": 1, "groups": []}}, "paths[1].readable_by"),
    ],
)
def test_options_that_mean_nothing_are_refused_by_name(entry: dict[str, object], subject: str) -> None:
    with pytest.raises(Refusal) as caught:
        request({"paths": [ENTRY, {**ENTRY, **entry}]})
    assert caught.value.subject == subject


def test_a_timeout_must_be_some_time() -> None:
    assert seconds({"timeout": 2}) == 2
    with pytest.raises(Refusal, match="above 0"):
        seconds({"timeout": 0})


def on_this_machine(**wanted: object) -> list[Seen]:
    return look([Wanted(**wanted)], LocalStorage(10))


def test_on_this_machine_a_directory_is_told_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    (tmp_path / "link").symlink_to(tmp_path)
    (seen,) = on_this_machine(path=f"{tmp_path}/link", must_exist=True, not_empty=True, minimum_free=1)
    assert judge([seen]) == []
    (data,) = as_data([seen])
    status = tmp_path.stat()
    assert (data["exists"], data["owner"], data["group"], data["mode"]) == (True, status.st_uid, status.st_gid, "0711")
    assert (data["nearest"], data["mount_point"] != "", data["free"] > 0) == (str(tmp_path.resolve()), True, True)


def test_on_this_machine_what_is_not_there_is_judged_at_its_parent(tmp_path: Path) -> None:
    (seen,) = on_this_machine(path=f"{tmp_path}/a/b/c", minimum_free=1)
    assert judge([seen]) == []
    assert as_data([seen])[0]["nearest"] == str(tmp_path.resolve())
    (seen,) = on_this_machine(path=f"{tmp_path}/a/b/c", minimum_free=10**18)
    assert [finding.rule for finding in judge([seen])] == ["directories_have_room"]


def test_on_this_machine_an_empty_directory_and_a_file(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    assert [one.rule for one in judge(on_this_machine(path=f"{tmp_path}/empty", not_empty=True))] == ["directories_are_not_empty"]
    assert [one.rule for one in judge(on_this_machine(path=f"{tmp_path}/file", not_empty=True))] == ["paths_are_directories"]


def test_on_this_machine_dev_shm_is_mounted() -> None:
    if not os.path.ismount("/dev/shm"):
        pytest.skip("no /dev/shm")
    (seen,) = on_this_machine(path="/dev/shm", must_exist=True, mounted=True)
    assert (judge([seen]), as_data([seen])[0]["mount_point"]) == ([], "/dev/shm")


def test_on_this_machine_a_mount_is_read_only_where_the_kernel_lists_it_so() -> None:
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    reading = [fields[4] for fields in lines if "ro" in fields[5].split(",") and os.path.isdir(fields[4])]
    if not reading:
        pytest.skip("no file system is mounted read-only here")
    found = judge(on_this_machine(path=reading[-1], writable=True))
    assert [one.rule for one in found] == ["directories_are_writable"]


def acl(mode: int, *, user: int) -> bytes:
    """A POSIX ACL that gives READER's user other permissions than the mode gives to all."""
    owner, group, other = (mode >> shift & 7 for shift in (6, 3, 0))
    entries = [(0x01, owner, -1), (0x02, user, READER.user), (0x04, group, -1), (0x10, 7, -1), (0x20, other, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can ask for another user")
@pytest.mark.parametrize(
    ("owner", "mode", "entry", "lists"),
    [
        ((0, 0), 0o755, None, True),
        ((0, 0), 0o750, None, False),
        ((READER.user, 0), 0o500, None, True),
        ((0, READER.groups[0]), 0o750, None, True),
        ((0, READER.groups[1]), 0o750, None, True),
        # to list is to read, and to reach what is in it is to execute
        ((0, 0), 0o754, None, False),
        ((0, 0), 0o751, None, False),
        # no mode shows these
        ((0, 0), 0o750, 5, True),
        ((0, 0), 0o755, 0, False),
    ],
)
def test_on_this_machine_the_kernel_answers_for_the_reader(
    tmp_path: Path, owner: tuple[int, int], mode: int, entry: int | None, lists: bool
) -> None:
    films = tmp_path / "closed" / "films"
    films.mkdir(parents=True)
    os.chown(films, *owner)
    films.chmod(mode)
    # a container gets the directory without this one
    films.parent.chmod(0o700)
    if entry is not None:
        os.setxattr(films, "system.posix_acl_access", acl(mode, user=entry))
    found = judge(on_this_machine(path=str(films), reader=READER))
    assert [one.rule for one in found] == ([] if lists else ["directories_are_readable"])
    if found:
        (command,) = [one for one in re.findall(r"`([^`]+)`", found[0].fix) if one.startswith("chmod")]
        subprocess.run(command.split(), check=True)
        assert (judge(on_this_machine(path=str(films), reader=READER)) == []) == (entry is None)


def test_without_root_it_is_not_known_who_may_list_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setpriv = tmp_path / "setpriv"
    setpriv.write_text("#!/bin/sh\necho 'setpriv: setresuid failed: Operation not permitted' >&2\nexit 127\n")
    setpriv.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (finding,) = judge(on_this_machine(path=str(tmp_path), reader=READER))
    assert (finding.rule, finding.found) == ("directories_answer", "setpriv: setresuid failed: Operation not permitted")
    assert "Become root" in finding.fix


def test_a_disk_that_another_check_watches_is_told_by_that_one(tmp_path: Path) -> None:
    wanted = [Wanted(str(tmp_path), maximum_used=1)]
    assert [one.rule for one in judge(look(wanted, LocalStorage(10)))] == ["file_systems_are_not_nearly_full"]
    assert judge(look(wanted, LocalStorage(10), [str(tmp_path)])) == []


def test_a_file_system_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(os.path, "realpath", lambda path: path if released.wait(60) else "")
    try:
        with pytest.raises(Unavailable, match=r"no answer within 0\.1 s"):
            LocalStorage(0.1).place("/srv/media")
    finally:
        released.set()


def test_one_that_hangs_does_not_keep_the_others_from_being_judged() -> None:
    class Half:
        def place(self, path: str) -> Place:
            if path == "/srv/media":
                raise HANGING
            return NOT_YET

        def mounts(self) -> str:
            return MOUNTINFO

    seen = look([MEDIA, replace(CONFIG, minimum_free=10**18)], Half())
    assert [finding.rule for finding in judge(seen)] == ["directories_answer", "directories_have_room"]
    assert [one["path"] for one in as_data(seen)] == ["/var/lib/jellyfin"]
    # all of them are looked at, also the one that gave no answer
    assert [(one.subject, one.state) for one in looked_at(seen)] == [
        ("directory /srv/media", "error"),
        ("directory /var/lib/jellyfin", "error"),
    ]
