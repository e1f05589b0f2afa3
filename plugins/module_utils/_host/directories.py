# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives of whole directories, and directories restored from them."""

from __future__ import annotations

import contextlib
import io
import os
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from .._refusal import Refusal
from .archives import SET_ID, LocalPacking, Packing, free_space, numbers_of, read_archive, sha256_of, take_out

# Archives of directories, written whole or not at all.


@dataclass(frozen=True)
class Written:
    """An archive that is complete under its name. size: in bytes."""

    size: int
    sha256: str


class Archives(Protocol):
    """What the core is given to keep archives in; tests pass a scripted fake."""

    def now(self, form: str) -> str:
        """The time of day, UTC, as strftime writes it."""

    def files(self, directory: str) -> list[str]:
        """The names in a directory, none if there is no such directory."""

    def is_directory(self, path: str) -> bool:
        """Whether there is a directory of this name."""

    def size(self, directory: str) -> int:
        """How many bytes the files of a directory have together."""

    def free(self, directory: str) -> int:
        """Free bytes of the file system that a directory is on, or would be on."""

    def write(self, source: str, path: str, unfinished: str, owner: str, timeout: int) -> Written:
        """Archive a directory for one user alone, under another name until it is complete. timeout: seconds."""

    def write_texts(self, texts: Mapping[str, str], path: str, unfinished: str) -> int:
        """Archive texts by their names in the same way."""

    def remove(self, path: str) -> None:
        """Remove a file."""


class LocalArchives:
    """Archives on this host."""

    def now(self, form: str) -> str:
        return time.strftime(form, time.gmtime())

    def files(self, directory: str) -> list[str]:
        return os.listdir(directory) if os.path.isdir(directory) else []

    def is_directory(self, path: str) -> bool:
        return os.path.isdir(path)

    def size(self, directory: str) -> int:
        total = 0
        for parent, _directories, names in os.walk(directory):
            for name in names:
                # a file of a program that runs may be gone again
                with contextlib.suppress(FileNotFoundError):
                    total += os.lstat(os.path.join(parent, name)).st_size
        return total

    def free(self, directory: str) -> int:
        return free_space(directory)

    def write(self, source: str, path: str, unfinished: str, owner: str, timeout: int) -> Written:
        deadline = time.monotonic() + timeout

        def within_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
            if time.monotonic() > deadline:
                step = "Find out what keeps the disk busy, or allow more time."
                raise Refusal(f"archive {path}", f"not complete after {timeout} s", f"an archive of {source} by then", step)
            if member.isreg():
                # directory_restore rejects them
                member.mode &= ~SET_ID
            return member

        # what takes the room is compressed already, pictures above all
        with self._whole(path, unfinished, f"what is in {source}", compression=1, owner=owner) as archive:
            archive.add(source, arcname=os.path.basename(source), filter=within_time)
        return Written(os.path.getsize(path), sha256_of(path))

    def write_texts(self, texts: Mapping[str, str], path: str, unfinished: str) -> int:
        now = int(time.time())
        with self._whole(path, unfinished, f"{len(texts)} files", compression=6) as archive:
            for name, text in texts.items():
                data = text.encode("utf-8", "replace")
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.mode = len(data), now, 0o600
                archive.addfile(entry, io.BytesIO(data))
        return os.path.getsize(path)

    def remove(self, path: str) -> None:
        os.unlink(path)

    @contextlib.contextmanager
    def _whole(self, path: str, unfinished: str, what: str, *, compression: int, owner: str = "") -> Iterator[tarfile.TarFile]:
        """An archive to fill, for one user alone; empty: who runs this. It gets its name when it is complete and on disk."""
        user = numbers_of(owner) if owner else (-1, -1)
        try:
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=compression, format=tarfile.PAX_FORMAT) as archive:
                    yield archive
                file.flush()
                os.fchown(file.fileno(), *user)
                os.fsync(file.fileno())
            os.rename(unfinished, path)
        except Refusal:
            self._forget(unfinished)
            raise
        except (OSError, tarfile.TarError) as error:
            self._forget(unfinished)
            raise Refusal(
                f"archive {path}",
                f"{error.strerror.lower() if isinstance(error, OSError) and error.strerror else error}",
                f"space and permissions to write {what}",
                f"Free space on the file system of {os.path.dirname(path)}, or choose another directory for archives.",
            ) from error

    def _forget(self, path: str) -> None:
        if os.path.lexists(path):
            os.unlink(path)


# Whole directories, taken out of their archives beside their places and then renamed.


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
        with read_archive(archive) as members:
            return sum(member.size for _archive, member in members if member.isreg())

    def unpack_directory(self, archive: str, into: str) -> None:
        os.mkdir(into, 0o700)
        take_out(archive, into, without=1, with_owners=True)
        os.sync()
