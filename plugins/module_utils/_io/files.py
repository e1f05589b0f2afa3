# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a host, replaced whole or not at all."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Optional

STAGED = (".vmstation-", ".tmp")  # before and after what a temporary file's name has of its own


def read_text(path: str) -> Optional[str]:
    """The file's text, bytes that are not UTF-8 kept as surrogates; None if there is no such file."""
    try:
        return Path(path).read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None


def replace_all(contents: Mapping[str, Optional[str]], *, new_mode: int = 0o644) -> None:
    """Replace files by a rename each, in the mapping's order; None removes. Every new content is on disk before the first rename.

    A replaced file keeps its mode and owner; a new one gets ``new_mode``. A file behind a link is replaced where it is.
    """
    staged: dict[str, Optional[str]] = {}
    try:
        for path, text in contents.items():
            target = os.path.realpath(path)
            staged[target] = None if text is None else _stage(target, text, new_mode)
        for target, temporary in staged.items():
            if temporary is not None:
                os.replace(temporary, target)
            elif os.path.lexists(target):
                os.unlink(target)
    finally:
        for temporary in staged.values():
            if temporary is not None and os.path.lexists(temporary):
                os.unlink(temporary)
    for directory in {os.path.dirname(target) for target in staged}:
        _sync_directory(directory)


def sweep(paths: Iterable[str]) -> None:
    """Remove what a ``replace_all`` that was killed has left beside these files."""
    for directory in {os.path.dirname(os.path.realpath(path)) for path in paths}:
        for entry in os.scandir(directory) if os.path.isdir(directory) else ():
            if entry.name.startswith(STAGED[0]) and entry.name.endswith(STAGED[1]):
                os.unlink(entry.path)


def remove_empty(directories: Iterable[str]) -> None:
    """Remove those of the directories that are there and hold nothing; the deepest come first."""
    for directory in directories:
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _stage(target: str, text: str, new_mode: int) -> str:
    os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
    # the leading dot keeps it out of every `*.d` directory that a reload might read meanwhile
    descriptor, temporary = tempfile.mkstemp(prefix=STAGED[0], suffix=STAGED[1], dir=os.path.dirname(target))
    with os.fdopen(descriptor, "wb") as file:
        file.write(text.encode("utf-8", "surrogateescape"))
        file.flush()
        if os.path.exists(target):
            status = os.stat(target)
            os.fchmod(file.fileno(), status.st_mode & 0o7777)
            os.fchown(file.fileno(), status.st_uid, status.st_gid)
        else:
            os.fchmod(file.fileno(), new_mode)
        os.fsync(file.fileno())
    return temporary


def _sync_directory(directory: str) -> None:
    if not os.path.isdir(directory):
        return
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
