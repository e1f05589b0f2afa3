# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the I/O of this host together, for the modules that make the two programs, and for the programs themselves.

The programs write errors to standard error; the exit status is then 1.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence

from .._host.commands import HostCommands
from .._host.files import LocalTrees, read_text, remove_empty, replace_all
from .._host.processes import archive
from .._programs import Host
from .._refusal import Refusal
from .._timing import SystemClock
from .._wake.io import HostNetwork, local_networks_of
from .._wake.wake import Request, device_to_bind, outgoing_network
from .guard import CONFIGURATION, Knock, answer, read_configuration
from .watch import World, run

PACKAGE = "ansible_collections.vmstation.cluster.plugins.module_utils._idle.host"
WATCH_ENTRY = f"from {PACKAGE} import watch\nwatch()\n"
GUARD_ENTRY = f"import sys\nfrom {PACKAGE} import guard\nguard(sys.argv[1:])\n"
LONGEST_QUESTION = 1 << 20


def this_host() -> Host:
    return Host(HostCommands(), read_text, replace_all, LocalTrees().remove, archive, sys.executable, remove_empty, os.path.lexists)


def watch() -> None:
    """What the timer starts."""
    commands = HostCommands()

    def lan(request: Request) -> HostNetwork:
        network = outgoing_network(request.broadcast, request.interface, local_networks_of(commands))
        return HostNetwork(request.broadcast, request.port, device_to_bind(request.broadcast, request.interface, network))

    try:
        world = World(commands, lan, SystemClock(), time.time, _say, read_text, replace_all)
        run(world, read_configuration(read_text(CONFIGURATION)))
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from refusal


def guard(arguments: Sequence[str]) -> None:
    """What sshd starts for the watch's key. arguments: the unit that puts the host to sleep."""
    try:
        asked = sys.stdin.read(LONGEST_QUESTION)
        knock = Knock(os.environ.get("SSH_ORIGINAL_COMMAND", ""), os.environ.get("SSH_CONNECTION", ""), asked)
        _say(json.dumps(answer(knock, "".join(arguments), HostCommands(), read_text)))
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from refusal


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
