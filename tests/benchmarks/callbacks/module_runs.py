# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's own calls of modules, counted: a task may run none (set_fact), one, or several (template, loops)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: module_runs
type: aggregate
short_description: Writes a line for each module that is run
description: HOST MODULE, into the file that E(VMSTATION_MODULE_RUNS) names; the host is C(controller) where the connection is local.
"""


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "module_runs"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        _write_each_module_run(Path(os.environ["VMSTATION_MODULE_RUNS"]))


def _write_each_module_run(path: Path) -> None:
    """Callbacks are loaded before Ansible forks its workers, so that they have this, too."""
    execute = ActionBase._execute_module

    def counted(self: ActionBase, module_name: str | None = None, *args: Any, **kwargs: Any) -> Any:
        host = "controller" if self._connection.transport == "local" else self._connection._play_context.remote_addr
        with path.open("a") as log:
            log.write(f"{host} {module_name or self._task.action}\n")
        return execute(self, module_name, *args, **kwargs)

    ActionBase._execute_module = counted
