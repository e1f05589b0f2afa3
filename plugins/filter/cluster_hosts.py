# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: cluster_hosts
short_description: List the hosts of the cluster from the inventory
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Lists the hosts of the inventory groups C(control_plane) and C(workers), in the form that M(vmstation.cluster.network_plan_check) takes.
  - The address of a host is its variable C(address), or else C(ansible_host). C(mac) and C(sleeps) are the variables with these names.
  - C(sleeps) is a boolean. The texts V(true), V(yes), V(on), V(false), V(no) and V(off), as an INI inventory has them, become one.
  - A host that is in both groups is a control plane host.
  - Values that the inventory does not contain are left out, so that the check reports them.
positional: groups
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Validate the plan and the hosts
  vmstation.cluster.network_plan_check:
    plan: "{{ network_plan }}"
    hosts: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The hosts, each with C(name), C(role) and C(sleeps), and with C(address) and C(mac) if the inventory has them.
  type: list
  elements: dict
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import hosts_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def cluster_hosts(hostvars: object, groups: object) -> list[dict[str, object]]:
    try:
        return hosts_of(hostvars, groups)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"cluster_hosts": cluster_hosts}
