# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: check_results
short_description: Collect the results of the checks of check.yml
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Collects the registered results of checks, in the form that M(vmstation.cluster.check_report) takes.
  - A check without a registered result gets an empty result, so that the report can show it.
positional: hosts, groups, checks
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
  checks:
    description: The checks that were to run.
    type: list
    elements: dict
    required: true
    suboptions:
      check:
        description: The name of the check, which the report shows if the check has no result.
        type: str
        required: true
      groups:
        description: The groups of the report for its result. With several, each finding and each checked object has a C(group).
        type: list
        elements: str
        required: true
      result:
        description: The variable in which its result is registered.
        type: str
        required: true
      each_host:
        description: Whether it runs on each host, instead of once.
        type: bool
        default: false
      optional:
        description: Whether a missing result is left out, because not all clusters or hosts have what is checked.
        type: bool
        default: false
        version_added: 0.2.0
"""

EXAMPLES = r"""
- name: Report the results of the checks
  vmstation.cluster.check_report:
    results: "{{ hostvars | vmstation.cluster.check_results(ansible_play_hosts_all, ['dns'], checks) }}"
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    generated_at: "{{ now(utc=true, fmt='%Y-%m-%dT%H:%M:%SZ') }}"
  delegate_to: localhost
  run_once: true
  vars:
    checks:
      - {check: coredns_check, groups: [dns], result: coredns}
      - {check: cluster_dns_check, groups: [dns], result: dns, each_host: true}
"""

RETURN = r"""
_value:
  description: The results, each with C(group), C(check), C(host) and C(result).
  type: list
  elements: dict
  sample: [{group: dns, check: cluster_dns_check, host: homelab, result: {findings: []}}]
"""

from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._report import build


def check_results(hostvars: object, hosts: Iterable[str], groups: Iterable[str], checks: object) -> list[dict[str, object]]:
    try:
        return build.check_results(hostvars, hosts, groups, checks)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"check_results": check_results}
