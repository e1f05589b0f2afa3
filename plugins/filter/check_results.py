# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_results
short_description: What the checks of check.yml returned
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Collects what the tasks of C(playbooks/check.yml) have registered, as M(vmstation.cluster.check_report) takes it.
  - A check that has registered nothing gets an empty result, so that the report can say so.
positional: hosts, groups
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description: The names of the hosts.
    type: list
    elements: str
    required: true
  groups:
    description: The groups of the report, as P(vmstation.cluster.check_groups#filter) returns them.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Tell what the checks saw
  vmstation.cluster.check_report:
    results: "{{ hostvars | vmstation.cluster.check_results(ansible_play_hosts_all, ['calico', 'dns']) }}"
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    generated_at: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ') }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: Results with C(group), C(check), C(host) and C(result).
  type: list
  elements: dict
  sample: [{group: dns, check: cluster_dns_check, host: homelab, result: {findings: []}}]
"""

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report import collect


def check_results(hostvars: object, hosts: Iterable[str], groups: Iterable[str]) -> list[dict[str, object]]:
    try:
        return collect.check_results(hostvars, hosts, groups)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"check_results": check_results}
