# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_groups
short_description: The groups of a report that were chosen
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads what C(check_only) of C(playbooks/check.yml) names, and refuses a group that does not exist.
  - C(pod_network) places Pods, so it is chosen only by its name.
options:
  _input:
    description: Names of groups, a list or a text with commas. Nothing stands for all groups that only read.
    type: raw
    required: true
"""

EXAMPLES = r"""
- name: Remember what to look at
  ansible.builtin.set_fact:
    groups_to_check: "{{ 'calico, dns' | vmstation.cluster.check_groups }}"
"""

RETURN = r"""
_value:
  description: The names, in the order of the report.
  type: list
  elements: str
  sample: [calico, dns]
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report.groups import chosen_groups


def check_groups(only: object) -> list[str]:
    try:
        return chosen_groups(only)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"check_groups": check_groups}
