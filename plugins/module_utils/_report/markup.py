# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pieces of HTML and SVG: every value goes through ``text`` before it stands in the page."""

from __future__ import annotations

from html import escape

from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import Mark

_GLYPHS: dict[Mark, str] = {
    "ok": "M4.6 8.3l2.3 2.3 4.5-5",
    "asleep": "M5.8 5.6h4.4l-4.4 4.8h4.4",
    "warning": "M8 4.4v4.4M8 11.3v.1",
    "unknown": "M6.1 6.3a1.95 1.95 0 1 1 2.7 1.8c-.6.3-.8.6-.8 1.2M8 11.4v.1",
    "error": "M5.5 5.5l5 5M10.5 5.5l-5 5",
}
WORDS: dict[Mark, str] = {"ok": "as planned", "asleep": "asleep", "warning": "warning", "unknown": "unknown", "error": "error"}


def text(value: object) -> str:
    """Escaped, for text and for attributes in double quotes; characters that no page can hold become a sign that stands for them."""
    return escape("".join(one if one >= " " or one in "\t\n" else "\ufffd" for one in str(value)), quote=True)


def glyph(mark: Mark, place: str = "") -> str:
    """A mark that differs by its shape, not by its colour alone. place: SVG attributes that put it somewhere."""
    return (
        f'<svg class="glyph {mark}" viewBox="0 0 16 16" aria-hidden="true"{place}>'
        f'<circle cx="8" cy="8" r="7" fill="none" stroke-width="1.4"/>'
        f'<path d="{_GLYPHS[mark]}" fill="none" stroke-width="1.7" stroke-linecap="round" stroke-linejoin="round"/></svg>'
    )


def badge(mark: Mark, words: str = "") -> str:
    return f'<span class="badge {mark}">{glyph(mark)}{text(words or WORDS[mark])}</span>'


def code(value: str) -> str:
    """Text in which what stands between backticks is code."""
    parts = value.split("`")
    if len(parts) % 2 == 0:
        return text(value)
    return "".join(f"<code>{text(part)}</code>" if index % 2 else text(part) for index, part in enumerate(parts))
