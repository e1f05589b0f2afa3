#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_backup
short_description: Back a control plane up into one archive on its host
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Takes a snapshot of etcd, compares it with the checksum that etcd appends to it, and has C(etcdutl) walk it to its end.
  - Puts it into an archive with the cluster's authorities, keys and certificates, kubeadm's and kubelet's configuration, kubeconfig
    files, and O(paths), and with a manifest that has the checksum of each. C(docs/backup-and-restore.md) tells what is in it.
  - The archive has its name when it is complete and on disk, and not before. What a killed run has left goes at the next run, and so does
    an archive that nobody has taken away.
  - C(etcdctl) and C(etcdutl) are the host's own, if it has them. Otherwise those of etcd's image run in a container that ends with them.
attributes:
  check_mode:
    support: full
    details:
      - It tells the name, of which the time is that of the look.
  diff_mode:
    support: none
    details:
      - What it shows would be the archive.
  idempotent:
    support: none
    details:
      - Every run writes an archive.
  platform:
    platforms: linux
options:
  cluster_name:
    description:
      - The cluster's name. A host of another one is refused.
    type: str
    required: true
  paths:
    description:
      - Files and directories of applications on this host that belong into the backup. What is not there is named in RV(backup).
    type: list
    elements: str
    default: []
  parts:
    description:
      - Archives of applications that were made on other hosts and will lie beside this one, as M(vmstation.cluster.backup_archive) keeps
        them. The manifest has their checksums, or says why there is none.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - What it is of, in lower case letters, digits and C(_). It becomes a part of its file name.
        type: str
        required: true
      host:
        description:
          - The host that it is from.
        type: str
        default: ""
      label:
        description:
          - What it is of more closely, such as a version.
        type: str
        default: ""
      size:
        description:
          - Its size in bytes.
        type: int
        default: 0
      sha256:
        description:
          - Its checksum on its host.
        type: str
        default: ""
      missing:
        description:
          - In the place of a checksum, why there is none.
        type: str
        default: ""
  destination:
    description:
      - A directory for the archive, of this module alone.
    type: str
    default: /var/lib/vmstation/backup
  owner:
    description:
      - The user who may read the archive, and no other. Whoever fetches it without becoming root is named here.
    type: str
    default: root
  containerd_address:
    description:
      - Where containerd answers.
    type: path
    default: /run/containerd/containerd.sock
notes:
  - It must run as root, on a control plane that this collection made.
seealso:
  - module: vmstation.cluster.backup_archive
  - module: vmstation.cluster.cluster_restore
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Back the control plane up
  vmstation.cluster.cluster_backup:
    cluster_name: vmstation
    paths: [/etc/vmstation/grafana-admin-password]
    owner: "{{ ansible_facts.user_id }}"
  become: true
  register: made
"""

RETURN = r"""
path:
  description: The archive.
  returned: success
  type: str
  sample: /var/lib/vmstation/backup/vmstation-20261125T233300Z.tar.gz
name:
  description: Its file name.
  returned: success
  type: str
  sample: vmstation-20261125T233300Z.tar.gz
size:
  description: Its size in bytes. V(0) in check mode.
  returned: success
  type: int
  sample: 2231296
sha256:
  description: Its checksum. Empty in check mode.
  returned: success
  type: str
  sample: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
backup:
  description: What it is of.
  returned: success
  type: dict
  contains:
    cluster:
      description: The cluster's name.
      type: str
      sample: vmstation
    created:
      description: When it was taken, UTC.
      type: str
      sample: "2026-11-25T23:33:00Z"
    host:
      description: The name of the control plane's node.
      type: str
      sample: masternode
    address:
      description: Its address.
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
      description: The hash of etcd's snapshot, its revision and the number of its keys.
      type: dict
      sample: {hash: 2840174311, revision: 1845, keys: 912}
    members:
      description: How many files, directories and links are in it.
      type: int
      sample: 38
    absent:
      description: Those of O(paths) that were not there.
      type: list
      elements: str
      sample: []
    parts:
      description: Archives of applications that belong to it, each with name, host, label, size and checksum; or why it is missing.
      type: list
      elements: dict
      sample: [{name: jellyfin, host: storagenodet3500, label: 10.11.11, size: 48234496, sha256: e3b0c44298fc..., missing: ""}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.making import make, order
from ansible_collections.vmstation.cluster.plugins.module_utils._io.local_packing import LocalPacking
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
            module.warn(f"The backup goes without {part.name} of {part.host or 'an unknown host'}: {part.missing}")
    module.exit_json(changed=True, **outcome.as_result())


if __name__ == "__main__":
    main()
