# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives a directory and removes the archives that are no longer kept."""

from __future__ import annotations

from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._io.archives import Archives, Written
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import TIME, UNFINISHED, Order, file_name, no_longer_kept
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be. size, sha256: of the archive; 0 and empty if nothing was written."""

    path: str
    size: int
    sha256: str
    removed: tuple[str, ...]


def archive(wanted: Order, archives: Archives, *, check_mode: bool) -> Outcome:
    if not archives.is_directory(wanted.source):
        raise Refusal("source", f"no directory {wanted.source}", "the directory to archive", "Correct the path.")
    if not check_mode and not archives.is_directory(wanted.destination):
        raise Refusal("destination", f"no directory {wanted.destination}", "a directory for archives", "Make it, for its owner alone.")
    new = file_name(wanted, archives.now(TIME))
    path = f"{wanted.destination}/{new}"
    _refuse_much(wanted, archives)
    written = Written(0, "") if check_mode else archives.write(wanted.source, path, path + UNFINISHED, wanted.owner, wanted.timeout)
    removed = tuple(f"{wanted.destination}/{file}" for file in no_longer_kept(wanted, archives.files(wanted.destination), new))
    if not check_mode:
        for one in removed:
            archives.remove(one)
    return Outcome(path, written.size, written.sha256, removed)


def _refuse_much(wanted: Order, archives: Archives) -> None:
    """Before anything is written: what there is to archive may not be compressible."""
    size = archives.size(wanted.source)
    if wanted.largest and size > wanted.largest:
        step = "Remove what need not be there, such as pictures that are made again, or raise maximum_size."
        raise Refusal(f"directory {wanted.source}", show_size(size), f"{show_size(wanted.largest)} at most", step)
    free = archives.free(wanted.destination)
    if free < size:
        step = f"Free room on the file system of {wanted.destination}, or choose another directory for archives."
        raise Refusal(wanted.destination, f"{show_size(free)} free", f"{show_size(size)} for an archive of {wanted.source}", step)
