#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_control_plane_info
short_description: Report whether a host has a control plane, and read what the others need
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reports whether a host has a control plane of a cluster, has a part of it, or has none.
  - On request it reads the files that all control planes of a cluster share, for O(vmstation.cluster.kubeadm_control_plane#module:join).
options:
  cluster_name:
    description: The name of the cluster.
    type: str
    required: true
  endpoint:
    description:
      - The address that the cluster must have, C(api_vip) of the network plan with the port. A control plane that was created with another
        address is an error, because its certificates and kubeconfig files contain that address.
      - Without it, any address is accepted.
    type: str
    default: ""
  shared_files:
    description:
      - Whether to read the CAs with their keys, the keys of service accounts, and what the API server reads to encrypt Secrets.
      - They give full control of the cluster. Set C(no_log) for the task.
    type: bool
    default: false
notes:
  - Run it as root.
seealso:
  - module: vmstation.cluster.kubeadm_control_plane
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
attributes:
  platform:
    platforms: linux
"""

EXAMPLES = r"""
- name: Read what a further control plane needs
  vmstation.cluster.kubeadm_control_plane_info:
    cluster_name: vmstation
    shared_files: true
  become: true
  no_log: true
  delegate_to: masternode
  register: shared
"""

RETURN = r"""
situation:
  description:
    - V(absent) means no control plane, V(interrupted) an unfinished init or join, V(complete) a control plane, V(foreign) one of another
      cluster.
  returned: success
  type: str
  sample: complete
files:
  description: The text of each shared file, by its path.
  returned: with O(shared_files)
  type: dict
  sample: {"/etc/kubernetes/pki/ca.crt": "-----BEGIN CERTIFICATE-----"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.init import shared_files, standing
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

OPTIONS = {
    "cluster_name": {"type": "str", "required": True},
    "endpoint": {"type": "str", "default": ""},
    "shared_files": {"type": "bool", "default": False},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    files, wanted = LocalFiles(), module.params
    try:
        situation = standing(wanted["cluster_name"], wanted["endpoint"], files)
        shared = {"files": shared_files(files)} if wanted["shared_files"] else {}
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, situation=situation, **shared)


if __name__ == "__main__":
    main()
