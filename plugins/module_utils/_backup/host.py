# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the I/O of this host together, for the modules of scheduled backups and for their two programs.

The programs write errors to standard error; the exit status is then 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from .._host.archives import CHUNK, LocalPacking
from .._host.commands import Completed, HostCommands
from .._host.files import LocalTrees, read_text, remove_empty, replace_all
from .._host.processes import archive
from .._kubeadm.host import this_host as this_node
from .._programs import Host
from .._refusal import Refusal
from .io import Gpg
from .keeping import read_order, receive
from .schedule import CONFIGURATION, World, read_configuration, run

PACKAGE = "ansible_collections.vmstation.cluster.plugins.module_utils._backup.host"
BACKUP_ENTRY = f"from {PACKAGE} import backup\nbackup()\n"
RECEIVER_ENTRY = f"import sys\nfrom {PACKAGE} import receiver\nreceiver(sys.argv[1:])\n"


def this_host() -> Host:
    return Host(HostCommands(), read_text, replace_all, LocalTrees().remove, archive, sys.executable, remove_empty, os.path.lexists)


def backup() -> None:
    """What the timer starts."""
    commands = HostCommands()

    def send(argv: list[str], path: str, seconds: float) -> Completed:
        return commands.run(argv, source=path, timeout=seconds, check=False)

    world = World(this_node(), LocalPacking(), Gpg(commands), read_text, replace_all, send, _say)
    try:
        run(world, read_configuration(read_text(CONFIGURATION)))
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from refusal


def receiver(arguments: Sequence[str]) -> None:
    """What sshd starts for the control plane's key. arguments: as the line of authorized_keys has them."""
    try:
        asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
        _say(json.dumps(receive(asked, read_order(arguments), LocalPacking(), _save)))
    except Refusal as refusal:
        raise SystemExit(str(refusal)) from refusal


def _save(path: str, size: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as output:
        while size > 0 and (chunk := sys.stdin.buffer.read(min(CHUNK, size))):
            output.write(chunk)
            size -= len(chunk)
        output.flush()
        os.fsync(output.fileno())


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
