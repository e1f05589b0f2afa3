# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: failure_message
short_description: Return the message of a failed task if it may be shown
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the message of a task that failed in a block, for its C(rescue). Package names that M(ansible.builtin.dnf) returns are added.
  - If the task has C(no_log), the message is hidden. Ansible hides it in its own output, but not in C(ansible_failed_result).
positional: task, otherwise
options:
  _input:
    description: The variable C(ansible_failed_result).
    type: dict
    required: true
  task:
    description: The variable C(ansible_failed_task).
    type: dict
    required: true
  otherwise:
    description: The text if the task has no message.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Write the configuration
  block:
    - name: Run the role
      ansible.builtin.include_role:
        name: monitoring
  rescue:
    - name: Report the failure
      ansible.builtin.debug:
        msg: "{{ ansible_failed_task.name }}: {{ ansible_failed_result | vmstation.cluster.failure_message(ansible_failed_task) }}"
"""

RETURN = r"""
_value:
  description: The message.
  type: str
  sample: No package matches containerd.io
"""

from collections.abc import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._site.verdict import failure_message


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"failure_message": failure_message}
