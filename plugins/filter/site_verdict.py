# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: site_verdict
short_description: What stands on each host at the end of a site run
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Turns what the plays before have registered into lines for a person. A headline for each host, with its openings and findings below.
  - A host that sleeps is called asleep, and a host whose run ended early is called not prepared.
positional: hosts, predicted
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description: The hosts to tell of, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
  predicted:
    description: Whether the run was in check mode, so that the lines tell what would stand.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Say what stands
  ansible.builtin.debug:
    msg: "{{ hostvars | vmstation.cluster.site_verdict(hostvars | vmstation.cluster.cluster_hosts(groups)) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
  sample:
    - "masternode (control_plane, 192.168.4.63): ufw, 1 openings; containerd 1.6.20"
    - "  22/tcp from anywhere"
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import verdict


def site_verdict(hostvars: object, hosts: object, predicted: bool = False) -> list[str]:
    try:
        return verdict.site_verdict(hostvars, hosts, predicted)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"site_verdict": site_verdict}
