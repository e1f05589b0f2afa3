# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requires `| bool` and `| int` where a variable is used that `-e x=false` or `-e x=0` may have set.

Both are texts then: `false` is true to Jinja, and an error as a condition; `0` equals no number.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from jinja2 import Environment, nodes

from tests.architecture.playbook_tasks import CHECKOUT, FILES, ROLES

CONDITIONS = {"when", "until", "failed_when", "changed_when", "that"}
VARIABLES = [path for part in ("vars", "defaults") for path in ROLES.glob(f"*/{part}/*.yml")]
TEMPLATES = list(ROLES.glob("*/templates/**/*.j2"))


class Lenient(dict):
    """Knows every filter and test, as nothing is evaluated here."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str):
        return str

    def get(self, name: str, default: object = None):
        return str


JINJA = Environment()
JINJA.filters = JINJA.tests = Lenient()


def declared(kind: str) -> set[str]:
    specs = [yaml.safe_load(path.read_text())["argument_specs"] for path in ROLES.glob("*/meta/argument_specs.yml")]
    options = [spec.get("options", {}).items() for entries in specs for spec in entries.values()]
    return {name for some in options for name, option in some if option.get("type") == kind}


BOOLEANS, NUMBERS = declared("bool"), declared("int")
# where a number is compared, computed, or given to a filter, and not only printed
COMPUTED = (nodes.Compare, nodes.Operand, nodes.BinExpr, nodes.List, nodes.Keyword)


def is_boolean(node: nodes.Node) -> bool:
    """A variable that is declared as one, or `x | default(true)` and `x | default(false)`."""
    if isinstance(node, nodes.Filter) and node.name == "default":
        return is_boolean(node.node) or (bool(node.args) and isinstance(node.args[0], nodes.Const) and isinstance(node.args[0].value, bool))
    return isinstance(node, nodes.Name) and node.name in BOOLEANS


def is_number(node: nodes.Node) -> bool:
    """A variable that is declared as one, or `x | default(1)`."""
    if isinstance(node, nodes.Filter) and node.name == "default" and isinstance(node.node, nodes.Name):
        given = node.args[0].value if node.args and isinstance(node.args[0], nodes.Const) else None
        return is_number(node.node) or (isinstance(given, int) and not isinstance(given, bool))
    return isinstance(node, nodes.Name) and node.name in NUMBERS


def raw(text: str) -> Iterator[str]:
    """The uses of such variables that are neither converted nor all of the text, which a module or another variable takes."""
    tree = JINJA.parse(text)
    is_all = [part.nodes[0] if len(part.nodes) == 1 else None for part in tree.body if isinstance(part, nodes.Output)]
    allowed = {id(is_all[0])} if len(tree.body) == 1 and is_all and text.startswith("{{") else set()
    todo: list[tuple[nodes.Node, nodes.Node]] = [(tree, tree)]
    while todo:
        node, parent = todo.pop()
        if is_number(node):
            yield from [text.strip()] * isinstance(parent, COMPUTED)
        elif not is_boolean(node):
            todo += [(child, node) for child in node.iter_child_nodes()]
        elif id(node) not in allowed and not (isinstance(parent, nodes.Filter) and parent.name == "bool"):
            yield text.strip()


def texts(value: Any, key: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from texts(part, name)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part, key)
    elif isinstance(value, str):
        # a condition has no braces
        yield f"{{{{ true and ({value}) }}}}" if key in CONDITIONS else value


def uses(path: Path) -> list[str]:
    contents = texts(yaml.safe_load(path.read_text())) if path.suffix == ".yml" else [path.read_text()]
    return sorted({use for text in contents for use in raw(text)})


@pytest.mark.parametrize("path", [*FILES, *VARIABLES, *TEMPLATES], ids=lambda path: str(path.relative_to(CHECKOUT)))
def test_a_variable_is_made_what_it_is_declared_as(path: Path) -> None:
    assert uses(path) == []


@pytest.mark.parametrize(
    ("task", "is_raw"),
    [
        ({"when": "node_hold_packages"}, True),
        ({"when": ["x", "not node_hold_packages"]}, True),
        ({"when": "node_hold_packages | bool"}, False),
        ({"when": "node_hold_packages | default(false)"}, True),
        ({"when": "node_hold_packages | default(false) | bool and x"}, False),
        ({"until": "wanted | default(true)"}, True),
        ({"module": {"force": "{{ node_hold_packages }}"}}, False),
        ({"module": {"force": "{{ wanted | default(true) }}"}}, False),
        ({"module": {"text": "{{ 'a' if node_hold_packages else 'b' }}"}}, True),
        ({"module": {"text": "{{ x | own(hold=node_hold_packages) }}"}}, True),
        ({"module": {"text": "hold {{ node_hold_packages }}"}}, True),
        ({"when": "jellyfin_backup_keep == 0"}, True),
        ({"when": "jellyfin_backup_keep | int == 0"}, False),
        ({"until": "x", "retries": "{{ wait | default(300) // 3 }}"}, True),
        ({"module": {"text": "{{ [jellyfin_backup_keep, 1] | max }}"}}, True),
        ({"module": {"text": "{{ x | own(port=node_ssh_port) }}"}}, True),
        ({"module": {"text": "keeps {{ jellyfin_backup_keep }}"}}, False),
    ],
    ids=json.dumps,
)
def test_a_raw_use_is_seen(task: dict, is_raw: bool) -> None:
    assert bool([use for text in texts(task) for use in raw(text)]) is is_raw
