# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: idle_workers
short_description: List the workers that the idle watch may put to sleep
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the hosts with C(sleeps=true) and a MAC address, in the form that O(vmstation.cluster.idle_watch#module:workers) takes.
  - Their host keys are taken from gathered facts, the subset C(ssh_pub_keys) of M(ansible.builtin.setup).
positional: hostvars
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
"""

EXAMPLES = r"""
- name: Suspend idle workers
  vmstation.cluster.idle_watch:
    workers: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) | vmstation.cluster.idle_workers(hostvars) }}"
    broadcast: 192.168.4.255
  become: true
"""

RETURN = r"""
_value:
  description: The workers, each with C(name), C(mac), C(address), C(port) and C(host_keys).
  type: list
  elements: dict
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import hosts as of_the_site


def idle_workers(hosts: object, hostvars: object) -> list[dict[str, object]]:
    try:
        return of_the_site.idle_workers(hosts, hostvars)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"idle_workers": idle_workers}
