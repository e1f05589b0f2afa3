# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every firewall backend can do: say whether it is in force, read what is ours, and plan a change of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import NOTHING, PortSet
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands

ReadText = Callable[[str], Optional[str]]


@dataclass(frozen=True)
class Standing:
    """What stands of one owner's set.

    runtime, permanent: what packets meet now, and what a reboot or a reload brings.
    damage: what in our object is not as we write it (a lost jump, a rule by another hand); each is put right by the next change.
    warnings: what the user must know of this host (``nftables.service is not enabled``); they change nothing.
    """

    runtime: PortSet = NOTHING
    permanent: PortSet = NOTHING
    damage: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def is_already(self, wanted: PortSet) -> bool:
        return self.runtime == wanted and self.permanent == wanted and not self.damage


@dataclass(frozen=True)
class Step:
    """A command of the host, with what it reads from its standard input.

    until_without: a text; the command, which only tells, is repeated until it does not tell this any more.
    """

    argv: tuple[str, ...]
    stdin: str = ""
    until_without: str = ""


@dataclass(frozen=True)
class Transaction:
    """A change as data: what must be accepted first, the files to replace (None removes), then what makes it run.

    validate: dry runs of the host's own tools. Their refusal is the change's refusal; nothing has been touched then.
    """

    validate: tuple[Step, ...] = ()
    files: Mapping[str, Optional[str]] = field(default_factory=dict)
    activate: tuple[Step, ...] = ()


class Backend(ABC):
    """One firewall of a host. It gets its I/O and owns one named object; it never applies anything itself."""

    name: ClassVar[str]
    lock_path: ClassVar[str] = ""  # what the firewall's own tools lock while they change it; empty: nothing

    def __init__(self, commands: Commands, read_text: ReadText) -> None:
        self._commands = commands
        self._read_text = read_text

    @abstractmethod
    def is_in_force(self) -> bool:
        """Whether this firewall judges packets on this host now."""

    def families(self) -> frozenset[int]:
        """The IP versions that this firewall judges now. What a set says of another one is left out before it is compared or applied."""
        return frozenset({4, 6})

    def limits(self, wanted: PortSet) -> tuple[str, ...]:
        """Warnings of what this firewall does not do, though the set asks for it."""
        del wanted
        return ()

    def removes(self, path: str) -> bool:
        """Whether a file of ours goes by a step of the transaction, at its place among the others, and never by ``files``."""
        del path
        return False

    @abstractmethod
    def read(self, owner: str) -> Standing:
        """What stands of the owner's set, ``guarded`` included, in a number of commands that does not depend on the number of ports.

        Where nothing can be permanent, ``permanent`` is what ``runtime`` is, and a warning says so.
        """

    @abstractmethod
    def transaction(self, owner: str, wanted: PortSet) -> Transaction:
        """The change from whatever stands to ``wanted``, in one commit per address family; ``NOTHING`` removes our object.

        It is made from what stands at the call, so that the same method makes the change back.
        """
