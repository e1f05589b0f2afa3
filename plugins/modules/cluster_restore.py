#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_restore
short_description: Restore the state of a control plane from a backup
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Restores the CAs, keys, certificates and configuration of a backup, and etcd's data, on the host that the backup belongs to, whatever is
    left of its control plane, or on a new host with the same name and address.
  - The existing state is kept aside. The archive is read and etcd's new data directory is created while the old control plane is still
    running. Then the kubelet and the containers of the control plane are stopped, and the new state replaces the old one.
  - Rejected before anything is changed are a host of another cluster or another minor version, a damaged archive, an archive with a file
    outside of the cluster's own paths and O(paths), and a link on the host that would redirect a file.
  - The revision of etcd is raised far ahead, and everything before it is marked as compacted. Kubelets and controllers therefore read
    everything again and do not use state from after the backup.
  - It may be killed at any point and run again. M(vmstation.cluster.kubeadm_control_plane) rejects a host with an unfinished restore.
  - Afterwards the control plane is stopped. M(vmstation.cluster.kubeadm_control_plane) creates the host-specific files with kubeadm and
    starts it.
attributes:
  check_mode:
    support: full
    details:
      - It validates the archive and the host.
  diff_mode:
    support: none
    details:
      - There is no diff, because it would contain a whole cluster.
  idempotent:
    support: none
    details:
      - Every run restores the backup again.
  platform:
    platforms: linux
options:
  archive:
    description:
      - The path of the archive on this host, not encrypted.
    type: path
    required: true
  cluster_name:
    description:
      - The name of the cluster.
    type: str
    required: true
  name:
    description:
      - The name of the host in the inventory. It must be the name in the backup.
    type: str
    required: true
  addresses:
    description:
      - The addresses of the host in the network plan. The address in the backup must be one of them.
    type: list
    elements: str
    required: true
  keep:
    description:
      - The number of former states to keep in C(/var/lib/etcd), including the one from before this restore.
    type: int
    default: 3
  force:
    description:
      - Whether to replace a state that this collection did not create. A control plane whose C(/etc/kubernetes) is damaged may look like
        one.
    type: bool
    default: false
  paths:
    description:
      - Files and directories of applications that the archive may restore, with everything below them, in addition to the cluster's own.
        This list is never taken from the archive.
    type: list
    elements: str
    default: []
  containerd_address:
    description:
      - The path of containerd's socket.
    type: path
    default: /run/containerd/containerd.sock
notes:
  - Run it as root. kubeadm, kubelet and a container runtime must be installed.
seealso:
  - module: vmstation.cluster.cluster_backup
  - module: vmstation.cluster.kubeadm_control_plane
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Restore the control plane
  vmstation.cluster.cluster_restore:
    archive: /var/lib/vmstation/restore/vmstation.tar.gz
    cluster_name: vmstation
    name: masternode
    addresses: [192.168.4.63]
  become: true
"""

RETURN = r"""
backup:
  description: The restored content, as RV(vmstation.cluster.cluster_backup#module:backup) describes it.
  returned: success
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
kept_aside:
  description: The path of the former state, with etcd's data in C(member) and files in C(files). Empty if there was none, and in check
    mode.
  returned: success
  type: str
  sample: /var/lib/etcd/vmstation-before-20261126T001500Z
removed:
  description: The former states that were removed.
  returned: success
  type: list
  elements: str
  sample: []
renewed:
  description: The certificates in the backup that had expired and were renewed.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import read_wish, restore
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "archive": {"type": "path", "required": True},
    "cluster_name": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "required": True},
    "keep": {"type": "int", "default": 3},
    "force": {"type": "bool", "default": False},
    "paths": {"type": "list", "elements": "str", "default": []},
    "containerd_address": {"type": "path", "default": "/run/containerd/containerd.sock"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcome = restore(read_wish(module.params), this_host(), LocalPacking(), check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**outcome.as_result())


if __name__ == "__main__":
    main()
