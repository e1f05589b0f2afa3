# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs many commands and reads many files of a host in parallel, limited in time and memory."""

from __future__ import annotations

import collections
import glob
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Literal, Optional, Protocol, cast

from .._host.commands import host_environment
from .._json import read_json
from .._refusal import Refusal
from .._timing import ask_all

# Reads the output of many programs of a host, and its files, at once, bounded in time and in memory.

AT_ONCE = 6
CHUNK = 65536
# how long the kernel may take to end a program that was killed; one that waits for a dead file system never ends
KILLED_SECONDS = 1.0


@dataclass(frozen=True)
class Wanted:
    """A program with its arguments, or else the path of a file. seconds: how long it may take. room: bytes that are kept, at one end."""

    argv: tuple[str, ...]
    path: str
    seconds: float
    room: int
    keep: Literal["head", "tail"]


@dataclass(frozen=True)
class Reading:
    """What came. found: whether there is such a program or file. size: the bytes of all of it; text is what was kept of them.

    status: of a program that ended by itself, 0 for a file that was read. problem: what went wrong otherwise.
    """

    found: bool
    text: str = ""
    size: int = 0
    status: Optional[int] = None
    problem: str = ""
    seconds: float = 0.0


class HostReader(Protocol):
    """What the core is given to read a host; tests pass a scripted fake."""

    def interfaces(self) -> list[str]:
        """The names of its network interfaces."""

    def files(self, pattern: str) -> list[str]:
        """The files whose paths match, those that were last written first."""

    def read_all(self, wanted: Sequence[Wanted], seconds: float) -> list[Reading]:
        """All at once, in the order in which they were wanted. seconds: for all together."""


class LocalReader:
    """This host."""

    def __init__(self) -> None:
        self._environment = host_environment()

    def interfaces(self) -> list[str]:
        return sorted(os.listdir("/sys/class/net"))

    def files(self, pattern: str) -> list[str]:
        return sorted(filter(os.path.isfile, glob.glob(pattern)), key=_written, reverse=True)

    def read_all(self, wanted: Sequence[Wanted], seconds: float) -> list[Reading]:
        deadline = time.monotonic() + seconds

        def read(one: Wanted) -> Reading:
            started = time.monotonic()
            if started >= deadline:
                return Reading(True, problem=f"not asked, as {seconds:g} s were over")
            try:
                got = self._run(one, min(started + one.seconds, deadline)) if one.argv else _read(one)
            except OSError as error:
                got = Reading(True, problem=str(error.strerror or error).lower())
            return replace(got, seconds=round(time.monotonic() - started, 3))

        # a little longer than the programs have, so that each can still report that it was stopped
        answers = ask_all(wanted, read, seconds + 2 * KILLED_SECONDS, AT_ONCE)
        return [_reading(answer, seconds) for answer in answers]

    def _run(self, one: Wanted, deadline: float) -> Reading:
        program = shutil.which(one.argv[0], path=self._environment["PATH"])
        if program is None:
            return Reading(False)
        kept = _Kept(one.room, one.keep)
        # its own session, so that what it starts can be ended with it
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [program, *one.argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            env=self._environment, start_new_session=True,
        )  # fmt: skip
        with cast(IO[bytes], process.stdout) as output:
            while select.select([output], [], [], max(0.0, deadline - time.monotonic()))[0]:
                chunk = os.read(output.fileno(), CHUNK)
                if not chunk:
                    break
                kept.add(chunk)
            try:
                status = process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _kill(process)
                return Reading(True, kept.text(), kept.size, problem=f"did not end within {one.seconds:g} s")
        return Reading(True, kept.text(), kept.size, status)


class _Kept:
    """One end of a stream of bytes."""

    def __init__(self, room: int, keep: str) -> None:
        self._room, self._keep = room, keep
        self._chunks: collections.deque[bytes] = collections.deque()
        self._held = self.size = 0

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self._keep == "head":
            chunk = chunk[: self._room - self._held]
        self._chunks.append(chunk)
        self._held += len(chunk)
        while self._held - len(self._chunks[0]) >= self._room:
            self._held -= len(self._chunks.popleft())

    def text(self) -> str:
        data = b"".join(self._chunks)
        kept = data[: self._room] if self._keep == "head" else data[max(0, len(data) - self._room) :]
        return kept.decode("utf-8", "replace")


def _read(one: Wanted) -> Reading:
    try:
        # to open a pipe or a device might block, or have an effect
        descriptor = os.open(one.path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return Reading(False)
    kept = _Kept(one.room, one.keep)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return Reading(True, problem="not a regular file")
        skipped = max(0, status.st_size - one.room) if one.keep == "tail" else 0
        file.seek(skipped)
        # a log may grow meanwhile, and files in /proc have the size 0
        most = max(status.st_size - skipped if one.keep == "tail" else 0, one.room + 1)
        while kept.size < most:
            chunk = file.read(CHUNK)
            if not chunk:
                break
            kept.add(chunk)
    return Reading(True, kept.text(), max(status.st_size, skipped + kept.size), 0)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(KILLED_SECONDS)
    except (ProcessLookupError, subprocess.TimeoutExpired):
        return


def _reading(answer: object, seconds: float) -> Reading:
    if isinstance(answer, Reading):
        return answer
    return Reading(True, problem=str(answer) if isinstance(answer, Refusal) else f"no answer within {seconds:g} s", seconds=seconds)


def _written(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


# What this collection is.

COLLECTION = Path(__file__).resolve().parents[3]


def version(directory: Path = COLLECTION) -> str:
    """Of an installed archive, or of a checkout, which is somewhere after that release."""
    try:
        return str(read_json((directory / "MANIFEST.json").read_text())["collection_info"]["version"])
    except FileNotFoundError:
        found = re.search(r"^version:\s*(\S+)", (directory / "galaxy.yml").read_text(), re.MULTILINE)
        return f"{found[1] if found else 'unknown'} (checkout)"
