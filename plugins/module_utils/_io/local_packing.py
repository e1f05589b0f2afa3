# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packing of this host's files."""

from __future__ import annotations

import gzip
import hashlib
import os
import pwd
import shutil
import stat
import tarfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Contents, Member, Packed
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CHUNK = 1 << 20
LARGEST_MANIFEST = 16 << 20
_UNREADABLE = (tarfile.TarError, zlib.error, EOFError, UnicodeError, gzip.BadGzipFile)


class LocalPacking:
    """The files of this host."""

    def now(self) -> float:
        return time.time()

    def entries(self, directory: str) -> tuple[str, ...]:
        return tuple(sorted(os.listdir(directory))) if os.path.isdir(directory) else ()

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)

    def size(self, path: str) -> int:
        return os.path.getsize(path) if os.path.isfile(path) else 0

    def free(self, path: str) -> int:
        while not os.path.isdir(path):
            path = os.path.dirname(path)
        room = os.statvfs(path)
        return room.f_bavail * room.f_frsize

    def text(self, path: str) -> str:
        if not os.path.isfile(path):
            return ""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()

    def write(self, path: str, text: str) -> None:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            os.fsync(file.fileno())

    def make_directory(self, path: str, mode: int) -> None:
        os.makedirs(path, exist_ok=True)
        os.chmod(path, mode)

    def remove(self, path: str) -> None:
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def restrict(self, path: str) -> None:
        os.chmod(path, 0o600)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)
        for directory in sorted({os.path.dirname(old), os.path.dirname(new)}):
            _sync_directory(directory)

    def duplicate(self, path: str, copy: str) -> None:
        with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output, open(path, "rb") as file:
            shutil.copyfileobj(file, output, CHUNK)

    def copy(self, path: str, into: str, prefix: str) -> list[Member]:
        with _about(f"a copy of {path}", f"room and rights to write it to {into}", f"Free room on the file system of {into}."):
            members = [self._copy(path, into, prefix)]
        if members[0].kind == "directory":
            for name in sorted(os.listdir(path)):
                members += self.copy(os.path.join(path, name), into, prefix)
        return members

    def member(self, path: str, name: str) -> Member:
        status = os.stat(path)
        return Member(name, path, "file", status.st_mode & 0o7777, status.st_uid, status.st_gid, status.st_size, sha256_of(path))

    def pack(self, directory: str, names: Sequence[str], path: str, owner: str) -> Packed:
        uid, gid = numbers_of(owner)
        with _about(f"archive {path}", "room and rights to write it", f"Free room on the file system of {os.path.dirname(path)}."):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w+b") as file:
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as archive:
                    for name in names:
                        archive.add(os.path.join(directory, name), arcname=name, recursive=False)
                file.flush()
                os.fchown(file.fileno(), uid, gid)
                os.fsync(file.fileno())
                file.seek(0)
                return Packed(os.fstat(file.fileno()).st_size, _digest(file))

    def look(self, path: str) -> Contents:
        first, members = ("", ""), {}
        with read_archive(path) as archive:
            for tar_member in archive:
                file = archive.extractfile(tar_member) if tar_member.isreg() else None
                if not first[0] and file is not None and tar_member.size <= LARGEST_MANIFEST:
                    first = (tar_member.name, file.read().decode("utf-8", "surrogateescape"))
                    continue
                members[tar_member.name] = Member(
                    tar_member.name,
                    "",
                    _kind(tar_member),
                    tar_member.mode,
                    tar_member.uid,
                    tar_member.gid,
                    tar_member.size if file is not None else 0,
                    _digest(file) if file is not None else "",
                    tar_member.linkname if tar_member.issym() else "",
                )
        return Contents(first, members)

    def unpack(self, path: str, into: str) -> None:
        with read_archive(path) as archive:
            for tar_member in archive:
                target = os.path.normpath(os.path.join(into, tar_member.name))
                parent = os.path.dirname(target)
                if not target.startswith(f"{into}/") or os.path.realpath(parent) != parent:
                    raise Refusal(f"archive {path}", f"a member {tar_member.name}", "names below the archive", "Take another backup.")
                os.makedirs(parent, mode=0o700, exist_ok=True)
                file = archive.extractfile(tar_member) if tar_member.isreg() else None
                if file is not None:
                    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as output:
                        shutil.copyfileobj(file, output, CHUNK)
                elif tar_member.issym():
                    os.symlink(tar_member.linkname, target)
                elif tar_member.isdir():
                    os.makedirs(target, mode=0o700, exist_ok=True)

    def place(self, source: str, member: Member) -> None:
        parent = os.path.dirname(member.path)
        os.makedirs(parent, exist_ok=True)
        if member.kind == "directory":
            os.makedirs(member.path, exist_ok=True)
            os.chown(member.path, member.owner, member.group)
            os.chmod(member.path, member.mode)
            return
        temporary = os.path.join(parent, f".vmstation-{os.path.basename(member.path)}.tmp")
        self.remove(temporary)
        if member.kind == "link":
            os.symlink(member.target, temporary)
        else:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as output, open(source, "rb") as file:
                shutil.copyfileobj(file, output, CHUNK)
                output.flush()
                os.fchown(output.fileno(), member.owner, member.group)
                os.fchmod(output.fileno(), member.mode)
                os.fsync(output.fileno())
        os.replace(temporary, member.path)
        _sync_directory(parent)

    def ends_with_its_checksum(self, path: str) -> bool:
        left = os.path.getsize(path) - hashlib.sha256().digest_size
        total = hashlib.sha256()
        with open(path, "rb") as file:
            while left > 0 and (chunk := file.read(min(CHUNK, left))):
                total.update(chunk)
                left -= len(chunk)
            return left == 0 and file.read() == total.digest()

    def sync(self) -> None:
        os.sync()

    def _copy(self, path: str, into: str, prefix: str) -> Member:
        target = into + path
        name = prefix + path
        status = os.lstat(path)
        mode, owner, group = status.st_mode & 0o7777, status.st_uid, status.st_gid
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        if stat.S_ISLNK(status.st_mode):
            link = os.readlink(path)
            os.symlink(link, target)
            return Member(name, path, "link", mode, owner, group, target=link)
        if stat.S_ISDIR(status.st_mode):
            os.makedirs(target, exist_ok=True)
            kind, size, sha256 = "directory", 0, ""
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file, open(target, "wb") as output:
                shutil.copyfileobj(file, output, CHUNK)
            kind, size, sha256 = "file", os.path.getsize(target), sha256_of(target)
        else:
            raise Refusal(path, "neither a file, a directory nor a link", "what can be copied", "Leave it out of the paths.")
        os.chown(target, owner, group)
        os.chmod(target, mode)
        return Member(name, path, kind, mode, owner, group, size, sha256)


@contextmanager
def _about(subject: str, required: str, next_step: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(subject, str(error.strerror or error).lower(), required, next_step) from error


@contextmanager
def read_archive(path: str) -> Iterator[tarfile.TarFile]:
    """An archive that is read once, to the last byte, so that a cut tail is seen."""
    required = "an archive that backup.yml wrote"
    next_step = "It is damaged, or another file: take the backup before it."
    try:
        with gzip.open(path, "rb") as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|") as archive:
                yield archive
            while unpacked.read(CHUNK):
                pass
    except _UNREADABLE as error:
        raise Refusal(f"archive {path}", f"cut short or damaged ({str(error) or type(error).__name__})", required, next_step) from error
    except OSError as error:
        raise Refusal(
            f"archive {path}", str(error.strerror or error).lower(), required, "Correct the path or its rights, or free room."
        ) from error


def _kind(member: tarfile.TarInfo) -> str:
    return "file" if member.isreg() else "link" if member.issym() else "directory" if member.isdir() else "other"


def _digest(file: IO[bytes]) -> str:
    total = hashlib.sha256()
    while chunk := file.read(CHUNK):
        total.update(chunk)
    return total.hexdigest()


def sha256_of(path: str) -> str:
    """A file's checksum."""
    with open(path, "rb") as file:
        return _digest(file)


def numbers_of(owner: str) -> tuple[int, int]:
    """A user's number, and that of its group."""
    try:
        known = pwd.getpwuid(int(owner)) if owner.isdigit() else pwd.getpwnam(owner)
    except KeyError:
        raise Refusal("owner", f"no user {owner} on this host", "a user of this host", "Name who fetches the archive.") from None
    return known.pw_uid, known.pw_gid


def _sync_directory(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
