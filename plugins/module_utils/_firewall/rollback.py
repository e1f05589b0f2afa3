# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``confirm_within``: restore the old set unless a new connection shows in time that the host is still reachable.

The rollback consists of a data file, this program as one file, and a systemd timer that also runs after a reboot. All are in place before
the change.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Optional

from .._json import read_json
from .._refusal import Refusal
from . import apply
from .apply import BACKENDS, Files, restore
from .backend import ReadText
from .host import Host
from .model import PortSet, as_data, from_data
from .ssh import SshConnection

DIRECTORY = "/var/lib/vmstation/firewall"
UNITS = "/etc/systemd/system"
WANTS_DIRECTORY = f"{UNITS}/timers.target.d"
OWN_DIRECTORIES = (WANTS_DIRECTORY, DIRECTORY, os.path.dirname(DIRECTORY))
ENTRY = """\
import sys
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.rollback import main
main(sys.argv[1], this_host())
"""
SERVICE = """\
[Unit]
Description=Bring back the firewall ports of {owner} as they were before an unconfirmed change
After=network.target nftables.service iptables.service ip6tables.service netfilter-persistent.service ufw.service firewalld.service
ConditionPathExists={data}

[Service]
Type=oneshot
ExecStart={python} {program} {owner}
Restart=on-failure
RestartSec=30s
"""
TIMER = """\
[Unit]
Description=Wait for the confirmation of the firewall ports of {owner}

[Timer]
OnActiveSec={seconds}s
AccuracySec=100ms
"""
WANTS = """\
[Unit]
Wants={unit}.timer
"""


@dataclass(frozen=True)
class Rollback:
    """What is needed to restore an owner's old set.

    ports, files: the old set, and the old contents of the files that the change replaced. made: their new contents.
    connection: the SSH connection that made the change, as SshConnection prints it; empty if there is none. until: seconds since the
    epoch.
    """

    owner: str
    backend: str
    zone: str
    ports: PortSet
    files: Files
    made: Files
    connection: str
    until: float

    def is_confirmed_by(self, connection: Optional[SshConnection]) -> bool:
        """Return whether this connection shows that the host accepts new connections."""
        return connection is None or not self.connection or str(connection) != self.connection

    def changed_since(self, read_text: ReadText, removes: Callable[[str], bool]) -> frozenset[str]:
        """Return the files that another process changed after the change, such as another owner's run. removes: see Backend."""
        now = {path: read_text(path) for path in self.files}
        return frozenset(path for path, text in now.items() if text != self.made[path] and not (text is None and removes(path)))


def pending(host: Host, owner: str) -> Optional[Rollback]:
    """Return the rollback that waits for a confirmation; None if there is none."""
    text = host.read_text(_data(owner))
    if text is None:
        return None
    try:
        data = read_json(text)
        return Rollback(**{**data, "ports": from_data(data["ports"])})
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(
            _data(owner), f"not what this collection writes ({error})", "a pending change", "Inspect it, then remove it."
        ) from error


def arm(host: Host, rollback: Rollback) -> None:
    """Create the rollback and start its timer. Raises Refusal; a rollback that is left then restores the current state."""
    seconds = max(1, round(rollback.until - host.now()))
    host.replace_all(_files(host, rollback, seconds))
    host.commands.run(["systemctl", "daemon-reload"])
    host.commands.run(["systemctl", "restart", f"{_unit(rollback.owner)}.timer"])


def disarm(host: Host, owner: str) -> None:
    """Stop the timer and remove all files of the rollback."""
    host.commands.run(["systemctl", "stop", f"{_unit(owner)}.timer"], check=False)
    # remove the data first: without it, a timer that fires now does nothing
    host.replace_all(dict.fromkeys((_data(owner), *_unit_files(owner), _program(owner))))
    host.remove_empty((WANTS_DIRECTORY, *apply.DIRECTORIES))
    host.commands.run(["systemctl", "daemon-reload"], check=False)


def sweep(host: Host, owner: str) -> None:
    """Remove what a killed run left while it created or removed a rollback. Without its data it does nothing."""
    units = _unit_files(owner)
    # the record of an unfinished change is in the same directory
    host.sweep((_data(owner), *units))
    if host.read_text(_data(owner)) is None and any(host.read_text(path) is not None for path in (*units, _program(owner))):
        disarm(host, owner)
    host.remove_empty(OWN_DIRECTORIES)


def check_systemd(host: Host) -> None:
    if not host.has_systemd():
        raise Refusal(
            "confirm_within", "a host without systemd", "systemd, whose timer restores the old set", "Remove confirm_within from the task."
        )


def main(owner: str, host: Host) -> None:
    """Restore the old set; run by the timer. It takes the lock of all changes, so it never overlaps a confirmation."""
    with host.lock():
        rollback = pending(host, owner)
        if rollback is None:
            return
        client = rollback.connection.partition(" ")[0]
        backend = BACKENDS[rollback.backend](host.commands, host.read_text, rollback.zone, client)
        with host.tool_lock(backend.lock_path):
            changed = rollback.changed_since(host.read_text, backend.removes)
            restore(host, backend, owner, rollback.files, rollback.ports, changed=changed)
            apply.end_change(host, owner)
        disarm(host, owner)


def _files(host: Host, rollback: Rollback, seconds: int) -> Mapping[str, Optional[str]]:
    owner, unit = rollback.owner, _unit(rollback.owner)
    service, timer, wants = _unit_files(owner)
    data = {**rollback.__dict__, "ports": as_data(rollback.ports), "files": dict(rollback.files), "made": dict(rollback.made)}
    return {
        _program(owner): host.program(ENTRY),
        service: SERVICE.format(owner=owner, data=_data(owner), python=host.python, program=_program(owner)),
        timer: TIMER.format(owner=owner, seconds=seconds),
        wants: WANTS.format(unit=unit),
        _data(owner): json.dumps(data, indent=1, sort_keys=True) + "\n",
    }


def _unit(owner: str) -> str:
    return f"vmstation-firewall-rollback-{owner}"


def _unit_files(owner: str) -> tuple[str, str, str]:
    unit = _unit(owner)
    return f"{UNITS}/{unit}.service", f"{UNITS}/{unit}.timer", f"{WANTS_DIRECTORY}/{unit}.conf"


def _data(owner: str) -> str:
    return f"{DIRECTORY}/{owner}.json"


def _program(owner: str) -> str:
    return f"{DIRECTORY}/{owner}.pyz"
