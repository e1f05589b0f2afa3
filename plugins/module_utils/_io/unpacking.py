# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads archives that anybody may have written, and writes what is in them below one directory. No link is followed there."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import stat
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Member
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CHUNK = 1 << 20
# a long name, a time and the like take some hundred bytes
LONGEST_HEADER = 1 << 16
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
def read_archive(path: str) -> Iterator[Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]]:
    """The members of an archive that is read once, to the last byte, so that a cut tail is seen.

    What leads elsewhere, or would become more than it seems, is a Refusal.
    """
    required = "an archive that backup.yml wrote"
    next_step = "It is damaged, or another file: take the backup before it."
    try:
        with gzip.open(path, "rb") as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|", tarinfo=_Header) as archive:
                yield _members(archive, path)
            while unpacked.read(CHUNK):
                pass
    except _UNREADABLE as error:
        raise Refusal(f"archive {path}", f"cut short or damaged ({str(error) or type(error).__name__})", required, next_step) from error
    except OSError as error:
        raise Refusal(
            f"archive {path}", str(error.strerror or error).lower(), required, "Correct the path or its rights, or free room."
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
        with read_archive(path) as members:
            for archive, member in members:
                parts = member.name.split("/")[without:]
                if member.isdir():
                    os.close(_open_below(root, parts))
                    directories.append((parts, member))
                elif not parts:
                    raise Refusal(f"archive {path}", f"a member {member.name}", "names below one directory", "Take another archive.")
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
        required = f"a place for a {member.kind}, with directories above it that are no links"
        raise Refusal(member.path, found, required, "Move away what is there, then run restore.yml again.") from error


def _members(archive: tarfile.TarFile, path: str) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    kinds: dict[str, str] = {}
    for member in archive:
        for found, required in _faults(member, kinds):
            shown = member.name[:200] if member.name.isprintable() else repr(member.name[:200])
            step = "It is not as backup.yml writes it: take another archive."
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
