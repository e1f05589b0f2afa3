#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_reset
short_description: Remove from a host what a cluster made there, and only that
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Removes what kubeadm, kubelet, etcd, kube-proxy and Calico made on a host, told by their own names. That is the running kubelet, the
    containers of the namespace C(k8s.io), mounts, files, interfaces, addresses, routes into the pods' networks, chains and rules of
    iptables, tables of nftables and sets of ipset.
  - No firewall is flushed, and no chain, rule or table of anybody else is touched.
  - Packages, images, the container runtime, its configuration, and ports that M(vmstation.cluster.firewall_ports) has opened stay. So does
    data that applications keep outside of C(/var/lib/kubelet). What is mounted is unmounted before a directory is removed.
  - Works on a host where an installation ended in the middle, without kubeadm, and where an earlier reset was interrupted.
  - Afterwards it looks again, and fails if anything is left over.
attributes:
  check_mode:
    support: full
    details:
      - It lists what would be removed.
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  cluster_name:
    description:
      - The cluster to remove. A host that is marked as another one's is refused.
    type: str
    required: true
  name:
    description:
      - What the host is called in messages.
    type: str
    required: true
  pod_networks:
    description:
      - The pods' networks. Calico's routes and its tunnel's address are told by them.
    type: list
    elements: str
    required: true
  cri_socket:
    description:
      - Where containerd answers.
    type: str
    default: unix:///run/containerd/containerd.sock
  force:
    description:
      - Remove a cluster that this collection has not made, too.
    type: bool
    default: false
notes:
  - Workers go first. The control plane's data is removed for good.
seealso:
  - module: vmstation.cluster.kubeadm_worker
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Remove the cluster from the host
  vmstation.cluster.kubeadm_reset:
    cluster_name: vmstation
    name: "{{ inventory_hostname }}"
    pod_networks: [10.244.0.0/16]
  become: true
"""

RETURN = r"""
removed:
  description: A line for each thing that was removed, or would be.
  returned: success
  type: list
  elements: str
  sample: [running kubelet, interface vxlan.calico, "chain KUBE-SERVICES of table nat (iptables)", /etc/kubernetes]
leftovers:
  description: A line for each thing that is left over. There is none, or the module fails.
  returned: when the host was looked at again
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.detached import run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._io.files import replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._io.lock import exclusive
from ansible_collections.vmstation.cluster.plugins.module_utils._io.trees import LocalTrees
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_ensure import Ways
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.reset_ensure import (
    ensure_removed,
    read_wish,
    refuse_leftovers,
    result,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.reset_steps import Host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "cluster_name": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "pod_networks": {"type": "list", "elements": "str", "required": True},
    "cri_socket": {"type": "str", "default": "unix:///run/containerd/containerd.sock"},
    "force": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    host = Host(HostCommands(), LocalFiles(), LocalTrees(), replace_all)
    told: dict[str, object] = {}
    try:
        wish = read_wish(module.params)
        found, left = ensure_removed(host, wish, Ways(exclusive, run_detached), module.check_mode)
        told = result(found, left)
        refuse_leftovers(left, wish)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **told)
    module.exit_json(**told)


if __name__ == "__main__":
    main()
