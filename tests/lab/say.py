# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab says while it works: a timestamp on each line, and never a silent minute."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BEAT = 20.0  # seconds between two signs of life


class LabError(Exception):
    """Something of the lab cannot go on; the text is for a person."""


def say(text: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)


@dataclass
class Progress:
    """What a long step is doing now, and since when."""

    now: str = ""
    since: float = field(default_factory=time.monotonic)

    def at(self, now: str) -> None:
        self.now, self.since = now, time.monotonic()


@contextmanager
def _beating(seconds: float, beat: Callable[[], None]) -> Iterator[None]:
    """Calls that function again and again, in a thread of its own, until the block ends."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(seconds):
            beat()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def step(title: str) -> Iterator[Progress]:
    """Says that something begins, that it still runs, and how long it took. The block may set what it is doing now."""
    started = time.monotonic()
    progress = Progress()

    def beat() -> None:
        say(f"{title}: still at it ({time.monotonic() - started:.0f} s)" + f", now {progress.now}" * bool(progress.now))

    say(f"{title} ...")
    try:
        with _beating(BEAT, beat):
            yield progress
    except BaseException:
        say(f"{title}: FAILED after {time.monotonic() - started:.1f} s")
        raise
    else:
        say(f"{title}: done ({time.monotonic() - started:.1f} s)")


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


def aloud_by_task(
    argv: Sequence[str], detail: Callable[[], Sequence[str]], *, env: Mapping[str, str], cwd: Path, silence: float = 30.0
) -> int:
    """Run ansible-playbook with its output on ours; returns its status.

    While a task takes long, it says every ``silence`` seconds which one that is, and the lines that ``detail`` returns.
    """
    progress = Progress("the first task")
    last_output = time.monotonic()

    def beat() -> None:
        if time.monotonic() - last_output < silence / 2:
            return
        task, lines = progress.now, detail()
        # that took its time, too
        if progress.now == task:
            say(f"{task}: still at it ({time.monotonic() - progress.since:.0f} s)")
            for line in lines:
                say(f"  {line}")

    colors = {"ANSIBLE_FORCE_COLOR": "1"} if sys.stdout.isatty() and "NO_COLOR" not in env else {}
    with subprocess.Popen(
        mortal(argv), env={**env, **colors}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", cwd=cwd,
    ) as process, _beating(silence, beat):  # fmt: skip
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            last_output = time.monotonic()
            if task := re.search(r"(?:TASK|RUNNING HANDLER) \[.*\]", line):
                progress.at(task[0])
    return process.returncode
