# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders the page of a report on the controller, which has Jinja2 and the template. A module is sent to its host without data files."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

from ansible.plugins.action import ActionBase
from ansible_collections.vmstation.cluster.plugins.module_utils._report import forms
from ansible_collections.vmstation.cluster.plugins.module_utils._report.build import report
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import ARGUMENTS, MARKS, TITLES, Report, counted, worst
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

MODULE = "vmstation.cluster.check_report"


class ActionModule(ActionBase):
    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        del tmp
        arguments = {**self._task.args}
        if arguments.get("directory"):
            _validation, options = self.validate_argument_spec(ARGUMENTS)
            arguments["page"] = page(report(options))
        result.update(self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars))
        return result


def page(made: Report) -> str:
    """Return the report as one HTML page. Every value is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(forms.__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_allowed,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["code"] = _code
    names = {"marks": MARKS, "titles": TITLES, "counted": counted, "worst": worst}
    return environment.get_template("report.html.j2").render(report=made, pictures=forms.pictures(made), **names).lstrip()


def _allowed(value: object) -> object:
    """Replace characters that HTML does not allow."""
    if isinstance(value, Markup):
        return value
    return "".join(one if one >= " " or one in "\t\n" else "\ufffd" for one in str(value))


def _code(value: str) -> Markup:
    """Escape a text, and show parts between backticks as code."""
    parts = str(_allowed(value)).split("`")
    if len(parts) % 2 == 0:
        return Markup.escape(str(_allowed(value)))
    return Markup().join(Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))
