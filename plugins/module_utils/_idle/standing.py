# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a module keeps or removes, and what changes of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Callable, Optional

from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import Commands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import Write

Contents = Mapping[str, Optional[str]]


@dataclass(frozen=True)
class Host:
    """A host's I/O.

    program: our own code as one file, with this entry. remove: a file, or a directory with all in it. remove_empty: directories that hold
    nothing.
    """

    commands: Commands
    read_text: Callable[[str], Optional[str]]
    write: Write
    remove: Callable[[str], None]
    program: Callable[[str], str]
    python: str
    remove_empty: Callable[[Iterable[str]], None] = lambda directories: None


def changed(host: Host, wanted: Contents) -> dict[str, Optional[str]]:
    """Those that are not as they must be. None: no such file."""
    return {path: text for path, text in wanted.items() if host.read_text(path) != text}


def diff(host: Host, contents: Contents) -> list[dict[str, Any]]:
    return [
        {"before_header": path, "after_header": path, "before": _shown(path, host.read_text(path)), "after": _shown(path, text)}
        for path, text in contents.items()
    ]


def _shown(path: str, text: Optional[str]) -> str:
    if text is None:
        return ""
    if not path.endswith(".pyz"):
        return text
    return f"SHA-256 {hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()}\n"
