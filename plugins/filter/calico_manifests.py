# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: calico_manifests
short_description: List the manifests of Calico that a network plan may need
version_added: 0.3.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns C(calico.yaml), C(calico-typha.yaml), or both if it depends on whether the cluster already has Typha.
  - M(vmstation.cluster.calico_preflight_check) takes both, and decides.
positional: hosts
options:
  _input:
    description: The network plan. Its key C(typha) decides, with the number of O(hosts).
    type: dict
    required: true
  hosts:
    description: The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Show which manifests of Calico to download
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.calico_manifests(hostvars | vmstation.cluster.cluster_hosts(groups)) }}"
"""

RETURN = r"""
_value:
  description: The names of the files.
  type: list
  elements: str
"""

from collections.abc import Callable, Sequence

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.manifest import files_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def calico_manifests(plan: object, hosts: Sequence[object] = ()) -> list[str]:
    try:
        return files_of(plan, hosts, "calico_manifests")
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"calico_manifests": calico_manifests}
