# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A line for each thing that was looked at, for each finding, and for each check that came to no judgement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Entry, Line, Mark
from ansible_collections.vmstation.cluster.plugins.module_utils._report.things import Thing, ran, things

_REFUSAL = re.compile(r"(?P<subject>.+?): found (?P<found>.+?); required: (?P<required>.+?)\. (?P<fix>[^ ].*)", re.DOTALL)
_LONGEST = 1000
_AGAIN = "Put right what it names, and run check.yml again."


def lines(entries: Iterable[Entry], names: Iterable[str], asleep: Iterable[str]) -> list[Line]:
    """All of them, in the order of the groups. names: of all hosts; asleep: of those that sleep, which are asked nothing."""
    every, known, sleeping = list(entries), {name.lower(): name for name in names}, set(asleep)
    cut_off = {entry.host for entry in every if entry.check == "ping" and entry.result.get("unreachable")}
    found = [
        Line("hosts", f"host {name}", "asleep", "asleep: its port is silent, as that of a host that sleeps may be", host=name)
        for name in known.values()
        if name in sleeping and any(entry.group == "hosts" for entry in every)
    ]
    for entry in every:
        # that a host sleeps or cannot be reached is said once
        if entry.host in sleeping or (entry.host in cut_off and entry.check != "ping"):
            continue
        found += _of_entry(entry)
    order = list(TITLES)
    named = (replace(line, host=known.get(line.host.lower(), line.host)) for line in found)
    return sorted(named, key=lambda line: order.index(line.group))


def _of_entry(entry: Entry) -> Iterator[Line]:
    if not ran(entry):
        yield _not_judged(entry)
        return
    looked_at = things(entry)
    by_subject = {thing.subject.lower(): thing for thing in looked_at}
    covered: set[Thing] = set()
    for finding in entry.result.get("findings") or ():
        thing = by_subject.get(str(finding["subject"]).lower())
        mark = _mark(finding, thing)
        line = _of_finding(entry, finding, mark, thing)
        if mark != "ok" or thing:
            covered |= {one for one in looked_at if one is thing or len(looked_at) == 1 or (one.mark != "ok" and line.is_about(one.host))}
        yield line
    for thing in looked_at:
        if thing not in covered:
            yield Line(entry.group, thing.subject, thing.mark, thing.text, thing.expected, thing.fix, host=thing.host or entry.host)


def _of_finding(entry: Entry, finding: Mapping[str, Any], mark: Mark, thing: Thing | None) -> Line:
    subject = str(finding["subject"])
    if entry.host and entry.host not in subject:
        subject = f"host {entry.host}: {subject}"
    host = entry.host or (thing.host if thing else "") or (subject[5:] if subject.startswith(("node ", "host ")) else "")
    found, expected, fix = (str(finding[key]) for key in ("found", "expected", "fix"))
    return Line(entry.group, subject, mark, found, expected, fix, str(finding["rule"]), host)


def _mark(finding: Mapping[str, Any], thing: Thing | None) -> Mark:
    """Of a finding: what could not be read is unknown, whatever its severity."""
    severity = finding["severity"]
    if severity == "unknown" or str(finding["rule"]).endswith(("_can_be_read", "_is_known", "_are_known")):
        return "unknown"
    if severity == "info":
        return "asleep" if thing and thing.mark == "asleep" else "ok"
    return "warning" if severity == "warning" else "error"


def _not_judged(entry: Entry) -> Line:
    """A check that came to no judgement is an error: nothing is known to be well."""
    result, subject = entry.result, f"{entry.check} on {entry.host}" if entry.host else entry.check
    if result.get("unreachable"):
        fix = f"Look whether {entry.host} is on, and whether `ssh` reaches it. One that sleeps gets `sleeps: true` in the inventory."
        return Line(entry.group, f"host {entry.host}", "error", _message(result), "a host that Ansible reaches", fix, host=entry.host)
    if not result:
        fix = "Read in the output above which task ended the run of it, and put that right."
        return Line(entry.group, subject, "error", "the check did not run", "a judgement", fix, host=entry.host)
    refused = _REFUSAL.fullmatch(_message(result))
    if refused:
        told = refused.groupdict()
        return Line(
            entry.group,
            subject,
            "error",
            f"no judgement: {told['subject']}: {told['found']}",
            told["required"],
            told["fix"],
            host=entry.host,
        )
    return Line(entry.group, subject, "error", f"no judgement: {_message(result)}", "a judgement", _AGAIN, host=entry.host)


def _message(result: Mapping[str, Any]) -> str:
    said = " ".join(str(result.get("msg") or "no reason given").split())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."
