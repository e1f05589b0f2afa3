# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of every firewall backend: report whether it is active, read our rules, and plan a change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Optional

from .._host.commands import Commands
from .model import NOTHING, PortSet

ReadText = Callable[[str], Optional[str]]


@dataclass(frozen=True)
class Standing:
    """The current state of one owner's set.

    runtime, permanent: what is in force now, and what applies after a reboot or a reload.
    damage: what in our rules differs from what we write (a missing jump, a rule by another program); the next change repairs it.
    warnings: what the user must know about this host (``nftables.service is not enabled``); they change nothing.
    """

    runtime: PortSet = NOTHING
    permanent: PortSet = NOTHING
    damage: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def is_already(self, wanted: PortSet) -> bool:
        return self.runtime == wanted and self.permanent == wanted and not self.damage


@dataclass(frozen=True)
class Step:
    """A command on the host, with its standard input.

    until_without: a text; the command, which only reads, is repeated until its output does not contain this text.
    """

    argv: tuple[str, ...]
    stdin: str = ""
    until_without: str = ""


@dataclass(frozen=True)
class Transaction:
    """A change as data: dry runs, then the files to replace (None removes), then the commands that activate them.

    validate: dry runs of the host's own tools. If one fails, the change fails before anything is touched.
    """

    validate: tuple[Step, ...] = ()
    files: Mapping[str, Optional[str]] = field(default_factory=dict)
    activate: tuple[Step, ...] = ()


class Backend(ABC):
    """One firewall of a host. It is given its I/O and owns one named object; it never applies anything itself."""

    name: ClassVar[str]
    lock_path: ClassVar[str] = ""  # the lock file of the firewall's own tools; empty: none

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        self._commands = commands
        self._read_text = read_text

    @abstractmethod
    def is_in_force(self) -> bool:
        """Return whether this firewall filters packets on this host now."""

    def families(self) -> frozenset[int]:
        """Return the IP versions that this firewall filters now. Entries for another version are left out."""
        return frozenset({4, 6})

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        """Return warnings about parts of the set that this firewall does not implement."""
        del wanted
        return ()

    def removes(self, path: str) -> bool:
        """Return whether a step of the transaction removes this file, in order; ``files`` then never removes it."""
        del path
        return False

    @abstractmethod
    def read(self, owner: str) -> Standing:
        """Read the owner's set, ``guarded`` included. The number of commands does not depend on the number of ports.

        Where rules cannot be permanent, ``permanent`` equals ``runtime``, and there is a warning.
        """

    @abstractmethod
    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        """Plan the change from the current state to ``wanted``, one commit per address family; ``NOTHING`` removes our object.

        The current state is read at the call, so the same method also plans the way back.
        """
