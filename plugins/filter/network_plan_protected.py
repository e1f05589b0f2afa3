# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_plan_protected
short_description: List the networks that only the hosts of a cluster may send packets to
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the networks of Pods and Services, each with the hosts as sources, in the form that
    O(vmstation.cluster.firewall_ports#module:protected) takes.
  - It rejects a plan whose C(node_cidr), C(pod_cidr), C(service_cidr) or C(dns_service_ip) is missing or malformed.
options:
  _input:
    description: The network plan.
    type: dict
    required: true
  hosts:
    description:
      - The hosts of the cluster, as M(vmstation.cluster.network_plan_check) takes them. Their addresses become the sources.
      - Without it, the source is the whole node network.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show the networks of Pods and Services
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.network_plan_protected }}"
"""

RETURN = r"""
_value:
  description: The networks, each with C(network) and C(sources).
  type: list
  elements: dict
  sample: [{network: 10.244.0.0/16, sources: [192.168.4.61/32, 192.168.4.62/32, 192.168.4.63/32]}]
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import protected_networks
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def network_plan_protected(plan: object, hosts: object = None) -> list[dict[str, object]]:
    try:
        return protected_networks(plan, hosts)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"network_plan_protected": network_plan_protected}
