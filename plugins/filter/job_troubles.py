# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: job_troubles
short_description: Report why a Job did not complete
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the reason that the Job reports for its failure, or that it has not finished.
  - One more line follows for each of its containers that failed, that is waiting, or that is still running.
positional: pods
options:
  _input:
    description: The Job in a list, as M(kubernetes.core.k8s_info) returns it.
    type: list
    elements: dict
    required: true
  pods:
    description: The Pods of the Job. They no longer exist if the Job has reached its C(activeDeadlineSeconds).
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Fail unless the Job is complete
  ansible.builtin.assert:
    that: _troubles | length == 0
    fail_msg: "Job migration: {{ _troubles | join('; ') }}"
  vars:
    _troubles: "{{ job.resources | vmstation.cluster.job_troubles(pods.resources) }}"
"""

RETURN = r"""
_value:
  description: The lines. Empty if the Job is complete.
  type: list
  elements: str
  sample:
    - it has not ended
    - "container loki waits: ImagePullBackOff: Back-off pulling image"
"""

from collections.abc import Callable

from ansible_collections.vmstation.cluster.plugins.module_utils._rollout.pods import troubles


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"job_troubles": troubles}
