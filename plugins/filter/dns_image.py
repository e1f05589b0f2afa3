# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: dns_image
short_description: Return the image of CoreDNS that belongs to the Kubernetes version of a network plan
version_added: 0.3.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns the image of CoreDNS that kubeadm of the plan's C(kubernetes_version) uses. An installation source of that version contains it.
  - For a version that this collection does not know, it is the image of the newest version that it knows.
options:
  _input:
    description: The network plan.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the image of CoreDNS
  ansible.builtin.debug:
    msg: "{{ network_plan | vmstation.cluster.dns_image }}"
"""

RETURN = r"""
_value:
  description:
    - The name of the image, with its tag. For C(kubernetes_version) V(1.36) it is V(registry.k8s.io/coredns/coredns:v1.14.2).
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._installation.model import coredns_image
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.reading import read_needed
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def dns_image(plan: object) -> str:
    try:
        return coredns_image(read_needed(plan, ("kubernetes_version",), "vmstation.cluster.dns_image").plan.kubernetes_version)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"dns_image": dns_image}
