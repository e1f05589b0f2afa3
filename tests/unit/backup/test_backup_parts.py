# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of applications beside a backup: named with it, encrypted with it, compared with its manifest, and gone with it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check, copy, keep
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import (
    Part,
    backups,
    no_longer_kept,
    part_name,
    parts_without_backup,
    unfinished,
    with_part,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.backup.control_planes import NAME, backup
from tests.unit.backup.test_backup_archives import GPG, PACKING, needs_gpg, options, pack, passphrase

PART_NAME = "trial-20261125T233300Z.jellyfin.tar.gz"
FETCHED = ".trial-jellyfin.tar.gz.unfinished"


def a_day(day: int, kind: str = "", part: str = "") -> str:
    return f"trial-202611{day:02}T000000Z{part}.tar.gz{kind}"


def fetch(directory: Path, content: str = "users", **changed: object) -> dict[str, object]:
    """A backup and Jellyfin's archive as they are fetched; the options to keep them with."""
    archive = directory / FETCHED
    archive.write_text(content)
    archive.chmod(0o644)
    part = Part("jellyfin", "storage", "10.11.11", archive.stat().st_size, PACKING.member(str(archive), "").sha256)
    manifest, texts = backup(parts=(part,))
    pack(directory, manifest, texts)
    return options(directory, parts=[{"name": "jellyfin", "source": str(archive)}], **changed)


def copied(directory: Path, **changed: object) -> object:
    return copy(options(directory, part="jellyfin", destination=str(directory / "plain"), **changed), PACKING, GPG)


def test_it_gets_its_name_with_its_backup_and_comes_out_again(tmp_path: Path) -> None:
    kept = keep(fetch(tmp_path), PACKING, GPG)
    assert sorted(os.listdir(tmp_path)) == sorted([NAME, PART_NAME])
    assert os.stat(tmp_path / PART_NAME).st_mode & 0o777 == 0o600
    assert check(options(tmp_path), PACKING, GPG).findings == ()
    told = copied(tmp_path).as_result()
    assert (told["changed"], told["path"], told["part"]["label"]) == (True, kept.path, "10.11.11")
    assert ((tmp_path / "plain").read_text(), (tmp_path / "plain").stat().st_mode & 0o777) == ("users", 0o600)


@needs_gpg
def test_it_is_encrypted_as_its_backup_is(tmp_path: Path) -> None:
    key = passphrase(tmp_path)
    keep(fetch(tmp_path, passphrase_file=key), PACKING, GPG)
    assert sorted(os.listdir(tmp_path)) == sorted([f"{NAME}.gpg", f"{PART_NAME}.gpg", os.path.basename(key)])
    assert b"users" not in (tmp_path / f"{PART_NAME}.gpg").read_bytes()
    assert check(options(tmp_path, passphrase_file=key), PACKING, GPG).findings == ()
    copied(tmp_path, passphrase_file=key)
    assert (tmp_path / "plain").read_text() == "users"


def _changed(directory: Path) -> None:
    (directory / FETCHED).write_text("others")


FETCHED_WRONGLY: dict[str, tuple[Callable[[Path], object], dict[str, object], str]] = {
    "it changed on its way": (_changed, {}, "that on the host"),
    "it was not fetched": (lambda _directory: None, {"parts": []}, "parts: found none; required: jellyfin"),
    "it is elsewhere": (lambda _directory: None, {"parts": [{"name": "jellyfin", "source": "/etc/hostname"}]}, "a file in"),
}


@pytest.mark.parametrize("case", FETCHED_WRONGLY)
def test_what_is_not_as_the_manifest_says_gets_no_name(tmp_path: Path, case: str) -> None:
    damage, changed, message = FETCHED_WRONGLY[case]
    asked = {**fetch(tmp_path), **changed}
    damage(tmp_path)
    with pytest.raises(Refusal) as caught:
        keep(asked, PACKING, GPG)
    assert message in str(caught.value)
    assert [name for name in os.listdir(tmp_path) if not name.startswith(".")] == []


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize(
    ("damage", "found"),
    [(_cut, "another checksum than that in the backup's manifest"), (Path.unlink, "not there")],
    ids=["cut short", "gone"],
)
def test_its_damage_is_a_warning_of_the_backup_and_it_does_not_come_out(
    tmp_path: Path, damage: Callable[[Path], object], found: str
) -> None:
    kept = keep(fetch(tmp_path), PACKING, GPG)
    damage(tmp_path / PART_NAME)
    (finding,) = check(options(tmp_path), PACKING, GPG).findings
    assert (finding.severity, finding.rule, finding.found) == ("warning", "every_part_of_the_backup_is_whole", found)
    with pytest.raises(Refusal, match=PART_NAME):
        copied(tmp_path, path=kept.path)
    assert not [name for name in os.listdir(tmp_path) if "plain" in name]


def test_a_backup_that_went_without_says_why(tmp_path: Path) -> None:
    pack(tmp_path, *backup(parts=(Part("jellyfin", "storage", missing="storage is asleep"),)))
    kept = keep(options(tmp_path), PACKING, GPG)
    (finding,) = check(options(tmp_path), PACKING, GPG).findings
    assert (finding.severity, finding.found) == ("warning", "none: storage is asleep")
    assert copied(tmp_path, path=kept.path).as_result() == {"changed": False, "path": "", "part": {}, "backup": {}, "destination": ""}
    assert copied(tmp_path).as_result()["changed"] is False


def test_the_newest_that_has_it_is_found_and_stays(tmp_path: Path) -> None:
    keep(fetch(tmp_path, keep=1), PACKING, GPG)
    manifest, texts = backup(parts=(Part("jellyfin", "storage", missing="asleep"),))
    for minute in (34, 35):
        pack(tmp_path, replace(manifest, created=f"2026-11-25T23:{minute}:00Z"), texts)
        keep(options(tmp_path, keep=1), PACKING, GPG)
    assert sorted(os.listdir(tmp_path)) == sorted([NAME, PART_NAME, "trial-20261125T233500Z.tar.gz"])
    assert copied(tmp_path).as_result()["path"] == str(tmp_path / NAME)


THERE = [a_day(1), a_day(1, part=".jellyfin"), a_day(2, ".gpg"), a_day(2, ".gpg", ".jellyfin"), a_day(3), a_day(4)]


@pytest.mark.parametrize(("kept", "gone"), [(1, [a_day(1), a_day(3)]), (2, [a_day(1)]), (3, [a_day(1)]), (4, [])])
def test_rotation_spares_the_newest_that_has_it(kept: int, gone: list[str]) -> None:
    assert no_longer_kept("trial", THERE, kept) == gone


def test_a_backup_that_has_got_another_name_is_judged_without_it(tmp_path: Path) -> None:
    kept = keep(fetch(tmp_path), PACKING, GPG)
    os.rename(kept.path, tmp_path / "mine")
    (finding,) = check(options(tmp_path, path=str(tmp_path / "mine")), PACKING, GPG).findings
    assert (finding.severity, finding.found) == ("warning", "not there")


def test_names_of_parts_belong_to_their_backups() -> None:
    assert part_name(a_day(2, ".gpg"), "jellyfin") == a_day(2, ".gpg", ".jellyfin")
    assert backups("trial", THERE) == [a_day(1), a_day(2, ".gpg"), a_day(3), a_day(4)]
    assert with_part("trial", THERE, "jellyfin") == [a_day(1), a_day(2, ".gpg")]
    # one that is plain does not belong to a backup that is encrypted
    orphans = [a_day(2, part=".jellyfin"), a_day(9, part=".jellyfin")]
    assert parts_without_backup("trial", [*THERE, *orphans, "trial-2.jellyfin.tar.gz", "notes.txt"]) == orphans
    left = [FETCHED, f".{a_day(1, '.gpg', '.jellyfin')}.unfinished", f".{a_day(1, '.gpg', '.jellyfin')}.plain.unfinished"]
    assert unfinished("trial", [*THERE, *left, ".other-jellyfin.tar.gz.unfinished"]) == sorted(left)
