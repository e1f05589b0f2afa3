# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the table of variables in each role's README from its argument specs: ``python -m tests.unit.role_readmes``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
OF_THE_INVENTORY = re.compile(r"`\{\{ (\w+) \| default\(omit\) \}\}`")
BEGIN, END = "<!-- variables: made from meta/argument_specs.yml -->", "<!-- end of variables -->"


def roles() -> list[Path]:
    return sorted(path.parents[1] for path in ROLES.glob("*/meta/argument_specs.yml"))


def specs(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "meta" / "argument_specs.yml").read_text())["argument_specs"]["main"]


def defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults" / "main.yml").read_text())


def table(role: Path) -> str:
    rows = ["| Variable | Type | Default | What it is |", "|---|---|---|---|"]
    for name, option in specs(role)["options"].items():
        kind = f"list of {option['elements']}" if option["type"] == "list" else option["type"]
        kind += f": {', '.join(option['choices'])}" if "choices" in option else ""
        default = f"`{_shown(defaults(role)[name])}`" if name in defaults(role) else "required"
        if source := OF_THE_INVENTORY.fullmatch(default):
            default = f"`{source[1]}`, required"
        rows.append(f"| `{name}` | {kind} | {_cell(default)} | {_cell(' '.join(_lines(option['description'])))} |")
    return "\n".join(rows)


def rendered(role: Path) -> str:
    """The README as it must be: a person's text with the table between its marks."""
    text = (role / "README.md").read_text()
    before, begin, rest = text.partition(BEGIN)
    _table, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{role / 'README.md'}: there must be a line {BEGIN} and a line {END}")
    return f"{before}{BEGIN}\n\n{table(role)}\n\n{END}{after}"


def _shown(default: object) -> str:
    return default if isinstance(default, str) and default else json.dumps(default)


def _cell(text: str) -> str:
    """C(...) is Ansible's markup of code."""
    return re.sub(r"\bC\(([^)]*)\)", r"`\1`", text).replace("|", "\\|")


def _lines(description: str | list[str]) -> list[str]:
    return [description] if isinstance(description, str) else description


if __name__ == "__main__":
    for one in roles():
        (one / "README.md").write_text(rendered(one))
