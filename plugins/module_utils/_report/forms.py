# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as JSON (docs/check-report.schema.json), as JUnit XML, as metrics, and as a text table; and the picture of hosts and links.

report.html.j2 draws the picture, and report.css gives it its colors.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from .._json import read_json
from .model import MARKS, TITLES, Host, Line, Link, Mark, Report, counted, folded, list_of, worst

# The report as data, described by docs/check-report.schema.json

SCHEMA = "vmstation.cluster/check-report/1"


def document(report: Report) -> dict[str, Any]:
    # convert tuples to lists
    content = read_json(json.dumps(asdict(report)))
    for shown, line in zip(content["lines"], report.lines):
        del shown["hosts"]
        shown["host"] = line.host
    sums = {"outcome": report.outcome, "worst": report.worst, "counts": report.counts, "verdict": report.verdict}
    return {"schema": SCHEMA, **content, **sums}


# The report as JUnit XML: a group is a test suite, a checked thing a test case

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
    text = _printable("\n".join(text for text in (line.finding, _prefixed("expected: ", line.expected), line.fix) if text))
    if line.mark in _ENDS:
        end = ET.SubElement(case, _ENDS[line.mark], message=_printable(line.finding))
        if line.mark == "error":
            end.set("type", _printable(line.rule or line.mark))
            end.text = text
    else:
        # show warnings, but do not fail a pipeline
        ET.SubElement(case, "system-out").text = text


def _counts(lines: tuple[Line, ...]) -> dict[str, str]:
    ends = [_ENDS.get(line.mark) for line in lines]
    return {"tests": str(len(ends)), "failures": str(ends.count("failure")), "errors": "0", "skipped": str(ends.count("skipped"))}


def _prefixed(prefix: str, text: str) -> str:
    return f"{prefix}{text}" if text else ""


def _printable(text: str) -> str:
    """Replace characters that XML 1.0 does not allow."""
    return "".join(
        one if one in "\t\n\r" or "\x20" <= one <= "\ud7ff" or "\ue000" <= one <= "\ufffd" or one > "\uffff" else "\ufffd" for one in text
    )


# The report as text

WIDEST = 48
"""The widest column; a longer cell shifts only its own line."""


def table(report: Report, *, verbose: bool = False) -> list[str]:
    """Return the lines, the worst first, the verdict last. verbose: one line for each checked thing."""
    shown = sorted(report.lines if verbose else _short(report.lines), key=lambda line: -MARKS.index(line.mark))
    rows = [(line.mark.upper() if line.mark == "error" else line.mark, TITLES[line.group], line.subject, line) for line in shown]
    widths = [min(max((len(str(row[column])) for row in rows), default=0), WIDEST) for column in range(3)]
    texts = []
    for mark, title, subject, line in rows:
        cells = (mark.ljust(widths[0]), title.ljust(widths[1]), subject.ljust(widths[2]), _one_line(line.finding))
        texts.append("  ".join(cells).rstrip())
        texts += [" " * (widths[0] + 2 + widths[1] + 2) + text for text in _what_to_do(line)]
    return [*texts, f"{report.cluster}: {report.verdict}{_calls(report)}"]


def _short(lines: Sequence[Line]) -> Iterator[Line]:
    """Combine what is well in a group into one line, and many warnings about one list too."""
    well: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        if line.mark == "ok":
            well[line.group].append(line)
    for several in folded(lines):
        first, of_group = several[0], well[several[0].group]
        if len(several) > 1:
            found, fix = f"{len(several)} differences", "`-e check_verbose=true` lists them."
            yield replace(first, subject=list_of(first), finding=found, expected="", fix=fix)
        elif first.mark != "ok" or len(of_group) == 1:
            yield first
        elif first is of_group[0]:
            yield replace(first, subject="", finding=counted("ok", len(of_group)))


def _calls(report: Report) -> str:
    return f" ({report.api_calls} requests to the Kubernetes API)" if report.api_calls else ""


def _what_to_do(line: Line) -> Iterator[str]:
    if line.mark in {"ok", "asleep"}:
        return
    if line.expected:
        yield f"  expected: {_one_line(line.expected)}"
    if line.fix:
        yield f"  fix: {_one_line(line.fix)}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


# The report as metrics, which node_exporter reads from a directory of text files
#
# https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md

OUTCOMES = ("healthy", "broken", "unknown")


def metrics(report: Report) -> str:
    """Return the outcome, the counts by group and mark, and the time of the checks. A group that did not run has no series."""
    series = [
        "# HELP vmstation_check_outcome Whether this is the outcome of the last run of check.yml.",
        "# TYPE vmstation_check_outcome gauge",
        *(f'vmstation_check_outcome{{outcome="{one}"}} {int(report.outcome == one)}' for one in OUTCOMES),
        "# HELP vmstation_check_lines Lines of the report of the last run of check.yml.",
        "# TYPE vmstation_check_lines gauge",
    ]
    for group in report.groups:
        marks = [line.mark for line in report.lines if line.group == group]
        series += [f'vmstation_check_lines{{group="{group}",mark="{mark}"}} {marks.count(mark)}' for mark in MARKS]
    # the time is what a caller of the module passes
    with suppress(ValueError):
        at = datetime.fromisoformat(report.generated_at.replace("Z", "+00:00")).timestamp()
        series += [
            "# HELP vmstation_check_time_seconds When check.yml last ran, in seconds since 1970.",
            "# TYPE vmstation_check_time_seconds gauge",
            f"vmstation_check_time_seconds {at:.0f}",
        ]
    return "\n".join(series) + "\n"


# The files of the report


def forms(report: Report, page: str) -> dict[str, str]:
    """Return the text of each file by its name. page: the report as HTML."""
    return {
        "report.json": json.dumps(document(report), indent=2) + "\n",
        "report.xml": junit(report),
        "report.html": page,
        "report.prom": metrics(report),
    }


PICTURED_HOSTS = 6
"""With more hosts the page shows a grid: a picture would show too many lines."""

_WORDS: dict[Mark, str] = {"ok": "", "asleep": ": asleep", "warning": ": warning", "unknown": ": unknown", "error": ": error"}
_WIRE: dict[str, Mark] = {"awake": "ok", "asleep": "asleep", "unreachable": "error", "unknown": "unknown"}
_CARD_WIDTH, _ROW = 248, 25


@dataclass(frozen=True)
class Part:
    """One part of a picture, with the attributes of its SVG element. kind: its class, of a glyph its mark. round: a radius."""

    tag: Literal["text", "path", "rect", "circle", "glyph"]
    kind: str
    x: str = ""
    y: str = ""
    width: str = ""
    height: str = ""
    round: str = ""
    d: str = ""
    words: str = ""
    size: int = 0
    bold: bool = False


@dataclass(frozen=True)
class Picture:
    """shape: side by side on ``wide`` screens, stacked on a phone (``tall``)."""

    shape: Literal["wide", "tall"]
    width: str
    height: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class _Card:
    """A host's position. x, y: its upper left corner."""

    host: Host
    x: float
    y: float
    height: float


def pictures(report: Report) -> tuple[Picture, ...]:
    """Return the picture in both shapes, or none without hosts, and with too many."""
    return (_wide(report), _tall(report)) if 0 < len(report.hosts) <= PICTURED_HOSTS else ()


def _wide(report: Report) -> Picture:
    """Draw the hosts side by side under a horizontal node network, tunnels as arcs below them."""
    gap, top = 48, 190
    height = _card_height(report)
    inner = max(len(report.hosts) * (_CARD_WIDTH + gap) - gap, 2 * _CARD_WIDTH)
    width = inner + 80
    first = 40 + (inner - len(report.hosts) * (_CARD_WIDTH + gap) + gap) / 2
    cards = [_Card(host, first + index * (_CARD_WIDTH + gap), top, height) for index, host in enumerate(report.hosts)]
    drawn = [*_gateway(report, width / 2 - _CARD_WIDTH / 2, 12), _path("bus", f"M40 128H{width - 40:g}")]
    drawn.append(_path("wire", f"M{width / 2:g} 70V128"))
    drawn.append(_text(40, 112, "Node network " + ", ".join(report.network.node_cidrs), "soft", 15))
    drawn += [_wire(card, f"M{card.x + _CARD_WIDTH / 2:g} 130V{top}") for card in cards]
    deepest = top + height
    for link, one, other in _linked(report, cards):
        steps = abs(cards.index(one) - cards.index(other))
        aside = _aside(steps, cards, 72)
        start, end = one.x + _CARD_WIDTH / 2 + aside, other.x + _CARD_WIDTH / 2 - aside
        floor = top + height
        depth = floor + 44 + 46 * (steps - 1)
        deepest = max(deepest, depth + 14)
        bend = min(40, depth - floor)
        path = f"M{start:g} {floor:g}V{depth - bend:g}Q{start:g} {depth:g} {start + bend:g} {depth:g}H{end - bend:g}"
        drawn += _tunnel(link, f"{path}Q{end:g} {depth:g} {end:g} {depth - bend:g}V{floor:g}", (start + end) / 2, depth)
    drawn += [part for card in cards for part in _card(card)]
    strip, bottom = _services(report, 40, deepest + 34, width - 40)
    return Picture("wide", f"{width:g}", f"{bottom:g}", (*drawn, *strip))


def _tall(report: Report) -> Picture:
    """Draw the hosts stacked beside a vertical node network, tunnels as arcs on their right."""
    width, left, gap, top = 384, 40, 30, 132
    height = _card_height(report)
    cards = [_Card(host, left, top + index * (height + gap), height) for index, host in enumerate(report.hosts)]
    last = cards[-1].y + height / 2
    drawn = [*_gateway(report, left, 8), _text(left, 92, "Node network", "soft", 14)]
    drawn.append(_text(left, 112, ", ".join(report.network.node_cidrs), "soft", 14))
    drawn += [_path("bus", f"M14 36V{last + 12:g}"), _path("wire", f"M14 36H{left}")]
    drawn += [_wire(card, f"M16 {card.y + height / 2:g}H{left}") for card in cards]
    right = left + _CARD_WIDTH
    apart = min(34.0, (width - 18 - right - 36) / max(len(cards) - 2, 1))
    for link, one, other in _linked(report, cards):
        steps = abs(cards.index(one) - cards.index(other))
        aside = _aside(steps, cards, height / 3)
        start, end = one.y + height / 2 + aside, other.y + height / 2 - aside
        reach = right + 36 + apart * (steps - 1)
        bend = min(28, reach - right)
        path = f"M{right} {start:g}H{reach - bend:g}Q{reach:g} {start:g} {reach:g} {start + bend:g}V{end - bend:g}"
        drawn += _tunnel(link, f"{path}Q{reach:g} {end:g} {reach - bend:g} {end:g}H{right}", reach, (start + end) / 2)
    drawn += [part for card in cards for part in _card(card)]
    strip, bottom = _services(report, 8, cards[-1].y + height + 44, width - 8)
    return Picture("tall", f"{width:g}", f"{bottom:g}", (*drawn, *strip))


def _card_height(report: Report) -> float:
    return 104 + _ROW * max((len(host.facts) for host in report.hosts), default=0)


def _card(card: _Card) -> Iterator[Part]:
    host, x = card.host, card.x + 18
    role = {"control_plane": "control plane"}.get(host.role, host.role)
    yield _rect(f"box host {host.mark}", card.x, card.y, (_CARD_WIDTH, card.height), 14)
    yield _text(x, card.y + 32, _cut(host.name, 18), "", 17, bold=True)
    yield _glyph(host.mark, card.x + _CARD_WIDTH - 36, card.y + 17, 19)
    yield _text(x, card.y + 54, ", ".join(host.addresses[:1]), "soft", 14)
    yield _text(x, card.y + 74, f"{role}, {host.power}", "soft", 14)
    for index, fact in enumerate(host.facts):
        y = card.y + 92 + index * _ROW
        yield _glyph(fact.mark, x, y, 16)
        yield _text(x + 25, y + 13, f"{fact.text}{_WORDS[fact.mark]}", "", 14)


def _gateway(report: Report, x: float, y: float) -> Iterator[Part]:
    yield _rect("box", x, y, (_CARD_WIDTH, 58), 14)
    yield _text(x + 18, y + 25, "Gateway", "", 16, bold=True)
    yield _text(x + 18, y + 45, ", ".join(report.network.gateways), "soft", 14)


def _wire(card: _Card, path: str) -> Part:
    return _path(f"wire {_WIRE[card.host.power]}", path)


def _tunnel(link: Link, path: str, x: float, y: float) -> Iterator[Part]:
    yield _path(f"tunnel {link.mark}", path)
    yield Part("circle", "plate", f"{x:g}", f"{y:g}", round="15")
    yield _glyph(link.mark, x - 10, y - 10, 20)


def _aside(steps: int, cards: list[_Card], room: float) -> float:
    """Return an arc's distance from the middle of its card: longer arcs enclose shorter ones, so none cross."""
    return room * (1 - (steps - 1) / max(len(cards) - 1, 1))


def _linked(report: Report, cards: list[_Card]) -> Iterator[tuple[Link, _Card, _Card]]:
    places = {card.host.name: card for card in cards}
    for link in report.links:
        yield link, places[link.source], places[link.target]


def _services(report: Report, left: float, top: float, right: float) -> tuple[list[Part], float]:
    """Draw DNS and NodePorts in rows; return the parts and their lower end."""
    chips: list[tuple[str, Mark]] = []
    if report.network.dns_service_ips:
        dns = worst(line.mark for line in report.lines if line.group == "dns")
        chips.append((f"DNS {', '.join(report.network.dns_service_ips)}", dns))
    chips += [(f"{one.name} :{one.node_port}", one.mark) for one in report.services if one.node_port]
    drawn = [
        _text(left, top, f"Pod network {', '.join(report.network.pod_cidrs)}", "soft", 15),
        _text(left, top + 26, "DNS, and NodePorts on every node", "soft", 15),
    ]
    x, y = left, top + 42.0
    for words, mark in chips:
        width = 46 + 8.4 * len(words)
        if x + width > right and x > left:
            x, y = left, y + 44
        drawn += [_rect("box", x, y, (width, 34), 17), _glyph(mark, x + 11, y + 9, 16), _text(x + 34, y + 22, words, "", 14)]
        x += width + 10
    return drawn, y + 46


def _path(kind: str, d: str) -> Part:
    return Part("path", kind, d=d)


def _rect(kind: str, x: float, y: float, size: tuple[float, float], corners: int) -> Part:
    return Part("rect", kind, f"{x:g}", f"{y:g}", f"{size[0]:g}", f"{size[1]:g}", str(corners))


def _glyph(mark: Mark, x: float, y: float, size: float) -> Part:
    return Part("glyph", mark, f"{x:g}", f"{y:g}", f"{size:g}")


def _text(x: float, y: float, words: str, kind: str, size: int, *, bold: bool = False) -> Part:
    return Part("text", kind, f"{x:g}", f"{y:g}", words=words, size=size, bold=bold)


def _cut(words: str, longest: int) -> str:
    return words if len(words) <= longest else f"{words[: longest - 1]}\u2026"
