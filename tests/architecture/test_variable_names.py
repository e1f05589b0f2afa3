# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A result that is registered hides a variable of the same name that a play, a block, a task or a role sets, without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.architecture.playbook_tasks import CHECKOUT, FILES, INCLUDES, ROLES, load, mappings


def results(entry: dict[str, Any]) -> set[str]:
    facts = entry.get("ansible.builtin.set_fact", {})
    return {*([entry["register"]] if isinstance(entry.get("register"), str) else []), *facts}


def variables(entry: dict[str, Any]) -> set[str]:
    """Those of an include are stronger than results."""
    is_include = any(key.rpartition(".")[2] in INCLUDES and ".import_" not in key for key in entry)
    return set() if is_include else set(entry.get("vars") or ())


def test_no_result_hides_a_variable() -> None:
    entries = [(path, entry) for path in FILES for entry in mappings(load(path))]
    names = {name: path for path, entry in entries for name in results(entry)}
    assert len(names) > 100
    given: list[tuple[Path, str]] = [(path, name) for path, entry in entries for name in variables(entry)]
    given += [(path, name) for path in ROLES.glob("*/vars/*.yml") for name in load(path)]
    hidden = {f"{name} of {path.relative_to(CHECKOUT)}: {names[name].relative_to(CHECKOUT)}" for path, name in given if name in names}
    assert sorted(hidden) == []
