# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives a directory and removes the archives that are no longer kept."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._io.archives import Archives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import TIME, UNFINISHED, Order, file_name, no_longer_kept


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be. size: in bytes, 0 if nothing was written."""

    path: str
    size: int
    removed: tuple[str, ...]


def archive(wanted: Order, archives: Archives, *, check_mode: bool) -> Outcome:
    if not archives.is_directory(wanted.source):
        raise Refusal("source", f"no directory {wanted.source}", "the directory to archive", "Correct the path.")
    if not check_mode and not archives.is_directory(wanted.destination):
        raise Refusal("destination", f"no directory {wanted.destination}", "a directory for archives", "Make it, for its owner alone.")
    new = file_name(wanted, archives.now(TIME))
    path = f"{wanted.destination}/{new}"
    size = 0 if check_mode else archives.write(wanted.source, path, path + UNFINISHED)
    removed = tuple(f"{wanted.destination}/{file}" for file in no_longer_kept(wanted, archives.files(wanted.destination), new))
    if not check_mode:
        for one in removed:
            archives.remove(one)
    return Outcome(path, size, removed)
