# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: asleep_hosts
short_description: List the hosts that are asleep and could not be woken
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the hosts that M(vmstation.cluster.wake_on_lan) found down and that did not come up, from the registered results of
    C(playbooks/wake.yml).
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Skip sleeping hosts
  ansible.builtin.meta: end_host
  when: inventory_hostname in hostvars | vmstation.cluster.asleep_hosts
"""

RETURN = r"""
_value:
  description: The names of the hosts, sorted.
  type: list
  elements: str
  sample: [homelab]
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import hosts as of_the_site


def asleep_hosts(hostvars: object) -> list[str]:
    try:
        return of_the_site.asleep_hosts(hostvars)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"asleep_hosts": asleep_hosts}
