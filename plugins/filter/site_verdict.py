# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: site_verdict
short_description: Report the state of each host at the end of a site run
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Formats the registered results of the previous plays as text. Each host has a headline, followed by its open ports and findings.
  - A host that is asleep is reported as asleep, and a host whose run failed as not prepared.
positional: hosts, predicted
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description: The hosts to report, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    required: true
  predicted:
    description: Whether the run was in check mode, so that the lines describe the predicted state.
    type: bool
    default: false
  reached:
    description:
      - The names of the hosts that have not been unreachable. If nothing is known of such a host, the run did not include its preparation.
      - Other hosts of which nothing is known are reported as not reached.
    type: list
    elements: str
    default: []
  skipped:
    description: The stages that the run has left out, such as C(site_skip). Each gets a line.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Report the cluster state
  ansible.builtin.debug:
    msg: "{{ hostvars | vmstation.cluster.site_verdict(hostvars | vmstation.cluster.cluster_hosts(groups)) }}"
  run_once: true
"""

RETURN = r"""
_value:
  description: The report, as lines of text.
  type: list
  elements: str
  sample:
    - "masternode (control_plane, 192.168.4.63): ufw, 1 open ports; containerd 1.6.20"
    - "  22/tcp from anywhere"
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import verdict


def site_verdict(hostvars: object, hosts: object, predicted: bool = False, **named: list[str]) -> list[str]:
    try:
        return verdict.site_verdict(hostvars, hosts, predicted, **named)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"site_verdict": site_verdict}
