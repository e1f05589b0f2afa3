#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Open one named set of ports on the firewall that the host uses."""

from __future__ import annotations

DOCUMENTATION = r"""
module: firewall_ports
short_description: Open one named set of ports on firewalld, ufw, nftables or iptables
version_added: 0.1.0
description:
  - Opens a set of ports, IP protocols and trusted networks in one transaction, both at runtime and permanently. Supports firewalld, ufw,
    nftables and iptables, IPv4 and IPv6.
  - Manages only the rules of O(name). Rules of other tools, of Calico and of kube-proxy do not change.
  - If the module is killed, either the old or the new set is in force. The port of the SSH connection that runs the module is always part
    of the set.
  - If no firewall is in force, the module changes nothing and warns.
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
      - The name of the set, for example V(worker). It consists of a letter and up to 15 characters of a-z, 0-9 and the hyphen.
      - Sets with different names are independent of each other.
    type: str
    required: true
  ports:
    description:
      - All ports that are open on this host for this O(name). Ports that this O(name) opened earlier and that are not listed are closed.
      - Entries that overlap or are adjacent are merged. An entry that a wider entry covers is left out.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description:
          - A port such as V(10250), or a range such as V(30000-32767).
          - Required with V(tcp), V(udp) and V(sctp), and not allowed with the number of an IP protocol.
        type: raw
      protocol:
        description:
          - V(tcp), V(udp), V(sctp), or the number of an IP protocol.
          - IP in IP is V(4). Names of IP protocols are rejected, because V(ipip) means 94 on Debian.
        type: raw
        default: tcp
      sources:
        description:
          - The IPv4 and IPv6 networks that may use the port. An empty list means all addresses.
        type: list
        elements: raw
        default: []
      comment:
        description:
          - A comment that is stored with the rule if the firewall supports it. A different comment alone is not a change.
        type: raw
        default: ""
  trusted:
    description:
      - Networks whose traffic is accepted on input, and on forward in both directions, such as the pod network.
    type: list
    elements: raw
    default: []
  trusted_ports:
    description:
      - Which ports of this host the O(trusted) networks may reach. V(all) accepts all their packets on input.
      - With V(listed), they reach only those O(ports) whose C(sources) are empty or contain them, NodePorts, and ICMP. Other packets from
        them to this host are dropped before the DNAT, also if another rule of the host accepts them.
    type: str
    choices: [all, listed]
    default: all
  protected:
    description:
      - Networks of the cluster behind this host, such as those of Pods and Services. Only the listed sources, O(trusted) and the host
        itself may send packets to them. Without this, every device that routes to them through this host reaches them.
      - Packets from others are dropped before the DNAT. Packets to a NodePort are not affected.
    type: list
    elements: dict
    default: []
    suboptions:
      network:
        description:
          - The IPv4 or IPv6 network.
        type: raw
        required: true
      sources:
        description:
          - The IPv4 and IPv6 networks that may send packets to it, such as the addresses of the cluster's hosts.
        type: list
        elements: raw
        default: []
  state:
    description:
      - V(present) opens the set. V(absent) removes all rules of this O(name).
    type: str
    choices: [present, absent]
    default: present
  backend:
    description:
      - The firewall to use. V(auto) uses the first of firewalld, ufw, nftables and iptables that is in force.
      - It is an error to name one firewall while another one is in force.
    type: str
    choices: [auto, firewalld, ufw, nftables, iptables]
    default: auto
  install:
    description:
      - What to do if no firewall is in force. V(none) changes nothing and warns.
      - V(nftables) sets up a minimal nftables firewall that denies input except for SSH, ICMP, DHCP replies and established connections,
        and is loaded at boot. Then the set is opened in it. Forwarded packets are not filtered. It requires the package nftables.
      - The firewall belongs to the host from then on. O(state=absent) removes only the set.
    type: str
    choices: [none, nftables]
    default: none
  zone:
    description:
      - The zone of firewalld. Without it, the zone that has the set already, or else the zone of the interface that leads to the client of
        the SSH connection, or else the default zone of the host. The other firewalls have no zones.
    type: str
  node_port_range:
    description:
      - The range of the cluster's NodePorts. kube-proxy rewrites their destination (DNAT) before the input rules, so an input rule neither
        opens nor closes them. The C(sources) of an entry in this range therefore take effect before the DNAT, and RV(notes) reports it.
    type: str
    default: 30000-32767
  confirm_within:
    description:
      - The number of seconds after which the old rules are restored unless a new connection to the host has confirmed the change. V(0)
        means that no confirmation is needed.
      - The task opens the new connection itself. If it cannot, the task fails and the host restores the old rules, even after a reboot.
      - Over a connection that is not SSH, such as C(local), the task confirms the change itself. This does not show that a new connection
        to the host works.
      - Requires systemd on the host.
      - If the set is removed and the port of the running SSH connection with it, the change must always be confirmed, within 60 seconds if
        this is V(0).
    type: int
    default: 0
  host:
    description:
      - The name of the host in the inventory, for the next steps in RV(findings).
    type: str
    default: ""
  _is_local:
    description:
      - Whether the connection of the task is not SSH. The action plugin sets it. Do not set it yourself.
    type: bool
    default: false
  _operator:
    description:
      - The SSH connection of the user who runs Ansible. The action plugin sets it. Do not set it yourself.
    type: str
    default: ""
notes:
  - Over a connection that is not SSH, the module does not know the port of the SSH server. List it in O(ports).
seealso:
  - module: ansible.posix.firewalld
  - module: community.general.ufw
  - module: ansible.builtin.iptables
"""

EXAMPLES = r"""
- name: Open the ports of a worker, with automatic rollback if the host becomes unreachable
  vmstation.cluster.firewall_ports:
    name: worker
    ports:
      - {port: 10250, sources: [192.168.4.0/24, 10.244.0.0/16], comment: kubelet}
      - {port: 179, sources: [192.168.4.0/24], comment: BGP}
      - {protocol: 4, sources: [192.168.4.0/24], comment: IP in IP}
      - {port: 30000-32767, comment: NodePorts}
    trusted: [10.244.0.0/16]
    trusted_ports: listed
    protected:
      - {network: 10.244.0.0/16, sources: [192.168.4.61, 192.168.4.62, 192.168.4.63]}
      - {network: 10.96.0.0/12}
    confirm_within: 60

- name: Close these ports again
  vmstation.cluster.firewall_ports:
    name: worker
    state: absent
"""

RETURN = r"""
findings:
  description: What is wrong with the firewall after this run. In check mode, also everything that a run would correct.
  returned: O(state) is V(present)
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: planned_ports_are_open
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: firewall of homelab (ufw)
    found:
      description: What was found.
      type: str
      returned: always
      sample: "closed: 179/tcp"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: "open, as the plan requires"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "`ansible-playbook site.yml --limit homelab` corrects it."
    hosts:
      description: Always empty. The finding is about the host that the module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: O(state) is V(present)
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: firewall of homelab (nftables)
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "9 open ports, as in the plan"
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: name
    found: "Worker"
    expected: a letter and up to 15 characters of a-z, 0-9 and the hyphen
    fix: Rename the set.
backend:
  description: The firewall that was used, or V(none) if none is in force.
  returned: success
  type: str
  sample: nftables
added:
  description: What this run opened, or would open in check mode, one entry for each port or network.
  returned: success
  type: list
  elements: str
  sample: [10250/tcp from 192.168.4.0/24]
removed:
  description: What this run closed, or would close in check mode, one entry for each port or network.
  returned: success
  type: list
  elements: str
  sample: [10251/tcp]
ports:
  description: The complete merged set, as read back from the firewall.
  returned: success
  type: list
  elements: dict
  contains:
    port:
      description: A port or a range. Empty for an IP protocol without ports.
      type: str
      sample: 30000-32767
    protocol:
      description: V(tcp), V(udp), V(sctp) or the number of an IP protocol.
      type: str
      sample: tcp
    sources:
      description: The networks that may use the port. An empty list means all addresses.
      type: list
      elements: str
    comment:
      description: The comment of the entry.
      type: str
trusted:
  description: The networks whose traffic is accepted on input and forward.
  returned: success
  type: list
  elements: str
  sample: [10.244.0.0/16]
trusted_ports:
  description: V(listed) if trusted networks reach only the ports of the set on this host, otherwise V(all).
  returned: success
  type: str
  sample: listed
protected:
  description: The networks that only the listed sources and RV(trusted) may send packets to.
  returned: success
  type: list
  elements: dict
  contains:
    network:
      description: The network.
      type: str
      sample: 10.244.0.0/16
    sources:
      description: The networks that may send packets to it.
      type: list
      elements: str
      sample: [192.168.4.61/32, 192.168.4.62/31]
notes:
  description: Remarks on entries in the NodePort range.
  returned: success
  type: list
  elements: str
repaired:
  description:
    - Rules of this module that had been altered and were corrected.
    - Also the unfinished change of another O(name) whose process was killed, which this run reverted.
  returned: changed, if there was something
  type: list
  elements: str
unsaved:
  description:
    - What a reboot or a reload of the firewall would change in a set that is in force as requested, one entry for each port or network.
      C(not) precedes what it would open.
    - This run corrected it, or would in check mode.
  returned: the set is in force
  type: list
  elements: str
  sample: [10250/tcp from 192.168.4.0/24]
limits:
  description: What the firewall of this host does not do with its rules. It is also shown as a warning.
  returned: a firewall is active
  type: list
  elements: str
  sample: ["nftables.service is not enabled: neither this set nor the host's own rules come back after a reboot."]
installed:
  description: Whether this run set up a firewall on a host that had none.
  returned: it did, or would in check mode
  type: bool
exposed:
  description: The ports on which the host listens on other addresses than loopback. Every device of the network reaches them.
  returned: no firewall is active
  type: list
  elements: str
  sample: [22/tcp, 2381/tcp, 9100/tcp]
inactive:
  description: The firewall that has the set in its files and is not active, or an empty string.
  returned: RV(backend) is V(none)
  type: str
  sample: ufw
confirmation_pending:
  description: Whether the change is reverted unless it is confirmed over a new connection. False after a task that succeeds.
  returned: success
  type: bool
confirmed:
  description: Whether this task confirmed a change.
  returned: success
  type: bool
rollback_in:
  description: The number of seconds until the change is reverted.
  returned: RV(confirmation_pending) is true
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result
from ansible_collections.vmstation.cluster.plugins.module_utils._firewall.ensure import ensure, findings, looked_at, read_request
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
    "trusted_ports": {"type": "str", "choices": ["all", "listed"], "default": "all"},
    "protected": {
        "type": "list",
        "elements": "dict",
        "options": {"network": {"type": "raw", "required": True}, "sources": {"type": "list", "elements": "raw", "default": []}},
        "default": [],
    },
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "backend": {"type": "str", "choices": ["auto", "firewalld", "ufw", "nftables", "iptables"], "default": "auto"},
    "install": {"type": "str", "choices": ["none", "nftables"], "default": "none"},
    "zone": {"type": "str"},
    "node_port_range": {"type": "str", "default": "30000-32767"},
    "confirm_within": {"type": "int", "default": 0},
    "host": {"type": "str", "default": ""},
    # set by the action plugin
    "_is_local": {"type": "bool", "default": False},
    "_operator": {"type": "str", "default": ""},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        outcome = ensure(read_request(module.params, check=module.check_mode), this_host())
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    for warning in outcome.warnings:
        module.warn(warning)
    result, host = outcome.result, module.params["host"]
    if module.params["state"] == "present":
        found = findings(result, host, check=module.check_mode)
        result.update(as_result(found, looked_at(result, host, found)))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
