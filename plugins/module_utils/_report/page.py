# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report as one HTML page that needs nothing else: no network, no script."""

from __future__ import annotations

from collections.abc import Iterable

from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import TITLES
from ansible_collections.vmstation.cluster.plugins.module_utils._report.markup import WORDS, badge, code, text
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import MARKS, Line, Port, Report, counted, worst
from ansible_collections.vmstation.cluster.plugins.module_utils._report.picture import PICTURED_HOSTS, tall, wide
from ansible_collections.vmstation.cluster.plugins.module_utils._report.style import STYLE

_TO_DO = ("error", "unknown", "warning")
_HEADLINES = {
    "ok": "Everything is as planned.",
    "asleep": "Everything that is awake is as planned.",
    "warning": "It works, and something needs a look.",
    "unknown": "Not all of it is known.",
    "error": "Something is not right.",
}


def page(report: Report) -> str:
    title = f"{report.cluster}: {report.verdict}"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<a class="skip" href="#to-do">Skip to what is to do</a>
<header>
<p class="overline">{text(report.cluster)}, <time datetime="{text(report.generated_at)}">{text(report.generated_at)}</time></p>
<h1>{text(_HEADLINES[report.worst])}</h1>
{_tally(report)}
</header>
<main>
<h2 id="hosts">Hosts and links</h2>
{_hosts(report)}
<h2 id="to-do" tabindex="-1">What is to do</h2>
{_to_do(report)}
<h2 id="seen">Everything that was looked at</h2>
{"".join(_group(report, group) for group in report.groups)}
<h2 id="ports">What is open, and why</h2>
{_ports(report.ports)}
</main>
<footer><p>{_calls(report)}Nothing was changed, and this page loads nothing from anywhere.</p></footer>
</body>
</html>
"""


def _tally(report: Report) -> str:
    counts = report.counts
    items = [f"<li>{badge(mark, counted(mark, counts[mark]))}</li>" for mark in reversed(MARKS) if counts[mark]]
    return f'<ul class="tally">{"".join(items)}</ul>'


def _hosts(report: Report) -> str:
    if not 0 < len(report.hosts) <= PICTURED_HOSTS:
        return _grid(report)
    legend = (
        "Lines between hosts are the ways of their Pods. A dotted line leads to a host that sleeps, a dashed one is broken or not known."
    )
    kind = f" Here each is: {report.links[0].kind}." if report.links else ""
    return f'<figure class="panel">{wide(report)}{tall(report)}<figcaption>{text(legend + kind)}</figcaption></figure>{_links(report)}'


def _links(report: Report) -> str:
    if not report.links:
        return ""
    rows = [
        (
            f"{link.source} \u2013 {link.target}",
            f'<td>{badge(link.mark)}</td><td data-label="Way">{text(link.kind)}</td><td>{code(link.text)}</td>',
        )
        for link in report.links
    ]
    mark = worst(link.mark for link in report.links)
    return _folded("The links, one by one", badge(mark), _table(("Hosts", "Verdict", "Way", "Finding"), rows))


def _grid(report: Report) -> str:
    items = [
        f'<li class="{host.mark}"><strong>{text(host.name)}</strong><span class="soft">{text(", ".join(host.addresses))}</span><br>'
        f"{badge(host.mark, host.power if host.mark == 'ok' else f'{host.power}, {WORDS[host.mark]}')}</li>"
        for host in sorted(report.hosts, key=lambda host: -MARKS.index(host.mark))
    ]
    return f'<ul class="hosts">{"".join(items)}</ul>'


def _to_do(report: Report) -> str:
    todo = sorted((line for line in report.lines if line.mark in _TO_DO), key=lambda line: _TO_DO.index(line.mark))
    if not todo:
        return '<p class="panel calm">Nothing.</p>'
    return f'<ul class="todo">{"".join(f"<li>{_finding(line)}</li>" for line in todo)}</ul>'


def _finding(line: Line) -> str:
    told = [("Found", line.finding, ""), ("Expected", line.expected, ""), ("Next step", line.fix, ' class="fix"')]
    pairs = "".join(f"<dt>{name}</dt><dd{kind}>{code(words)}</dd>" for name, words, kind in told if words)
    head = f'{badge(line.mark)}<h3>{text(line.subject)}</h3><span class="soft">{text(TITLES[line.group])}</span>'
    return f'<article class="panel {line.mark}"><header>{head}</header><dl>{pairs}</dl></article>'


def _group(report: Report, group: str) -> str:
    own = [line for line in report.lines if line.group == group]
    rows = [(line.subject, f"<td>{badge(line.mark)}</td><td>{code(line.finding)}</td>") for line in own]
    mark = worst(line.mark for line in own)
    return _folded(TITLES[group], f'<span class="soft">{len(own)}</span>{badge(mark)}', _table(("Thing", "Verdict", "Finding"), rows))


def _ports(ports: Iterable[Port]) -> str:
    roles: dict[str, list[Port]] = {}
    for port in ports:
        roles.setdefault(port.role, []).append(port)
    if not roles:
        return '<p class="panel calm">Not known: the network plan was not judged.</p>'
    return "".join(
        _folded(
            {"control_plane": "Control plane hosts", "worker": "Workers"}.get(role, role),
            f'<span class="soft">{len(own)} openings</span>',
            _table(("Opening", "For", "Reason", "From"), [(one.opening, _opening(one)) for one in own]),
        )
        for role, own in roles.items()
    )


def _opening(port: Port) -> str:
    name = f'<a href="{text(port.document)}">{text(port.name)}</a>' if port.document.startswith("https://") else text(port.name)
    sources = ", ".join(port.sources) or "anywhere"
    return f'<td>{name}</td><td>{text(port.reason)}</td><td data-label="from">{text(sources)}</td>'


def _folded(title: str, aside: str, inside: str) -> str:
    return f'<details class="panel"><summary><h3>{text(title)}</h3>{aside}</summary><div class="inside">{inside}</div></details>'


def _table(heads: Iterable[str], rows: Iterable[tuple[str, str]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    body = "".join(f'<tr><th scope="row">{text(first)}</th>{cells}</tr>' for first, cells in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _calls(report: Report) -> str:
    return f"The Kubernetes API was asked {report.api_calls} times. " if report.api_calls else ""
