# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_plan_trusted
short_description: List the networks that the hosts' firewalls accept under a network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the pod networks of the plan, in the form that O(vmstation.cluster.firewall_ports#module:trusted) takes.
  - It rejects a plan whose C(pod_cidr) is missing or malformed.
options:
  _input:
    description: The network plan.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the pod networks
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.network_plan_trusted }}"
"""

RETURN = r"""
_value:
  description: The networks as address and prefix length.
  type: list
  elements: str
  sample: [10.244.0.0/16]
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import trusted_networks
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def network_plan_trusted(plan: object) -> list[str]:
    try:
        return trusted_networks(plan)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"network_plan_trusted": network_plan_trusted}
