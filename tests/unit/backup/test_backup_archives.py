# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups on the controller, as real files: named when they are whole, encrypted, rotated; and each damage with its own message."""

from __future__ import annotations

import io
import os
import random
import re
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.io import Gpg
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.keeping import check, copy, keep
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.manifest import (
    Manifest,
    backups,
    newest,
    no_longer_kept,
    unfinished,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

from tests.unit.backup.control_planes import NAME, backup

PACKING, GPG = LocalPacking(), Gpg(HostCommands())
needs_gpg = pytest.mark.skipif(shutil.which("gpg") is None, reason="no gpg on this machine")


def pack(directory: Path, manifest: Manifest, texts: dict[str, str], name: str = f".{NAME}.unfinished") -> str:
    """An archive as the host writes it, under the name that it is fetched to."""
    stage = directory / "stage"
    for member, text in {"manifest.json": manifest.as_text(), **texts}.items():
        (stage / member).parent.mkdir(parents=True, exist_ok=True)
        (stage / member).write_text(text)
    PACKING.pack(str(stage), ["manifest.json", *texts], str(directory / name), str(os.getuid()))
    shutil.rmtree(stage)
    return str(directory / name)


def options(directory: Path, **changed: object) -> dict[str, Any]:
    asked = {
        "source": str(directory / f".{NAME}.unfinished"),
        "directory": str(directory),
        "cluster_name": "trial",
        "sha256": "",
        "keep": 2,
    }
    asked |= {"path": None, "passphrase_file": None, "recipients": [], "parts": [], "part": None, "paths": None}
    return {**asked, "accept_unencrypted": False, "destination": None, **changed}


def passphrase(directory: Path, text: str = "long enough to keep", mode: int = 0o600) -> str:
    path = directory / f"passphrase-{text[:3]}-{mode:o}"
    path.write_text(f"{text}\nnot this line\n")
    path.chmod(mode)
    return str(path)


def test_an_archive_gets_its_name_when_it_is_verified(tmp_path: Path) -> None:
    source = pack(tmp_path, *backup())
    os.chmod(source, 0o644)
    kept = keep(options(tmp_path, sha256=PACKING.member(source, "").sha256), PACKING, GPG)
    assert kept.path == str(tmp_path / NAME)
    assert os.listdir(tmp_path) == [NAME]
    assert os.stat(kept.path).st_mode & 0o777 == 0o600
    seen = check(options(tmp_path), PACKING, GPG)
    assert (seen.path, seen.findings, seen.manifest.snapshot.keys) == (kept.path, (), 900)
    assert [(item.subject, item.state) for item in seen.looked_at] == [(f"archive {kept.path}", "ok")]


def test_the_oldest_go_when_the_new_one_stands_and_other_files_stay(tmp_path: Path) -> None:
    old = [f"trial-202611{day}T000000Z.tar.gz{kind}" for day, kind in (("03", ""), ("01", ".gpg"), ("02", ""))]
    others = ["trial-2-20261101T000000Z.tar.gz", "notes.txt", ".trial-notes.unfinished"]
    for name in (*old, *others, f".{old[0]}.gpg.plain.unfinished", f".{old[1]}.unfinished"):
        (tmp_path / name).write_text("")
    pack(tmp_path, *backup())
    kept = keep(options(tmp_path), PACKING, GPG)
    assert [os.path.basename(path) for path in kept.removed] == [old[1], old[2]]
    assert sorted(os.listdir(tmp_path)) == sorted([NAME, old[0], *others])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _flip_checksum(path: Path) -> None:
    """gzip's own: a compressed stream has bits that change nothing of what it holds."""
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)


def _other_checksum(path: Path) -> None:
    """Whole as an archive, but with another file in it than the manifest says."""
    manifest, texts = backup()
    path.unlink()
    pack(path.parent, manifest, {**texts, "etcd.db": texts["etcd.db"].replace("old", "odd")}, path.name)


def _without(member: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        manifest, texts = backup()
        path.unlink()
        pack(path.parent, manifest, {name: text for name, text in texts.items() if name != member}, path.name)

    return damage


def _with_manifest(**changed: object) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        manifest, texts = backup()
        path.unlink()
        pack(path.parent, replace(manifest, **changed), texts, path.name)  # type: ignore[arg-type]

    return damage


def _stranger(path: Path) -> None:
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("hello"), io.BytesIO())


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut short": (_cut, "truncated or damaged"),
    "a flipped bit": (_flip_checksum, "truncated or damaged"),
    "empty": (lambda path: path.write_bytes(b""), "truncated or damaged"),
    "no archive": (lambda path: path.write_text("hello\n"), "truncated or damaged (Not a gzipped file"),
    "another file in it": (_other_checksum, f"{NAME}.unfinished, etcd.db: 15 bytes with SHA-256"),
    "a file that is missing": (_without("files/etc/kubernetes/pki/sa.key"), "files/etc/kubernetes/pki/sa.key: not there"),
    "another cluster": (_with_manifest(cluster="other"), "a backup of the cluster other; required: one of trial"),
    "no authority": (_with_manifest(members=backup()[0].members[:1]), "no files/etc/kubernetes/pki/ca.crt"),
    "what the manifest does not know": (_with_manifest(members=backup()[0].members[:-1]), "a member that is not in the manifest"),
    "somebody's archive": (_stranger, "no readable manifest"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_damaged_gets_no_name_and_is_told(tmp_path: Path, case: str) -> None:
    damage, message = DAMAGES[case]
    older = tmp_path / "trial-20261101T000000Z.tar.gz"
    older.write_text("")
    damage(Path(pack(tmp_path, *backup())))
    with pytest.raises(Refusal) as caught:
        keep(options(tmp_path, keep=1), PACKING, GPG)
    assert message in str(caught.value)
    assert backups("trial", os.listdir(tmp_path)) == [older.name]


def test_a_check_tells_everything_that_is_wrong_at_once(tmp_path: Path) -> None:
    manifest, texts = backup(cluster="other", absent=("/etc/nothing",))
    del texts["etcd.db"]
    pack(tmp_path, manifest, texts, NAME)
    seen = check(options(tmp_path), PACKING, GPG)
    assert [(one.severity, one.rule) for one in seen.findings] == [
        ("error", "the_backup_is_of_this_cluster"),
        ("info", "what_was_asked_for_is_in_the_backup"),
        ("error", "every_member_of_the_backup_is_whole"),
    ]


def test_an_archive_that_changed_on_its_way_is_refused(tmp_path: Path) -> None:
    pack(tmp_path, *backup())
    with pytest.raises(Refusal, match="that on the host"):
        keep(options(tmp_path, sha256="0" * 64), PACKING, GPG)
    assert backups("trial", os.listdir(tmp_path)) == []


@needs_gpg
def test_an_encrypted_backup_opens_with_its_passphrase_and_by_hand(tmp_path: Path) -> None:
    archive = Path(pack(tmp_path, *backup())).read_bytes()
    key = passphrase(tmp_path)
    kept = keep(options(tmp_path, passphrase_file=key), PACKING, GPG)
    assert kept.path == str(tmp_path / f"{NAME}.gpg")
    assert os.stat(kept.path).st_mode & 0o777 == 0o600
    assert check(options(tmp_path, passphrase_file=key), PACKING, GPG).findings == ()
    plain = tmp_path / "plain.tar.gz"
    copy(options(tmp_path, passphrase_file=key, destination=str(plain)), PACKING, GPG)
    assert (plain.read_bytes(), plain.stat().st_mode & 0o777) == (archive, 0o600)
    # the command of docs/backup-and-restore.md
    argv = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-file", key, "--output", str(tmp_path / "hand"), "--decrypt"]
    HostCommands().run([*argv, kept.path])
    assert (tmp_path / "hand").read_bytes() == archive
    assert sorted(os.listdir(tmp_path)) == sorted(["hand", "plain.tar.gz", f"{NAME}.gpg", os.path.basename(key)])


@needs_gpg
def test_the_passphrase_is_hashed_with_sha_512_and_a_short_one_still_opens(tmp_path: Path) -> None:
    pack(tmp_path, *backup())
    kept = keep(options(tmp_path, passphrase_file=passphrase(tmp_path)), PACKING, GPG)
    batch = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-file"]
    packets = HostCommands().run([*batch, passphrase(tmp_path), "--list-packets", kept.path]).stdout
    # RFC 4880, 9.2 and 9.4: AES with 256 bits, SHA-512
    assert re.search(r"cipher 9,.*s2k 3, hash 10\n", packets)
    short = passphrase(tmp_path, "short")
    plain = pack(tmp_path, *backup())
    HostCommands().run([*batch, short, "--yes", "--output", kept.path, "--symmetric", plain])
    assert check(options(tmp_path, passphrase_file=short), PACKING, GPG).findings == ()


@needs_gpg
def test_a_backup_for_a_public_key_names_it_by_its_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack(tmp_path, *backup())
    with tempfile.TemporaryDirectory(prefix="ring-") as ring:
        monkeypatch.setenv("GNUPGHOME", ring)
        with_ring = Gpg(HostCommands())
        quietly = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
        HostCommands().run([*quietly, "--quick-generate-key", "me@example.org"])
        listed = HostCommands().run(["gpg", "--with-colons", "--list-keys"]).stdout
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr:"))
        with pytest.raises(Refusal, match=r"recipients: found 'me@example.org'; .* Run `gpg --fingerprint me@example.org`"):
            keep(options(tmp_path, recipients=["me@example.org"]), PACKING, with_ring)
        assert backups("trial", os.listdir(tmp_path)) == []
        keep(options(tmp_path, recipients=[fingerprint]), PACKING, with_ring)
        assert check(options(tmp_path, recipients=[fingerprint]), PACKING, with_ring).path == f"{tmp_path}/{NAME}.gpg"
        HostCommands().run(["gpgconf", "--kill", "all"])


@needs_gpg
def test_what_gpg_would_decompress_to_many_times_its_size_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(8 << 20))
    hostile = f"{tmp_path}/{NAME}.gpg"
    batch = ["gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-file", passphrase(tmp_path)]
    HostCommands().run([*batch, "--output", hostile, "--symmetric", str(tmp_path / "zeros")])
    for act in (check, copy):
        with pytest.raises(Refusal, match="found many times its size when it is decrypted"):
            act(options(tmp_path, passphrase_file=passphrase(tmp_path), destination=f"{tmp_path}/copy"), PACKING, GPG)
    assert not (tmp_path / "copy").exists()


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an encrypted backup that is large enough for a damage in its middle."""
    directory = tmp_path_factory.mktemp("encrypted")
    manifest, texts = backup()
    texts["etcd.db"] = random.Random(1).randbytes(60_000).hex()
    (directory / "db").write_text(texts["etcd.db"])
    database = replace(PACKING.member(str(directory / "db"), "etcd.db"), path="")
    pack(directory, replace(manifest, members=(database, *manifest.members[1:])), texts)
    keep(options(directory, passphrase_file=passphrase(directory)), PACKING, GPG)
    return directory


@needs_gpg
@pytest.mark.parametrize(
    ("damage", "text", "message"),
    [
        (None, "another one", "not opened by this passphrase"),
        (_cut, "long enough to keep", "damaged"),
        (_flip, "long enough to keep", "damaged: WARNING: encrypted message has been manipulated!"),
    ],
    ids=["wrong key", "cut short", "a flipped bit"],
)
def test_an_encrypted_backup_says_what_keeps_it_shut(
    encrypted: Path, tmp_path: Path, damage: Callable[[Path], None] | None, text: str, message: str
) -> None:
    shutil.copy(encrypted / f"{NAME}.gpg", tmp_path)
    if damage:
        damage(tmp_path / f"{NAME}.gpg")
    with pytest.raises(Refusal) as caught:
        check(options(tmp_path, passphrase_file=passphrase(tmp_path, text)), PACKING, GPG)
    assert message in str(caught.value)
    assert unfinished("trial", os.listdir(tmp_path)) == []


@needs_gpg
def test_a_passphrase_that_is_not_given_is_asked_for(encrypted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="ring-") as ring:
        monkeypatch.setenv("GNUPGHOME", ring)
        with pytest.raises(Refusal, match="encrypted with a passphrase; required: the passphrase"):
            check(options(encrypted), PACKING, GPG)
        HostCommands().run(["gpgconf", "--kill", "all"])


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [
        ("long enough to keep", 0o644, "with mode 0644"),
        ("", 0o600, "without a first line"),
        ("fifteen letters", 0o600, r"with a passphrase of 15 characters; required: at least 16 .* Write a longer one .*openssl rand"),
    ],
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, text: str, mode: int, message: str) -> None:
    pack(tmp_path, *backup())
    with pytest.raises(Refusal, match=message):
        keep(options(tmp_path, passphrase_file=passphrase(tmp_path, text, mode)), PACKING, GPG)
    assert backups("trial", os.listdir(tmp_path)) == []


NAMED = [
    "a-20261102T000000Z.tar.gz",
    "a-20261101T000000Z.tar.gz.gpg",
    "a-b-20261103T000000Z.tar.gz",
    "a-20261109T000000Z.tar.gz.unfinished",
]


def test_names_sort_as_time_and_belong_to_one_cluster() -> None:
    assert backups("a", NAMED) == [NAMED[1], NAMED[0]]
    assert (newest("a", NAMED), newest("a-b", NAMED), newest("b", NAMED)) == (NAMED[0], NAMED[2], None)
    assert no_longer_kept("a", NAMED, 1) == [NAMED[1]]
    assert no_longer_kept("a", NAMED, 5) == []
    assert unfinished("a", NAMED) == [NAMED[3]]


def test_files_come_back_with_mode_and_links_and_none_leads_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "etc" / "below").mkdir(parents=True)
    (tmp_path / "etc").chmod(0o700)
    (tmp_path / "etc" / "below" / "secret").write_text("s")
    (tmp_path / "etc" / "below" / "secret").chmod(0o640)
    (tmp_path / "etc" / "link").symlink_to("below/secret")
    members = PACKING.copy(str(tmp_path / "etc"), str(tmp_path / "stage" / "files"), "files")
    (tmp_path / "stage" / "manifest.json").write_text("{}")
    PACKING.pack(str(tmp_path / "stage"), ["manifest.json", *(one.name for one in members)], str(tmp_path / "a.tar.gz"), str(os.getuid()))
    found = PACKING.look(str(tmp_path / "a.tar.gz")).members
    assert {name: (one.kind, one.sha256, one.target) for name, one in found.items()} == {
        one.name: (one.kind, one.sha256, one.target) for one in members
    }
    shutil.rmtree(tmp_path / "etc")
    PACKING.unpack(str(tmp_path / "a.tar.gz"), str(tmp_path / "out"))
    for one in members:
        PACKING.place(str(tmp_path / "out" / one.name), one, str(tmp_path / "etc"))
    assert (tmp_path / "etc" / "link").read_text() == "s"
    modes = [(tmp_path / path).stat().st_mode & 0o777 for path in ("etc", "etc/below/secret")]
    assert modes == [0o700, 0o640]


@pytest.mark.parametrize("name", ["../outside", "/outside", "link/outside"])
def test_a_member_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    (tmp_path / "out").mkdir()
    with pytest.raises(Refusal, match="names below the archive"):
        PACKING.unpack(str(tmp_path / "a.tar.gz"), str(tmp_path / "out"))
    assert not (tmp_path / "outside").exists()
