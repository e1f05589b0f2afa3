#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_address
short_description: Keep the address of the Kubernetes API on one of several control plane hosts
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Configures keepalived on a control plane host, as a service of its own (C(vmstation-api-address)). The hosts agree by VRRP, in unicast
    among themselves, on the one that has O(address).
  - Every 2 seconds each host queries C(/livez) of its own API server. If the host with the address is off or its API server is not healthy,
    a host with a healthy one takes the address within a few seconds. A host that comes back does not take it away.
  - VRRP version 3 is used, which has no password. The password of version 2 crosses the network in clear text. The firewall decides which
    hosts may send VRRP (M(vmstation.cluster.firewall_ports), IP protocol 112).
  - The service and the configuration of the distribution's package (C(keepalived.service), C(/etc/keepalived)) are not used and not
    changed.
options:
  address:
    description:
      - The address of the API, C(api_vip) of the network plan. Required with O(state=present).
    type: str
    default: ""
  name:
    description:
      - The name of this host in O(nodes). Required with O(state=present).
    type: str
    default: ""
  nodes:
    description:
      - The hosts of the cluster, a list of mappings with the keys C(name), C(address), one address or a list, and C(role). Only those with
        the role C(control_plane) count. Other keys are ignored.
      - The filter P(vmstation.cluster.cluster_hosts#filter) returns such a list.
    type: list
    elements: dict
    default: []
  hold:
    description:
      - Whether to wait until this host has the address, at most 20 seconds. This is for the first host of a new cluster, before the others
        have the service.
    type: bool
    default: false
  state:
    description:
      - V(absent) stops the service, and removes its files and the address. The package keepalived stays.
    type: str
    choices: [present, absent]
    default: present
requirements:
  - keepalived 2.0 or newer, ip (iproute2), systemd
notes:
  - Run it as root.
seealso:
  - module: vmstation.cluster.api_address_check
  - module: vmstation.cluster.firewall_ports
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Keep the address of the API on one of the control plane hosts
  vmstation.cluster.api_address:
    address: "{{ network_plan.api_vip }}"
    name: "{{ inventory_hostname }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  become: true
"""

RETURN = r"""
holds:
  description: Whether this host has the address now.
  returned: success
  type: bool
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._api_address.host import clock, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._api_address.keepalived import ensure
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "address": {"type": "str", "default": ""},
    "name": {"type": "str", "default": ""},
    "nodes": {"type": "list", "elements": "dict", "default": []},
    "hold": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS, required_if=[("state", "present", ["address", "name", "nodes"])], supports_check_mode=True
    )
    try:
        result = ensure(this_host(), clock(), module.params, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
