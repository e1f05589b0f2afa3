# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as JUnit XML: a group is a test suite, a thing a test case."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Line, Report

_ENDS = {"error": "failure", "unknown": "skipped", "asleep": "skipped"}


def junit(report: Report) -> str:
    suites = ET.Element("testsuites", {"name": _printable(report.cluster), **_counts(report.lines)})
    for group in report.groups:
        own = tuple(line for line in report.lines if line.group == group)
        suite = ET.SubElement(suites, "testsuite", {"name": TITLES[group], "timestamp": _printable(report.generated_at), **_counts(own)})
        for line in own:
            _case(suite, line)
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True).replace("utf-8", "UTF-8", 1) + "\n"


def _case(suite: ET.Element, line: Line) -> None:
    name = f"{line.subject}: {line.rule}" if line.rule else line.subject
    case = ET.SubElement(suite, "testcase", classname=line.group, name=_printable(name))
    told = _printable("\n".join(text for text in (line.finding, _prefixed("expected: ", line.expected), line.fix) if text))
    if line.mark in _ENDS:
        end = ET.SubElement(case, _ENDS[line.mark], message=_printable(line.finding))
        if line.mark == "error":
            end.set("type", _printable(line.rule or line.mark))
            end.text = told
    else:
        # what a warning says must not get lost, and must not fail a pipeline
        ET.SubElement(case, "system-out").text = told


def _counts(lines: tuple[Line, ...]) -> dict[str, str]:
    ends = [_ENDS.get(line.mark) for line in lines]
    return {"tests": str(len(ends)), "failures": str(ends.count("failure")), "errors": "0", "skipped": str(ends.count("skipped"))}


def _prefixed(prefix: str, text: str) -> str:
    return f"{prefix}{text}" if text else ""


def _printable(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold."""
    return "".join(
        one if one in "\t\n\r" or "\x20" <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd" or one > "\uffff" else "\ufffd" for one in text
    )
