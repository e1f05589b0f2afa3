# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: proxy_environment
short_description: Return the environment variables for a proxy
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Returns C(HTTP_PROXY), C(HTTPS_PROXY) and C(NO_PROXY), also in lower case. C(NO_PROXY) contains the networks and the domain of the
    network plan, and the hosts, so that traffic in the LAN and in the cluster does not go through the proxy.
  - Fails if a URL contains a user name or password, because environments are readable on hosts and in logs.
positional: proxy, hosts
options:
  _input:
    description: The network plan.
    type: dict
    required: true
  proxy:
    description:
      - The proxy, with the keys C(http) and C(https) for URLs, of which one is enough, and C(no_proxy) for a list of names, domains,
        addresses or networks in addition to those of the plan. Without URLs, the result is empty.
    type: dict
    required: true
  hosts:
    description: The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them.
    type: list
    elements: dict
    default: []
"""

EXAMPLES = r"""
- name: Update the package lists through a proxy
  ansible.builtin.apt:
    update_cache: true
  become: true
  environment: "{{ network_plan | vmstation.cluster.proxy_environment({'http': 'http://proxy.lan:3128'}) }}"
"""

RETURN = r"""
_value:
  description: The names and values of the variables.
  type: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._installation import proxy as of_the_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def proxy_environment(plan: object, proxy: object, hosts: Iterable[Mapping[str, Any]] = ()) -> dict[str, str]:
    try:
        return of_the_host.proxy_environment(plan, proxy, hosts)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"proxy_environment": proxy_environment}
