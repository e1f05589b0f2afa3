# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories for one user alone, for what is in clear for a while: never beside a backup, which may be on a stick or a NAS.

The name of a directory has the run of Ansible that made it: what a run that goes on has made, no other run removes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from typing import Optional

from .._refusal import Refusal
from .._waiting import Clock, look_until

_PREFIX = "vmstation-"
# a directory is looked for so often that a run which waits for it loses little
_PAUSE = 0.5
# what a directory takes beside the files in it
_MARGIN = 1 << 20


def new_directory(name: str, within: str, size: int) -> str:
    """Make a directory for ``size`` bytes, in ``within`` or, if that is empty, where this user's files for a while are.

    Those of the same name that killed runs left are removed first.
    """
    _refuse_unfit(name)
    sweep(name, within)
    return _made(name, within, size)


def exclusive_directory(name: str, within: str, size: int, seconds: float, clock: Clock) -> str:
    """The same, as soon as no other run of this user has one of that name: so it is the lock of what must not be done twice at once."""
    _refuse_unfit(name)

    def take() -> tuple[str, str]:
        """The run that has one, or the path of ours."""
        with _one_at_a_time(within) as is_free:
            if not is_free:
                return "another run, which looks for one, too", ""
            sweep(name, within)
            others = [run for _path, run in _named(name, within) if run != this_run() and _goes_on(run)]
            return (_shown(others[0]), "") if others else ("", _made(name, within, size))

    holder, path = look_until(take, lambda seen: bool(seen[1]), clock, seconds, _PAUSE)
    if not path:
        step = "Wait until that process ends, or end it, then run again."
        raise Refusal(f"directory {_PREFIX}{name}", f"in use for {seconds:g} s by {holder}", "no other run that uses it", step)
    return path


def this_run() -> str:
    """The run of Ansible that this process belongs to: its number, and when it started, for numbers are given again.

    A worker of Ansible leads the process group of the modules that it starts, and ends with its task; the run is its parent.
    """
    leader = os.getpgrp() or os.getpid()
    parent = _parent(leader)
    run = parent if parent > 1 and _started(parent) else os.getpid()
    return f"{run}-{_started(run)}"


def _refuse_unfit(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", name):
        raise Refusal("name", repr(name), "letters, digits, _, . and -", "Name it after what it is for.")


def _made(name: str, within: str, size: int) -> str:
    unfit = []
    for base in _bases(within):
        wrong = _wrong(base, size)
        if wrong:
            unfit.append(f"{base} {wrong}")
            continue
        path = tempfile.mkdtemp(prefix=f"{_PREFIX}{name}.{this_run()}.", dir=base)
        status = os.stat(path)
        if (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), 0o700):
            return path
        os.rmdir(path)
        unfit.append(f"{base} on a file system without owners and modes")
    raise Refusal(
        "work_directory",
        "; ".join(unfit),
        f"a directory of yours with {size + _MARGIN} bytes free, for what is in clear for a while",
        "Name one in work_directory (of the playbooks: `-e backup_work_directory=/var/tmp`), or free some space there.",
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
    """Remove what killed runs of this user have left. What a run that goes on has made, and what is locked, stays."""
    for path, run in _named(name, within):
        if not _goes_on(run):
            _remove_unlocked(path)


def _named(name: str, within: str) -> Iterator[tuple[str, str]]:
    """The directories of this name and user, each with the run that made it; empty for one of an earlier release."""
    for base in dict.fromkeys((*_bases(within), *_runtime_directory(within))):
        for entry in sorted(os.listdir(base)) if os.path.isdir(base) and os.access(base, os.R_OK) else ():
            run = _run_of(name, entry)
            # one may go away meanwhile
            with contextlib.suppress(FileNotFoundError):
                if run is not None and os.lstat(f"{base}/{entry}").st_uid == os.geteuid():
                    yield f"{base}/{entry}", run


def _run_of(name: str, entry: str) -> Optional[str]:
    match = re.fullmatch(rf"{re.escape(_PREFIX + name)}(?:\.(\d+-\d+))?\.[a-z0-9_]{{8}}", entry)
    return (match[1] or "") if match else None


def _goes_on(run: str) -> bool:
    number, _dash, started = run.partition("-")
    return bool(number) and _started(int(number)) == started


def _started(process: int) -> str:
    """When a process started, in ticks since the machine did; empty if there is none."""
    fields = _status(process)
    return fields[19] if fields else ""


def _parent(process: int) -> int:
    fields = _status(process)
    return int(fields[1]) if fields else 0


def _status(process: int) -> list[str]:
    """proc(5), /proc/pid/stat, from the third field on: the name before it may have blanks and parentheses."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="surrogateescape") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def _shown(run: str) -> str:
    """A run as its user knows it: its playbooks, and nothing else of its command line, which may have secrets."""
    number = run.partition("-")[0]
    try:
        with open(f"/proc/{number}/cmdline", encoding="utf-8", errors="replace") as file:
            words = [os.path.basename(word) for word in file.read().split("\0") if word.endswith((".yml", ".yaml"))]
    except OSError:
        words = []
    return " ".join([f"process {number}", *(word for word in words if word.isprintable())])


@contextlib.contextmanager
def held_file(path: str) -> Iterator[bool]:
    """Whether no other process holds this file, which is made to be locked and removed again. NFS locks no directory (flock(2))."""
    descriptor = -1
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        is_held = _is_held(descriptor, path)
    except OSError as error:
        if descriptor >= 0:
            os.close(descriptor)
        found, step = str(error.strerror or error).lower(), "Remove that file, or correct what prevents its use, then run again."
        raise Refusal(f"lock file {path}", found, "a file of this user that can be locked", step) from error
    try:
        yield is_held
    finally:
        if is_held:
            with contextlib.suppress(OSError):
                os.unlink(path)
        os.close(descriptor)


def _is_held(descriptor: int, path: str) -> bool:
    """Whether we lock it now. Another process may have removed it before we did; then the file of that name is another."""
    owner = os.fstat(descriptor).st_uid
    # elsewhere no other user makes files, and a NAS may give ours another owner
    if owner != os.geteuid() and os.stat(os.path.dirname(path)).st_mode & stat.S_ISVTX:
        raise OSError(errno.EPERM, f"a file of user {owner}", path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except (BlockingIOError, FileNotFoundError):
        return False


@contextlib.contextmanager
def _one_at_a_time(within: str) -> Iterator[bool]:
    """Whether no other run of this user looks now: two at once would both find nothing."""
    base = next((base for base in (*_runtime_directory(within), *_bases(within)) if not _untrusted(base)), "")
    if not base:
        # there is no place for a directory either, which the caller reports
        yield True
        return
    with held_file(f"{base}/{_PREFIX}{os.geteuid()}.lock") as is_held:
        yield is_held


def _runtime_directory(within: str) -> tuple[str, ...]:
    """That of this user, which cron does not set in XDG_RUNTIME_DIR."""
    return () if within else (f"/run/user/{os.geteuid()}",)


def _bases(within: str) -> list[str]:
    usual = (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir(), "/var/tmp")
    return [within] if within else list(dict.fromkeys(base for base in usual if base))


def _wrong(base: str, size: int) -> str:
    """Why it will not do; empty if it will."""
    untrusted = _untrusted(base)
    if untrusted:
        return untrusted
    room = os.statvfs(base)
    free = room.f_bavail * room.f_frsize
    return f"has {free} bytes free" if free < size + _MARGIN else ""


def _untrusted(base: str) -> str:
    """In a directory of another user, or that others write to, that one could take ours away."""
    if not os.path.isdir(base):
        return "is no directory"
    status = os.stat(base)
    if status.st_uid not in (0, os.geteuid()):
        return f"belongs to user {status.st_uid}"
    if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
        return "can be written to by other users"
    if not os.access(base, os.W_OK | os.X_OK):
        return "cannot be written to"
    return ""


def _locked(within: str, size: int) -> tuple[str, int]:
    while True:
        path = new_directory("opened", within, size)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            # on NFS, which locks no directory, the run in its name keeps it
            with contextlib.suppress(OSError):
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
            if os.fstat(descriptor).st_uid == os.geteuid() and not _is_in_use(descriptor):
                shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(descriptor)


def _is_in_use(directory: int) -> bool:
    """Whether another process locks it. On NFS, none can."""
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
