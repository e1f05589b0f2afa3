# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page's colours, by day and by night. A test keeps their contrast readable."""

from __future__ import annotations

LIGHT = {
    "page": "#f6f6f3",
    "card": "#ffffff",
    "line": "#dcdfdc",
    "ink": "#1f2529",
    "soft": "#56616a",
    "link": "#1d5fa8",
    "ok": "#1d7048",
    "asleep": "#3d6785",
    "warning": "#8a5300",
    "unknown": "#5a5a9c",
    "error": "#b3261e",
}
DARK = {
    "page": "#14181b",
    "card": "#1c2226",
    "line": "#333c42",
    "ink": "#e4e9ec",
    "soft": "#a0acb4",
    "link": "#8fc0f5",
    "ok": "#6cc799",
    "asleep": "#8fbcd9",
    "warning": "#e6b160",
    "unknown": "#b7b8ee",
    "error": "#ff938a",
}
TEXT = ("ink", "soft", "link", "ok", "asleep", "warning", "unknown", "error")
GROUND = ("page", "card")
"""Every colour of TEXT stands as text on every colour of GROUND."""


def variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())
