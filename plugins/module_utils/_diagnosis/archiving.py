# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the archive, and says where it is and what is missing in it."""

from __future__ import annotations

import os.path
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.bounds import share
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.contents import TIME, Contents, archive_name, contents
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import Entry, entry_of
from ansible_collections.vmstation.cluster.plugins.module_utils._io.archives import Archives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size

UNFINISHED = ".unfinished"
MOST_LINES = 20


@dataclass(frozen=True)
class Order:
    """What to archive, and where. room: bytes of all texts together."""

    entries: Sequence[Entry]
    documents: Mapping[str, Any]
    cluster: str
    directory: str
    room: int


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be. size: in bytes, 0 if nothing was written. lines: for a person."""

    path: str
    size: int
    lines: list[str]


def order(params: Mapping[str, Any]) -> Order:
    """The module's options, read."""
    entries = [entry_of(entry) for entry in params["entries"]]
    directory = os.path.abspath(params["directory"])
    return Order(entries, params["documents"], params["cluster"], directory, share(params["maximum_size"], 1))


def archive(wanted: Order, archives: Archives, *, check_mode: bool) -> Outcome:
    if not archives.is_directory(wanted.directory):
        raise Refusal("directory", f"no directory {wanted.directory}", "a directory for the archive", "Make it, or choose another.")
    name = archive_name(wanted.cluster, archives.now(TIME))
    held = contents(wanted.entries, wanted.documents, f"{name}: what hosts and cluster said, without secrets", wanted.room)
    path = f"{wanted.directory}/{name}.tar.gz"
    size = 0 if check_mode else archives.write_texts({f"{name}/{file}": text for file, text in held.files.items()}, path, path + UNFINISHED)
    return Outcome(path, size, _lines(path, size, held))


def _lines(path: str, size: int, held: Contents) -> list[str]:
    redactions = sum(entry.redactions for entry in held.entries)
    written = f"{show_size(size)}, " if size else ""
    head = f"{path}: {written}{len(held.files)} files, {redactions} secrets taken out"
    missing = [f"not had: {one}" for one in held.missing]
    more = [f"not had: {len(missing) - MOST_LINES} more, which index.txt names"] if len(missing) > MOST_LINES else []
    return [head, *missing[:MOST_LINES], *more]
