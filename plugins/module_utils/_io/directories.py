# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole directories, taken out of their archives beside their places and then renamed."""

from __future__ import annotations

import os
from typing import Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._io.packing import Packing
from ansible_collections.vmstation.cluster.plugins.module_utils._io.unpacking import read_archive, take_out


class Directories(Packing, Protocol):
    """What the core is given to put directories back; tests pass a scripted fake."""

    def leads_elsewhere(self, path: str) -> bool:
        """Whether something is mounted there, or a link is."""

    def unpacked_size(self, archive: str) -> int:
        """How many bytes there are in an archive. One that cannot be read to its end is a Refusal."""

    def unpack_directory(self, archive: str, into: str) -> None:
        """Take the one directory of an archive out, as a new directory of another name: with owners, modes, times and links, to disk."""


class LocalDirectories(LocalPacking):
    """The directories of this host."""

    def leads_elsewhere(self, path: str) -> bool:
        return os.path.ismount(path) or os.path.islink(path)

    def unpacked_size(self, archive: str) -> int:
        with read_archive(archive) as members:
            return sum(member.size for _archive, member in members if member.isreg())

    def unpack_directory(self, archive: str, into: str) -> None:
        os.mkdir(into, 0o700)
        take_out(archive, into, without=1, with_owners=True)
        os.sync()
