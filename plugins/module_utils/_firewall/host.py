# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The I/O that a firewall change needs on a host. Tests replace it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Optional

from .._host.commands import Commands, HostCommands
from .._host.files import read_text, remove_empty, replace_all, sweep
from .._host.processes import archive, exclusive, exclusive_to_tools, run_detached
from .backend import ReadText

# Environments of this process and its ancestors

FURTHEST_ANCESTOR = 64


def environments() -> Iterator[Mapping[str, str]]:
    """Yield our own environment, then each ancestor's, nearest first, from /proc. Unreadable ones end the list."""
    yield os.environ
    process = os.getppid()
    for _step in range(FURTHEST_ANCESTOR):
        if process <= 0:
            return
        try:
            environ = Path(f"/proc/{process}/environ").read_bytes()
            # the command name may contain spaces and parentheses; state and parent follow its last parenthesis
            parent = int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        pairs = (entry.partition(b"=") for entry in environ.split(b"\0") if entry)
        yield {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, _equals, value in pairs}
        process = parent


# I/O of a host

LOCK = "/run/vmstation-firewall.lock"
LOCK_WAIT = 120.0
SYSTEMD_RUNS = "/run/systemd/system"


@dataclass(frozen=True)
class Host:
    """A host's I/O.

    detached: runs work that continues if we are killed. program: returns this program as a file.
    sweep: removes what a killed ``replace_all`` left beside files. remove_empty: removes empty directories.
    tool_lock: takes a backend's ``lock_path``.
    """

    commands: Commands
    read_text: ReadText
    replace_all: Callable[[Mapping[str, Optional[str]]], None]
    lock: Callable[[], AbstractContextManager[None]]
    detached: Callable[[Callable[[], None]], None]
    environments: Callable[[], Iterable[Mapping[str, str]]]
    program: Callable[[str], str]
    has_systemd: Callable[[], bool]
    sweep: Callable[[Iterable[str]], None] = lambda paths: None
    remove_empty: Callable[[Iterable[str]], None] = lambda directories: None
    tool_lock: Callable[[str], AbstractContextManager[None]] = lambda path: nullcontext()
    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    python: str = sys.executable


def this_host() -> Host:
    """Return the I/O of the host that this runs on."""
    return Host(
        commands=HostCommands(),
        read_text=read_text,
        replace_all=replace_all,
        lock=lambda: exclusive(LOCK, LOCK_WAIT),
        tool_lock=lambda path: exclusive_to_tools(path, LOCK_WAIT),
        detached=run_detached,
        environments=environments,
        program=archive,
        sweep=sweep,
        remove_empty=remove_empty,
        has_systemd=lambda: os.path.isdir(SYSTEMD_RUNS),
    )
