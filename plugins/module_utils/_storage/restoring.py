# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a directory back from its archive. What is there is never lost: it stays, or is kept aside."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._io.directories import Directories
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import TIME
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size

RESTORING = ".vmstation-restoring"
ASIDE = ".before-"


@dataclass(frozen=True)
class Wish:
    """sha256: of the archive; empty if nobody knows it. replace: also a directory with something in it. keep: how many of those stay."""

    archive: str
    sha256: str
    destination: str
    replace: bool
    keep: int


@dataclass(frozen=True)
class Outcome:
    """aside: where the former directory is; empty if there was none. removed: former ones that are no longer kept."""

    changed: bool
    aside: str = ""
    removed: tuple[str, ...] = ()


def read_wish(params: Mapping[str, Any]) -> Wish:
    """The module's options, read."""
    destination = params["destination"].rstrip("/")
    if not destination.startswith("/"):
        raise Refusal("destination", repr(params["destination"]), "a path that begins with /, and is not / itself", "Write it in full.")
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "What was there before is never lost at once.")
    return Wish(params["archive"], params["sha256"], destination, params["existing"] == "replace", params["keep"])


def restore(wish: Wish, directories: Directories, *, check_mode: bool) -> Outcome:
    """Leave what is there, or put the archived directory in its place: by a rename, so that it is there whole or not at all."""
    has_something = bool(directories.entries(wish.destination))
    if has_something and not wish.replace:
        return Outcome(changed=False)
    _refuse_unfit(wish, directories)
    aside = f"{wish.destination}{ASIDE}{_stamp(directories.now())}" if has_something else ""
    if not check_mode:
        _carry_out(wish, directories, aside)
    removed = _no_longer_kept(wish, directories, aside)
    if not check_mode:
        for path in removed:
            directories.remove(path)
    return Outcome(True, aside, removed)


def _refuse_unfit(wish: Wish, directories: Directories) -> None:
    if not directories.exists(wish.archive):
        raise Refusal("archive", f"no file {wish.archive}", "the archive", "Correct the path.")
    sha256 = directories.member(wish.archive, "").sha256
    if wish.sha256 not in ("", sha256):
        raise Refusal(f"archive {wish.archive}", f"SHA-256 {sha256}", wish.sha256, "Take it to this host again.")
    if directories.leads_elsewhere(wish.destination):
        step = "Take the archive out there by hand, with `tar --extract --same-owner --strip-components 1`."
        raise Refusal(wish.destination, "a mount point or a link", "a directory, which can be renamed", step)
    size, free = directories.unpacked_size(wish.archive), directories.free(wish.destination)
    if free < size:
        raise Refusal(wish.destination, f"{show_size(free)} free", f"{show_size(size)} beside what is there", "Free some room.")


def _carry_out(wish: Wish, directories: Directories, aside: str) -> None:
    parent, beside = wish.destination.rpartition("/")[0], wish.destination + RESTORING
    if not directories.exists(parent):
        directories.make_directory(parent, 0o755)
    directories.remove(beside)
    try:
        directories.unpack_directory(wish.archive, beside)
        if aside:
            directories.rename(wish.destination, aside)
        else:
            directories.remove(wish.destination)
        directories.rename(beside, wish.destination)
    finally:
        directories.remove(beside)


def _no_longer_kept(wish: Wish, directories: Directories, aside: str) -> tuple[str, ...]:
    parent, _slash, name = wish.destination.rpartition("/")
    form = re.compile(rf"{re.escape(name + ASIDE)}\d{{8}}T\d{{6}}Z")
    former = {f"{parent}/{one}" for one in directories.entries(parent) if form.fullmatch(one)} | ({aside} if aside else set())
    return tuple(sorted(former)[: max(0, len(former) - wish.keep)])


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, timezone.utc).strftime(TIME)
