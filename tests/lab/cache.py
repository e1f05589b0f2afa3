# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the lab keeps what is expensive to make. Everything is named after a digest of what it is made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.say import say

CHECKOUT = Path(__file__).resolve().parents[2]


def cache() -> Path:
    """The cache directory: ``$XDG_CACHE_HOME/vmstation``, by default ``~/.cache/vmstation``."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    directory = Path(base) / "vmstation"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def installation_source() -> Path:
    """Where the lab's hosts install Kubernetes from: a link to what tests.cluster.source has made last."""
    return cache() / "cluster" / "source"


def digest(*parts: str | bytes) -> str:
    """Twelve hexadecimal digits that stand for all parts."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()[:12]


@contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time; the kernel gives the lock back when its holder is killed."""
    directory = cache() / "locks"
    directory.mkdir(exist_ok=True)
    with (directory / f"{name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{name}: another process works on it, waiting for its end ...")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Replace a file at once: a reader, or the next run after a kill, sees the old text or the new one."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(text)
    part.chmod(mode)
    part.rename(path)
