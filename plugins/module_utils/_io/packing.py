# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host, copied, packed into an archive and taken out of it again: each with its checksum, and whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Member:
    """A file, directory or link. name: in the archive. path: on its host. sha256: of a file; target: of a link."""

    name: str
    path: str
    kind: str
    mode: int
    owner: int
    group: int
    size: int = 0
    sha256: str = ""
    target: str = ""


@dataclass(frozen=True)
class Contents:
    """What is in an archive. first: name and text of the first member. members: the others as they are there, their path unknown."""

    first: tuple[str, str]
    members: Mapping[str, Member]


@dataclass(frozen=True)
class Packed:
    """An archive that stands under its name."""

    size: int
    sha256: str


class Packing(Protocol):
    """What the core is given of a host's files; tests pass a scripted fake."""

    def now(self) -> float:
        """Seconds since 1970, UTC."""

    def entries(self, directory: str) -> tuple[str, ...]:
        """A directory's names, sorted; none if there is no such directory."""

    def exists(self, path: str) -> bool:
        """Whether there is something of this name."""

    def size(self, path: str) -> int:
        """A file's size in bytes; 0 if there is none."""

    def free(self, path: str) -> int:
        """Free bytes of the file system that a path is on, or would be on."""

    def text(self, path: str) -> str:
        """A file's text; empty if there is none."""

    def write(self, path: str, text: str) -> None:
        """Write a file for its owner alone, to disk."""

    def kind(self, path: str) -> str:
        """``directory``, ``link`` or, of all else, ``file``; empty if there is nothing of this name."""

    def make_directory(self, path: str, mode: int) -> None:
        """Make a directory, with what it is in, if there is none: one that is there keeps its mode."""

    def private(self, size: int) -> AbstractContextManager[str]:
        """A new directory for this user alone, with room for so many bytes, which is removed in any case."""

    def private_directory(self, name: str, size: int) -> str:
        """The same, which stays until its user removes it. Those of that name which killed runs have left are removed."""

    def sweep_private(self, name: str) -> None:
        """Remove what killed runs have left of that name."""

    def remove(self, path: str) -> None:
        """Remove what is there, a directory with all that is in it."""

    def restrict(self, path: str) -> None:
        """Leave a file to its owner alone."""

    def rename(self, old: str, new: str) -> None:
        """Give another name on the same file system, to disk."""

    def duplicate(self, path: str, copy: str) -> None:
        """Copy one file, for its owner alone."""

    def copy(self, path: str, into: str, prefix: str) -> list[Member]:
        """Copy a file, or a directory with all that is in it, to its own path below ``into``; prefix: of their names in an archive."""

    def member(self, path: str, name: str) -> Member:
        """A file as the member that it becomes."""

    def pack(self, directory: str, names: Sequence[str], path: str, owner: str) -> Packed:
        """Archive what is called so below a directory, for one user alone, to disk."""

    def look(self, path: str) -> Contents:
        """Read an archive to its end. One that cannot be read is a Refusal."""

    def unpack(self, path: str, into: str) -> None:
        """Take an archive out, for root alone. Names that lead elsewhere are a Refusal."""

    def place(self, source: str, member: Member, below: str) -> None:
        """Put what was taken out to its path, with mode and owner, by a rename; parents that are missing are made.

        Below ``below``, which is the path or above it, no link is followed.
        """

    def ends_with_its_checksum(self, path: str) -> bool:
        """Whether the last 32 bytes of a file are the SHA-256 of what is before them."""

    def sync(self) -> None:
        """Have everything on disk."""
