# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Removes files and directories of a host, and never what is mounted there."""

from __future__ import annotations

import os
import shutil
from typing import Protocol

from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import remove_empty
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


class Trees(Protocol):
    """What the core is given to remove files; tests pass a list."""

    def remove(self, path: str) -> None:
        """Remove a file, or a directory with all that is in it. A mount point, or a link, is emptied and stays."""

    def remove_empty(self, path: str) -> None:
        """Remove a directory if nothing is in it."""


class LocalTrees:
    """The files of this host."""

    def remove(self, path: str) -> None:
        if os.path.islink(path) and os.path.isdir(path):
            self._empty(os.path.realpath(path))
        elif os.path.ismount(path):
            self._empty(path)
        elif os.path.isdir(path):
            self._refuse_mounts(path)
            shutil.rmtree(path)
        elif os.path.lexists(path):
            os.unlink(path)

    def remove_empty(self, path: str) -> None:
        remove_empty([path])

    def _empty(self, directory: str) -> None:
        self._refuse_mounts(directory)
        for entry in os.listdir(directory):
            self.remove(os.path.join(directory, entry))

    def _refuse_mounts(self, directory: str) -> None:
        """A bind mount may be of the same file system: what is mounted, the kernel alone tells."""
        below = os.path.realpath(directory) + "/"
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            points = [line.split()[4].replace("\\040", " ") for line in file if len(line.split()) > 4]
        mounted = sorted(point for point in points if point.startswith(below))
        if mounted:
            raise Refusal(
                f"directory {directory}",
                f"mounted below it: {', '.join(mounted)}",
                "nothing mounted there, before it is removed",
                f"See what uses it (`fuser --mount {mounted[0]}`), unmount it, then run again.",
            )
