#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_restore
short_description: Put the state of a backup in the place of a control plane's
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Restores the authorities, keys, certificates and configuration of a backup, and etcd's data, on the host that it is of, whatever is
    left of its control plane, or on a fresh one of the same name and address.
  - What is there is kept aside. The archive is read and etcd's new data are made while the old control plane runs on. Then the kubelet
    and the containers of the control plane are stopped, and one state takes the place of the other.
  - A host of another cluster, of another minor version, a damaged archive, and one with a file for a place that is neither the cluster's
    own nor among O(paths) are refused before anything is touched. So is a link on the host that would lead a file elsewhere.
  - Etcd's revision goes far ahead, and all before it counts as compacted. So kubelets and controllers read everything anew, and go on with
    nothing that was undone.
  - It may be killed anywhere and run again. M(vmstation.cluster.kubeadm_control_plane) refuses a host where that has not been done.
  - Afterwards the control plane is down. M(vmstation.cluster.kubeadm_control_plane) makes with kubeadm what is of the host alone, and
    starts it.
attributes:
  check_mode:
    support: full
    details:
      - It judges the archive and the host.
  diff_mode:
    support: none
    details:
      - What it shows would be a whole cluster.
  idempotent:
    support: none
    details:
      - Every run goes back to the backup.
  platform:
    platforms: linux
options:
  archive:
    description:
      - The archive on this host, not encrypted.
    type: path
    required: true
  cluster_name:
    description:
      - The cluster's name.
    type: str
    required: true
  name:
    description:
      - The host's name in the inventory. It must be that in the backup.
    type: str
    required: true
  addresses:
    description:
      - The host's addresses in the network plan. That in the backup must be among them.
    type: list
    elements: str
    required: true
  keep:
    description:
      - How many former states stay in C(/var/lib/etcd), that of before this restore included.
    type: int
    default: 3
  force:
    description:
      - Put aside what this collection has not made, too. A control plane whose C(/etc/kubernetes) is damaged may look so.
    type: bool
    default: false
  paths:
    description:
      - Files and directories of applications that the archive may put back, with what is below them, beside the cluster's own. The archive
        itself is never asked for them.
    type: list
    elements: str
    default: []
  containerd_address:
    description:
      - Where containerd answers.
    type: path
    default: /run/containerd/containerd.sock
notes:
  - It must run as root. kubeadm, kubelet and a container runtime must be on the host.
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
  description: What was restored, as RV(vmstation.cluster.cluster_backup#module:backup) says it.
  returned: success
  type: dict
  sample: {cluster: vmstation, created: "2026-11-25T23:33:00Z", kubernetes: 1.36.4, etcd: 3.6.14}
kept_aside:
  description: Where the former state is, etcd's data in C(member) and files in C(files). Empty if there was none, and in check mode.
  returned: success
  type: str
  sample: /var/lib/etcd/vmstation-before-20261126T001500Z
removed:
  description: Former states that are no longer kept.
  returned: success
  type: list
  elements: str
  sample: []
renewed:
  description: Certificates in the backup that had expired and were renewed.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.restoring import read_wish, restore
from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking
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
