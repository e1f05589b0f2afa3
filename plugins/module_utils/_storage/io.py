# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's file systems report about a directory. A silent file system, such as NFS without its server, is not waited for."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Protocol

from .._host.commands import HostCommands
from .._refusal import Refusal, Unavailable


@dataclass(frozen=True)
class Place:
    """A path and the file system that it is on, or would be on.

    nearest: itself or its nearest parent that exists, without links. owner, group, mode: of itself, None if it does not exist.
    free, free_inodes: for users other than root; free_inodes is None on a file system that does not count them. size: of the file system.
    is_read_only: whether the file system is mounted so, also by the kernel after an error of its disk.
    """

    nearest: str
    exists: bool
    is_directory: bool
    is_empty: bool
    owner: Optional[int]
    group: Optional[int]
    mode: Optional[int]
    free: int
    free_inodes: Optional[int]
    size: int
    is_read_only: bool = False


@dataclass(frozen=True)
class Reader:
    """A user of the kernel. groups: the primary one first."""

    user: int
    groups: tuple[int, ...]


class Storage(Protocol):
    """What the core is given to look at directories; tests pass a scripted fake."""

    def place(self, path: str) -> Place:
        """One look at an absolute path. What cannot be looked at is a Refusal."""

    def lists(self, path: str, reader: Reader) -> bool:
        """Whether a user may list a directory, whatever its parents permit: a container gets the directory without them."""

    def mounts(self) -> str:
        """The kernel's list of mounts."""


class DirectoryMaker(Protocol):
    """What the core is given to make directories."""

    def make(self, path: str, mode: int, owner: Optional[int], group: Optional[int]) -> None:
        """Make a directory, or give an empty one its owner and mode. What it is in is made so that all users can pass through."""


class LocalStorage:
    """The file systems of this host. seconds: how long each look may take."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def place(self, path: str) -> Place:
        answers: list[object] = []

        def look() -> None:
            try:
                answers.append(_look(path))
            except OSError as error:
                answers.append(error)

        # nothing can end a call into a file system that hangs, and a daemon's thread does not keep the process
        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        thread.join(self._seconds)
        answer = answers[0] if answers else None
        if isinstance(answer, Place):
            return answer
        required = "a directory that answers"
        if isinstance(answer, OSError):
            raise Refusal(path, str(answer.strerror).lower(), required, "Check its file system, and the permissions of the user.")
        raise Unavailable(
            path,
            f"no answer within {self._seconds:g} s",
            required,
            "Its file system hangs: check its server or `dmesg`, and mount it again.",
        )

    def lists(self, path: str, reader: Reader) -> bool:
        ids = [f"--reuid={reader.user}", f"--regid={reader.groups[0]}", f"--groups={','.join(map(str, reader.groups))}"]
        # root enters the directory; then the kernel answers for the user, because no mode shows ACLs or what a server permits
        argv = ["env", f"--chdir={path}", "setpriv", *ids, "test", "-r", ".", "-a", "-x", "."]
        answer = HostCommands().run(argv, timeout=self._seconds, check=False)
        if answer.status > 1:
            required = f"an answer of `test` as user {reader.user}"
            found = answer.stderr.strip() or f"exit status {answer.status}"
            raise Refusal(path, found, required, "Become root on a host that has setpriv, of the package util-linux.")
        return answer.status == 0

    def mounts(self) -> str:
        return Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")


class LocalDirectoryMaker:
    """The directories of this host."""

    def make(self, path: str, mode: int, owner: Optional[int], group: Optional[int]) -> None:
        try:
            os.makedirs(os.path.dirname(path.rstrip("/")), exist_ok=True)
            with contextlib.suppress(FileExistsError):
                # closed until it is its owner's; a run that is killed here leaves one that is empty, which the next run takes
                os.mkdir(path, mode & 0o700)
            descriptor = os.open(os.path.realpath(path), os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                os.fchown(descriptor, -1 if owner is None else owner, -1 if group is None else group)
                os.fchmod(descriptor, mode)
            finally:
                os.close(descriptor)
        except OSError as error:
            reason = str(error.strerror or error).lower()
            raise Refusal(
                f"directory {path}", reason, "a directory that can be created", "Check its file system and its permissions."
            ) from error


def _look(path: str) -> Place:
    nearest = os.path.realpath(path)
    exists = os.path.lexists(nearest)
    while not os.path.lexists(nearest):
        nearest = os.path.dirname(nearest)
    status = os.stat(nearest)
    is_directory = exists and os.path.isdir(nearest)
    is_empty = True
    if is_directory:
        with os.scandir(nearest) as entries:
            # a new file system is not without that
            is_empty = next((entry for entry in entries if entry.name != "lost+found"), None) is None
    room = os.statvfs(nearest)
    return Place(
        nearest,
        exists,
        is_directory,
        is_empty,
        status.st_uid if exists else None,
        status.st_gid if exists else None,
        status.st_mode & 0o7777 if exists else None,
        room.f_bavail * room.f_frsize,
        room.f_favail if room.f_files else None,
        room.f_blocks * room.f_frsize,
        bool(room.f_flag & os.ST_RDONLY),
    )
