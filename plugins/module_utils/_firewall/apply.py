# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply a change: choose the backend, record the change, apply all of it or undo it; and the rollback of what nothing confirms."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Optional

from .._host.commands import Commands
from .._json import read_json
from .._refusal import Refusal
from .backend import Backend, ReadText, Standing, Step, Transaction
from .host import Host
from .model import PortSet, SshConnection, as_data, as_lines, from_data

# Choose the firewall backend

Make = Callable[[Commands, ReadText, str, str], Backend]

# In this order: firewalld and ufw create rules in nftables and iptables, so the managing program comes first. Each backend is imported
# only when it is tried: Ansible ships sources only, and the host compiles each imported file in every run.
# ruff: noqa: PLC0415


def _firewalld(commands: Commands, read_text: ReadText, zone: str, client: str) -> Backend:
    from .firewalld import Firewalld

    return Firewalld(commands, read_text, zone, lambda: client)


def _ufw(commands: Commands, read_text: ReadText, _zone: str, _client: str) -> Backend:
    from .ufw import Ufw

    return Ufw(commands, read_text)


def _nftables(commands: Commands, read_text: ReadText, _zone: str, _client: str) -> Backend:
    from .nftables import Nftables

    return Nftables(commands, read_text)


def _iptables(commands: Commands, read_text: ReadText, _zone: str, _client: str) -> Backend:
    from .iptables import Iptables

    return Iptables(commands, read_text)


BACKENDS: dict[str, Make] = {"firewalld": _firewalld, "ufw": _ufw, "nftables": _nftables, "iptables": _iptables}


def choose(name: str, commands: Commands, read_text: ReadText, zone: str, client: str) -> Optional[Backend]:
    """Return the active backend, or None if no firewall is active. ``auto`` takes the first one.

    client: the address at the other end of the SSH connection that runs us; empty if there is none.
    Raises Refusal if ``name`` is not active and another backend is.
    """
    if name != "auto":
        named = BACKENDS[name](commands, read_text, zone, client)
        if named.is_in_force():
            return named
    for other, make in BACKENDS.items():
        backend = make(commands, read_text, zone, client)
        if other == name or not backend.is_in_force():
            continue
        if name == "auto":
            return backend
        raise Refusal(
            "backend", f"{name}, and {other} in force", f"{other} or auto", f"Set backend to {other}, or disable {other} and enable {name}."
        )
    return None


def inactive(owner: str, read_text: ReadText) -> str:
    """Return the backend whose files have the owner's set, for when none is active; empty if none has."""
    from .firewalld_zones import policy_path, service_path

    # files that only we write
    files = {
        "firewalld": (service_path(owner), policy_path(owner, "in")),
        "ufw": (f"/etc/ufw/applications.d/vmstation-{owner}",),
        "nftables": (f"/etc/nftables.d/vmstation-{owner}.nft",),
        "iptables": (f"/var/lib/vmstation/firewall/{owner}.rules.v4",),
    }
    return next((name for name, paths in files.items() if any(read_text(path) is not None for path in paths)), "")


# Record of an unfinished change. It is written before the first file changes. If the process is killed, the next run (for any set of
# ports) finds the record and undoes the change.
#
# Files, IPv4 and IPv6 are separate transactions, so a kill can leave only some of them applied. The record holds the old set of ports,
# not the old files: it is applied to the current files, so later edits by others are kept.

# an owner name has no dot, so this name cannot be one of the rollback files beside it
PATH = "/var/lib/vmstation/firewall/unfinished.change"
# directories that hold only our files
DIRECTORIES = ("/var/lib/vmstation/firewall", "/var/lib/vmstation", "/etc/nftables.d")


@dataclass(frozen=True)
class Unfinished:
    """A change that has started. ports: the set before it. paths: the files that it replaces."""

    owner: str
    backend: str
    zone: str
    ports: PortSet
    paths: tuple[str, ...]


def find_unfinished(host: Host) -> Optional[Unfinished]:
    """Return the change that was started and not finished; None if there is none."""
    text = host.read_text(PATH)
    if text is None:
        return None
    try:
        data = read_json(text)
        return Unfinished(**{**data, "ports": from_data(data["ports"]), "paths": tuple(data["paths"])})
    except (ValueError, KeyError, TypeError) as error:
        raise Refusal(PATH, f"not what this collection writes ({error})", "an unfinished change", "Inspect it, then remove it.") from error


def begin_change(host: Host, change: Unfinished) -> None:
    """Record a change before anything is touched. The record of an earlier killed change keeps its old set."""
    before = find_unfinished(host)
    if before is not None and (before.owner, before.backend) == (change.owner, change.backend):
        change = replace(change, ports=before.ports, paths=(*before.paths, *change.paths))
    data = {**change.__dict__, "ports": as_data(change.ports), "paths": sorted(set(change.paths))}
    host.replace_all({PATH: json.dumps(data, sort_keys=True) + "\n"})


def end_change(host: Host, owner: str) -> None:
    """Remove the record: the owner's change is complete or undone."""
    before = find_unfinished(host)
    if before is not None and before.owner == owner:
        host.replace_all({PATH: None})
        host.remove_empty(DIRECTORIES)


# Apply a change: all of it, or restore the old set. If this run is killed, a later run does it.

Files = Mapping[str, Optional[str]]
PATIENCE, PAUSE = 30, 0.2  # seconds: the longest wait for one step, and the pause between two attempts


@dataclass(frozen=True)
class Change:
    """One owner's change on one backend: ``transaction`` leads from ``before`` to ``wanted``. zone: from the task."""

    backend: Backend
    owner: str
    transaction: Transaction
    before: Standing
    wanted: PortSet
    zone: str = ""


def validate(host: Host, change: Change) -> None:
    """Run the dry runs of the host's own tools. Raises their Refusal; nothing has been changed then."""
    _run(host, change.transaction.validate)


def standing_files(host: Host, change: Change) -> Files:
    """Return the present contents of the files that a change replaces."""
    return {path: host.read_text(path) for path in change.transaction.files}


def carry_out(host: Host, change: Change) -> None:
    """Replace the files, activate them and read the result. On failure restore the old files and set and raise Refusal."""
    old_files = standing_files(host, change)
    begin_change(host, Unfinished(change.owner, change.backend.name, change.zone, change.before.runtime, tuple(old_files)))
    try:
        host.replace_all(change.transaction.files)
        _run(host, change.transaction.activate)
        _look(change)
    except (Refusal, OSError) as error:
        reason = (
            error
            if isinstance(error, Refusal)
            else Refusal("a file", str(error), "to be replaceable", "Free space on its filesystem or make it writable.")
        )
        try:
            restore(host, change.backend, change.owner, old_files, change.before.runtime)
            end_change(host, change.owner)
        except (Refusal, OSError) as second:
            required = f"the old set, {_shown(change.before.runtime)}; restoring it failed too: {second}"
            raise Refusal(reason.subject, reason.found, required, reason.next_step) from error
        raise Refusal(reason.subject, f"{reason.found} (the old set was restored)", reason.required, reason.next_step) from error
    end_change(host, change.owner)


def settle(host: Host, owner: str, client: str, *, check: bool) -> list[str]:
    """Undo a change that was killed halfway, and return a message about it.

    A change of this owner is left to the caller, which applies the whole set anyway.
    client: the address at the other end of the SSH connection that runs us; empty if there is none.
    """
    note = find_unfinished(host)
    if note is None:
        return []
    if not check:
        host.sweep(note.paths)
    backend = BACKENDS[note.backend](host.commands, host.read_text, note.zone, client)
    if note.owner == owner or not backend.is_in_force():
        return []
    with host.tool_lock(backend.lock_path):
        current = backend.read(note.owner)
        is_whole = current.is_already(current.permanent)
        if not check:
            host.detached(lambda: end_change(host, note.owner) if is_whole else _undo(host, backend, note))
    return [] if is_whole else [f"the unfinished change of {note.owner}, whose run was killed, is undone"]


def _undo(host: Host, backend: Backend, note: Unfinished) -> None:
    before = Standing(note.ports, note.ports)
    carry_out(host, Change(backend, note.owner, backend.transaction(note.owner, note.ports), before, note.ports, note.zone))


def restore(host: Host, backend: Backend, owner: str, files: Files, ports: PortSet, *, changed: frozenset[str] = frozenset()) -> None:
    """Restore the old files byte for byte, and the old set. From files ``changed`` by others since, remove only our part."""
    at_once = {path: text for path, text in files.items() if path not in changed and (text is not None or not backend.removes(path))}
    host.replace_all(at_once)
    back = backend.transaction(owner, ports)
    host.replace_all({path: text for path, text in back.files.items() if path in files and path not in at_once})
    _run(host, back.activate)


def _run(host: Host, steps: tuple[Step, ...]) -> None:
    for step in steps:
        until = host.now() + PATIENCE
        output = host.commands.run(step.argv, stdin=step.stdin).stdout
        while step.until_without and step.until_without in output:
            if host.now() > until:
                raise Refusal(
                    f"`{' '.join(step.argv)}`",
                    f"{step.until_without} for {PATIENCE} s",
                    f"no {step.until_without} any more",
                    "See the log of the firewall's service, then run again.",
                )
            host.sleep(PAUSE)
            output = host.commands.run(step.argv, stdin=step.stdin).stdout


def _look(change: Change) -> None:
    after = change.backend.read(change.owner)
    if after.is_already(change.wanted):
        return
    found = "; ".join(after.damage) or f"in force {_shown(after.runtime)}, permanent {_shown(after.permanent)}"
    subject = f"{change.backend.name} after the change"
    raise Refusal(subject, found, _shown(change.wanted), "Find out what else changes this firewall, then run again.")


def _shown(ports: PortSet) -> str:
    return ", ".join(as_lines(ports)) or "nothing"


# ``confirm_within``: restore the old set unless a new connection shows in time that the host is still reachable.
# The rollback consists of a data file, this program as one file, and a systemd timer that also runs after a reboot. All are in place before
# the change.

DIRECTORY = "/var/lib/vmstation/firewall"
UNITS = "/etc/systemd/system"
WANTS_DIRECTORY = f"{UNITS}/timers.target.d"
OWN_DIRECTORIES = (WANTS_DIRECTORY, DIRECTORY, os.path.dirname(DIRECTORY))
ENTRY = """\
import sys
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.apply import main
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
    host.remove_empty((WANTS_DIRECTORY, *DIRECTORIES))
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
            end_change(host, owner)
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
