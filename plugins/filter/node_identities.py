# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: node_identities
short_description: List the identifiers of hosts from their gathered facts
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Lists the hostname, machine ID and product UUID of hosts, in the form that O(vmstation.cluster.node_preflight_check#module:peers) takes.
  - Hosts without gathered facts are left out.
positional: names
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  names:
    description: The names of the hosts in the inventory.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Check that the identifiers of this host are unique
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    peers: "{{ hostvars | vmstation.cluster.node_identities(ansible_play_hosts) }}"
"""

RETURN = r"""
_value:
  description: The hosts, each with C(name), C(hostname), C(machine_id) and C(product_uuid).
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import hosts as of_the_site


def node_identities(hostvars: object, names: Iterable[str]) -> list[dict[str, object]]:
    try:
        return of_the_site.node_identities(hostvars, names)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"node_identities": node_identities}
