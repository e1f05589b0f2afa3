# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a host everything at once, and takes the secrets out of what it says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.bounds import fit, shorten, whole_lines
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.host_questions import (
    FILES,
    MOST_CARDS,
    NIC,
    NO_CARDS,
    QUESTIONS,
    Files,
    Question,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import Entry, Status
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.redaction import redact
from ansible_collections.vmstation.cluster.plugins.module_utils._io.readings import HostReader, Reading, Wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.sizes import show_size


def look(host: HostReader, room: int, seconds: float) -> list[Entry]:
    """What the host says. room: the bytes that all texts may have together. seconds: for all together."""
    asked: list[Question] = []
    entries: list[Entry] = []
    for question in _for_each_card(QUESTIONS, host.interfaces()):
        if question.needs and not host.files(question.needs):
            entries.append(Entry(question.name, "absent", _asked(question), note=f"no file {question.needs} on this host"))
        else:
            asked.append(question)
    for files in FILES:
        found = host.files(files.pattern)
        asked += [_of_file(files, path) for path in found[: files.most]]
        if not found:
            entries.append(Entry(files.name, "absent", files.pattern, note="no such file on this host"))
        if found[files.most :]:
            entries.append(Entry(files.name, "cut", files.pattern, note=f"the newest {files.most} of {len(found)} files"))
    readings = host.read_all([Wanted(one.argv, one.path, one.seconds, one.room, one.keep) for one in asked], seconds)
    entries += [entry_of(question, reading) for question, reading in zip(asked, readings)]
    return fit(entries, room)


def entry_of(question: Question, reading: Reading) -> Entry:
    asked = _asked(question)
    if not reading.found:
        kind = f"program {question.argv[0]}" if question.argv else "file"
        return Entry(question.name, "absent", asked, note=f"no such {kind} on this host")
    kept, size = reading.text, reading.size
    is_cut = size > question.room
    text, redactions = redact(whole_lines(kept, question.keep) if is_cut else kept)
    status, notes = _judged(question, reading, text)
    if is_cut:
        end = "last" if question.keep == "tail" else "first"
        notes.append(f"the {end} {show_size(len(text.encode('utf-8', 'replace')))} of {show_size(size)}")
        status = "cut" if status == "complete" else status
    entry = Entry(question.name, status, asked, text, "; ".join(notes), question.keep, redactions, reading.seconds)
    # bytes that are no UTF-8 take more room in it
    return entry if entry.size <= question.room else shorten(entry, question.room)


def _asked(question: Question) -> str:
    return shlex.join(question.argv) if question.argv else question.path


def _judged(question: Question, reading: Reading, text: str) -> tuple[Status, list[str]]:
    if reading.problem:
        return "failed", [reading.problem]
    if reading.status == 0:
        return "complete", [] if text else ["it says nothing"]
    if reading.status in question.accept:
        return "complete", [f"exit status {reading.status}"]
    words = next((line.strip() for line in text.splitlines() if line.strip()), "no output")
    return "failed", [f"exit status {reading.status}: {words[:200]}"]


def _for_each_card(questions: Sequence[Question], interfaces: Sequence[str]) -> Iterator[Question]:
    cards = [name for name in interfaces if not name.startswith(NO_CARDS)][:MOST_CARDS]
    for question in questions:
        if NIC not in question.name:
            yield question
            continue
        for card in cards:
            argv = tuple(word.replace(NIC, card) for word in question.argv)
            yield replace(question, name=question.name.replace(NIC, card), argv=argv)


def _of_file(files: Files, path: str) -> Question:
    below = path[len(files.below) :] if path.startswith(files.below) else path
    return Question(f"{files.name}/{below}", path=path, room=files.room, keep=files.keep)
