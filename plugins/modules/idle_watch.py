#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: idle_watch
short_description: Suspend idle workers and wake them on demand from the control plane
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Installs a program and a systemd timer on a control plane host. Once a minute it checks the workers in O(workers). It cordons, drains
    and suspends a worker that has been idle for O(minutes), and wakes a worker with magic packets when a packet arrives for a NodePort
    whose Pods can run only on that worker.
  - It queries workers over SSH with its own key pair, which is created on this host. The private key never leaves the host.
    M(vmstation.cluster.idle_guard) restricts the key to two commands on the worker.
  - It suspends no worker while this host or the worker has an SSH connection or a login session, or while the worker or one of its Pods has
    a TCP connection from outside. It never wakes or uncordons a node that it did not cordon itself.
  - Its decisions and their reasons are in the journal of C(vmstation-idle-watch.service).
options:
  state:
    description:
      - V(present) installs the watch. V(absent) removes everything, including the key pair. Nodes that are asleep stay asleep and cordoned.
        playbooks/wake.yml wakes them.
    type: str
    choices: [present, absent]
    default: present
  workers:
    description:
      - The workers that may be put to sleep.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the host, which is also the name of its node.
        type: str
        required: true
      mac:
        description:
          - The MAC address that magic packets are sent to.
        type: str
        required: true
      address:
        description:
          - The address of the worker's SSH server, IPv4 or IPv6.
        type: str
        required: true
      port:
        description:
          - The port of the worker's SSH server.
        type: int
        default: 22
      host_keys:
        description:
          - The public host keys of the worker, each as C(ssh-ed25519 AAAA...). No other key is accepted.
          - If the list is empty, for example because the host is asleep, the known keys of the last run are kept. A host without known keys
            is skipped.
        type: list
        elements: str
        default: []
  broadcast:
    description:
      - The IPv4 broadcast address that magic packets are sent to. Required with O(state=present).
    type: str
  minutes:
    description:
      - The number of minutes that a worker must be idle before it is put to sleep.
    type: float
    default: 30
  load:
    description:
      - The five-minute load average of the host above which a worker is busy. A node that only runs kubelet, Calico and monitoring agents
        has a load of 0.1 to 0.4. Each program that is always running adds 1, whatever the number of processors.
    type: float
    default: 0.75
  asking_namespaces:
    description:
      - Namespaces whose Pods connect to all others on their own. A connection from one of them does not count as use of a worker.
    type: list
    elements: str
    default: [kube-system, monitoring]
  may_stop:
    description:
      - Workloads that may stop while their worker is asleep, in the form of O(vmstation.cluster.node_sleep_check#module:may_stop).
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time in seconds for each of these steps, to drain a node, to shut its host down, to start it, and to wait for its node.
    type: int
    default: 300
requirements:
  - nft, ssh, ssh-keygen, kubectl, ip and ss (iproute2), who (coreutils)
seealso:
  - module: vmstation.cluster.idle_guard
  - module: vmstation.cluster.node_sleep_check
  - module: vmstation.cluster.wake_on_lan
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Suspend homelab while it is idle
  vmstation.cluster.idle_watch:
    workers:
      - name: homelab
        mac: "d0:94:66:30:d6:63"
        address: 192.168.4.62
        host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm0cMrVHBrZVZ0kAzGpDIv1n2Jmtp0GuQpvfOlbmsGD"]
    broadcast: 192.168.4.255
  become: true
  register: watch

- name: Remove the idle watch
  vmstation.cluster.idle_watch:
    state: absent
  become: true
"""

RETURN = r"""
public_key:
  description: The public key of the watch. Empty if there is none, for example in check mode before it is created.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOlbmsGDm0cMrVHBrZVZ0kAzGpDIv1n2Jmtp0GuQpvf vmstation-idle-watch
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.guard import ensure_watch
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.host import WATCH_ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

WORKER = {
    "name": {"type": "str", "required": True},
    "mac": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "port": {"type": "int", "default": 22},
    "host_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
}
ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "workers": {"type": "list", "elements": "dict", "default": [], "options": WORKER},
    "broadcast": {"type": "str"},
    "minutes": {"type": "float", "default": 30},
    "load": {"type": "float", "default": 0.75},
    "asking_namespaces": {"type": "list", "elements": "str", "default": ["kube-system", "monitoring"]},
    "may_stop": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 300},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "present", ["broadcast"])], supports_check_mode=True)
    try:
        result = ensure_watch(this_host(), module.params, WATCH_ENTRY, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
