# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives a directory, removes old archives, and restores a directory without losing what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from .._host.directories import Archives, Directories, Written
from .._notation import read_size, show_size
from .._refusal import Refusal

# How archives of a directory are called, and which of them are no longer kept.

# sorts as text as it does as time
TIME = "%Y%m%dT%H%M%SZ"
# what an archive is called until it is complete
UNFINISHED = ".unfinished"
_WRITTEN_TIME = r"\d{8}T\d{6}Z"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.]*")
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Order:
    """What to archive. label: what the archive is of, such as a version. keep: how many archives of that name stay, this one included.

    owner: who may read it; empty: who runs this. largest: how many bytes there may be to archive; 0: any number. timeout: seconds.
    """

    source: str
    destination: str
    name: str
    label: str
    keep: int
    owner: str = ""
    largest: int = 0
    timeout: int = 3600


def order(params: Mapping[str, Any]) -> Order:
    """The module's options, read."""
    source, destination = (str(params[one]).rstrip("/") or "/" for one in ("source", "destination"))
    for option, path in (("source", source), ("destination", destination)):
        if not path.startswith("/"):
            raise Refusal(option, repr(path), "a path that begins with /", "Write the full path.")
    if f"{destination}/".startswith(f"{source.rstrip('/')}/"):
        raise Refusal(
            "destination", destination, f"a directory outside of {source}", "An archive cannot contain itself: choose another directory."
        )
    if not _NAME.fullmatch(params["name"]):
        raise Refusal("name", repr(params["name"]), "letters, digits, _ and .", "Name it after its contents.")
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "Remove the task if no archive is wanted.")
    if params["timeout"] <= 0:
        raise Refusal("timeout", str(params["timeout"]), "a number of seconds above 0", "Remove it for the default of an hour.")
    label = _NOT_OF_A_NAME.sub("_", params["label"]).strip("_.-") or "unlabelled"
    largest = read_size("maximum_size", params["maximum_size"]) if params["maximum_size"] else 0
    return Order(source, destination, params["name"], label, params["keep"], params["owner"] or "", largest, params["timeout"])


def file_name(wanted: Order, time: str) -> str:
    return f"{wanted.name}-{wanted.label}-{time}.tar.gz"


def no_longer_kept(wanted: Order, files: Iterable[str], new: str) -> list[str]:
    """What a killed run has left, and the oldest archives of that name, so many that with the new one ``keep`` are left.

    Other files do not count.
    """
    form = re.compile(rf"{re.escape(wanted.name)}-.+-({_WRITTEN_TIME})\.tar\.gz({re.escape(UNFINISHED)})?")
    found = sorted((match[1], file) for file in {*files} - {new} if (match := form.fullmatch(file)))
    unfinished = [file for _time, file in found if file.endswith(UNFINISHED)]
    archives = [file for _time, file in found if not file.endswith(UNFINISHED)]
    return unfinished + archives[: max(0, len(archives) - (wanted.keep - 1))]


# Archives a directory and removes the archives that are no longer kept.


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
        raise Refusal(
            "destination", f"no directory {wanted.destination}", "a directory for archives", "Create it, accessible only to its owner."
        )
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
        step = "Remove what is not needed, such as cached pictures, or raise maximum_size."
        raise Refusal(f"directory {wanted.source}", show_size(size), f"{show_size(wanted.largest)} at most", step)
    free = archives.free(wanted.destination)
    if free < size:
        step = f"Free space on the file system of {wanted.destination}, or choose another directory for archives."
        raise Refusal(wanted.destination, f"{show_size(free)} free", f"{show_size(size)} for an archive of {wanted.source}", step)


# Puts a directory back from its archive. What is there is never lost: it stays, or is kept aside.

RESTORING = ".vmstation-restoring"
ASIDE = ".before-"


@dataclass(frozen=True)
class Wish:
    """sha256: of the archive; empty if it is not known. replace: also a directory with something in it. keep: how many of those stay."""

    archive: str
    sha256: str
    destination: str
    replace: bool
    keep: int


@dataclass(frozen=True)
class Restored:
    """aside: where the former directory is; empty if there was none. removed: former ones that are no longer kept."""

    changed: bool
    aside: str = ""
    removed: tuple[str, ...] = ()


def read_wish(params: Mapping[str, Any]) -> Wish:
    """The module's options, read."""
    destination = params["destination"].rstrip("/")
    if not destination.startswith("/"):
        raise Refusal("destination", repr(params["destination"]), "a path that begins with / and is not / itself", "Write the full path.")
    if params["keep"] < 1:
        raise Refusal("keep", str(params["keep"]), "1 at least", "What was there before is never lost at once.")
    return Wish(params["archive"], params["sha256"], destination, params["existing"] == "replace", params["keep"])


def restore(wish: Wish, directories: Directories, *, check_mode: bool) -> Restored:
    """Leave what is there, or put the archived directory in its place: by a rename, so that it is there whole or not at all."""
    has_something = bool(directories.entries(wish.destination))
    if has_something and not wish.replace:
        return Restored(changed=False)
    _refuse_unfit(wish, directories)
    aside = f"{wish.destination}{ASIDE}{_stamp(directories.now())}" if has_something else ""
    if not check_mode:
        _carry_out(wish, directories, aside)
    removed = _no_longer_kept(wish, directories, aside)
    if not check_mode:
        for path in removed:
            directories.remove(path)
    return Restored(True, aside, removed)


def _refuse_unfit(wish: Wish, directories: Directories) -> None:
    if not directories.exists(wish.archive):
        raise Refusal("archive", f"no file {wish.archive}", "the archive", "Correct the path.")
    sha256 = directories.member(wish.archive, "").sha256
    if wish.sha256 not in ("", sha256):
        raise Refusal(f"archive {wish.archive}", f"SHA-256 {sha256}", wish.sha256, "Copy it to this host again.")
    if directories.leads_elsewhere(wish.destination):
        step = "Extract the archive there manually, with `tar --extract --same-owner --strip-components 1`."
        raise Refusal(wish.destination, "a mount point or a link", "a directory, which can be renamed", step)
    size, free = directories.unpacked_size(wish.archive), directories.free(wish.destination)
    if free < size:
        raise Refusal(wish.destination, f"{show_size(free)} free", f"{show_size(size)} beside what is there", "Free some space.")


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
