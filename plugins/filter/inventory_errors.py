# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: inventory_errors
short_description: List missing groups and variables of an inventory
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Lists everything that prevents a playbook from working on the hosts of the groups C(control_plane) and C(workers).
  - Ansible skips a play without hosts and exits with status 0. A playbook that begins with this filter fails instead.
  - Errors are a group C(control_plane) without hosts, an inventory with other hosts but no group C(workers), a C(--limit) that excludes all
    hosts that the playbook works on, and a variable without a value. If O(variables) are checked, errors in C(node_labels) and
    C(node_taints) are listed, too.
positional: groups, playing, acts_on
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  groups:
    description: The variable C(groups).
    type: dict
    required: true
  playing:
    description: The hosts of a play on V(all:localhost) after C(--limit) is applied.
    type: list
    elements: str
    required: true
  acts_on:
    description:
      - The groups that the playbook works on. At least one of their hosts must be in O(playing).
      - V(localhost) in this list means that the playbook also works if only the controller is in O(playing).
    type: list
    elements: str
    default: [control_plane, workers]
  variables:
    description:
      - The names of variables that must have a value for each host that the playbook works on. For V(address), a value of C(ansible_host)
        is enough.
    type: list
    elements: str
    default: []
  known:
    description: The names of variables that the play sets itself, for all hosts.
    type: list
    elements: str
    default: []
  skip:
    description: The variable C(site_skip), a list of V(monitoring) and V(jellyfin). Any other value is an error.
    type: raw
    default: []
  alone:
    description: The name of the playbook if it works with one control plane host only. Several hosts are then an error.
    type: str
    default: ""
  names:
    description: Variables that must be lists of host names, with their values. Any other value is an error.
    type: dict
    default: {}
    version_added: 0.3.0
"""

EXAMPLES = r"""
- name: Check the inventory
  hosts: all:localhost
  gather_facts: false
  tasks:
    - name: Check the groups and variables
      ansible.builtin.assert:
        that: errors | length == 0
        fail_msg: "{{ errors | join(' ') }}"
      run_once: true
      vars:
        errors: "{{ hostvars | vmstation.cluster.inventory_errors(groups, ansible_play_hosts_all, variables=['network_plan']) }}"
"""

RETURN = r"""
_value:
  description: The errors, one line each. Empty if there are none.
  type: list
  elements: str
  sample:
    - "network_plan: found no value for masternode; required: a value for every host. Set each in the directory group_vars/all beside ..."
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import hosts


def inventory_errors(hostvars: object, groups: object, *arguments: list[str], **named: list[str]) -> list[str]:
    try:
        return hosts.inventory_errors(hostvars, groups, *arguments, **named)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"inventory_errors": inventory_errors}
