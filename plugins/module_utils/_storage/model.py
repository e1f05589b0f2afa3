# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of directories, and what was seen of them."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

from ansible_collections.vmstation.cluster.plugins.module_utils._io.storage import Place
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.mounts import Mount
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import read_size


@dataclass(frozen=True)
class Wanted:
    """What a directory must be. mounted: on a file system other than that of ``/``. minimum_free: in bytes; 0 means any.

    maximum_used: of the file system, in percent.
    """

    path: str
    must_exist: bool = False
    mounted: bool = False
    not_empty: bool = False
    minimum_free: int = 0
    minimum_free_inodes: int = 0
    maximum_used: int = 100


@dataclass(frozen=True)
class Seen:
    """A directory as it is. place: a Refusal if it could not be looked at."""

    wanted: Wanted
    place: Union[Place, Refusal]
    mount: Optional[Mount] = None


def request(params: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """The module's option ``paths``, read."""
    return tuple(_wanted(f"paths[{index}]", entry) for index, entry in enumerate(params["paths"]))


def seconds(params: Mapping[str, Any]) -> float:
    given = float(params["timeout"])
    if given <= 0:
        raise Refusal("timeout", f"{given:g}", "a number of seconds above 0", "Leave it out for 10 seconds.")
    return given


def _wanted(subject: str, entry: Mapping[str, Any]) -> Wanted:
    path = str(entry["path"])
    if not path.startswith("/"):
        raise Refusal(f"{subject}.path", repr(path), "a path that begins with /", "Write it in full.")
    inodes = int(entry["minimum_free_inodes"] or 0)
    if inodes < 0:
        raise Refusal(f"{subject}.minimum_free_inodes", str(inodes), "a number of inodes", "Leave it out to ask for none.")
    used = int(entry["maximum_used"])
    if not 0 < used <= 100:
        raise Refusal(f"{subject}.maximum_used", str(used), "a percentage from 1 to 100", "Leave it out to allow any.")
    minimum = entry["minimum_free"]
    return Wanted(
        # exactly two slashes at the beginning would stay
        "/" + posixpath.normpath(path).lstrip("/"),
        bool(entry["must_exist"]),
        bool(entry["mounted"]),
        bool(entry["not_empty"]),
        read_size(f"{subject}.minimum_free", minimum) if minimum is not None else 0,
        inodes,
        used,
    )
