# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories for one user alone, for what is in clear for a while: never beside a backup, which may be on a stick or a NAS."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

_PREFIX = "vmstation-"
# what a directory takes beside the files in it
_MARGIN = 1 << 20


def new_directory(name: str, within: str, size: int) -> str:
    """Make a directory for ``size`` bytes, in ``within`` or, if that is empty, where this user's files for a while are.

    Those of the same name that killed runs have left go first.
    """
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise Refusal("name", repr(name), "letters, digits, _, . and -", "Name it after what it is for.")
    sweep(name, within)
    unfit = []
    for base in _bases(within):
        wrong = _wrong(base, size)
        if wrong:
            unfit.append(f"{base} {wrong}")
            continue
        path = tempfile.mkdtemp(prefix=f"{_PREFIX}{name}.", dir=base)
        status = os.stat(path)
        if (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o700):
            return path
        os.rmdir(path)
        unfit.append(f"{base} on a file system without owners and modes")
    raise Refusal(
        "work_directory",
        "; ".join(unfit),
        f"a directory of yours with {size + _MARGIN} bytes free, for what is in clear for a while",
        "Name one in work_directory (of the playbooks: `-e backup_work_directory=/var/tmp`), or free some room there.",
    )


@contextlib.contextmanager
def held_directory(within: str, size: int) -> Iterator[str]:
    """A new directory that is locked while it is used, so that no other run removes it, and that is removed in any case."""
    path, descriptor = _locked(within, size)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(descriptor)


def sweep(name: str, within: str) -> None:
    """Remove what killed runs of this user have left. What a run uses is locked, and stays."""
    form = re.compile(rf"{re.escape(_PREFIX + name)}\.[a-z0-9_]{{8}}")
    for base in _bases(within):
        for entry in os.scandir(base) if os.path.isdir(base) else ():
            if form.fullmatch(entry.name):
                _remove_unlocked(entry.path)


def _bases(within: str) -> list[str]:
    usual = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/var/tmp")
    return [within] if within else list(dict.fromkeys(base for base in usual if base))


def _wrong(base: str, size: int) -> str:
    """Why it will not do; empty if it will. In a directory of another user, or that others write to, that one could take ours away."""
    if not os.path.isdir(base):
        return "is no directory"
    status = os.stat(base)
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}"
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        return "can be written to by other users"
    if not os.access(base, os.W_OK | os.X_OK):
        return "cannot be written to"
    room = os.statvfs(base)
    free = room.f_bavail * room.f_frsize
    return f"has {free} bytes free" if free < size + _MARGIN else ""


def _locked(within: str, size: int) -> tuple[str, int]:
    while True:
        path = new_directory("opened", within, size)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.path.isdir(path):
                return path, descriptor
            # another process has swept it before it was locked
            os.close(descriptor)


def _remove_unlocked(path: str) -> None:
    # gone meanwhile, in use, or another user's
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)
