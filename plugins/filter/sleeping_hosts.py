# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: sleeping_hosts
short_description: List the hosts that may be asleep and can be woken
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the hosts with C(sleeps=true), in the form that M(vmstation.cluster.wake_on_lan) takes.
positional: names, hostvars
options:
  _input:
    description: The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
  names:
    description: The names of the hosts to include, such as those of the play.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - The variable C(hostvars). With it, each host has C(port), the port of its SSH server, which
        M(vmstation.cluster.wake_on_lan) probes. It is the host's variable C(node_ssh_port), or else C(ansible_port), or else 22.
      - Without it, the hosts have no C(port), and the module probes port 22.
    type: dict
    version_added: 0.3.0
"""

EXAMPLES = r"""
- name: Wake the sleep-capable hosts of this play
  vmstation.cluster.wake_on_lan:
    hosts: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) | vmstation.cluster.sleeping_hosts(ansible_play_hosts, hostvars) }}"
    broadcast: 192.168.4.255
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The hosts, each with C(name), C(mac) and C(address), and with C(port) if O(hostvars) was passed.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import hosts as of_the_site


def sleeping_hosts(hosts: object, names: Iterable[str], hostvars: object = None) -> list[dict[str, object]]:
    try:
        return of_the_site.sleeping_hosts(hosts, names, hostvars)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"sleeping_hosts": sleeping_hosts}
