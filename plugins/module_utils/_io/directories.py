# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole directories, taken out of their archives beside their places and then renamed."""

from __future__ import annotations

import os
import shutil
import tarfile
from typing import Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking, read_archive
from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Packing
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

CHUNK = 1 << 20


class Directories(Packing, Protocol):
    """What the core is given to put directories back; tests pass a scripted fake."""

    def leads_elsewhere(self, path: str) -> bool:
        """Whether something is mounted there, or a link is."""

    def unpacked_size(self, archive: str) -> int:
        """How many bytes there are in an archive. One that cannot be read to its end is a Refusal."""

    def unpack_directory(self, archive: str, into: str) -> None:
        """Take the one directory of an archive out, as a new directory of another name: with owners, modes, times and links, to disk."""


class LocalDirectories(LocalPacking):
    """The directories of this host."""

    def leads_elsewhere(self, path: str) -> bool:
        return os.path.ismount(path) or os.path.islink(path)

    def unpacked_size(self, archive: str) -> int:
        with read_archive(archive) as opened:
            return sum(member.size for member in opened if member.isreg())

    def unpack_directory(self, archive: str, into: str) -> None:
        os.mkdir(into, 0o700)
        directories: list[tuple[str, tarfile.TarInfo]] = []
        with read_archive(archive) as opened:
            for member in opened:
                path = _below(into, member.name, archive)
                if member.isdir():
                    os.makedirs(path, 0o700, exist_ok=True)
                    directories.append((path, member))
                elif member.issym():
                    os.symlink(member.linkname, path)
                    os.chown(path, member.uid, member.gid, follow_symlinks=False)
                elif member.islnk():
                    os.link(_below(into, member.linkname, archive), path, follow_symlinks=False)
                elif member.isreg():
                    self._write(opened, member, path)
        # the deepest first: a directory that is closed to its owner, or whose time stands, takes no more files
        for path, member in reversed(directories):
            _finish(path, member)
        os.sync()

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        content = archive.extractfile(member)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as output:
            if content is not None:
                shutil.copyfileobj(content, output, CHUNK)
        _finish(path, member)


def _below(into: str, name: str, archive: str) -> str:
    """Where a member goes: its first directory is the one that gets another name. What leads elsewhere is refused."""
    parts = name.split("/")[1:]
    path = os.path.join(into, *parts) if parts else into
    parent = os.path.dirname(path) if parts else into
    if ".." in parts or "" in parts or name.startswith("/") or os.path.realpath(parent) != os.path.realpath(into) + parent[len(into) :]:
        raise Refusal(f"archive {archive}", f"a member {name}", "names below one directory", "Take another archive.")
    return path


def _finish(path: str, member: tarfile.TarInfo) -> None:
    os.chown(path, member.uid, member.gid)
    os.chmod(path, member.mode & 0o7777)
    os.utime(path, (member.mtime, member.mtime))
