# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab says while it works: a timestamp on each line, and never a silent minute."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

BEAT = 20.0  # seconds between two signs of life


class LabError(Exception):
    """Something of the lab cannot go on; the text is for a person."""


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    """Says that something begins, that it still runs, and how long it took."""
    started = time.monotonic()
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT):
            say(f"{title}: still at it ({time.monotonic() - started:.0f} s)")

    say(f"{title} ...")
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    except BaseException:
        say(f"{title}: FAILED after {time.monotonic() - started:.1f} s")
        raise
    else:
        say(f"{title}: done ({time.monotonic() - started:.1f} s)")
    finally:
        over.set()
        thread.join()


def mortal(argv: Sequence[str]) -> list[str]:
    """The command, so that it ends when this process is killed: an interrupted run leaves no second one behind."""
    return ["setpriv", "--pdeathsig", "TERM", *argv]


def quietly(
    argv: Sequence[str], *, env: Mapping[str, str] | None = None, stdin: str | None = None, timeout: float = 1800, cwd: Path | None = None
) -> str:
    """Run to the end and return its output; a status other than 0 raises with the last lines of what it said."""
    process = subprocess.run(
        mortal(argv), env=env, input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout, check=False, cwd=cwd,
    )  # fmt: skip
    if process.returncode:
        tail = "\n".join(deque(process.stdout.splitlines(), 30))
        raise LabError(f"`{' '.join(argv)}` ended with status {process.returncode}:\n{tail}")
    return process.stdout


def aloud(argv: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> int:
    """Run with its output on ours, to its end; returns its status."""
    sys.stdout.flush()
    return subprocess.run(mortal(argv), env=env, stdin=subprocess.DEVNULL, check=False, cwd=cwd).returncode
