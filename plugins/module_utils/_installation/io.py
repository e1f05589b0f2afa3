# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read directories of an installation source: each file once, in bounded pieces, several files in parallel. Write files of containerd."""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Protocol, Union

from .._host.files import replace_all
from .registries import Change

CHUNK = 1 << 20
LARGEST_DOCUMENT = 4 << 20
LARGEST_TEXT = 16 << 20
THREADS = 4


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read. reason: the operating system's message."""

    reason: str


@dataclass(frozen=True)
class Archive:
    """A tar file. members: all names. documents: the contents of members that look like JSON."""

    members: frozenset[str]
    documents: Mapping[str, bytes] = field(default_factory=dict)


class SourceDirectory(Protocol):
    """Access to a source directory; tests use a dictionary. All paths are relative to the source."""

    path: str

    def files(self) -> Union[tuple[str, ...], Unreadable]:
        """The paths of all files, sorted."""

    def text(self, path: str) -> Union[str, Unreadable]:
        """A file's text."""

    def head(self, path: str, length: int) -> bytes:
        """The first bytes of a file; fewer if it is shorter, none if it cannot be read."""

    def sha256(self, paths: Iterable[str]) -> Mapping[str, Union[str, Unreadable]]:
        """The checksums of files."""

    def archive(self, path: str) -> Union[Archive, Unreadable]:
        """The contents of a tar file."""


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
        # hashlib releases the GIL while it processes a large piece
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
        """Return the checksums of programs by name; empty if the file does not exist or not all users may read and run it."""
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
    """Return the checksum of one file of this machine."""
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


def write_registries(change: Change) -> None:
    """Write the files of containerd's registries, for root alone, and remove what is empty then."""
    for directory in change.directories:
        os.makedirs(directory, exist_ok=True)
    replace_all(change.files, new_mode=0o600)
    for directory in change.empty:
        if os.path.isdir(directory) and not os.listdir(directory):
            os.rmdir(directory)
