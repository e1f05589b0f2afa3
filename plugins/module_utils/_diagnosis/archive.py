# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diagnosis archive: its files, its index, and what could not be collected."""

from __future__ import annotations

import json
import os.path
import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from .._host.directories import Archives
from .._notation import show_size
from .._refusal import Refusal
from .._site.hosts import registered
from .cluster import table
from .model import Entry, entry_of, fit, redact, share

# What is in the archive: the files with their names, and an index of what is there and what is missing.

TIME = "%Y%m%dT%H%M%SZ"
INDEX, INDEX_FOR_PROGRAMS = "index.txt", "index.json"
_NOT_HAD = ("failed", "asleep")
_NOT_OF_A_PATH = re.compile(r"[^A-Za-z0-9_.@:+-]+")
_NOT_OF_A_NAME = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class Missing:
    """Files that are missing for one reason. names: of the files that would be there."""

    names: tuple[str, ...]
    note: str

    def __str__(self) -> str:
        more = f" and {len(self.names) - 1} more" if self.names[1:] else ""
        return f"{self.names[0]}{more}: {self.note}"


def missing(entries: Iterable[Entry]) -> list[Missing]:
    """What is missing, grouped by place and reason. Whole hosts come first, then the smallest groups."""
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
    """What could not be read comes first: it is the most useful part."""
    parts = [heading, ""]
    not_had = missing(entries)
    if not_had:
        parts += ["What is missing:", "", *("\n    ".join([one.note, *one.names]) for one in not_had), ""]
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
    text, redactions = redact(json.dumps(data, indent=1, sort_keys=True, default=str) + "\n")
    return Entry(f"controller/{name}.json", "complete", "the controller", text, redactions=redactions)


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


# Writes the archive, and reports where it is and what is missing in it.

UNFINISHED = ".unfinished"
MOST_LINES = 20


@dataclass(frozen=True)
class Order:
    """What to archive, and where. room: bytes of all texts together."""

    entries: Sequence[Entry]
    documents: Mapping[str, Any]
    cluster: str
    directory: str
    room: int


@dataclass(frozen=True)
class Outcome:
    """What was done, or would be. size: in bytes, 0 if nothing was written. lines: for a person."""

    path: str
    size: int
    lines: list[str]


def order(params: Mapping[str, Any]) -> Order:
    """The module's options, read."""
    entries = [entry_of(entry) for entry in params["entries"]]
    directory = os.path.abspath(params["directory"])
    return Order(entries, params["documents"], params["cluster"], directory, share(params["maximum_size"], 1))


def archive(wanted: Order, archives: Archives, *, check_mode: bool) -> Outcome:
    if not archives.is_directory(wanted.directory):
        raise Refusal("directory", f"no directory {wanted.directory}", "a directory for the archive", "Make it, or choose another.")
    name = archive_name(wanted.cluster, archives.now(TIME))
    held = contents(wanted.entries, wanted.documents, f"{name}: the answers of the hosts and the cluster, without secrets", wanted.room)
    path = f"{wanted.directory}/{name}.tar.gz"
    size = 0 if check_mode else archives.write_texts({f"{name}/{file}": text for file, text in held.files.items()}, path, path + UNFINISHED)
    return Outcome(path, size, _lines(path, size, held))


def _lines(path: str, size: int, held: Contents) -> list[str]:
    redactions = sum(entry.redactions for entry in held.entries)
    written = f"{show_size(size)}, " if size else ""
    head = f"{path}: {written}{len(held.files)} files, {redactions} secrets masked"
    missing = [f"missing: {one}" for one in held.missing]
    more = [f"missing: {len(missing) - MOST_LINES} more, which index.txt names"] if len(missing) > MOST_LINES else []
    return [head, *missing[:MOST_LINES], *more]


# Where the plays of diagnose.yml have registered the answers of each host and of the cluster.

CLUSTER, HOST = "diagnosis_cluster", "diagnosis_host"
"""The variables of diagnose.yml: of the one host that asked for all, and of each."""


def entries_of(hostvars: object, hosts: Iterable[str], asleep: Collection[str], versions: Mapping[str, str]) -> list[dict[str, Any]]:
    """All entries, below a directory for the cluster and one for each host. A host without answers is one entry with the reason."""
    names = list(hosts)
    if not isinstance(hostvars, Mapping):
        raise Refusal(
            "diagnosis_entries", repr(hostvars), "the variable hostvars", "Write `hostvars | vmstation.cluster.diagnosis_entries(...)`."
        )
    seen = {name: registered(hostvars, name) for name in names}
    cluster: Mapping[str, Any] = next((seen[name][CLUSTER] for name in names if CLUSTER in seen[name]), {})
    entries = [_of_versions(versions), *_below("cluster", "the Kubernetes API", cluster)]
    for name in names:
        if name in asleep:
            entries.append({"name": f"hosts/{name}", "status": "asleep", "asked": f"host {name}", "note": "asleep"})
        else:
            entries += _below(f"hosts/{name}", f"host {name}", seen[name].get(HOST) or {})
    return entries


def _of_versions(versions: Mapping[str, str]) -> dict[str, Any]:
    text = "".join(f"{program} {version}\n" for program, version in versions.items())
    return {"name": "controller/versions.txt", "status": "complete", "asked": "the controller", "text": text}


def _below(directory: str, asked: str, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    if "entries" in result:
        return [{**entry, "name": f"{directory}/{entry['name']}"} for entry in result["entries"]]
    # the error message of a program may quote anything
    note, redactions = redact(" ".join(str(result.get("msg") or "it was not asked").split()))
    return [{"name": directory, "status": "failed", "asked": asked, "note": note, "redactions": redactions}]
