#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: wake_on_lan
short_description: Wake sleeping hosts and wait until all of them are up
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Asks all hosts of a list at once whether they are up, sends magic packets to those that do not answer, repeats the packets, and
    waits for all of them together. A list of 254 hosts takes as long as its slowest host.
  - It runs on any Linux host of the sleeping hosts' LAN, on the controller when delegated to C(localhost). Routers do not forward
    magic packets.
  - The packet is that of AMD's white paper I(Magic Packet Technology) (publication 20213), six bytes of C(0xff) and sixteen times the
    MAC address, 102 bytes, followed by the SecureOn password if there is one.
  - A host is up when it answers on TCP O(hosts[].port). A refused connection is an answer, so a host whose service has not started yet
    gets no packet. With O(wait=true) the module goes on waiting until the port accepts connections, because only then can a play go on.
  - Every option and every host is checked before the first packet, and all problems are reported in one message.
attributes:
  check_mode:
    support: full
    details:
      - Probes the hosts and predicts. Sends nothing.
  diff_mode:
    support: full
    details:
      - Shows which hosts sleep.
  idempotent:
    support: full
    details:
      - A host that is up gets no packet and is no change.
  platform:
    platforms: linux
options:
  hosts:
    description:
      - The hosts to wake.
      - Names, MAC addresses and addresses must be unique in the list.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - What the host is called in results and messages.
        type: str
        required: true
      mac:
        description:
          - The MAC address of its network interface, as V(b8:ac:6f:7e:6c:9d), V(b8-ac-6f-7e-6c-9d), V(b8ac.6f7e.6c9d) or V(b8ac6f7e6c9d).
          - Put quotes around it. YAML reads an address of decimal digits alone as a number.
          - A malformed, broadcast, multicast or all-zero address is refused.
        type: str
        required: true
      address:
        description:
          - The IPv4 or IPv6 address that the host has when it is up. A link-local address needs its interface, as V(fe80::1%eth0).
        type: str
        required: true
      port:
        description:
          - The TCP port that shows that the host is up.
        type: int
        default: 22
  broadcast:
    description:
      - The broadcast address of the hosts' network, for example V(192.168.4.255). It must belong to a local network.
      - V(255.255.255.255) is taken when O(interface) is given or there is only one interface that it can leave through.
    type: str
    required: true
  port:
    description:
      - The UDP port that packets are sent to. A network card does not look at it; V(9) (discard) and V(7) (echo) are customary.
    type: int
    default: 9
  interface:
    description:
      - The network interface that packets must leave through. Without it the route to O(broadcast) decides.
    type: str
  password:
    description:
      - The SecureOn password, of 6 bytes written as a MAC address or of 4 bytes written as an IPv4 address. It is sent in clear text.
    type: str
  repeat_every:
    description:
      - Seconds after which a host that still sleeps is sent the next packet, at least V(0.5).
    type: float
    default: 5
  wait:
    description:
      - Whether to wait until all hosts are up. Without it each sleeping host is sent one packet.
    type: bool
    default: true
  timeout:
    description:
      - Seconds from the first packet after which waiting ends, for all hosts together, at least V(0.5).
    type: float
    default: 300
  on_timeout:
    description:
      - What it means that a host is not up at the end of O(timeout).
      - V(fail) fails the task. The result still holds RV(hosts).
      - V(report) warns and succeeds, so that a play goes on with the hosts that are up. RV(hosts[].is_up) tells which ones.
    type: str
    choices: [fail, report]
    default: fail
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

- name: Wake whoever wakes within two minutes
  vmstation.cluster.wake_on_lan:
    broadcast: 192.168.4.255
    hosts: "{{ sleeping_hosts }}"
    timeout: 120
    on_timeout: report
  delegate_to: localhost
  run_once: true
  register: woken

- name: Go on with the hosts that are up
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
hosts:
  description: Each host of the list, in its order. Returned by a task that failed at the timeout too.
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    name:
      description: The host's name.
      type: str
      returned: always
      sample: homelab
    mac:
      description: Its MAC address in lower case with colons.
      type: str
      returned: always
      sample: d0:94:66:30:d6:63
    was_up:
      description: Whether it answered before anything was sent.
      type: bool
      returned: always
      sample: false
    packets_sent:
      description: How many magic packets it was sent.
      type: int
      returned: always
      sample: 7
    is_up:
      description: Whether it answered when it was asked last. A refused connection is an answer.
      type: bool
      returned: always
      sample: true
    seconds:
      description: Seconds from the start until its port accepted a connection; until its first answer if it only refused; all that was
        waited if it never answered.
      type: float
      returned: always
      sample: 34.218
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.network import HostNetwork, local_networks_of
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.broadcast import device_to_bind, outgoing_network
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.request import read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._wake.wake import failure_message, wake

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
        module.fail_json(msg=str(refusal))
    result = {"changed": outcome.changed, "hosts": outcome.hosts, "diff": outcome.diff}
    if outcome.missing and module.params["on_timeout"] == "fail":
        module.fail_json(msg=failure_message(outcome), **result)
    if outcome.missing:
        module.warn(failure_message(outcome))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
