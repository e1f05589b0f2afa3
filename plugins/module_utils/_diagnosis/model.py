# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One thing that was asked for, as it is handed from host and cluster to the archive."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

Keep = Literal["head", "tail"]
Status = Literal["complete", "cut", "absent", "asleep", "failed"]
Object = dict[str, Any]

KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Entry:
    """name: of its file in the archive. asked: the command, path or list. text: without secrets.

    status: ``cut`` if only a part of it is kept, ``absent`` if there is no such thing, ``asleep`` of a host that was left so, ``failed``
    if it could not be had; of what failed there may be a text. note: why. keep: which part stays when there is too much of it.
    redactions: how many secrets were taken out.
    """

    name: str
    status: Status
    asked: str = ""
    text: str = ""
    note: str = ""
    keep: Keep = "head"
    redactions: int = 0
    seconds: float = 0.0

    @property
    def size(self) -> int:
        return len(self.text.encode("utf-8", "replace"))


# what a module takes that is given entries
ENTRY_ARGUMENTS = {
    "name": {"type": "str", "required": True},
    "status": {"type": "str", "required": True, "choices": ["complete", "cut", "absent", "asleep", "failed"]},
    "asked": {"type": "str", "default": ""},
    "text": {"type": "str", "default": ""},
    "note": {"type": "str", "default": ""},
    "keep": {"type": "str", "default": "head", "choices": ["head", "tail"]},
    "redactions": {"type": "int", "default": 0},
    "seconds": {"type": "float", "default": 0.0},
}


def as_data(entries: list[Entry]) -> list[dict[str, Any]]:
    return [asdict(entry) for entry in entries]


def entry_of(data: Mapping[str, Any]) -> Entry:
    return Entry(**{field.name: data[field.name] for field in fields(Entry) if field.name in data})
