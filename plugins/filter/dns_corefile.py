# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_corefile
short_description: Render the Corefile of a network plan
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Renders a Corefile with which CoreDNS serves the plan's domain and forwards all other names to the plan's upstreams.
  - It rejects a plan without the values that DNS needs. M(vmstation.cluster.network_plan_check) reports all problems of a plan.
options:
  _input:
    description: The network plan.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the Corefile
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.dns_corefile }}"
"""

RETURN = r"""
_value:
  description: The text of the Corefile.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import corefile, dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def dns_corefile(plan: object) -> str:
    try:
        return corefile(dns_plan(plan))
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"dns_corefile": dns_corefile}
