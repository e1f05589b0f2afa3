#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_backup
short_description: Back up a control plane into one archive on its host
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Takes a snapshot of etcd, compares it with the checksum that etcd appends to it, and reads it completely with C(etcdutl).
  - Writes it into an archive with the cluster's CAs, keys and certificates, the configuration of kubeadm and kubelet, kubeconfig files,
    O(paths), and a manifest with the checksum of each file. C(docs/backup-and-restore.md) lists the content.
  - The archive gets its final name only when it is complete and on disk. The next run removes leftovers of killed runs and archives that
    were not fetched.
  - C(etcdctl) and C(etcdutl) of the host are used if they exist. Otherwise those of etcd's image run in a temporary container.
attributes:
  check_mode:
    support: full
    details:
      - It returns the file name. The time in it is the time of the task.
  diff_mode:
    support: none
    details:
      - There is no diff, because it would contain the archive.
  idempotent:
    support: none
    details:
      - Every run writes an archive.
  platform:
    platforms: linux
options:
  cluster_name:
    description:
      - The name of the cluster. A host of another cluster is rejected.
    type: str
    required: true
  paths:
    description:
      - Files and directories of applications on this host to include. Those that do not exist are listed in RV(backup).
    type: list
    elements: str
    default: []
  parts:
    description:
      - Archives of applications that were created on other hosts and are stored beside this one by M(vmstation.cluster.backup_archive). The
        manifest contains their checksums, or the reason why one is missing.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the part, in lower case letters, digits and C(_). It becomes a part of its file name.
        type: str
        required: true
      host:
        description:
          - The host that the part comes from.
        type: str
        default: ""
      label:
        description:
          - A label for the part, such as a version.
        type: str
        default: ""
      size:
        description:
          - The size of the part in bytes.
        type: int
        default: 0
      sha256:
        description:
          - The SHA-256 checksum of the part on its host.
        type: str
        default: ""
      missing:
        description:
          - The reason why the part is missing, instead of a checksum.
        type: str
        default: ""
  destination:
    description:
      - The directory for the archive. Only this module may use it.
    type: str
    default: /var/lib/vmstation/backup
  owner:
    description:
      - The only user who may read the archive. Set it to the user who fetches the archive without becoming root.
    type: str
    default: root
  containerd_address:
    description:
      - The path of containerd's socket.
    type: path
    default: /run/containerd/containerd.sock
notes:
  - Run it as root, on a control plane that this collection created.
seealso:
  - module: vmstation.cluster.backup_archive
  - module: vmstation.cluster.cluster_restore
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Back up the control plane
  vmstation.cluster.cluster_backup:
    cluster_name: vmstation
    paths: [/etc/vmstation/grafana-admin-password]
    owner: "{{ ansible_facts.user_id }}"
  become: true
  register: made
"""

RETURN = r"""
path:
  description: The path of the archive.
  returned: success
  type: str
  sample: /var/lib/vmstation/backup/vmstation-20261125T233300Z.tar.gz
name:
  description: The file name of the archive.
  returned: success
  type: str
  sample: vmstation-20261125T233300Z.tar.gz
size:
  description: The size of the archive in bytes. V(0) in check mode.
  returned: success
  type: int
  sample: 2231296
sha256:
  description: The SHA-256 checksum of the archive. Empty in check mode.
  returned: success
  type: str
  sample: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
backup:
  description: The content of the backup.
  returned: success
  type: dict
  contains:
    cluster:
      description: The name of the cluster.
      type: str
      sample: vmstation
    created:
      description: The time of the backup, in UTC.
      type: str
      sample: "2026-11-25T23:33:00Z"
    host:
      description: The name of the control plane's node.
      type: str
      sample: masternode
    address:
      description: The address of the control plane.
      type: str
      sample: 192.168.4.63
    kubernetes:
      description: The version of Kubernetes.
      type: str
      sample: 1.36.4
    etcd:
      description: The version of etcd.
      type: str
      sample: 3.6.14
    snapshot:
      description: The hash, the revision and the number of keys of etcd's snapshot.
      type: dict
      sample: {hash: 2840174311, revision: 1845, keys: 912}
    members:
      description: The number of files, directories and links in the archive.
      type: int
      sample: 38
    absent:
      description: Those of O(paths) that did not exist.
      type: list
      elements: str
      sample: []
    parts:
      description: The archives of applications that belong to the backup, each with name, host, label, size and checksum, or the reason why
        it is missing.
      type: list
      elements: dict
      sample: [{name: jellyfin, host: storagenodet3500, label: 10.11.11, size: 48234496, sha256: e3b0c44298fc..., missing: ""}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.backup import make, order
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "cluster_name": {"type": "str", "required": True},
    "paths": {"type": "list", "elements": "str", "default": []},
    "parts": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "host": {"type": "str", "default": ""},
            "label": {"type": "str", "default": ""},
            "size": {"type": "int", "default": 0},
            "sha256": {"type": "str", "default": ""},
            "missing": {"type": "str", "default": ""},
        },
    },
    "destination": {"type": "str", "default": "/var/lib/vmstation/backup"},
    "owner": {"type": "str", "default": "root"},
    "containerd_address": {"type": "path", "default": "/run/containerd/containerd.sock"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcome = make(order(module.params), this_host(), LocalPacking(), check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    for part in outcome.manifest.parts:
        if part.missing:
            module.warn(f"The backup does not contain {part.name} of {part.host or 'an unknown host'}: {part.missing}")
    module.exit_json(changed=True, **outcome.as_result())


if __name__ == "__main__":
    main()
