# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_groups
short_description: Validate the selected groups of a report
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads the group names in C(check_only) of C(playbooks/check.yml), and rejects a group that does not exist.
  - C(pod_network) creates Pods, so it runs only if it is named.
positional: plan
options:
  _input:
    description: The names of groups, a list or a text with commas. If empty, all groups that only read.
    type: raw
    required: true
  plan:
    description: Whether there is a network plan. If V(false), the groups that compare with it are left out.
    type: bool
    default: true
    version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Set the groups to check
  ansible.builtin.set_fact:
    groups_to_check: "{{ 'calico, dns' | vmstation.cluster.check_groups }}"
"""

RETURN = r"""
_value:
  description: The names of the groups, in the order of the report.
  type: list
  elements: str
  sample: [calico, dns]
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report.model import chosen_groups


def check_groups(only: object, plan: bool = True) -> list[str]:
    try:
        return chosen_groups(only, plan)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"check_groups": check_groups}
