# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work that continues when the process or session that started it ends, one at a time; and this code as one file to run later."""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import struct
import sys
import time
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable, NoReturn, Optional

from .._json import read_json
from .._refusal import Refusal

POLL = 0.05


@contextmanager
def exclusive(path: str, wait: float) -> Iterator[None]:
    """Hold the lock of ``path``, waiting at most ``wait`` seconds for it.

    A forked child and every program that it starts hold it too, until they end: a program whose starter was killed is waited for.
    """

    def take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with _held(path, 0o600, take, wait, "another change"):
        yield


@contextmanager
def exclusive_to_tools(path: str, wait: float) -> Iterator[None]:
    """Hold the POSIX lock that other programs take on ``path``, waiting at most ``wait`` seconds for it; an empty path is no lock.

    It belongs to the open file and not to this process, so that a forked child holds it too, until it ends.
    """
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)

    def take(descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole_file)

    if not path:
        yield
        return
    with _held(path, 0o644, take, wait, "another program"):
        yield


def lock_holder(path: str) -> Optional[int]:
    """The process that has a POSIX lock on ``path``, 0 if it is outside the container; None if there is none, or this user may not ask."""
    try:
        with open(path, "rb") as file:
            asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _whence, _start, _length, process = struct.unpack("hhqqi4x", fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except (FileNotFoundError, PermissionError):
        return None
    return None if kind == fcntl.F_UNLCK else int(process)


@contextmanager
def _held(path: str, mode: int, take: Callable[[int], None], wait: float, holder: str) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    os.set_inheritable(descriptor, True)
    try:
        until = time.monotonic() + wait
        while True:
            try:
                take(descriptor)
                break
            except (BlockingIOError, PermissionError):
                if time.monotonic() >= until:
                    raise Refusal(
                        f"lock {path}", f"held by {holder} for {wait:g} s", "to be free", f"See who holds it with `fuser {path}`."
                    ) from None
                time.sleep(POLL)
        yield
    finally:
        os.close(descriptor)


# Work that goes on when the process that asked for it is killed or its SSH session ends.


def run_detached(work: Callable[[], None]) -> None:
    """Run ``work`` to its end in a child in a session of its own, and wait for it. Its Refusal is raised here.

    A signal to our process group does not reach the child, and it holds none of our output, so that no reader waits for it.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        _child(work, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    if not answer:
        raise Refusal("the change", "its process ended without a result", "a result", "Read the host's kernel log, then run again.")
    outcome = read_json(answer)
    if outcome["refusal"]:
        raise Refusal(*outcome["refusal"])


def _child(work: Callable[[], None], writer: int) -> NoReturn:
    refusal: list[str] = []
    try:
        os.setsid()
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
            signal.signal(number, signal.SIG_IGN)
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        work()
    except Refusal as error:
        refusal = [error.subject, error.found, error.required, error.next_step]
    except BaseException:  # the child must answer and must not return into the parent's code
        refusal = ["the change", traceback.format_exc().strip(), "no defect", "Report this to the authors of vmstation.cluster."]
    try:
        os.write(writer, json.dumps({"refusal": refusal}).encode())
    finally:
        os._exit(0)


# This collection's own code as one file that Python can run later, when Ansible's copy on the host is gone.

PACKAGE = "ansible_collections.vmstation.cluster.plugins.module_utils"
EPOCH = (1980, 1, 1, 0, 0, 0)


def archive(entry: str) -> str:
    """A zip of our loaded modules whose ``__main__`` is ``entry``, as text for ``replace_all`` (bytes kept as surrogates)."""
    sources = {"__main__.py": entry}
    names = [name for name in sorted(sys.modules) if name == PACKAGE or name.startswith(f"{PACKAGE}.")]
    for name in names:
        module = sys.modules[name]
        loader = module.__spec__.loader if module.__spec__ else None
        source = loader.get_source(name) if loader is not None and hasattr(loader, "get_source") else None
        is_package = hasattr(module, "__path__")
        path = name.replace(".", "/")
        sources[f"{path}/__init__.py" if is_package else f"{path}.py"] = source or ""
    for depth in range(1, PACKAGE.count(".") + 2):
        sources.setdefault("/".join(PACKAGE.split(".")[:depth]) + "/__init__.py", "")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        for path, text in sources.items():
            file.writestr(zipfile.ZipInfo(path, EPOCH), text)
    return packed.getvalue().decode("utf-8", "surrogateescape")
