# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: backup_receivers
short_description: List the hosts that get copies of scheduled backups
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the hosts in O(names), in the form that O(vmstation.cluster.backup_timer#module:receivers) takes. It is an error if one of them
    is not a host of the cluster.
  - Their host keys are taken from gathered facts, the subset C(ssh_pub_keys) of M(ansible.builtin.setup).
positional: hostvars, names
options:
  _input:
    description: The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
  hostvars:
    description: The variable C(hostvars).
    type: dict
    required: true
  names:
    description: The names of the hosts that get copies.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Back up the control plane every night
  vmstation.cluster.backup_timer:
    cluster_name: vmstation
    schedule: "*-*-* 03:00"
    recipients: [A93D73F95BAF9EE9E7B435AF6655B0B37D3AD4B4]
    public_keys: ["{{ lookup('ansible.builtin.file', 'backup.asc') }}"]
    receivers: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) | vmstation.cluster.backup_receivers(hostvars, ['homelab']) }}"
  become: true
"""

RETURN = r"""
_value:
  description: The hosts, each with C(name), C(address), C(port) and C(host_keys).
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import hosts as of_the_site


def backup_receivers(hosts: object, hostvars: object, names: Iterable[str]) -> list[dict[str, object]]:
    try:
        return of_the_site.backup_receivers(hosts, hostvars, names)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"backup_receivers": backup_receivers}
