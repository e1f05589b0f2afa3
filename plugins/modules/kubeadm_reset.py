#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_reset
short_description: Remove from a host what a cluster created there, and nothing else
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Removes what kubeadm, kubelet, etcd, kube-proxy and Calico created on a host, identified by their own names. These are the running
    kubelet, the containers of the namespace C(k8s.io), mounts, files, interfaces, addresses, routes into the pod networks, iptables chains
    and rules, nftables tables and ipset sets.
  - No firewall is flushed, and no other chain, rule or table is changed.
  - Packages, images, the container runtime, its configuration, and ports that M(vmstation.cluster.firewall_ports) opened are kept. So is
    data that applications keep outside of C(/var/lib/kubelet). Mounts are unmounted before a directory is removed.
  - Works on a host whose installation was interrupted, without kubeadm, and after an interrupted reset.
  - Afterwards it checks the host again, and fails if anything is left over.
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
      - The name of the cluster to remove. A host that is marked as a member of another cluster is rejected.
    type: str
    required: true
  name:
    description:
      - The name of the host in messages.
    type: str
    required: true
  pod_networks:
    description:
      - The pod networks. They identify Calico's routes and its tunnel's address.
    type: list
    elements: str
    required: true
  cri_socket:
    description:
      - The socket of containerd, as a URL.
    type: str
    default: unix:///run/containerd/containerd.sock
  force:
    description:
      - Whether to remove a cluster that this collection did not create.
    type: bool
    default: false
notes:
  - Reset workers first. The data of the control plane is deleted permanently.
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
  description: One line for each thing that was removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [running kubelet, interface vxlan.calico, "chain KUBE-SERVICES of table nat (iptables)", /etc/kubernetes]
leftovers:
  description: One line for each thing that is left over. Empty unless the module fails.
  returned: when the host was looked at again
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles, LocalTrees, replace_all
from ansible_collections.vmstation.cluster.plugins.module_utils._host.processes import exclusive, run_detached
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.join_steps import Ways
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.reset import (
    Host,
    ensure_removed,
    read_wish,
    refuse_leftovers,
    result,
)
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
    returned: dict[str, object] = {}
    try:
        wish = read_wish(module.params)
        found, left = ensure_removed(host, wish, Ways(exclusive, run_detached), module.check_mode)
        returned = result(found, left)
        refuse_leftovers(left, wish)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **returned)
    module.exit_json(**returned)


if __name__ == "__main__":
    main()
