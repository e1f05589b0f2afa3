# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of scheduled backups on another host: what its program takes from the control plane, and how it is installed.

The control plane's key starts this program and nothing else. It adds a backup; it reads, replaces and removes none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable

from .._host.archives import Packing
from .._notation import show_size
from .._programs import Host, ensure_answering, key_line
from .._refusal import Refusal
from .._storage.archiving import UNFINISHED
from . import manifest as names
from .backup import read_path

PROGRAM = "/usr/local/lib/vmstation/backup-receiver.pyz"
COMMENT = "vmstation-backup"
# A person who controls the control plane can add worthless copies until all good ones are rotated out. This host takes one in half an hour
# by its own clock, whatever times the names have, so that it takes hours: 3 for 7 copies, a day for 48.
SPACING = 1800.0
AHEAD = 3600.0
# what stays free on the file system of the copies
MARGIN = 1 << 30
_QUESTION = re.compile(r"add (\S{1,255}) ([0-9a-f]{64}) (\d{1,15})")
# what sshd hands to a shell
_WORD = re.compile(r"/[A-Za-z0-9_./-]+")


@dataclass(frozen=True)
class Order:
    """Whose backups are kept, where, and how many."""

    cluster: str
    directory: str
    keep: int


@dataclass(frozen=True)
class Announced:
    """The backup that is sent."""

    name: str
    sha256: str
    size: int


def ensure_receiver(host: Host, options: Mapping[str, Any], entry: str, *, check_mode: bool) -> dict[str, Any]:
    """The module's result."""
    line = ""
    if options["state"] == "present":
        order = read_order([options["cluster_name"], options["directory"], options["keep"]])
        command = [host.python, "-I", PROGRAM, order.cluster, order.directory, str(order.keep)]
        line = key_line(command, options["public_key"], options["from_addresses"], COMMENT, check_mode=check_mode)
    return ensure_answering(host, PROGRAM, entry, options["authorized_keys"], line, check_mode=check_mode)


def read_order(given: Sequence[Any]) -> Order:
    """Options of the module, or arguments of the program."""
    cluster, directory, keep = (*map(str, given), "", "", "")[:3]
    names.refuse_unfit_cluster(cluster)
    directory = read_path("directory", directory)
    if not _WORD.fullmatch(directory):
        raise Refusal("directory", repr(directory), "a path of letters, digits, _, ., - and /", "Choose another directory.")
    if not keep.isdigit() or int(keep) < 1:
        raise Refusal("keep", keep, "1 at least", "At least one backup must be kept.")
    return Order(cluster, directory, int(keep))


def receive(asked: str, order: Order, packing: Packing, save: Callable[[str, int], None]) -> dict[str, Any]:
    """Add one backup. asked: the words as SSH brings them. save: writes so many bytes of the standard input to a new file, to disk."""
    match = _QUESTION.fullmatch(asked)
    if not match:
        raise Refusal("what was asked", repr(asked[:200]), "add NAME SHA256 SIZE", "Nothing else is answered with this key.")
    announced = Announced(match[1], match[2], int(match[3]))
    packing.make_directory(order.directory, 0o700)
    with packing.held(f"{order.directory}/.{order.cluster}.lock") as is_held:
        if not is_held:
            found = "another copy that is being received"
            raise Refusal(f"directory {order.directory}", found, "one at a time", "Wait until it is complete.")
        return _add(announced, order, packing, save)


def _add(announced: Announced, order: Order, packing: Packing, save: Callable[[str, int], None]) -> dict[str, Any]:
    name, size = announced.name, announced.size
    there = packing.entries(order.directory)
    _refuse_unfit(name, order, there, packing.now())
    _refuse_too_soon(name, order, there, packing)
    for left in names.unfinished(order.cluster, there):
        packing.remove(f"{order.directory}/{left}")
    free = packing.free(order.directory)
    if free < size + MARGIN:
        required = f"{show_size(size + MARGIN)} for the backup and {show_size(MARGIN)} that stay free"
        raise Refusal(f"directory {order.directory}", f"{show_size(free)} free", required, "Free some space.")
    unfinished = f"{order.directory}/.{name}{UNFINISHED}"
    try:
        save(unfinished, size)
        found = packing.member(unfinished, "")
        if (found.size, found.sha256) != (size, announced.sha256):
            raise Refusal(f"backup {name}", f"{found.size} bytes with another checksum", f"{size} bytes as announced", "Send it again.")
        packing.rename(unfinished, f"{order.directory}/{name}")
    finally:
        packing.remove(unfinished)
    removed = names.no_longer_kept(order.cluster, packing.entries(order.directory), order.keep)
    for one in removed:
        packing.remove(f"{order.directory}/{one}")
    return {"added": name, "removed": removed}


def _refuse_unfit(name: str, order: Order, there: Sequence[str], now: float) -> None:
    time = names.named_at(order.cluster, name)
    if time is None or not name.endswith(names.ENCRYPTED):
        raise Refusal("the name", repr(name), f"that of an encrypted backup of {order.cluster}", "Nothing else is taken.")
    if time > now + AHEAD:
        raise Refusal(f"backup {name}", "a time in the future", "one that has come on this host", "Set the clocks of both hosts.")
    newest = names.newest(order.cluster, there)
    least = (names.named_at(order.cluster, newest) or 0.0) + SPACING if newest else 0.0
    if time < least:
        required = f"one that is {SPACING / 60:g} minutes younger than {newest}"
        raise Refusal(f"backup {name}", "its time", required, "Wait for the next one.")


def _refuse_too_soon(name: str, order: Order, there: Sequence[str], packing: Packing) -> None:
    """The times of the files are this host's: the sender chooses names only. One of the future is of a clock that was wrong."""
    for one in names.backups(order.cluster, there):
        age = packing.now() - packing.modified(f"{order.directory}/{one}")
        if abs(age) < SPACING:
            found, required = f"{max(age, 0.0) / 60:.0f} minutes after {one} was received", f"{SPACING / 60:g} minutes between two copies"
            raise Refusal(f"backup {name}", found, required, "Nothing to do: the next backup is copied.")
