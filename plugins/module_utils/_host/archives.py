# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives on a host: packed, read and unpacked, each member with its checksum. An archive may come from anywhere: no link is followed."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import pwd
import shutil
import stat
import tarfile
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import IO, BinaryIO, Optional, Protocol, Union

from .._notation import show_size
from .._refusal import Refusal
from .files import sync_directory
from .private import held_directory, held_file, new_directory, sweep

# Files of a host, copied, packed into an archive and taken out of it again: each with its checksum, and whole or not at all.


@dataclass(frozen=True)
class Member:
    """A file, directory or link. name: in the archive. path: on its host. sha256: of a file; target: of a link."""

    name: str
    path: str
    kind: str
    mode: int
    owner: int
    group: int
    size: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True)
class Contents:
    """What is in an archive. first: name and text of the first member. members: the others as they are there, their path unknown."""

    first: tuple[str, str]
    members: Mapping[str, Member]


@dataclass(frozen=True)
class Packed:
    """An archive that is complete under its name."""

    size: int
    sha256: str


class Packing(Protocol):
    """What the core is given of a host's files; tests pass a scripted fake."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def entries(self, directory: str) -> tuple[str, ...]:
        """A directory's names, sorted; none if there is no such directory."""

    def exists(self, path: str) -> bool:
        """Whether there is something of this name."""

    def size(self, path: str) -> int:
        """A file's size in bytes; 0 if there is none."""

    def modified(self, path: str) -> float:
        """When a file was written, in seconds since 1970, by this host's clock; 0 if there is none."""

    def held(self, path: str) -> AbstractContextManager[bool]:
        """Whether no other process holds this file, which is made to be locked and removed again."""

    def free(self, path: str) -> int:
        """Free bytes of the file system that a path is on, or would be on."""

    def text(self, path: str) -> str:
        """A file's text; empty if there is none."""

    def write(self, path: str, text: str) -> None:
        """Write a file for its owner alone, to disk."""

    def kind(self, path: str) -> str:
        """``directory``, ``link`` or, of all else, ``file``; empty if there is nothing of this name."""

    def make_directory(self, path: str, mode: int) -> None:
        """Make a directory, with what it is in, if there is none: one that is there keeps its mode."""

    def private(self, size: int) -> AbstractContextManager[str]:
        """A new directory for this user alone, with room for so many bytes, which is removed in any case."""

    def private_directory(self, name: str, size: int) -> str:
        """The same, which stays until its user removes it. Those of that name which killed runs have left are removed."""

    def sweep_private(self, name: str) -> None:
        """Remove what killed runs have left of that name."""

    def remove(self, path: str) -> None:
        """Remove what is there, a directory with all that is in it."""

    def restrict(self, path: str) -> None:
        """Make a file readable by its owner only."""

    def rename(self, old: str, new: str) -> None:
        """Give another name on the same file system, to disk."""

    def duplicate(self, path: str, copy: str) -> None:
        """Copy one file, for its owner alone."""

    def copy(self, path: str, into: str, prefix: str) -> list[Member]:
        """Copy a file, or a directory with all that is in it, to its own path below ``into``; prefix: of their names in an archive."""

    def member(self, path: str, name: str) -> Member:
        """A file as the member that it becomes."""

    def pack(self, directory: str, names: Sequence[str], path: str, owner: str) -> Packed:
        """Archive what is called so below a directory, for one user alone, to disk."""

    def look(self, path: str) -> Contents:
        """Read an archive to its end. One that cannot be read is a Refusal."""

    def unpack(self, path: str, into: str) -> None:
        """Take an archive out, for root alone. Names that lead elsewhere are a Refusal."""

    def place(self, source: str, member: Member, below: str) -> None:
        """Put what was taken out to its path, with mode and owner, by a rename; parents that are missing are made.

        Below ``below``, which is the path or above it, no link is followed.
        """

    def ends_with_its_checksum(self, path: str) -> bool:
        """Whether the last 32 bytes of a file are the SHA-256 of what is before them."""

    def sync(self) -> None:
        """Have everything on disk."""


# Reads archives that any user may have written, and writes what is in them below one directory. No link is followed there.

CHUNK = 1 << 20
# a long name, a time and the like take some hundred bytes
LONGEST_HEADER = 1 << 16
# behind the end of an archive there are zeros, as far as its last block goes
LONGEST_TAIL = 1 << 20
# of the files of a cluster; etcd's own maximum is 8 GiB
LARGEST_BACKUP = 64 << 30
DEEPEST = 200
SET_ID = stat.S_ISUID | stat.S_ISGID
_HEADERS = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
# the last three: numbers and names that no file can have
_UNREADABLE = (tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile, ValueError, OverflowError, RecursionError)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class _Header(tarfile.TarInfo):
    """Bounds what tarfile would read into memory as a whole."""

    @classmethod
    def frombuf(cls, buf: Union[bytes, bytearray], encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.type in _HEADERS and header.size > LONGEST_HEADER:
            raise tarfile.ReadError(f"a header of {header.size} bytes")
        return header


@contextlib.contextmanager
def read_archive(path: str, room: Optional[int] = None) -> Iterator[Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]]:
    """The members of an archive that is read once, to the last byte, so that a cut tail is seen.

    What leads elsewhere, or would become more than it seems, is a Refusal. room: the most bytes that its files may have together.
    """
    required = "an archive that backup.yml wrote"
    next_step = "It is damaged, or another file: use the previous backup."
    try:
        with gzip.open(path, "rb") as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Header) as archive:
                yield _members(archive, path, room)
            tail = 0
            while chunk := unpacked.read(CHUNK):
                tail += len(chunk)
                if tail > LONGEST_TAIL:
                    raise tarfile.ReadError(f"more than {show_size(LONGEST_TAIL)} behind its end")
    except _UNREADABLE as error:
        raise Refusal(f"archive {path}", f"truncated or damaged ({str(error) or type(error).__name__})", required, next_step) from error
    except OSError as error:
        raise Refusal(
            f"archive {path}", str(error.strerror or error).lower(), required, "Correct the path or its permissions, or free space."
        ) from error


def kind(member: tarfile.TarInfo) -> str:
    """What it becomes. A hard link and a device are ``other``."""
    return "file" if member.isreg() else "link" if member.issym() else "directory" if member.isdir() else "other"


def take_out(path: str, into: str, *, without: int, with_owners: bool) -> None:
    """Write what is in an archive below a directory that is there.

    without: how many of a name's first directories are left away. with_owners: with owner, mode and time, too; else for this user alone.
    """
    directories: list[tuple[list[str], tarfile.TarInfo]] = []
    root = os.open(into, _DIRECTORY)
    try:
        free = os.fstatvfs(root)
        with read_archive(path, free.f_bavail * free.f_frsize) as members:
            for archive, member in members:
                parts = member.name.split("/")[without:]
                if member.isdir():
                    os.close(_open_below(root, parts))
                    directories.append((parts, member))
                elif not parts:
                    raise Refusal(f"archive {path}", f"a member {member.name}", "names below one directory", "Use another archive.")
                else:
                    with _parent(root, parts) as (parent, name):
                        _write(archive, member, parent, name, with_owners=with_owners)
                        if member.islnk():
                            with _parent(root, member.linkname.split("/")[without:]) as (source, linked):
                                os.link(linked, name, src_dir_fd=source, dst_dir_fd=parent, follow_symlinks=False)
            # the deepest first: a directory that is closed to its owner, or whose time is set, takes no more files
            for parts, member in reversed(directories if with_owners else []):
                _finish(_open_below(root, parts), member)
    finally:
        os.close(root)


def put(source: str, member: Member, below: str) -> None:
    """Put a file, link or directory to its path, with owner and mode, by a rename. Above ``below`` there may be links, below it not."""
    try:
        above = os.path.dirname(below)
        os.makedirs(above, exist_ok=True)
        root = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _put(root, member.path[len(above.rstrip("/")) + 1 :].split("/"), source, member)
        finally:
            os.close(root)
    except OSError as error:
        found = str(error.strerror or error).lower()
        required = f"a place for a {member.kind}, with parent directories that are not links"
        raise Refusal(member.path, found, required, "Move the existing file away, then run restore.yml again.") from error


def _members(archive: tarfile.TarFile, path: str, room: Optional[int]) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    kinds: dict[str, str] = {}
    size = 0
    for member in archive:
        size += member.size
        if room is not None and size > room:
            step = "Use another archive, or free space if it is yours."
            raise Refusal(f"archive {path}", f"{show_size(size)} unpacked, or more", f"{show_size(room)} at most", step)
        for found, required in _faults(member, kinds):
            shown = member.name[:200] if member.name.isprintable() else repr(member.name[:200])
            step = "It differs from what backup.yml writes: use another archive."
            raise Refusal(f"archive {path}", f"a member {shown}{found}", required, step)
        kinds[member.name] = kind(member)
        yield archive, member


def _faults(member: tarfile.TarInfo, kinds: dict[str, str]) -> Iterator[tuple[str, str]]:
    """What a member is found with, and what is required. kinds: of those before it. There is none if it leads nowhere else."""
    parts = member.name.split("/")
    if {"", ".", ".."} & {*parts} or "\0" in member.name:
        yield "", "names below the archive"
    if len(parts) > DEEPEST:
        yield f", {len(parts)} names deep", f"{DEEPEST} at most"
    if member.name in kinds:
        yield ", a second time", "each name once"
    if any(kinds.get("/".join(parts[:count]), "directory") != "directory" for count in range(1, len(parts))):
        yield ", below a link or a file", "names below the archive, and below directories only"
    if member.islnk() and kinds.get(member.linkname) != "file":
        yield f", a hard link to {member.linkname[:200]!r}", "a file before it in the archive"
    if member.isreg() and member.mode & SET_ID:
        yield f" with mode {member.mode & 0o7777:04o}", "files without setuid and setgid"
    if member.issparse():
        yield ", a sparse file", "files that are written out in full"


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, parent: int, name: str, *, with_owners: bool) -> None:
    content = archive.extractfile(member) if member.isreg() else None
    if content is not None:
        descriptor = os.open(name, _NEW_FILE, 0o600, dir_fd=parent)
        with os.fdopen(descriptor, "wb") as output:
            shutil.copyfileobj(content, output, CHUNK)
            output.flush()
            if with_owners:
                _finish(os.dup(descriptor), member)
    elif member.issym():
        os.symlink(member.linkname, name, dir_fd=parent)
        if with_owners:
            os.chown(name, member.uid, member.gid, dir_fd=parent, follow_symlinks=False)


def _finish(descriptor: int, member: tarfile.TarInfo) -> None:
    """Give owner, mode and time, and close."""
    try:
        os.fchown(descriptor, member.uid, member.gid)
        os.fchmod(descriptor, member.mode & 0o7777)
        os.utime(descriptor, (member.mtime, member.mtime))
    finally:
        os.close(descriptor)


def _put(root: int, parts: Sequence[str], source: str, member: Member) -> None:
    if member.kind == "directory":
        directory = _open_below(root, parts, new_mode=0o755)
        try:
            os.fchown(directory, member.owner, member.group)
            os.fchmod(directory, member.mode)
        finally:
            os.close(directory)
        return
    with _parent(root, parts, new_mode=0o755) as (parent, name):
        temporary = f".vmstation-{name}.tmp"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=parent)
        if member.kind == "link":
            os.symlink(member.target, temporary, dir_fd=parent)
        else:
            with os.fdopen(os.open(temporary, _NEW_FILE, 0o600, dir_fd=parent), "wb") as output, _own(source) as file:
                shutil.copyfileobj(file, output, CHUNK)
                output.flush()
                os.fchown(output.fileno(), member.owner, member.group)
                os.fchmod(output.fileno(), member.mode)
                os.fsync(output.fileno())
        os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
        os.fsync(parent)


def _own(source: str) -> BinaryIO:
    return os.fdopen(os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


@contextlib.contextmanager
def _parent(root: int, parts: Sequence[str], *, new_mode: int = 0o700) -> Iterator[tuple[int, str]]:
    """The directory that something is in, opened, and its name there."""
    descriptor = _open_below(root, parts[:-1], new_mode=new_mode)
    try:
        yield descriptor, parts[-1]
    finally:
        os.close(descriptor)


def _open_below(root: int, parts: Sequence[str], *, new_mode: int = 0o700) -> int:
    """A directory below another one, opened; those that are missing are made. A link in its place, or above it, is an OSError."""
    descriptor = os.dup(root)
    try:
        for part in parts:
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, new_mode, dir_fd=descriptor)
            below = os.open(part, _DIRECTORY, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = below
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


# The packing of this host's files.

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

    def modified(self, path: str) -> float:
        return os.path.getmtime(path) if os.path.isfile(path) else 0.0

    def held(self, path: str) -> AbstractContextManager[bool]:
        return held_file(path)

    def free(self, path: str) -> int:
        return free_space(path)

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
            sync_directory(directory)

    def duplicate(self, path: str, copy: str) -> None:
        with os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output, open(path, "rb") as file:
            shutil.copyfileobj(file, output, CHUNK)

    def copy(self, path: str, into: str, prefix: str) -> list[Member]:
        with _about(f"a copy of {path}", f"space and permissions to write it to {into}", f"Free space on the file system of {into}."):
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
        with _about(f"archive {path}", "space and permissions to write it", f"Free space on the file system of {os.path.dirname(path)}."):
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
        with read_archive(path, LARGEST_BACKUP) as archived:
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
        # without setuid and setgid, which a restore rejects for a file; a directory passes its group on with setgid
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
            raise Refusal(path, "neither a file, a directory nor a link", "what can be copied", "Remove it from the paths.")
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
        raise Refusal("owner", f"no user {owner} on this host", "a user of this host", "Set the user who fetches the archive.") from None
    return known.pw_uid, known.pw_gid


def free_space(path: str) -> int:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize
