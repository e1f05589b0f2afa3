# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One scheduled backup: made, encrypted, kept, copied to other hosts, and noted for node-exporter and check.yml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

from .._host.archives import Packing
from .._host.commands import Completed
from .._host.files import Write
from .._kubeadm.host import NodeHost
from .._programs import ssh_to
from .._refusal import Refusal
from . import manifest as names
from .io import Encryption
from .keeping import Kept, keep
from .making import Order, make
from .receiving import SPACING
from .schedule import KNOWN_HOSTS, METRIC_FILE, RECIPIENTS, STAGE, STATE, TIMED, Configuration, Receiver, State, due, metrics, read_state

# seconds for one copy
SECONDS = 1800.0


@dataclass(frozen=True)
class World:
    """The control plane. send: runs a command with a file as its standard input. say: writes a line to the journal."""

    node: NodeHost
    packing: Packing
    encryption: Encryption
    read_text: Callable[[str], Optional[str]]
    write: Write
    send: Callable[[list[str], str, float], Completed]
    say: Callable[[str], None]


def run(world: World, configuration: Configuration) -> None:
    """Raises Refusal if the backup fails, after recording it. A host that gets no copy is only recorded: it may be asleep."""
    state = read_state(world.read_text(STATE))
    refusal = None
    try:
        kept = _back_up(world, configuration)
        state.newest, state.error = kept.path.rpartition("/")[2], ""
        state.due = due(configuration.schedule, world.node.commands)
        world.say(f"{kept.path}: {kept.manifest.snapshot.keys} keys; {len(kept.removed)} older ones removed")
    except (Refusal, OSError) as error:
        refusal = _as_refusal(error)
        state.error = str(refusal)
    _note(world, configuration, state)
    _copy(world, configuration, state)
    _note(world, configuration, state)
    if refusal:
        raise refusal


def _as_refusal(error: Union[Refusal, OSError]) -> Refusal:
    """A full or failing disk is noted like everything else that prevents a backup."""
    if isinstance(error, Refusal):
        return error
    found, step = str(error.strerror or error).lower(), "Free space there, or repair the file system."
    return Refusal(str(error.filename or "files of the backup"), found, "readable and writable", step)


def _back_up(world: World, configuration: Configuration) -> Kept:
    world.packing.make_directory(configuration.directory, 0o700)
    order = Order(configuration.cluster, configuration.paths, STAGE, "root", configuration.socket)
    made = make(order, world.node, world.packing, check_mode=False)
    try:
        options: dict[str, Any] = {
            "source": made.path,
            "sha256": made.sha256,
            "directory": configuration.directory,
            "cluster_name": configuration.cluster,
            "keep": configuration.keep,
            "parts": (),
            "passphrase_file": None,
            "recipients": configuration.recipients,
            "public_keys": RECIPIENTS,
        }
        return keep(options, world.packing, world.encryption)
    finally:
        world.packing.remove(STAGE)


def _copy(world: World, configuration: Configuration, state: State) -> None:
    """Of each receiver that lacks it, the newest backup."""
    wanted = {receiver.name for receiver in configuration.receivers}
    state.copied = {name: file for name, file in state.copied.items() if name in wanted}
    state.missed = {}
    known = {line.partition(" ")[0] for line in (world.read_text(KNOWN_HOSTS) or "").splitlines()}
    newest = names.newest(configuration.cluster, names.encrypted(world.packing.entries(configuration.directory)))
    for receiver in configuration.receivers if newest else ():
        if _has(receiver, str(newest), configuration, state.copied):
            continue
        try:
            if receiver.name not in known:
                raise _not_reachable_yet(receiver)
            _send(world, receiver, f"{configuration.directory}/{newest}")
            state.copied[receiver.name] = str(newest)
            world.say(f"{newest} was copied to {receiver.name}")
        except (Refusal, OSError) as error:
            refusal = _as_refusal(error)
            state.missed[receiver.name] = refusal.found
            world.say(str(refusal))


def _not_reachable_yet(receiver: Receiver) -> Refusal:
    # check.yml shows only what was found
    found = f"not reachable yet, as its SSH host keys are not known: run `site.yml --tags cluster_backup` while {receiver.name} is awake"
    return Refusal(f"copy on {receiver.name}", found, "a copy", "After that, the next backup is copied.")


def _has(receiver: Receiver, newest: str, configuration: Configuration, copied: Mapping[str, str]) -> bool:
    """Whether a receiver has it, or one that is hardly older, after which it takes none yet."""
    of_newest, of_copied = (names.named_at(configuration.cluster, one) or 0.0 for one in (newest, copied.get(receiver.name, "")))
    return of_newest - of_copied < SPACING


def _send(world: World, receiver: Receiver, path: str) -> None:
    member = world.packing.member(path, "")
    asked = f"add {path.rpartition('/')[2]} {member.sha256} {member.size}"
    argv = ssh_to(receiver.name, receiver.address, receiver.port, asked, key=TIMED.key, known=KNOWN_HOSTS)
    done = world.send(argv, path, SECONDS)
    if done.status != 0:
        found = " ".join((done.stderr or done.stdout).split())[:500] or f"exit status {done.status}"
        step = "If it is asleep, the next backup is copied. Otherwise run `site.yml --tags cluster_backup`."
        raise Refusal(f"copy on {receiver.name}", found, "a copy", step)


def _note(world: World, configuration: Configuration, state: State) -> None:
    world.write({STATE: state.as_text()}, new_mode=0o600)
    world.write({METRIC_FILE: metrics(state, configuration)})
