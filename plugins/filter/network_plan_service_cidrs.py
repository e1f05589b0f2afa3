# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_plan_service_cidrs
short_description: List the service ranges that a network plan needs in addition to its own
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Derives the ranges that make the plan's DNS address a service address if it is outside C(service_cidr), in the form that
    O(vmstation.cluster.kubeadm_control_plane#module:service_cidrs) takes.
  - It rejects a plan whose Kubernetes version does not support them. M(vmstation.cluster.network_plan_check) reports all problems of a
    plan.
options:
  _input:
    description: The network plan.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the extra service ranges
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.network_plan_service_cidrs }}"
"""

RETURN = r"""
_value:
  description: The ranges. Empty if C(dns_service_ip) is inside C(service_cidr).
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.configuration import extra_service_cidrs
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def network_plan_service_cidrs(plan: object) -> list[str]:
    try:
        return extra_service_cidrs(plan)
    except Refusal as refusal:
        raise AnsibleFilterError(f"network_plan_service_cidrs: {refusal}") from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"network_plan_service_cidrs": network_plan_service_cidrs}
