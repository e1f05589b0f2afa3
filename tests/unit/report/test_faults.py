# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of faults agrees with the tests that inject them, with the rules of the checks, and with its page."""

from __future__ import annotations

import ast
from functools import cache

import pytest
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import TITLES

from tests.faults import CHECKOUT, DOCUMENT, FAULTS, HOST_FAULTS, SHOWN, Expected, rendered, rows

ROWS = list(rows())


@cache
def checks() -> str:
    """The text of all checks, in which each rule has its name."""
    return "\n".join(path.read_text() for path in (CHECKOUT / "plugins/module_utils").rglob("*.py"))


def test_the_page_has_the_table() -> None:
    assert DOCUMENT.read_text() == rendered(), "run `make docs`"


def test_there_are_many_and_each_is_there_once() -> None:
    names = [name for name, *_rest in ROWS]
    assert len(names) == len(set(names)) >= 45
    assert sum(fault.gate for fault in FAULTS.values()) * 3 >= len(FAULTS)
    assert all(bool(fault.fix) != bool(fault.unfollowed) for fault in FAULTS.values())
    assert all(fault.fix or fault.restore for fault in HOST_FAULTS.values())


@pytest.mark.parametrize(("expected", "test"), [row[1:3] for row in ROWS], ids=[row[0] for row in ROWS])
def test_the_rule_and_the_test_of_a_row_exist(expected: Expected, test: str) -> None:
    assert expected.group in TITLES
    assert f'"{expected.rule}"' in checks() or f"def {expected.rule}(" in checks() or not expected.rule
    path, _colons, name = test.partition("::")
    tree = ast.parse((CHECKOUT / path).read_text())
    assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("name", SHOWN)
def test_the_test_of_a_row_expects_what_the_row_says(name: str) -> None:
    """In its own text, or in the table from which it takes its cases."""
    shown = SHOWN[name]
    assert shown.said in (CHECKOUT / shown.test.partition("::")[0]).read_text()
