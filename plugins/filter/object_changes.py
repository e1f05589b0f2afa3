# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: object_changes
short_description: List the changes that applying objects made in a cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns one line for each kind of objects that M(kubernetes.core.k8s) created, and one for each field that it changed, with both values.
  - For a text of several lines, such as a configuration file, it returns each line that was removed or added.
  - Changes that controllers make at the same time, such as the status, are ignored. M(kubernetes.core.k8s) itself counts them as changes.
options:
  _input:
    description: The result of a task with C(diff=true).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Apply objects
  kubernetes.core.k8s:
    resource_definition: "{{ objects }}"
    apply: true
    server_side_apply:
      field_manager: vmstation
  diff: true
  register: applied
  changed_when: applied | vmstation.cluster.object_changes | length > 0
"""

RETURN = r"""
_value:
  description: The changes, one line each.
  type: list
  elements: str
  sample:
    - "DaemonSet, made: kube-system/calico-node"
    - "IPPool default-ipv4-ippool: spec.natOutgoing: false -> true"
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.objects import changes
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def object_changes(applied: object) -> list[str]:
    try:
        return changes(applied)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"object_changes": object_changes}
