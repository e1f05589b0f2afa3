# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: network_plan_ports
short_description: List the ports that a role needs under a network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Derives the ports of a role from the network plan, in the form that O(vmstation.cluster.firewall_ports#module:ports) takes.
  - The ports of C(extra_ports) are part of the list.
  - The comment of each port gives its reason. C(docs/network-plan.md) lists all ports with their reasons and documents.
  - It rejects a plan without the values that the ports depend on. M(vmstation.cluster.network_plan_check) reports all problems of a plan.
positional: role
options:
  _input:
    description: The network plan.
    type: dict
    required: true
  role:
    description: The role of the host.
    type: str
    choices: [control_plane, worker]
    required: true
  hosts:
    description:
      - The hosts of the cluster, as M(vmstation.cluster.network_plan_check) takes them. Their addresses become the sources of ports that
        only they may use.
      - Without it, the whole node network is the source of those ports.
      - Their number decides whether the port of Typha is open, unless the key C(typha) of the plan does.
    type: list
    elements: dict
    default: []
  ssh_port:
    description: The port of the SSH server on the host. It is always part of the set.
    type: int
    default: 22
"""

EXAMPLES = r"""
- name: Open the ports of a worker
  vmstation.cluster.firewall_ports:
    name: worker
    ports: >-
      {{ network_plan | vmstation.cluster.network_plan_ports('worker', hosts=hostvars | vmstation.cluster.cluster_hosts(groups)) }}
    trusted: "{{ network_plan | vmstation.cluster.network_plan_trusted }}"
"""

RETURN = r"""
_value:
  description: The ports, each with C(protocol), C(sources), C(comment) and, unless the protocol is an IP protocol number, C(port).
  type: list
  elements: dict
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import ports_for
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def network_plan_ports(plan: object, role: object, hosts: object = None, ssh_port: object = 22) -> list[dict[str, object]]:
    try:
        return ports_for(plan, role, hosts, ssh_port)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"network_plan_ports": network_plan_ports}
