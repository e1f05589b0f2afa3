# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in the archive: the files with their names, and an index that says what is there and what could not be had."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.bounds import fit
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import Entry
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.objects import redact_object
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.redaction import redact
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.tables import table
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size

TIME = "%Y%m%dT%H%M%SZ"
INDEX, INDEX_FOR_PROGRAMS = "index.txt", "index.json"
_NOT_HAD = ("failed", "asleep")
_NOT_OF_A_PATH = re.compile(r"[^A-Za-z0-9_.@:+-]+")
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Missing:
    """What could not be had for one reason. names: of the files that would be there."""

    names: tuple[str, ...]
    note: str

    def __str__(self) -> str:
        more = f" and {len(self.names) - 1} more" if self.names[1:] else ""
        return f"{self.names[0]}{more}: {self.note}"


def missing(entries: Iterable[Entry]) -> list[Missing]:
    """What could not be had, what has the same reason at the same place together. Whole hosts come first, then what the fewest share."""
    found: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        if entry.status in _NOT_HAD:
            place = "/".join(entry.name.split("/")[: 2 if entry.name.startswith("hosts/") else 1])
            found.setdefault((place, entry.note), []).append(entry.name)
    groups = [Missing(tuple(names), note) for (_place, note), names in found.items()]
    return sorted(groups, key=lambda one: (one.names[0].count("/") > 1, len(one.names), one.names))


@dataclass(frozen=True)
class Contents:
    """files: by their names in the archive. entries: what was asked for, as far as it has room."""

    files: Mapping[str, str]
    entries: Sequence[Entry]

    @property
    def size(self) -> int:
        return sum(len(text.encode("utf-8", "replace")) for text in self.files.values())

    @property
    def missing(self) -> list[Missing]:
        return missing(self.entries)


def archive_name(cluster: str, time: str) -> str:
    """The directory in the archive; its file has the ending besides."""
    return f"{_NOT_OF_A_NAME.sub('_', cluster).strip('_.-') or 'cluster'}-diagnosis-{time}"


def contents(entries: Iterable[Entry], documents: Mapping[str, Any], heading: str, room: int) -> Contents:
    """Everything by its name. documents: data of the controller, each written as JSON. room: bytes of all texts together."""
    named = _with_names_of_their_own([*entries, *(_of_document(name, data) for name, data in documents.items())])
    fitted = sorted(fit(named, room), key=lambda entry: entry.name)
    files = {entry.name: entry.text for entry in fitted if entry.text}
    index = {INDEX: index_text(heading, fitted), INDEX_FOR_PROGRAMS: _index_for_programs(heading, fitted)}
    return Contents({**index, **files}, fitted)


def index_text(heading: str, entries: Sequence[Entry]) -> str:
    """What could not be had first: it says most."""
    parts = [heading, ""]
    not_had = missing(entries)
    if not_had:
        parts += ["What could not be had:", "", *("\n    ".join([one.note, *one.names]) for one in not_had), ""]
    rows = (
        (one.status, show_size(one.size), one.redactions or "", f"{one.seconds:.1f}", one.name, one.note, one.asked)
        for one in entries
        if one.text or one.status in {"complete", "cut"}
    )
    parts += ["What is here:", "", table(("status", "size", "redacted", "seconds", "file", "note", "asked"), rows)]
    absent = [one for one in entries if one.status == "absent"]
    if absent:
        parts += [
            "What is not there to be asked:",
            "",
            table(("file", "asked", "why"), ((one.name, one.asked, one.note) for one in absent)),
        ]
    return "\n".join(parts)


def _index_for_programs(heading: str, entries: Sequence[Entry]) -> str:
    rows = [{**{key: value for key, value in asdict(one).items() if key not in {"text", "keep"}}, "size": one.size} for one in entries]
    return json.dumps({"schema": "vmstation.cluster/diagnosis/1", "heading": heading, "entries": rows}, indent=1) + "\n"


def _of_document(name: str, data: object) -> Entry:
    cleaned, redactions = redact_object(data) if isinstance(data, dict) else (data, 0)
    text, more = redact(json.dumps(cleaned, indent=1, sort_keys=True, default=str) + "\n")
    return Entry(f"controller/{name}.json", "complete", "the controller", text, redactions=redactions + more)


def _with_names_of_their_own(entries: Iterable[Entry]) -> list[Entry]:
    """Names that stay within the archive, each once."""
    taken = {INDEX, INDEX_FOR_PROGRAMS}
    named = []
    for entry in entries:
        parts = [_NOT_OF_A_PATH.sub("_", part) for part in entry.name.split("/") if part not in {"", ".", ".."}]
        name = posixpath.join(*parts) if parts else "unnamed"
        number = 2
        while entry.text and name in taken:
            name, number = f"{posixpath.join(*parts)}.{number}", number + 1
        if entry.text:
            taken.add(name)
        named.append(replace(entry, name=name))
    return named
