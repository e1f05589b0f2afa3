# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host's files: read, replaced atomically, and removed without following mounts."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Optional, Protocol

from .._refusal import Refusal

# Files of a host, replaced whole or not at all.

Contents = Mapping[str, Optional[str]]
STAGED = (".vmstation-", ".tmp")  # before and after what a temporary file's name has of its own


class Write(Protocol):
    """``replace_all``, or what tests put in its place."""

    def __call__(self, contents: Contents, *, new_mode: int = 0o644) -> None:
        """Replace these files."""


def read_text(path: str) -> Optional[str]:
    """The file's text, bytes that are not UTF-8 kept as surrogates; None if there is no such file."""
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def regular_file(path: str) -> Optional[tuple[str, int]]:
    """A regular file's text and mode, or an empty text and 0 for what is none or cannot be read; None if nothing is there."""
    try:
        status = os.lstat(path)
        text = read_text(path) if stat.S_ISREG(status.st_mode) else None
    except FileNotFoundError:
        return None
    except OSError:
        return "", 0
    return ("", 0) if text is None else (text, stat.S_IMODE(status.st_mode))


def modified(path: str) -> Optional[float]:
    """When the file was last written, in Unix time; None if there is no such file."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return None


def replace_all(contents: Contents, *, new_mode: int = 0o644) -> None:
    """Replace files by a rename each, in the mapping's order; None removes. Every new content is on disk before the first rename.

    A replaced file keeps its mode and owner; a new one gets ``new_mode``. A file behind a link is replaced where it is. What a call that
    was killed has left beside the files goes first.
    """
    sweep(contents)
    targets = {os.path.realpath(path): text for path, text in contents.items()}
    with contextlib.ExitStack() as stack:
        staged = {
            target: None if text is None else stack.enter_context(_staged(target, text, new_mode)) for target, text in targets.items()
        }
        for target, temporary in staged.items():
            if temporary is not None:
                os.replace(temporary, target)
            elif os.path.lexists(target):
                os.unlink(target)
    for directory in {os.path.dirname(target) for target in targets}:
        sync_directory(directory)


def sweep(paths: Iterable[str]) -> None:
    """Remove what a ``replace_all`` that was killed has left beside these files. What one that runs has made is locked, and stays."""
    for directory in {os.path.dirname(os.path.realpath(path)) for path in paths}:
        for entry in os.scandir(directory) if os.path.isdir(directory) else ():
            if entry.name.startswith(STAGED[0]) and entry.name.endswith(STAGED[1]) and entry.is_file(follow_symlinks=False):
                _remove_unlocked(entry.path)


def remove_empty(directories: Iterable[str]) -> None:
    """Remove those of the directories that are there and hold nothing; the deepest come first."""
    for directory in directories:
        with contextlib.suppress(OSError):
            os.rmdir(directory)


@contextlib.contextmanager
def _staged(target: str, text: str, new_mode: int) -> Iterator[str]:
    """The name of a file beside the target with its new content, which is gone afterwards unless it was renamed."""
    directory = os.path.dirname(target)
    # as sshd wants it
    os.makedirs(directory, mode=0o700 if os.path.basename(directory) == ".ssh" else 0o755, exist_ok=True)
    descriptor, temporary = _locked_temporary(directory)
    with os.fdopen(descriptor, "wb") as file:
        try:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            if os.path.exists(target):
                status = os.stat(target)
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            else:
                os.fchmod(file.fileno(), new_mode)
            os.fsync(file.fileno())
            yield temporary
        finally:
            if os.path.lexists(temporary):
                os.unlink(temporary)


def _locked_temporary(directory: str) -> tuple[int, str]:
    while True:
        # the leading dot keeps it out of every `*.d` directory that a reload might read meanwhile
        descriptor, temporary = tempfile.mkstemp(prefix=STAGED[0], suffix=STAGED[1], dir=directory)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(temporary):
            return descriptor, temporary
        # another process has swept it before it was locked
        os.close(descriptor)


def _remove_unlocked(path: str) -> None:
    # gone meanwhile, locked, or another user's
    with contextlib.suppress(FileNotFoundError, BlockingIOError, PermissionError):
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(descriptor)


def sync_directory(directory: str) -> None:
    if not os.path.isdir(directory):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# Removes files and directories of a host, and never what is mounted there.


class Trees(Protocol):
    """What the core is given to remove files; tests pass a list."""

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it. A mount point, or a link, is emptied and stays."""

    def remove_empty(self, path: str) -> None:
        """Remove a directory if nothing is in it."""


class LocalTrees:
    """The files of this host."""

    def remove(self, path: str) -> None:
        if os.path.islink(path) and os.path.isdir(path):
            self._empty(os.path.realpath(path))
        elif os.path.ismount(path):
            self._empty(path)
        elif os.path.isdir(path):
            self._refuse_mounts(path)
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def remove_empty(self, path: str) -> None:
        remove_empty([path])

    def _empty(self, directory: str) -> None:
        self._refuse_mounts(directory)
        for entry in os.listdir(directory):
            self.remove(os.path.join(directory, entry))

    def _refuse_mounts(self, directory: str) -> None:
        """A bind mount may be of the same file system: only the kernel knows what is mounted."""
        below = os.path.realpath(directory) + "/"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            points = [line.split()[4].replace("\\040", " ") for line in file if len(line.split()) > 4]
        mounted = sorted(point for point in points if point.startswith(below))
        if mounted:
            raise Refusal(
                f"directory {directory}",
                f"mounted below it: {', '.join(mounted)}",
                "nothing mounted there, before it is removed",
                f"See what uses it (`fuser --mount {mounted[0]}`), unmount it, then run again.",
            )


# A host's files, as a look at it reads them: what is not there or cannot be read is no error.


class HostFiles(Protocol):
    """What the look is given of the host's files; tests pass a dictionary behind it."""

    def read(self, path: str) -> Optional[str]:
        """A file's text; None if it is not there or not to be read."""

    def entries(self, path: str) -> tuple[str, ...]:
        """A directory's names, sorted; empty if it is not there or not to be read."""

    def target(self, path: str) -> Optional[str]:
        """Where a symbolic link points to; None if it is none or gone."""

    def exists(self, path: str) -> bool:
        """Whether there is something of this name."""


class LocalFiles:
    """The files of this host."""

    def read(self, path: str) -> Optional[str]:
        try:
            return read_text(path)
        except OSError:  # a process ended meanwhile, or an attribute that the kernel does not give
            return None

    def entries(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(path)))
        except OSError:
            return ()

    def target(self, path: str) -> Optional[str]:
        try:
            return os.readlink(path)
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        return os.path.lexists(path)
