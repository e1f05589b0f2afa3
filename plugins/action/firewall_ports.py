# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Confirms a firewall change over a new connection, in the same task."""

from __future__ import annotations

from typing import Any, Optional

from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.action import ActionBase
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import environments
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.model import running_connection

MODULE = "vmstation.cluster.firewall_ports"


class ActionModule(ActionBase):
    def run(self, tmp: Optional[str] = None, task_vars: Optional[dict[str, Any]] = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        del tmp
        is_local = self._connection.transport == "local"
        operator = str(running_connection(environments()) or "")
        arguments = {**self._task.args, "_is_local": is_local, "_operator": operator}
        first = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        result.update(first)
        if not first.get("confirmation_pending") or first.get("failed") or self._task.check_mode:
            return result
        try:
            self._connection.reset()
            second = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        except AnsibleConnectionFailure as error:
            second = {"failed": True, "msg": str(error)}
        if second.get("failed") or second.get("unreachable") or not second.get("confirmed"):
            reason = second.get("msg") or "the connection was not a new one"
            undone = f"the host restores the old rules within {first.get('rollback_in')} s"
            result.update(failed=True, msg=f"The change was not confirmed over a new connection, so {undone}: {reason}")
            return result
        result.update(confirmation_pending=False, confirmed=True)
        result.pop("rollback_in", None)
        return result
