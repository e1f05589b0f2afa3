# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each task of the playbooks and roles, with where it runs, and with `become` and `ansible_become` as Ansible inherits them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
ROLES, PLAYBOOKS = CHECKOUT / "roles", CHECKOUT / "playbooks"
FILES = sorted([*PLAYBOOKS.rglob("*.yml"), *ROLES.glob("*/tasks/*.yml"), *ROLES.glob("*/handlers/*.yml")])
INCLUDES = {"import_tasks", "include_tasks", "import_role", "include_role"}
EXPRESSION = re.compile(r"{{.*?}}")
# a variable that tasks/stage.yml is given, perhaps with a default
GIVEN = re.compile(r"{{ (?P<name>\w+)(?: \| default\('(?P<default>\w+)'\))? }}")
# of a task, what is no module
WITHOUT_CONNECTION = INCLUDES | {"meta", "debug", "set_fact", "assert", "fail", "include_vars", "validate_argument_spec"}


@dataclass(frozen=True)
class Context:
    """What a task inherits. on_controller: whether it runs on the controller. become, variable: the keyword, and `ansible_become`.

    variables: those of the plays, blocks and includes around it.
    """

    on_controller: bool
    become: Any = None
    variable: Any = None
    variables: dict[str, Any] = field(default_factory=dict)

    def of(self, keywords: dict[str, Any]) -> Context:
        variables = keywords.get("vars") or {}
        changed = replace(
            self,
            become=keywords.get("become", self.become),
            variable=variables.get("ansible_become", self.variable),
            variables={**self.variables, **variables},
        )
        if "delegate_to" in keywords:
            changed = replace(changed, on_controller="localhost" in keywords["delegate_to"])
        return changed


@dataclass(frozen=True)
class Task:
    path: Path
    keywords: dict[str, Any]
    context: Context

    def __str__(self) -> str:
        return f"{self.path.relative_to(CHECKOUT)}: {self.keywords.get('name')}"

    @property
    def action(self) -> str:
        return next(iter(_actions(self.keywords)), "")


@cache
def load(path: Path) -> list[dict[str, Any]]:
    return yaml.safe_load(path.read_text()) or []


def mappings(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping of a file: its plays, blocks and tasks, and what these contain."""
    if isinstance(node, dict):
        yield node
    for inner in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from mappings(inner)


def of_playbook(path: Path) -> Iterator[Task]:
    for play in load(path):
        on_controller = play.get("hosts") == "localhost"
        for section in ("pre_tasks", "tasks", "post_tasks", "handlers"):
            yield from _of_list(play.get(section) or [], Context(on_controller).of(play), path)


def of_role(name: str) -> Iterator[Task]:
    """Of the role's main.yml and its handlers, on whatever host a user's play runs it."""
    for part in ("tasks", "handlers"):
        path = ROLES / name / part / "main.yml"
        if path.exists():
            yield from _of_list(load(path), Context(on_controller=False), path)


def every() -> Iterator[Task]:
    for path in sorted(PLAYBOOKS.glob("*.yml")):
        yield from of_playbook(path)
    for role in sorted(ROLES.iterdir()):
        yield from of_role(role.name)


def _of_list(tasks: list[dict[str, Any]], inherited: Context, path: Path) -> Iterator[Task]:
    for keywords in tasks:
        context = inherited.of(keywords)
        if "block" in keywords:
            for part in ("block", "rescue", "always"):
                yield from _of_list(keywords.get(part, []), context, path)
            continue
        task = Task(path, keywords, context)
        yield task
        if task.action not in INCLUDES:
            continue
        for included in _included(task):
            yield from _of_list(load(included), _passed_on(task, inherited), included)


def _passed_on(task: Task, inherited: Context) -> Context:
    """What the tasks of an include have of it: all that an import has; of the others what encloses them, `vars` and `apply`."""
    if task.action.startswith("import_"):
        return task.context
    arguments = _arguments(task)
    applied = arguments.get("apply", {}) if isinstance(arguments, dict) else {}
    return inherited.of({"vars": task.keywords.get("vars")}).of(applied)


def _included(task: Task) -> list[Path]:
    arguments = _arguments(task)
    if task.action.endswith("_tasks"):
        name = arguments["file"] if isinstance(arguments, dict) else arguments
        found = list(task.path.parent.glob(EXPRESSION.sub("*", name)))
    else:
        items = task.keywords.get("loop", [""])
        name, part = (_filled(arguments.get(key, "main"), task.context.variables) for key in ("name", "tasks_from"))
        names = {name.replace("{{ item }}", item).removeprefix("vmstation.cluster.") for item in items}
        parts = {part.replace("{{ item }}", item) for item in items}
        found = [ROLES / name / "tasks" / f"{part}.yml" for name, part in itertools.product(names, parts)]
    assert found, f"{task} includes nothing"
    return found


def _filled(text: str, variables: dict[str, Any]) -> str:
    return GIVEN.sub(lambda found: str(variables.get(found["name"], found["default"] or found[0])), text)


def _arguments(task: Task) -> Any:
    return next(value for key, value in task.keywords.items() if key.rpartition(".")[2] == task.action)


def _actions(keywords: dict[str, Any]) -> list[str]:
    """The action's short name; a module's full name has dots, and no keyword has."""
    return [key.rpartition(".")[2] for key in keywords if "." in key]
