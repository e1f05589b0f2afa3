# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the page looks: system fonts, room, two palettes, one column on a phone, and black on white on paper."""

from __future__ import annotations

from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import MARKS
from ansible_collections.vmstation.cluster.plugins.module_utils._report.palette import DARK, LIGHT, variables

_MARKS = "\n".join(f".{mark} {{ --mark: var(--{mark}); }}" for mark in MARKS)

STYLE = (
    f"""
:root {{ color-scheme: light dark; {variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}
{_MARKS}
"""
    + """
*, *::before, *::after { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0; background: var(--page); color: var(--ink); line-height: 1.55;
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; overflow-wrap: anywhere;
}
code, .mono { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: .9em; }
header, main, footer { max-width: 68rem; margin-inline: auto; padding-inline: clamp(1rem, 4vw, 2.5rem); }
header { padding-block: clamp(2rem, 6vw, 4rem) 1rem; }
main { padding-block: 0 3rem; }
footer { padding-block: 1.5rem 3rem; color: var(--soft); font-size: .9rem; }
h1 {
  font-size: clamp(1.6rem, 1.1rem + 2.2vw, 2.5rem); line-height: 1.2;
  letter-spacing: -.02em; margin: .25rem 0 1rem; text-wrap: balance;
}
h2 { font-size: 1.3rem; letter-spacing: -.01em; margin: 3rem 0 1rem; }
h3 { font-size: 1.05rem; line-height: 1.4; margin: 0; }
p { margin: 0; }
a { color: var(--link); text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--link); outline-offset: 3px; border-radius: .4rem; }
.skip {
  position: absolute; left: 1rem; top: -6rem;
  padding: .6rem 1rem; background: var(--card); border-radius: 0 0 .6rem .6rem; z-index: 1;
}
.skip:focus { top: 0; }
.soft { color: var(--soft); }
.overline { color: var(--soft); letter-spacing: .02em; }
.tally { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 0; list-style: none; }
.badge {
  display: inline-flex; align-items: center; gap: .4rem;
  color: var(--mark); font-weight: 600; font-size: .875rem; white-space: nowrap;
}
.tally .badge { border: 1px solid var(--line); background: var(--card); border-radius: 999px; padding: .25rem .8rem .25rem .6rem; }
.glyph { width: 1.05em; height: 1.05em; flex: none; }
.glyph circle, .glyph path { stroke: var(--mark); }
.panel { background: var(--card); border: 1px solid var(--line); border-radius: 1rem; }
figure { margin: 0 0 .7rem; padding: clamp(.75rem, 3vw, 1.75rem); }
figure svg.picture { display: block; width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: .9rem; margin-top: 1rem; }
svg.picture.wide { max-width: 64rem; margin-inline: auto; }
svg.picture.tall { max-width: 26rem; margin-inline: auto; }
.picture text { font-family: inherit; fill: var(--ink); }
.picture .soft { fill: var(--soft); }
.picture .marked { fill: var(--mark); }
.picture .box { fill: var(--page); stroke: var(--line); stroke-width: 1.5; }
.picture .host { stroke: var(--mark); }
.picture .host.asleep { stroke-dasharray: 2 5; stroke-linecap: round; }
.picture .wire, .picture .tunnel { fill: none; stroke: var(--mark, var(--soft)); stroke-width: 2.5; stroke-linecap: round; }
.picture .bus { stroke: var(--soft); stroke-width: 4; stroke-linecap: round; }
.picture .asleep.wire, .picture .asleep.tunnel { stroke-dasharray: 1 8; }
.picture .unknown.tunnel { stroke-dasharray: 6 7; }
.picture .error.tunnel { stroke-dasharray: 14 6; stroke-width: 3.5; }
.picture .plate { fill: var(--card); }
.picture .glyph circle, .picture .glyph path { stroke: var(--mark); }
@media (min-width: 44rem) { .tall { display: none !important; } }
@media (max-width: 43.99rem) { .wide { display: none !important; } }
.hosts {
  display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.5rem), 1fr)); gap: .6rem;
  padding: 0; margin: 0; list-style: none;
}
.hosts li {
  border: 1px solid var(--line); border-left: 4px solid var(--mark);
  border-radius: .6rem; padding: .55rem .8rem; font-size: .9rem;
}
.hosts strong { display: block; }
.todo { display: grid; gap: .9rem; padding: 0; margin: 0; list-style: none; }
.todo article { padding: 1.1rem clamp(1rem, 3vw, 1.6rem) 1.25rem; border-left: 5px solid var(--mark); }
.todo header { all: unset; display: flex; flex-wrap: wrap; gap: .15rem .8rem; align-items: baseline; margin-bottom: .5rem; }
.todo dl { display: grid; grid-template-columns: 6rem 1fr; gap: .3rem 1rem; margin: 0; }
dt { color: var(--soft); }
dd { margin: 0; min-width: 0; }
.fix { font-weight: 550; }
.calm { padding: 1.5rem; }
details { margin-bottom: .7rem; }
summary { cursor: pointer; padding: .9rem 1.2rem; display: flex; flex-wrap: wrap; gap: .2rem .9rem; align-items: center; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary::before {
  content: ""; width: .5rem; height: .5rem;
  border: solid var(--soft); border-width: 0 2px 2px 0; transform: rotate(-45deg); transition: transform .15s;
}
details[open] > summary::before { transform: rotate(45deg) translate(-2px, -2px); }
summary .badge { margin-left: auto; }
summary:hover { color: var(--link); }
.inside { padding: 0 1.2rem 1rem; }
table { width: 100%; border-collapse: collapse; font-size: .95rem; }
th { text-align: left; color: var(--soft); font-weight: 500; font-size: .85rem; }
tbody th { color: var(--ink); font-weight: 550; font-size: inherit; }
th, td { padding: .55rem .9rem .55rem 0; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; }
td:last-child, th:last-child { padding-right: 0; }
@media (max-width: 43.99rem) {
  table, tbody, tr, td, tbody th { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { border-top: 1px solid var(--line); padding-block: .7rem; }
  td, tbody th { border: 0; padding: .1rem 0; }
  td[data-label]::before { content: attr(data-label) " "; color: var(--soft); font-size: .85rem; }
  .todo dl { grid-template-columns: 1fr; gap: 0; }
  .todo dd { margin-bottom: .5rem; }
}
@media (prefers-reduced-motion: reduce) { * { transition: none !important; } }
@media print { body { background: none; } .panel { break-inside: avoid; } .skip { display: none; } }
"""
)
