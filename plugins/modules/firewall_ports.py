#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One named set of open ports, on whichever firewall a host has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_ports
short_description: Open exactly one named set of ports, whichever firewall the host has
version_added: 0.1.0
description:
  - Opens a whole set of ports, IP protocols and trusted networks in one transaction, at runtime and permanently, on firewalld, ufw,
    nftables or iptables, for IPv4 and IPv6.
  - Owns one object that is named after O(name), and touches nothing else. Rules of other hands, of Calico and of kube-proxy stay byte
    for byte.
  - Killed at any instant, it leaves the old or the new set. The port of the SSH connection that runs it is always part of the set.
  - Where no firewall is in force it changes nothing, and a warning says so.
author:
  - the vmstation.cluster contributors (@vmstation)
extends_documentation_fragment:
  - vmstation.cluster.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: posix
    support: full
options:
  name:
    description:
      - The name of the set, for example V(worker). A letter, then up to 15 of a-z, 0-9 and the hyphen.
      - Two sets of different names do not know of each other.
    type: str
    required: true
  ports:
    description:
      - What may reach this host. The whole set, not a change of it. What is not listed here is closed again if this O(name) opened it.
      - Entries that overlap or touch are merged. An entry that a wider one covers is left out.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description:
          - A port such as V(10250), or a range such as V(30000-32767).
          - Required with the protocols that have ports, not allowed with an IP protocol number.
        type: raw
      protocol:
        description:
          - V(tcp), V(udp), V(sctp), or the number of an IP protocol.
          - IP in IP is V(4). Names of IP protocols are refused, as V(ipip) means 94 on Debian.
        type: raw
        default: tcp
      sources:
        description:
          - The networks that may use it, IPv4 and IPv6. An empty list means everyone.
        type: list
        elements: raw
        default: []
      comment:
        description:
          - Stands beside the rule where the firewall can hold it. A changed comment alone is not a change.
        type: raw
        default: ""
  trusted:
    description:
      - Networks that pass on input, and on forward in both directions, such as the pod network.
    type: list
    elements: raw
    default: []
  state:
    description:
      - V(absent) removes everything that this O(name) owns.
    type: str
    choices: [present, absent]
    default: present
  backend:
    description:
      - The firewall to use. V(auto) takes the first that is in force of firewalld, ufw, nftables and iptables.
      - It is an error to name one while another one is in force.
    type: str
    choices: [auto, firewalld, ufw, nftables, iptables]
    default: auto
  zone:
    description:
      - The zone of firewalld. The default zone of the host if it is not given. Other backends have no zones.
    type: str
  node_port_range:
    description:
      - The range of the cluster's NodePorts. They are DNATed before input, so a rule on input neither opens nor closes them. The
        C(sources) of an entry in this range therefore take effect before the DNAT, and RV(notes) says so.
    type: str
    default: 30000-32767
  confirm_within:
    description:
      - The number of seconds after which the old rules come back by themselves, unless a new connection to the host has confirmed the
        change by then. V(0) means that nothing needs to be confirmed.
      - The task itself makes that new connection. It fails if it cannot, and the host undoes the change, also across a reboot.
      - Over a connection that is not SSH, such as C(local), the change is confirmed by the task alone. Nothing then shows that a new
        connection still gets in.
      - Needs systemd on the host.
      - A removal that takes the port of the running SSH connection out of the set is always confirmed, within 60 seconds if this is V(0).
    type: int
    default: 0
  _is_local:
    description:
      - Whether the connection of the task is not SSH. The action plugin of this module sets it; do not set it yourself.
    type: bool
    default: false
  _operator:
    description:
      - The SSH connection of the user who runs Ansible. The action plugin of this module sets it; do not set it yourself.
    type: str
    default: ""
notes:
  - Over a connection that is not SSH, the port of the SSH server is not known. List it in O(ports).
seealso:
  - module: ansible.posix.firewalld
  - module: community.general.ufw
  - module: ansible.builtin.iptables
"""

EXAMPLES = r"""
- name: Open what a worker needs, undone by itself unless the host can still be reached
  vmstation.cluster.firewall_ports:
    name: worker
    ports:
      - {port: 10250, sources: [192.168.4.0/24], comment: kubelet}
      - {port: 179, sources: [192.168.4.0/24], comment: BGP}
      - {protocol: 4, sources: [192.168.4.0/24], comment: IP in IP}
      - {port: 30000-32767, comment: NodePorts}
    trusted: [10.244.0.0/16]
    confirm_within: 60

- name: Close all of it again
  vmstation.cluster.firewall_ports:
    name: worker
    state: absent
"""

RETURN = r"""
backend:
  description: The firewall that was used, V(none) if none is in force.
  returned: success
  type: str
  sample: nftables
added:
  description: What this run opened, or would open in check mode, one thing a line.
  returned: success
  type: list
  elements: str
  sample: [10250/tcp from 192.168.4.0/24]
removed:
  description: What this run closed, or would close in check mode.
  returned: success
  type: list
  elements: str
  sample: [10251/tcp]
ports:
  description: The whole set as it stands, merged, as it was read back.
  returned: success
  type: list
  elements: dict
  contains:
    port:
      description: A port, a range, or nothing for an IP protocol.
      type: str
      sample: 30000-32767
    protocol:
      description: V(tcp), V(udp), V(sctp) or the number of an IP protocol.
      type: str
      sample: tcp
    sources:
      description: The networks that may use it. Empty means everyone.
      type: list
      elements: str
    comment:
      description: What was said of it.
      type: str
trusted:
  description: The networks that pass on input and forward.
  returned: success
  type: list
  elements: str
  sample: [10.244.0.0/16]
notes:
  description: What to know of entries in the node port range.
  returned: success
  type: list
  elements: str
repaired:
  description:
    - What was found not to be as this module writes it, and was put right.
    - Also the change of another O(name) whose process was killed halfway, and which this run has undone.
  returned: changed, if there was something
  type: list
  elements: str
confirmation_pending:
  description: Whether the change is undone unless it is confirmed over a new connection. A task that ends well leaves none.
  returned: success
  type: bool
confirmed:
  description: Whether this task confirmed a change.
  returned: success
  type: bool
rollback_in:
  description: The seconds until the change is undone.
  returned: RV(confirmation_pending) is true
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import ensure, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

PORT_OPTIONS = {
    "port": {"type": "raw"},
    "protocol": {"type": "raw", "default": "tcp"},
    "sources": {"type": "list", "elements": "raw", "default": []},
    "comment": {"type": "raw", "default": ""},
}
OPTIONS = {
    "name": {"type": "str", "required": True},
    "ports": {"type": "list", "elements": "dict", "options": PORT_OPTIONS, "default": []},
    "trusted": {"type": "list", "elements": "raw", "default": []},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backend": {"type": "str", "choices": ["auto", "firewalld", "ufw", "nftables", "iptables"], "default": "auto"},
    "zone": {"type": "str"},
    "node_port_range": {"type": "str", "default": "30000-32767"},
    "confirm_within": {"type": "int", "default": 0},
    # set by the action plugin
    "_is_local": {"type": "bool", "default": False},
    "_operator": {"type": "str", "default": ""},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        outcome = ensure(read_request(module.params, check=module.check_mode), this_host())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    for warning in outcome.warnings:
        module.warn(warning)
    module.exit_json(**outcome.result)


if __name__ == "__main__":
    main()
