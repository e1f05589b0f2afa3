# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads directories of an installation source: each file once, in bounded pieces, several files at a time."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Protocol, Union

CHUNK = 1 << 20
LARGEST_DOCUMENT = 4 << 20
LARGEST_TEXT = 16 << 20
THREADS = 4


@dataclass(frozen=True)
class Unreadable:
    """What took the place of a file's content: the operating system's words."""

    reason: str


@dataclass(frozen=True)
class Archive:
    """What a tar holds. members: the names of all. documents: the content of those that look like JSON."""

    members: frozenset[str]
    documents: Mapping[str, bytes] = field(default_factory=dict)


class SourceDirectory(Protocol):
    """What the check is given of a source; tests pass a dictionary behind it. All paths are relative to the source."""

    path: str

    def files(self) -> Union[tuple[str, ...], Unreadable]:
        """The paths of all files, sorted."""

    def text(self, path: str) -> Union[str, Unreadable]:
        """A file's text."""

    def head(self, path: str, length: int) -> bytes:
        """The first bytes of a file; fewer if it is shorter, none if it is not to be read."""

    def sha256(self, paths: Iterable[str]) -> Mapping[str, Union[str, Unreadable]]:
        """The checksums of files."""

    def archive(self, path: str) -> Union[Archive, Unreadable]:
        """What a tar holds."""


class LocalDirectory:
    """A directory of this machine."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(os.path.expanduser(path))

    def files(self) -> Union[tuple[str, ...], Unreadable]:
        found: list[str] = []
        failed: list[OSError] = []
        for directory, _directories, names in os.walk(self.path, onerror=failed.append):
            found.extend(os.path.relpath(os.path.join(directory, name), self.path) for name in names)
        if failed:
            return _unreadable(failed[0])
        return tuple(sorted(found))

    def text(self, path: str) -> Union[str, Unreadable]:
        try:
            with self._full(path).open("rb") as file:
                return file.read(LARGEST_TEXT).decode("utf-8", "replace")
        except OSError as error:
            return _unreadable(error)

    def head(self, path: str, length: int) -> bytes:
        try:
            with self._full(path).open("rb") as file:
                return file.read(length)
        except OSError:
            return b""

    def sha256(self, paths: Iterable[str]) -> Mapping[str, Union[str, Unreadable]]:
        wanted = list(paths)
        # hashlib gives way to other threads while it works on a large piece
        with ThreadPoolExecutor(THREADS) as threads:
            return dict(zip(wanted, threads.map(lambda path: sha256_of(str(self._full(path))), wanted)))

    def archive(self, path: str) -> Union[Archive, Unreadable]:
        try:
            with tarfile.open(self._full(path), "r:") as tar:
                members = {member.name[2:] if member.name.startswith("./") else member.name: member for member in tar}
                documents = {name: content for name, member in members.items() if (content := _document(tar, member)) is not None}
                return Archive(frozenset(members), documents)
        except OSError as error:
            return _unreadable(error)
        except tarfile.TarError as error:
            return Unreadable(f"not an uncompressed tar ({error})")

    def _full(self, path: str) -> Path:
        return Path(self.path) / path


class FilesBelow:
    """Files of this machine by their names in one directory."""

    def __init__(self, directory: str) -> None:
        self._directory = Path(directory)

    def is_there(self) -> bool:
        return self._directory.is_dir()

    def path(self, name: str) -> str:
        return str(self._directory / name)

    def exists(self, name: str) -> bool:
        return (self._directory / name).is_file()

    def programs(self, names: Iterable[str]) -> Mapping[str, str]:
        """The checksums of programs by name; empty if there is none of that name that everybody may run."""
        wanted = list(names)
        with ThreadPoolExecutor(THREADS) as threads:
            return dict(zip(wanted, threads.map(self._program, wanted)))

    def _program(self, name: str) -> str:
        path = self._directory / name
        if not path.is_file() or path.stat().st_mode & 0o555 != 0o555:
            return ""
        checksum = sha256_of(str(path))
        return "" if isinstance(checksum, Unreadable) else checksum


def sha256_of(path: str) -> Union[str, Unreadable]:
    """The checksum of one file of this machine."""
    total = hashlib.sha256()
    try:
        with Path(path).open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK):
                total.update(chunk)
    except OSError as error:
        return _unreadable(error)
    return total.hexdigest()


def _document(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Optional[bytes]:
    file = tar.extractfile(member) if member.isreg() and member.size <= LARGEST_DOCUMENT else None
    if file is None:
        return None
    first = file.read(1)
    return first + file.read() if first in (b"{", b"[") else None


def _unreadable(error: OSError) -> Unreadable:
    return Unreadable(error.strerror or str(error))
