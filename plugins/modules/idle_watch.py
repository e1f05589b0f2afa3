#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: idle_watch
short_description: Let the control plane suspend workers that nobody uses, and wake those that somebody asks for
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Puts a program and a systemd timer onto a control plane host. Once a minute it looks at the workers of O(workers), cordons, drains and
    suspends one that nobody has used for O(minutes), and wakes one by magic packets when a packet arrives for a NodePort that only a
    workload of that worker could answer.
  - It asks workers over SSH, with a key pair of its own that is made once on this host and never leaves it. M(vmstation.cluster.idle_guard)
    lets that key do two things there and nothing else.
  - It keeps hands off while this host or the worker has an SSH connection or a login session, and while a TCP connection reaches the worker
    or one of its Pods from outside. A node that it has not cordoned itself it neither wakes nor lets take Pods.
  - What it decides, and why, it writes to the journal of C(vmstation-idle-watch.service).
options:
  state:
    description:
      - V(absent) removes all of it, the key pair too. Nodes that sleep stay asleep and cordoned; playbooks/wake.yml wakes them.
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
          - The host's name, which is the node's.
        type: str
        required: true
      mac:
        description:
          - The MAC address that wakes it.
        type: str
        required: true
      address:
        description:
          - The address of its SSH server, IPv4 or IPv6.
        type: str
        required: true
      port:
        description:
          - The port of its SSH server.
        type: int
        default: 22
      host_keys:
        description:
          - Its public host keys, each as C(ssh-ed25519 AAAA...). No other is accepted.
          - Of a host without, as of one that nobody could ask because it sleeps, those stay that are known here. One that is not known is
            left alone.
        type: list
        elements: str
        default: []
  broadcast:
    description:
      - The IPv4 broadcast address that magic packets go to. Required with O(state=present).
    type: str
  minutes:
    description:
      - For how many minutes nobody may have used a worker before it is put to sleep.
    type: float
    default: 30
  load:
    description:
      - The load average of five minutes, of the whole host, above which a worker is busy. A node that only runs kubelet, Calico and what
        monitors it has 0.1 to 0.4; one program that works all the time adds 1, however many processors there are.
    type: float
    default: 0.75
  asking_namespaces:
    description:
      - Namespaces whose Pods ask all others by themselves. A connection from one of them is nobody who uses a worker.
    type: list
    elements: str
    default: [kube-system, monitoring]
  may_stop:
    description:
      - Workloads that may stop while their worker sleeps, as O(vmstation.cluster.node_sleep_check#module:may_stop) takes them.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds for each of a drain, a host that goes down, one that comes up, and its node.
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
- name: Suspend homelab while nobody uses it
  vmstation.cluster.idle_watch:
    workers:
      - name: homelab
        mac: "d0:94:66:30:d6:63"
        address: 192.168.4.62
        host_keys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGm0cMrVHBrZVZ0kAzGpDIv1n2Jmtp0GuQpvfOlbmsGD"]
    broadcast: 192.168.4.255
  become: true
  register: watch

- name: Take it back
  vmstation.cluster.idle_watch:
    state: absent
  become: true
"""

RETURN = r"""
public_key:
  description: The public half of the watch's key pair. Empty if there is none, as in check mode before it is made.
  returned: success
  type: str
  sample: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOlbmsGDm0cMrVHBrZVZ0kAzGpDIv1n2Jmtp0GuQpvf vmstation-idle-watch
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.host import WATCH_ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._idle.watch_files import ensure
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
        result = ensure(this_host(), module.params, WATCH_ENTRY, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
