# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much is kept of each text, so that all of them together have room."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import KIB, Entry, Keep
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import read_size, show_size


def share(given: object, sharers: int) -> int:
    """The bytes that one of so many may fill."""
    whole = read_size("maximum_size", given)
    if sharers < 1:
        raise Refusal("shared_by", str(sharers), "a number of at least 1", "Leave it out for a host that shares with nobody.")
    if whole // sharers < KIB:
        raise Refusal("maximum_size", f"{given} for {sharers}", "at least 1 KiB for each", "Raise it; 20MiB is usual.")
    return whole // sharers


def whole_lines(text: str, keep: Keep) -> str:
    """A text of which one end was cut off, without the line that the cut went through: half a secret has no form to know it by."""
    if keep == "tail":
        return text.partition("\n")[2]
    return text[: text.rfind("\n") + 1]


def cut(text: str, room: int, keep: Keep) -> str:
    """The lines at one end of the text that have room, in bytes."""
    data = text.encode("utf-8", "replace")
    if len(data) <= room:
        return text
    part = data[len(data) - room :] if keep == "tail" else data[:room]
    return whole_lines(part.decode("utf-8", "ignore"), keep)


def level(sizes: Iterable[int], room: int) -> int:
    """The most that each may have, so that all together have room. Who needs less leaves the rest to the others."""
    ascending = sorted(sizes)
    for index, size in enumerate(ascending):
        equal = room // (len(ascending) - index)
        if size > equal:
            return equal
        room -= size
    return ascending[-1] if ascending else 0


def fit(entries: Sequence[Entry], room: int) -> list[Entry]:
    """The entries, the longest of them cut so that all have room."""
    most = level((entry.size for entry in entries), room)
    return [entry if entry.size <= most else shorten(entry, most) for entry in entries]


def shorten(entry: Entry, room: int) -> Entry:
    text = cut(entry.text, room, entry.keep)
    end = "last" if entry.keep == "tail" else "first"
    part = f"the {end} {show_size(len(text.encode('utf-8', 'replace')))} of {show_size(entry.size)}"
    return replace(
        entry, text=text, status="cut" if entry.status == "complete" else entry.status, note="; ".join(filter(None, [entry.note, part]))
    )
