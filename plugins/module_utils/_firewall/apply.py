# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carrying a change out: all of it, or the old set back; by a later run, if this one is killed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall import unfinished
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.backend import Backend, Standing, Step, Transaction
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.choose import BACKENDS
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import PortSet, as_lines
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.unfinished import Unfinished
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

Files = Mapping[str, Optional[str]]
PATIENCE, PAUSE = 30, 0.2  # seconds that a step waits at most, and between two looks


@dataclass(frozen=True)
class Change:
    """One owner's change on one backend: from ``before``, by ``transaction``, to ``wanted``. zone: what the task named."""

    backend: Backend
    owner: str
    transaction: Transaction
    before: Standing
    wanted: PortSet
    zone: str = ""


def validate(host: Host, change: Change) -> None:
    """Let the host's own tools judge the change. Raises their Refusal; nothing has been touched."""
    _run(host, change.transaction.validate)


def standing_files(host: Host, change: Change) -> Files:
    """What the files that a change replaces hold now."""
    return {path: host.read_text(path) for path in change.transaction.files}


def carry_out(host: Host, change: Change) -> None:
    """Files, then what makes them run, then a look. Anything short of ``wanted`` is a Refusal, and brings the old files and set back."""
    old_files = standing_files(host, change)
    unfinished.begin(host, Unfinished(change.owner, change.backend.name, change.zone, change.before.runtime, tuple(old_files)))
    try:
        host.replace_all(change.transaction.files)
        _run(host, change.transaction.activate)
        _look(change)
    except (Refusal, OSError) as error:
        reason = error if isinstance(error, Refusal) else Refusal("a file", str(error), "to be replaced", "Make room or make it writable.")
        try:
            restore(host, change.backend, change.owner, old_files, change.before.runtime)
            unfinished.end(host, change.owner)
        except (Refusal, OSError) as second:
            required = f"the old set, {_shown(change.before.runtime)}; it did not come back either: {second}"
            raise Refusal(reason.subject, reason.found, required, reason.next_step) from error
        raise Refusal(reason.subject, f"{reason.found} (the old set stands again)", reason.required, reason.next_step) from error
    unfinished.end(host, change.owner)


def settle(host: Host, owner: str, client: str, *, check: bool) -> list[str]:
    """Undo a change that was killed halfway, unless it is this owner's, who makes a whole one of it anyway; told in a line.

    client: the other end of the SSH connection that runs us; empty if it is not SSH.
    """
    note = unfinished.found(host)
    if note is None:
        return []
    if not check:
        host.sweep(note.paths)
    backend = BACKENDS[note.backend](host.commands, host.read_text, note.zone, client)
    if note.owner == owner or not backend.is_in_force():
        return []
    with host.tool_lock(backend.lock_path):
        stands = backend.read(note.owner)
        is_whole = stands.is_already(stands.permanent)
        if not check:
            host.detached(lambda: unfinished.end(host, note.owner) if is_whole else _undo(host, backend, note))
    return [] if is_whole else [f"the change of {note.owner}, which was killed halfway, is undone"]


def _undo(host: Host, backend: Backend, note: Unfinished) -> None:
    before = Standing(note.ports, note.ports)
    carry_out(host, Change(backend, note.owner, backend.transaction(note.owner, note.ports), before, note.ports, note.zone))


def restore(host: Host, backend: Backend, owner: str, files: Files, ports: PortSet, *, changed: frozenset[str] = frozenset()) -> None:
    """The old files, byte for byte, and the old set in force. changed: files that others have changed since, which lose only ours."""
    at_once = {path: text for path, text in files.items() if path not in changed and (text is not None or not backend.removes(path))}
    host.replace_all(at_once)
    back = backend.transaction(owner, ports)
    host.replace_all({path: text for path, text in back.files.items() if path in files and path not in at_once})
    _run(host, back.activate)


def _run(host: Host, steps: tuple[Step, ...]) -> None:
    for step in steps:
        until = host.now() + PATIENCE
        told = host.commands.run(step.argv, stdin=step.stdin).stdout
        while step.until_without and step.until_without in told:
            if host.now() > until:
                raise Refusal(
                    f"`{' '.join(step.argv)}`",
                    f"{step.until_without} for {PATIENCE} s",
                    f"no {step.until_without} any more",
                    "See the log of the program that it asks, then run again.",
                )
            host.sleep(PAUSE)
            told = host.commands.run(step.argv, stdin=step.stdin).stdout


def _look(change: Change) -> None:
    after = change.backend.read(change.owner)
    if after.is_already(change.wanted):
        return
    found = "; ".join(after.damage) or f"in force {_shown(after.runtime)}, permanent {_shown(after.permanent)}"
    subject = f"{change.backend.name} after the change"
    raise Refusal(subject, found, _shown(change.wanted), "See what else changes this firewall, then run again.")


def _shown(ports: PortSet) -> str:
    return ", ".join(as_lines(ports)) or "nothing"
