# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_plan_outside
short_description: List all networks but those of a cluster
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns all addresses except those of the hosts, Pods and Services, in the form of C(ipBlock) of a NetworkPolicy. One entry for each IP
    version of the cluster.
  - It rejects a plan whose C(node_cidr), C(pod_cidr), C(service_cidr) or C(dns_service_ip) is missing or malformed. For a plan without the
    first three, like that of a cluster that another installer made, it returns nothing.
options:
  _input:
    description: The network plan.
    type: dict
    required: true
  hosts:
    description:
      - The hosts of the cluster, as M(vmstation.cluster.network_plan_check) takes them. Their addresses are left out.
      - Without it, the whole node network is left out.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show what Pods may reach that must not reach the cluster
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.network_plan_outside }}"
"""

RETURN = r"""
_value:
  description: The networks, each with C(cidr) and C(except).
  type: list
  elements: dict
  sample: [{cidr: 0.0.0.0/0, except: [192.168.4.61/32, 192.168.4.62/32, 192.168.4.63/32, 10.244.0.0/16, 10.96.0.0/12, 10.233.0.0/24]}]
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import outside_networks
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def network_plan_outside(plan: object, hosts: object = None) -> list[dict[str, object]]:
    try:
        return outside_networks(plan, hosts)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"network_plan_outside": network_plan_outside}
