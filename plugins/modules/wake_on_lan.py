#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wake_on_lan
short_description: Wake hosts with magic packets and wait until all of them are up
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Probes all hosts of a list at the same time, sends magic packets to those that do not answer, repeats the packets, and waits for all
    hosts together. A list of 254 hosts takes as long as its slowest host.
  - Run it on any Linux host in the LAN of the hosts to wake, or delegate it to C(localhost) if the controller is in that LAN. Routers do
    not forward magic packets.
  - The packet follows AMD's white paper I(Magic Packet Technology) (publication 20213). It consists of six bytes of C(0xff) and sixteen
    times the MAC address, 102 bytes in all, followed by the SecureOn password if there is one.
  - A host is up when it answers on TCP O(hosts[].port). A refused connection counts as an answer, so a host whose service has not started
    yet gets no packet. With O(wait=true), the module waits until the port accepts connections, so that the next tasks
    can use it.
  - All options and hosts are validated before the first packet is sent, and all problems are reported in one message.
attributes:
  check_mode:
    support: full
    details:
      - Probes the hosts and predicts the result, but sends no packet.
  diff_mode:
    support: full
    details:
      - Shows which hosts are asleep.
  idempotent:
    support: full
    details:
      - A host that is up gets no packet and does not count as changed.
  platform:
    platforms: linux
options:
  hosts:
    description:
      - The hosts to wake.
      - Names, MAC addresses and IP addresses must be unique in the list.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host in results and messages.
        type: str
        required: true
      mac:
        description:
          - The MAC address of the host's network interface, as V(b8:ac:6f:7e:6c:9d), V(b8-ac-6f-7e-6c-9d), V(b8ac.6f7e.6c9d) or
            V(b8ac6f7e6c9d).
          - Quote it, because YAML reads an address that consists of decimal digits as a number.
          - A malformed, broadcast, multicast or all-zero address is rejected.
        type: str
        required: true
      address:
        description:
          - The IPv4 or IPv6 address of the host. A link-local address needs its interface, as V(fe80::1%eth0).
        type: str
        required: true
      port:
        description:
          - The TCP port that is probed to find out whether the host is up.
        type: int
        default: 22
  broadcast:
    description:
      - The broadcast address of the hosts' network, for example V(192.168.4.255). It must belong to a local network.
      - V(255.255.255.255) is accepted if O(interface) is given or only one interface can send to it.
    type: str
    required: true
  port:
    description:
      - The UDP port that packets are sent to. Network cards ignore it. V(9) (discard) and V(7) (echo) are customary.
    type: int
    default: 9
  interface:
    description:
      - The network interface that sends the packets. Without it, the route to O(broadcast) decides.
    type: str
  password:
    description:
      - The SecureOn password, either 6 bytes written as a MAC address or 4 bytes written as an IPv4 address. It is sent in clear text.
    type: str
  repeat_every:
    description:
      - The interval in seconds between two packets to a host that is still asleep, at least V(0.5).
    type: float
    default: 5
  wait:
    description:
      - Whether to wait until all hosts are up. If V(false), each host that is asleep is sent one packet.
    type: bool
    default: true
  timeout:
    description:
      - The number of seconds to wait after the first packet, for all hosts together, at least V(0.5).
    type: float
    default: 300
  on_timeout:
    description:
      - What to do if a host is not up after O(timeout).
      - V(fail) fails the task. The result still contains RV(hosts).
      - V(report) warns and succeeds, so that a play can continue with the hosts that are up. RV(hosts[].is_up) shows which ones.
    type: str
    choices: [fail, report]
    default: fail
requirements:
  - netaddr >= 0.8.0, for the vendors of network cards in the message about hosts that do not answer; without it, they are left out
seealso:
  - module: vmstation.cluster.nic_wake_on_lan
  - module: ansible.builtin.wait_for_connection
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Wake the two workers and wait for both
  vmstation.cluster.wake_on_lan:
    broadcast: 192.168.4.255
    hosts:
      - name: storagenodet3500
        mac: "b8:ac:6f:7e:6c:9d"
        address: 192.168.4.61
      - name: homelab
        mac: "d0:94:66:30:d6:63"
        address: 192.168.4.62
  delegate_to: localhost
  run_once: true

- name: Wake the hosts that are up within two minutes
  vmstation.cluster.wake_on_lan:
    broadcast: 192.168.4.255
    hosts: "{{ sleeping_hosts }}"
    timeout: 120
    on_timeout: report
  delegate_to: localhost
  run_once: true
  register: woken

- name: List the hosts that are up
  ansible.builtin.debug:
    msg: "{{ woken.hosts | selectattr('is_up') | map(attribute='name') }}"

- name: Send one packet with a SecureOn password through one interface
  vmstation.cluster.wake_on_lan:
    broadcast: 192.168.4.255
    interface: eth1
    password: "{{ secure_on_password }}"
    wait: false
    hosts:
      - name: homelab
        mac: "d0:94:66:30:d6:63"
        address: 192.168.4.62
  delegate_to: masternode
  become: true
"""

RETURN = r"""
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: broadcast
    found: "192.168.4.300"
    expected: an IPv4 address
    fix: Correct it.
hosts:
  description: Each host of the list, in the same order. Also returned if the task failed at the timeout.
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    name:
      description: The name of the host.
      type: str
      returned: always
      sample: homelab
    mac:
      description: The MAC address in lower case with colons.
      type: str
      returned: always
      sample: d0:94:66:30:d6:63
    was_up:
      description: Whether the host answered before any packet was sent.
      type: bool
      returned: always
      sample: false
    packets_sent:
      description: The number of magic packets that were sent to the host.
      type: int
      returned: always
      sample: 7
    is_up:
      description: Whether the host answered the last probe. A refused connection counts as an answer.
      type: bool
      returned: always
      sample: true
    seconds:
      description: The number of seconds until the port accepted a connection. If it refused all connections, until the first answer. If
        there was no answer, the time waited.
      type: float
      returned: always
      sample: 34.218
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._mac_vendors import vendor_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.io import HostNetwork, local_networks_of
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import (
    device_to_bind,
    failure_message,
    outgoing_network,
    read_request,
    wake,
)

ARGUMENTS = {
    "hosts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "mac": {"type": "str", "required": True},
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 22},
        },
    },
    "broadcast": {"type": "str", "required": True},
    "port": {"type": "int", "default": 9},
    "interface": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "repeat_every": {"type": "float", "default": 5},
    "wait": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 300},
    "on_timeout": {"type": "str", "choices": ["fail", "report"], "default": "fail"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        request = read_request(module.params)
        network = outgoing_network(request.broadcast, request.interface, local_networks_of(HostCommands()))
        lan = HostNetwork(request.broadcast, request.port, device_to_bind(request.broadcast, request.interface, network))
        outcome = wake(request, lan, SystemClock(), predict_only=module.check_mode)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    result = {"changed": outcome.changed, "hosts": outcome.hosts, "diff": outcome.diff}
    if outcome.missing and module.params["on_timeout"] == "fail":
        module.fail_json(msg=failure_message(outcome, vendor_of), **result)
    if outcome.missing:
        module.warn(failure_message(outcome, vendor_of))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
