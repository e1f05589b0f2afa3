# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps `-e x=false` what it says: the text `false` is true to Jinja, and as a condition it is an error, so a boolean variable needs `| bool`."""

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


def declared() -> set[str]:
    specs = [yaml.safe_load(path.read_text())["argument_specs"] for path in ROLES.glob("*/meta/argument_specs.yml")]
    options = [spec.get("options", {}).items() for entries in specs for spec in entries.values()]
    return {name for some in options for name, option in some if option.get("type") == "bool"}


BOOLEANS = declared()


def is_boolean(node: nodes.Node) -> bool:
    """A variable that is declared as one, or `x | default(true)` and `x | default(false)`."""
    if isinstance(node, nodes.Filter) and node.name == "default":
        return is_boolean(node.node) or (bool(node.args) and isinstance(node.args[0], nodes.Const) and isinstance(node.args[0].value, bool))
    return isinstance(node, nodes.Name) and node.name in BOOLEANS


def raw(text: str) -> Iterator[str]:
    """The uses of boolean variables that are neither made a boolean nor all of the text, which a module or another variable takes."""
    tree = JINJA.parse(text)
    is_all = [part.nodes[0] if len(part.nodes) == 1 else None for part in tree.body if isinstance(part, nodes.Output)]
    allowed = {id(is_all[0])} if len(tree.body) == 1 and is_all and text.startswith("{{") else set()
    todo: list[nodes.Node] = [tree]
    while todo:
        node = todo.pop()
        if is_boolean(node) and id(node) not in allowed:
            yield text.strip()
        elif not is_boolean(node):
            # what `bool` is applied to, and nothing else
            todo += [] if isinstance(node, nodes.Filter) and node.name == "bool" and is_boolean(node.node) else list(node.iter_child_nodes())


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
def test_a_boolean_variable_is_made_a_boolean(path: Path) -> None:
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
    ],
    ids=json.dumps,
)
def test_a_raw_use_is_seen(task: dict, is_raw: bool) -> None:
    assert bool([use for text in texts(task) for use in raw(text)]) is is_raw
