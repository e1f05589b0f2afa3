# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's README, its argument specs and its defaults say the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.role_readmes import defaults, rendered, roles, specs


def name(role: Path) -> str:
    return role.name


@pytest.mark.parametrize("role", roles(), ids=name)
def test_the_readme_has_the_table_of_the_specs(role: Path) -> None:
    assert (role / "README.md").read_text() == rendered(role), "run `python -m tests.unit.role_readmes`"


@pytest.mark.parametrize("role", roles(), ids=name)
def test_specs_and_defaults_are_the_same(role: Path) -> None:
    options = specs(role)["options"]
    optional = {option for option, spec in options.items() if not spec.get("required")}
    inherited = {option for option, default in defaults(role).items() if str(default).endswith(" | default(omit) }}")}
    assert set(defaults(role)) == optional | inherited
    # so that a role names all that is missing in one run, by its own variables
    assert not inherited & optional
    assert not [default for default in defaults(role).values() if re.fullmatch(r"\{\{ (?!inventory_hostname)\w+ \}\}", str(default))]
    # a template cannot stand in the specs: Ansible evaluates them before the role's own variables
    plain = {option: default for option, default in defaults(role).items() if "{{" not in str(default)}
    assert {option: spec["default"] for option, spec in options.items() if "default" in spec} == plain


@pytest.mark.parametrize("role", roles(), ids=name)
def test_code_in_the_specs_is_marked_as_ansible_wants_it(role: Path) -> None:
    assert "`" not in (role / "meta" / "argument_specs.yml").read_text(), "write C(name), which ansible-doc and web pages show as code"


@pytest.mark.parametrize("role", roles(), ids=name)
def test_variables_begin_with_the_name_of_the_role(role: Path) -> None:
    assert [option for option in specs(role)["options"] if not option.startswith(f"{role.name}_")] == []


def test_there_are_roles() -> None:
    assert roles()
