# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a change of the firewall needs of a host, so that a test can give its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import ReadText
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands, HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.detached import run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import read_text, remove_empty, replace_all, sweep
from ansible_collections.vmstation.cluster.plugins.module_utils._io.lock import exclusive, exclusive_to_tools
from ansible_collections.vmstation.cluster.plugins.module_utils._io.own_program import archive
from ansible_collections.vmstation.cluster.plugins.module_utils._io.processes import environments

LOCK = "/run/vmstation-firewall.lock"
LOCK_WAIT = 120.0
SYSTEMD_RUNS = "/run/systemd/system"


@dataclass(frozen=True)
class Host:
    """A host's I/O.

    detached: runs work that outlives us. program: gives this very program as a file. sweep: removes what a killed ``replace_all`` left
    beside files. remove_empty: removes directories that hold nothing. tool_lock: takes a backend's ``lock_path``.
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
    """The host that this runs on."""
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
