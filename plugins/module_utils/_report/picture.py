# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture of a few hosts and what connects them: beside each other where there is room, below each other on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ansible_collections.vmstation.cluster.plugins.module_utils._report.markup import WORDS, glyph, text
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Host, Link, Mark, Report, worst

PICTURED_HOSTS = 6
"""Of more hosts the page shows a grid: a picture of them would show lines, not a network."""

_WIRE: dict[str, Mark] = {"awake": "ok", "asleep": "asleep", "unreachable": "error", "unknown": "unknown"}
_CARD_WIDTH, _ROW = 248, 25


@dataclass(frozen=True)
class _Card:
    """A host's place. x, y: its upper left corner."""

    host: Host
    x: float
    y: float
    height: float


def wide(report: Report) -> str:
    """The hosts beside each other under a horizontal node network, tunnels as arcs below them."""
    gap, top = 48, 190
    height = _card_height(report)
    inner = max(len(report.hosts) * (_CARD_WIDTH + gap) - gap, 2 * _CARD_WIDTH)
    width = inner + 80
    first = 40 + (inner - len(report.hosts) * (_CARD_WIDTH + gap) + gap) / 2
    cards = [_Card(host, first + index * (_CARD_WIDTH + gap), top, height) for index, host in enumerate(report.hosts)]
    drawn = [_gateway(report, width / 2 - _CARD_WIDTH / 2, 12), f'<path class="bus" d="M40 128H{width - 40:g}"/>']
    drawn.append(f'<path class="wire" d="M{width / 2:g} 70V128"/>')
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
        drawn.append(_tunnel(link, f"{path}Q{end:g} {depth:g} {end:g} {depth - bend:g}V{floor:g}", (start + end) / 2, depth))
    drawn += [_card(card) for card in cards]
    strip, bottom = _services(report, 40, deepest + 34, width - 40)
    return _svg(report, "wide", width, bottom, "".join([*drawn, *strip]))


def tall(report: Report) -> str:
    """The hosts below each other beside a vertical node network, tunnels as arcs on their right."""
    width, left, gap, top = 384, 40, 30, 132
    height = _card_height(report)
    cards = [_Card(host, left, top + index * (height + gap), height) for index, host in enumerate(report.hosts)]
    last = cards[-1].y + height / 2 if cards else top
    drawn = [_gateway(report, left, 8), _text(left, 92, "Node network", "soft", 14)]
    drawn.append(_text(left, 112, ", ".join(report.network.node_cidrs), "soft", 14))
    drawn.append(f'<path class="bus" d="M14 36V{last + 12:g}"/><path class="wire" d="M14 36H{left}"/>')
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
        drawn.append(_tunnel(link, f"{path}Q{reach:g} {end:g} {reach - bend:g} {end:g}H{right}", reach, (start + end) / 2))
    drawn += [_card(card) for card in cards]
    strip, bottom = _services(report, 8, (cards[-1].y + height if cards else top) + 44, width - 8)
    return _svg(report, "tall", width, bottom, "".join([*drawn, *strip]))


def description(report: Report) -> str:
    """The picture in words, for those who do not see it."""
    hosts = [f"{host.name}, {' '.join(host.addresses)}, is {host.power}: {WORDS[host.mark]}." for host in report.hosts]
    links = [f"{link.source} to {link.target}, {link.kind}: {link.text}." for link in report.links]
    services = [f"NodePort {one.node_port}, {one.name}: {WORDS[one.mark]}." for one in report.services if one.node_port]
    return " ".join([*hosts, *links, *services])


def _svg(report: Report, shape: str, width: float, height: float, drawn: str) -> str:
    return (
        f'<svg class="picture {shape}" viewBox="0 0 {width:g} {height:g}" role="img" aria-labelledby="{shape}-title {shape}-told">'
        f'<title id="{shape}-title">{text(f"The hosts of {report.cluster} and the links between them")}</title>'
        f'<desc id="{shape}-told">{text(description(report))}</desc>{drawn}</svg>'
    )


def _card_height(report: Report) -> float:
    return 104 + _ROW * max((len(host.facts) for host in report.hosts), default=0)


def _card(card: _Card) -> str:
    host, x = card.host, card.x + 18
    role = {"control_plane": "control plane"}.get(host.role, host.role)
    drawn = [
        f'<rect class="box host {host.mark}" x="{card.x:g}" y="{card.y:g}" width="{_CARD_WIDTH}" height="{card.height:g}" rx="14"/>',
        _text(x, card.y + 32, _cut(host.name, 18), "", 17, bold=True),
        glyph(host.mark, _place(card.x + _CARD_WIDTH - 36, card.y + 17, 19)),
        _text(x, card.y + 54, ", ".join(host.addresses[:1]), "soft", 14),
        _text(x, card.y + 74, f"{role}, {host.power}", "soft", 14),
    ]
    for index, fact in enumerate(host.facts):
        y = card.y + 92 + index * _ROW
        drawn.append(glyph(fact.mark, _place(x, y, 16)))
        drawn.append(_text(x + 25, y + 13, f"{fact.text}{'' if fact.mark == 'ok' else ': ' + WORDS[fact.mark]}", "", 14))
    return "".join(drawn)


def _gateway(report: Report, x: float, y: float) -> str:
    return (
        f'<rect class="box" x="{x:g}" y="{y:g}" width="{_CARD_WIDTH}" height="58" rx="14"/>'
        + _text(x + 18, y + 25, "Gateway", "", 16, bold=True)
        + _text(x + 18, y + 45, ", ".join(report.network.gateways), "soft", 14)
    )


def _wire(card: _Card, path: str) -> str:
    return f'<path class="wire {_WIRE[card.host.power]}" d="{path}"/>'


def _tunnel(link: Link, path: str, x: float, y: float) -> str:
    plate = f'<circle class="plate" cx="{x:g}" cy="{y:g}" r="15"/>'
    return f'<path class="tunnel {link.mark}" d="{path}"/>{plate}{glyph(link.mark, _place(x - 10, y - 10, 20))}'


def _aside(steps: int, cards: list[_Card], room: float) -> float:
    """How far from the middle of its card an arc ends: one that leads further encloses those that do not, so none cross."""
    return room * (1 - (steps - 1) / max(len(cards) - 1, 1))


def _linked(report: Report, cards: list[_Card]) -> Iterator[tuple[Link, _Card, _Card]]:
    places = {card.host.name: card for card in cards}
    for link in report.links:
        yield link, places[link.source], places[link.target]


def _services(report: Report, left: float, top: float, right: float) -> tuple[list[str], float]:
    """Where Pods find each other by name and others find them by port, in rows; and where the picture ends."""
    dns = [line.mark for line in report.lines if line.group == "dns"]
    chips: list[tuple[str, Mark]] = []
    if report.network.dns_service_ips:
        chips.append((f"DNS {', '.join(report.network.dns_service_ips)}", worst(dns)))
    chips += [(f"{one.name} :{one.node_port}", one.mark) for one in report.services if one.node_port]
    pods = ", ".join(report.network.pod_cidrs)
    drawn = [_text(left, top, f"Pod network {pods}", "soft", 15), _text(left, top + 26, "DNS, and NodePorts on every node", "soft", 15)]
    x, y = left, top + 42.0
    for words, mark in chips:
        width = 46 + 8.4 * len(words)
        if x + width > right and x > left:
            x, y = left, y + 44
        drawn.append(f'<rect class="box" x="{x:g}" y="{y:g}" width="{width:g}" height="34" rx="17"/>')
        drawn.append(glyph(mark, _place(x + 11, y + 9, 16)))
        drawn.append(_text(x + 34, y + 22, words, "", 14))
        x += width + 10
    return drawn, y + 46


def _text(x: float, y: float, words: str, kind: str, size: int, *, bold: bool = False) -> str:
    weight = ' font-weight="650"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}" font-size="{size}"{weight}>{text(words)}</text>'


def _place(x: float, y: float, size: float) -> str:
    return f' x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}"'


def _cut(words: str, longest: int) -> str:
    return words if len(words) <= longest else f"{words[: longest - 1]}\u2026"
