# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What making a node needs of a host, so that a test can give its own."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands, HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.detached import run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import Write, replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import HostFiles, LocalFiles, LocalMachine, look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._io.lock import exclusive
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import Expectations, HostState

LOCK = "/run/vmstation-kubeadm.lock"


@dataclass(frozen=True)
class NodeHost:
    """A host's I/O. look: its processes and listeners. lock: waits so many seconds. detached: runs work that outlives us. now: seconds."""

    commands: Commands
    files: HostFiles
    write: Write
    look: Callable[[], HostState]
    lock: Callable[[float], AbstractContextManager[None]]
    detached: Callable[[Callable[[], None]], None]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


def this_host() -> NodeHost:
    """The host that this runs on."""
    commands, files = HostCommands(), LocalFiles()
    expected = Expectations(role="control_plane", name="this host", modules=())
    return NodeHost(
        commands=commands,
        files=files,
        write=replace_all,
        look=lambda: look_at_host(expected, files, commands, LocalMachine()),
        lock=lambda wait: exclusive(LOCK, wait),
        detached=run_detached,
    )
