# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The I/O that kubeadm's modules need on a host. Tests replace it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Callable

from .._host.commands import Commands, HostCommands
from .._host.files import HostFiles, LocalFiles, Write, replace_all
from .._host.processes import exclusive, run_detached
from .._host.web import HostWebClient
from .._notation import in_url
from .._preflight.io import LocalMachine, look_at_host
from .._preflight.model import Expectations, HostState
from .configuration import API_PORT

LOCK = "/run/vmstation-kubeadm.lock"


@dataclass(frozen=True)
class NodeHost:
    """A host's I/O.

    look: reads processes and listeners. lock: waits up to this many seconds.
    detached: runs work that continues if we are killed. now: seconds of a clock that never goes back. unix_time: seconds since 1970.
    answers: whether an API server answers at an address.
    """

    commands: Commands
    files: HostFiles
    write: Write
    look: Callable[[], HostState]
    lock: Callable[[float], AbstractContextManager[None]]
    detached: Callable[[Callable[[], None]], None]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    unix_time: Callable[[], float] = time.time
    answers: Callable[[str], bool] = lambda address: False


def this_host() -> NodeHost:
    """Return the I/O of the host that this runs on."""
    commands, files = HostCommands(), LocalFiles()
    expected = Expectations(role="control_plane", name="this host", modules=())
    return NodeHost(
        commands=commands,
        files=files,
        write=replace_all,
        look=lambda: look_at_host(expected, files, commands, LocalMachine()),
        lock=lambda wait: exclusive(LOCK, wait),
        detached=run_detached,
        answers=_answers,
    )


def _answers(address: str) -> bool:
    return HostWebClient().get(f"https://{in_url(address)}:{API_PORT}/version").status != 0
