# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One at a time, per host."""

from __future__ import annotations

import fcntl
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

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
