# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find files and systemd units of a host that differ from what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Optional

from .._host.commands import Commands

ReadFile = Callable[[str], Optional[tuple[str, int]]]
"""A regular file's text and mode, or an empty text and 0 if it is not a regular file or unreadable; None if it does not exist."""
FileState = Literal["same", "different", "missing"]

MODE = 0o644
PROPERTIES = ("Id", "ActiveState", "UnitFileState", "NeedDaemonReload")


@dataclass(frozen=True)
class File:
    """A file with this text. optional: it may be missing."""

    path: str
    content: str
    optional: bool = False


@dataclass(frozen=True)
class Unit:
    """A service that starts at boot, and runs now if ``running``."""

    name: str
    running: bool


def compare_files(wanted: Iterable[File], read: ReadFile) -> dict[str, FileState]:
    return {file.path: _state(file, read(file.path)) for file in wanted}


def is_complete(wanted: Iterable[File], states: Mapping[str, FileState]) -> bool:
    return all(file.optional or states[file.path] == "same" for file in wanted)


def _state(wanted: File, found: Optional[tuple[str, int]]) -> FileState:
    if found is None:
        return "missing"
    return "same" if found == (wanted.content, MODE) else "different"


def look_at_units(units: Iterable[Unit], commands: Commands) -> str:
    """Return systemd's properties of the units; empty if it does not answer."""
    names = [f"{unit.name}.service" for unit in units]
    if not names or not commands.has("systemctl"):
        return ""
    argv = ["systemctl", "show", f"--property={','.join(PROPERTIES)}", "--", *names]
    return commands.run(argv, timeout=20.0, check=False).stdout


def differing_units(wanted: Iterable[Unit], text: str) -> list[str]:
    """Return units that differ. text: the output of ``systemctl show``. A unit that is not in it differs."""
    found = {properties.get("Id", ""): properties for properties in map(_properties, text.split("\n\n"))}
    return [unit.name for unit in wanted if not _is_in_order(unit, found.get(f"{unit.name}.service", {}))]


def _properties(block: str) -> dict[str, str]:
    return {name: value for name, equals, value in (line.partition("=") for line in block.splitlines()) if equals}


def _is_in_order(unit: Unit, properties: Mapping[str, str]) -> bool:
    wanted = {"UnitFileState": "enabled", "NeedDaemonReload": "no", **({"ActiveState": "active"} if unit.running else {})}
    return all(properties.get(name) == value for name, value in wanted.items())
