# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Directories: findings about those that programs need, and which of the missing ones are made."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Optional, Union

from .._findings import Finding, LookedAt, state_of
from .._notation import read_size, show_size
from .._refusal import Refusal
from .io import DirectoryMaker, Place, Reader, Storage

# Which file system a path is on, from the kernel's list of mounts (proc_pid_mountinfo(5)).

_ESCAPED = re.compile(r"\\([0-7]{3})")
# waits for an access, and then mounts the real one over it
NOT_YET_MOUNTED = "autofs"


@dataclass(frozen=True)
class Mount:
    """What is mounted. device: as the kernel calls it, such as /dev/sdb1 or nas:/films."""

    point: str
    file_system: str
    device: str


def read_mounts(text: str) -> list[Mount]:
    """Every mount of the list, in its order: of two at the same point, the later one covers the other."""
    found = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if separator and len(fields) > 4 and len(kind) > 1:
            found.append(Mount(_plain(fields[4]), kind[0], _plain(kind[1])))
    return found


def mount_of(path: str, mounts: Iterable[Mount]) -> Optional[Mount]:
    """The mount that an absolute path without links is on; None if the list does not show it."""
    best: Optional[Mount] = None
    for mount in mounts:
        below = path == mount.point or path.startswith(mount.point.rstrip("/") + "/")
        if below and (best is None or len(mount.point) >= len(best.point)):
            best = mount
    return best


def _plain(escaped: str) -> str:
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), escaped)


# What is asked of directories, and what was seen of them.


@dataclass(frozen=True)
class Wanted:
    """What a directory must be. mounted: on a file system other than that of ``/``. minimum_free: in bytes; 0 means any.

    maximum_used: of the file system, in percent. writable: its file system must not be mounted read-only. reader: who has to be able to
    list it.
    """

    path: str
    must_exist: bool = False
    mounted: bool = False
    not_empty: bool = False
    minimum_free: int = 0
    minimum_free_inodes: int = 0
    maximum_used: int = 100
    writable: bool = False
    reader: Optional[Reader] = None


@dataclass(frozen=True)
class Seen:
    """A directory as it is. place: a Refusal if it could not be looked at. is_watched: another check covers how full its disk is.

    is_closed: its reader may not list it.
    """

    wanted: Wanted
    place: Union[Place, Refusal]
    mount: Optional[Mount] = None
    is_watched: bool = False
    is_closed: bool = False


def request(params: Mapping[str, Any]) -> tuple[Wanted, ...]:
    """The module's option ``paths``, read."""
    return tuple(_wanted(f"paths[{index}]", entry) for index, entry in enumerate(params["paths"]))


def seconds(params: Mapping[str, Any]) -> float:
    given = float(params["timeout"])
    if given <= 0:
        raise Refusal("timeout", f"{given:g}", "a number of seconds above 0", "Remove it for the default of 10 seconds.")
    return given


def _wanted(subject: str, entry: Mapping[str, Any]) -> Wanted:
    path = str(entry["path"])
    if not path.startswith("/"):
        raise Refusal(f"{subject}.path", repr(path), "a path that begins with /", "Write the full path.")
    inodes = int(entry["minimum_free_inodes"] or 0)
    if inodes < 0:
        raise Refusal(f"{subject}.minimum_free_inodes", str(inodes), "a number of inodes", "Remove it to require none.")
    used = int(entry["maximum_used"])
    if not 0 < used <= 100:
        raise Refusal(f"{subject}.maximum_used", str(used), "a percentage from 1 to 100", "Remove it to allow any.")
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
        bool(entry["writable"]),
        _reader(f"{subject}.readable_by", entry["readable_by"]) if entry["readable_by"] else None,
    )


def _reader(subject: str, entry: Mapping[str, Any]) -> Reader:
    reader = Reader(entry["user"], tuple(entry["groups"]))
    # the limits of a Pod's runAsUser; to set the largest number of 32 bits changes no ID, so root would answer
    if not reader.groups or not all(0 <= number < 2**31 for number in (reader.user, *reader.groups)):
        found = f"user {reader.user} and groups {list(reader.groups)}"
        required = f"a user and at least one group, as numbers from 0 to {2**31 - 1}"
        raise Refusal(subject, found, required, "Write the user's primary group first.")
    return reader


# Looks once at every directory that is checked.


def look(wanted: Sequence[Wanted], storage: Storage, watched_elsewhere: Iterable[str] = ()) -> list[Seen]:
    """The directories, in the order of what is wanted. A directory that cannot be looked at does not keep the others from it."""
    found = [_seen(one, storage) for one in wanted]
    # after the looks: they are what makes the system mount a file system that is mounted on demand
    mounts = read_mounts(storage.mounts())
    watched = [mount for path in watched_elsewhere if (mount := mount_of(path, mounts))]
    seen = [replace(one, mount=mount_of(one.place.nearest, mounts)) if isinstance(one.place, Place) else one for one in found]
    return [replace(one, is_watched=one.mount in watched) for one in seen]


def _seen(wanted: Wanted, storage: Storage) -> Seen:
    try:
        place = storage.place(wanted.path)
        is_closed = bool(wanted.reader and place.is_directory and not storage.lists(place.nearest, wanted.reader))
        return Seen(wanted, place, is_closed=is_closed)
    except Refusal as refusal:
        return Seen(wanted, refusal)


# The findings about directories, and the result as plain data.


def judge(seen: Iterable[Seen]) -> list[Finding]:
    """Every finding, in the order of the directories."""
    return [finding for one in seen for finding in _of(one)]


def looked_at(seen: Iterable[Seen]) -> list[LookedAt]:
    """One for each directory."""
    return [LookedAt(f"directory {one.wanted.path}", _facts(one.place), state_of(_of(one))) for one in seen]


def _facts(place: Union[Place, Refusal]) -> str:
    if isinstance(place, Refusal):
        return "no answer"
    return f"{'exists' if place.exists else 'does not exist yet'}; {place.free // 1024**3} GiB free"


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
        yield _finding("paths_are_directories", wanted, "not a directory", "a directory", "Move it away, or correct the path.")
        return
    if wanted.must_exist and not place.exists:
        found = f"no such directory; {place.nearest} exists"
        yield _finding("directories_exist", wanted, found, "a directory", "Create it, or mount its file system, or correct the path.")
    elif wanted.mounted and not _is_mounted(seen):
        yield _finding(
            "directories_are_mounted",
            wanted,
            f"a directory of {_file_system(seen)}: nothing is mounted there",
            "a directory on a file system of its own",
            f"Mount it (`findmnt --target {wanted.path}` shows what is there now), with a line in /etc/fstab; or do not require "
            "a mount, if it belongs on the root file system.",
        )
    elif wanted.not_empty and place.is_empty:
        fix = "Copy the files there, or correct the path; if a disk belongs there, mount it."
        yield _finding(
            "directories_are_not_empty",
            wanted,
            "an empty directory" if place.exists else "no such directory",
            "a directory with files",
            fix,
        )
    elif wanted.reader and seen.is_closed:
        yield _of_reader(wanted, wanted.reader, place)
    if wanted.writable and place.is_read_only:
        remount = f"mount -o remount,rw {_mount_point(seen)}"
        fix = f"See `dmesg`, because an error of a disk does this. Correct it and /etc/fstab, then `{remount}`."
        yield _finding("directories_are_writable", wanted, f"mounted read-only, on {_file_system(seen)}", "writable", fix)
    yield from _of_room(seen, place)


def _of_reader(wanted: Wanted, reader: Reader, place: Place) -> Finding:
    user = f"user {reader.user} with {'group' if len(reader.groups) == 1 else 'groups'} {', '.join(map(str, reader.groups))}"
    access = f"user:{reader.user}:rX,default:user:{reader.user}:rX"
    return _finding(
        "directories_are_readable",
        wanted,
        f"mode {place.mode:04o} and owner {place.owner}:{place.group}; {user} cannot list it",
        "a directory that this user can list",
        f"Let every user of the host read it with `chmod --recursive o+rX {wanted.path}`, or only this one with "
        f"`setfacl --recursive --modify={access} {wanted.path}` (from the package acl), or run the program with a group that can.",
    )


def _of_room(seen: Seen, place: Place) -> Iterator[Finding]:
    wanted = seen.wanted
    where = f"on {_file_system(seen)}"
    usage = f"du --one-file-system --human-readable --max-depth=2 {_mount_point(seen)}"
    fix = f"Free some (`{usage}` shows what uses it), or choose another directory."
    if place.free < wanted.minimum_free:
        yield _finding(
            "directories_have_room", wanted, f"{show_size(place.free)} free {where}", f"{show_size(wanted.minimum_free)} at least", fix
        )
    used = 100 - place.free * 100 // place.size if place.size else 0
    if used > wanted.maximum_used and not seen.is_watched:
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


Step = Literal["create", "claim", "keep"]


@dataclass(frozen=True)
class Wish:
    """owner, group: numbers; None: those of who runs this. for_owner: it has to be the owner's, or empty, if it is there.

    variables: the names of those that set owner and group.
    """

    path: str
    mode: int = 0o755
    owner: Optional[int] = None
    group: Optional[int] = None
    for_owner: bool = False
    variables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Planned:
    """One directory, what is there, and what is done about it."""

    wish: Wish
    place: Place
    step: Step

    def before(self) -> str:
        place = self.place
        return f"{place.mode:04o} {place.owner}:{place.group}" if place.exists and place.mode is not None else "absent"

    def after(self) -> str:
        wish = self.wish
        if self.step == "keep":
            return self.before()
        owner, group = ("its user" if one is None else str(one) for one in (wish.owner, wish.group))
        return f"{wish.mode:04o} {owner}:{group}"


def read_wishes(params: Mapping[str, Any]) -> tuple[Wish, ...]:
    return tuple(_wish(f"directories[{index}]", entry) for index, entry in enumerate(params["directories"]))


def plan(wishes: Iterable[Wish], storage: Storage) -> list[Planned]:
    """What is done about each. All that cannot be is one Refusal, before anything is touched."""
    planned, refused = [], []
    for wish in wishes:
        try:
            place = storage.place(wish.path)
            planned.append(Planned(wish, place, _step(wish, place)))
        except Refusal as refusal:
            refused.append(refusal)
    if len(refused) > 1:
        # each is a sentence of its own
        raise Refusal(
            f"{len(refused)} directories",
            "; ".join(f"{one.subject}: {one.found}" for one in refused),
            "; ".join(sorted({one.required for one in refused})),
            " ".join(sorted({one.next_step for one in refused})),
        )
    if refused:
        raise refused[0]
    return planned


def carry_out(planned: Sequence[Planned], maker: DirectoryMaker) -> None:
    for one in planned:
        if one.step != "keep":
            maker.make(one.wish.path, one.wish.mode, one.wish.owner, one.wish.group)


def _wish(subject: str, entry: Mapping[str, Any]) -> Wish:
    path = str(entry["path"])
    if not path.startswith("/"):
        raise Refusal(f"{subject}.path", repr(path), "a path that begins with /", "Write the full path.")
    if entry["for_owner"] and entry["owner"] is None:
        raise Refusal(f"{subject}.owner", "none", "a user's number, with for_owner", "Set the owner of the data.")
    try:
        mode = int(entry["mode"], 8)
    except ValueError:
        mode = -1
    if not 0 <= mode <= 0o7777:
        raise Refusal(f"{subject}.mode", repr(entry["mode"]), "an octal number, such as 0750", "Write it in quotation marks.")
    return Wish(path, mode, entry["owner"], entry["group"], bool(entry["for_owner"]), tuple(entry["owner_variables"]))


def _step(wish: Wish, place: Place) -> Step:
    if not place.exists:
        return "create"
    subject = f"directory {wish.path}"
    if not place.is_directory:
        raise Refusal(subject, "not a directory", "a directory", "Move it away, or choose another path.")
    # the kubelet gives a volume's directory a group and a mode of its own
    if not wish.for_owner or place.owner == wish.owner:
        return "keep"
    if not place.is_empty:
        owner = f"{wish.owner}:{wish.group}" if wish.group is not None else str(wish.owner)
        keep = " and ".join(f"{name} to {number}" for name, number in zip(wish.variables, (place.owner, place.group)))
        keep = f"set {keep}; or " if keep else ""
        raise Refusal(
            subject,
            f"files in it, and user {place.owner} as its owner",
            f"a directory that is missing, empty, or owned by user {wish.owner}, the owner of the data",
            f"Choose another directory. Only if its files are that program's: {keep}stop it, and run "
            f"`chown --recursive --no-dereference {owner} {wish.path}`.",
        )
    return "claim"
