# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The findings about directories, and the result as plain data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._findings import Finding
from ansible_collections.vmstation.cluster.plugins.module_utils._io.storage import Place
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.model import Seen, Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.mounts import NOT_YET_MOUNTED
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size


def judge(seen: Iterable[Seen]) -> list[Finding]:
    """Every finding, in the order of the directories."""
    return [finding for one in seen for finding in _of(one)]


def as_data(seen: Iterable[Seen]) -> list[dict[str, Any]]:
    """Those that could be looked at."""
    return [_as_data(one, one.place) for one in seen if isinstance(one.place, Place)]


def _as_data(seen: Seen, place: Place) -> dict[str, Any]:
    return {
        "path": seen.wanted.path,
        "exists": place.exists,
        "nearest": place.nearest,
        "device": seen.mount.device if seen.mount else "",
        "mount_point": seen.mount.point if seen.mount else "",
        "file_system": seen.mount.file_system if seen.mount else "",
        "free": place.free,
        "free_inodes": place.free_inodes,
        "owner": place.owner,
        "group": place.group,
        "mode": None if place.mode is None else f"{place.mode:04o}",
    }


def _of(seen: Seen) -> Iterator[Finding]:
    wanted, place = seen.wanted, seen.place
    if isinstance(place, Refusal):
        yield _finding("directories_answer", wanted, place.found, place.required, place.next_step)
        return
    if place.exists and not place.is_directory:
        yield _finding(
            "paths_are_directories", wanted, "something that is no directory", "a directory", "Move it away, or correct the path."
        )
        return
    if wanted.must_exist and not place.exists:
        found = f"no such directory; there is {place.nearest}"
        yield _finding("directories_exist", wanted, found, "a directory", "Make it, or mount what is to be there, or correct the path.")
    elif wanted.mounted and not _is_mounted(seen):
        yield _finding(
            "directories_are_mounted",
            wanted,
            f"a directory of {_file_system(seen)}: nothing is mounted there",
            "a directory on a file system of its own",
            f"Mount it (`findmnt --target {wanted.path}` tells what is there now), with a line in /etc/fstab that lasts; or do not ask for "
            "a mount, if the root file system is where it belongs.",
        )
    elif wanted.not_empty and place.is_empty:
        fix = "Put there what belongs there, or correct the path; where a disk is to be mounted, mount it."
        yield _finding(
            "directories_are_not_empty", wanted, "an empty directory" if place.exists else "no such directory", "something in it", fix
        )
    yield from _of_room(seen, place)


def _of_room(seen: Seen, place: Place) -> Iterator[Finding]:
    wanted = seen.wanted
    where = f"on {_file_system(seen)}"
    usage = f"du --one-file-system --human-readable --max-depth=2 {_mount_point(seen)}"
    fix = f"Free some (`{usage}` tells what takes it), or choose another directory."
    if place.free < wanted.minimum_free:
        yield _finding(
            "directories_have_room", wanted, f"{show_size(place.free)} free {where}", f"{show_size(wanted.minimum_free)} at least", fix
        )
    used = 100 - place.free * 100 // place.size if place.size else 0
    if used > wanted.maximum_used:
        found, expected = f"{used} % of {show_size(place.size)} in use {where}", f"{wanted.maximum_used} % at most"
        yield Finding("file_systems_are_not_nearly_full", "warning", f"directory {wanted.path}", found, expected, fix)
    if wanted.minimum_free_inodes and place.free_inodes is not None and place.free_inodes < wanted.minimum_free_inodes:
        yield _finding(
            "directories_have_inodes",
            wanted,
            f"{place.free_inodes} inodes free {where}",
            f"{wanted.minimum_free_inodes} at least",
            fix.replace("--human-readable", "--inodes"),
        )


def _is_mounted(seen: Seen) -> bool:
    return seen.mount is not None and seen.mount.point != "/" and seen.mount.file_system != NOT_YET_MOUNTED


def _file_system(seen: Seen) -> str:
    mount = seen.mount
    return f"{mount.device} ({mount.file_system}, mounted at {mount.point})" if mount else "a file system that the kernel does not list"


def _mount_point(seen: Seen) -> str:
    return seen.mount.point if seen.mount else "/"


def _finding(rule: str, wanted: Wanted, found: str, expected: str, fix: str) -> Finding:
    return Finding(rule, "error", f"directory {wanted.path}", found, expected, fix)
