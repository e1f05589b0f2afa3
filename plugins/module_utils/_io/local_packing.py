# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packing of this host's files."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import IO

from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Contents, Member, Packed
from ansible_collections.vmstation.cluster.plugins.module_utils._io.private import held_directory, new_directory, sweep
from ansible_collections.vmstation.cluster.plugins.module_utils._io.unpacking import CHUNK, SET_ID, kind, put, read_archive, take_out
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

LARGEST_MANIFEST = 16 << 20


class LocalPacking:
    """The files of this host. work_directory: where what is in clear for a while is; empty: where this user's files for a while are."""

    def __init__(self, work_directory: str = "") -> None:
        self._work_directory = work_directory

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

    def kind(self, path: str) -> str:
        if not os.path.lexists(path):
            return ""
        return "link" if os.path.islink(path) else "directory" if os.path.isdir(path) else "file"

    def make_directory(self, path: str, mode: int) -> None:
        if os.path.isdir(path):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.mkdir(path, mode)
        # whatever the umask is
        os.chmod(path, mode)

    def private(self, size: int) -> AbstractContextManager[str]:
        return held_directory(self._work_directory, size)

    def private_directory(self, name: str, size: int) -> str:
        return new_directory(name, self._work_directory, size)

    def sweep_private(self, name: str) -> None:
        sweep(name, self._work_directory)

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
        with read_archive(path) as archived:
            for archive, tar_member in archived:
                file = archive.extractfile(tar_member) if tar_member.isreg() else None
                if not first[0] and file is not None and tar_member.size <= LARGEST_MANIFEST:
                    first = (tar_member.name, file.read().decode("utf-8", "surrogateescape"))
                    continue
                members[tar_member.name] = Member(
                    tar_member.name,
                    "",
                    kind(tar_member),
                    tar_member.mode,
                    tar_member.uid,
                    tar_member.gid,
                    tar_member.size if file is not None else 0,
                    _digest(file) if file is not None else "",
                    tar_member.linkname if tar_member.issym() else "",
                )
        return Contents(first, members)

    def unpack(self, path: str, into: str) -> None:
        os.makedirs(into, 0o700, exist_ok=True)
        take_out(path, into, without=0, with_owners=False)

    def place(self, source: str, member: Member, below: str) -> None:
        put(source, member, below)

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
        # of a file, what a restore would refuse; a directory hands its group on with setgid
        mode = status.st_mode & (0o7777 if stat.S_ISDIR(status.st_mode) else 0o7777 & ~SET_ID)
        owner, group = status.st_uid, status.st_gid
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        if stat.S_ISLNK(status.st_mode):
            link = os.readlink(path)
            os.symlink(link, target)
            return Member(name, path, "link", mode, owner, group, target=link)
        if stat.S_ISDIR(status.st_mode):
            os.makedirs(target, exist_ok=True)
            what, size, sha256 = "directory", 0, ""
        elif stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file, open(target, "wb") as output:
                shutil.copyfileobj(file, output, CHUNK)
            what, size, sha256 = "file", os.path.getsize(target), sha256_of(target)
        else:
            raise Refusal(path, "neither a file, a directory nor a link", "what can be copied", "Leave it out of the paths.")
        os.chown(target, owner, group)
        os.chmod(target, mode)
        return Member(name, path, what, mode, owner, group, size, sha256)


@contextmanager
def _about(subject: str, required: str, next_step: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(subject, str(error.strerror or error).lower(), required, next_step) from error


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
