#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: local_storage_check
short_description: Check that directories of a host exist, are mounted, are not empty, can be read, and have free space
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Checks the directories that workloads write data to or read data from, before anything is applied. All problems of all directories are
    reported in one run.
  - If a disk is not mounted, an empty directory remains. O(paths[].mounted) and O(paths[].not_empty) detect this.
  - Free space is the space for users other than root (C(f_bavail) of statvfs(3)). If a directory does not exist yet, its nearest existing
    parent is checked.
  - The file system of a directory is read from C(/proc/self/mountinfo) after the directory was accessed, so that a file system that is
    mounted on demand is included.
  - A file system that does not answer within O(timeout), such as NFS without its server, is a finding, and the others are checked.
attributes:
  platform:
    platforms: linux
options:
  paths:
    description:
      - The directories. Links in a path are followed.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description:
          - The absolute path of the directory.
        type: str
        required: true
      must_exist:
        description:
          - Whether the directory must exist. If something else than a directory exists, that is always a finding.
        type: bool
        default: false
      mounted:
        description:
          - Whether the directory must be on a different file system than C(/), either as the mount point or below it.
        type: bool
        default: false
      not_empty:
        description:
          - Whether the directory must contain something.
        type: bool
        default: false
      minimum_free:
        description:
          - The minimum free space, in bytes or with a unit such as V(2GiB) or V(500MB). The units B, KiB, MiB, GiB and TiB are powers of
            1024, KB, MB, GB and TB are powers of 1000.
        type: str
      minimum_free_inodes:
        description:
          - The minimum number of free inodes. Ignored on file systems without a fixed number of inodes, such as btrfs.
        type: int
      maximum_used:
        description:
          - The percentage of the file system that may be used before it is a warning. Space that is reserved for root counts as used.
        type: int
        default: 100
      writable:
        description:
          - Whether the file system must not be mounted read-only. The kernel mounts a file system read-only after an error of its disk.
        type: bool
        default: false
        version_added: 0.2.0
      readable_by:
        description:
          - A user who must be able to list the directory. The kernel answers as that user, so that ACLs and the permissions of a file
            server are included. Requires root, and setpriv(1) of util-linux.
          - Parents of the directory need not be accessible to the user, because a container gets the directory without them. Files and
            directories in it are not checked.
        type: dict
        version_added: 0.3.0
        suboptions:
          user:
            description:
              - The numeric ID of the user. It need not be a user of the host.
            type: int
            required: true
          groups:
            description:
              - The numeric IDs of the user's groups, the primary one first.
            type: list
            elements: int
            required: true
  watched_elsewhere:
    description:
      - Directories whose file systems another check watches. O(paths[].maximum_used) is not checked on these file systems, so that a disk
        that is nearly full is reported once.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  timeout:
    description:
      - The maximum time in seconds to check one directory.
    type: float
    default: 10
notes:
  - Become root if the user of the connection cannot access a directory or one of its parents.
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
"""

EXAMPLES = r"""
- name: Require a mounted library and free space
  vmstation.cluster.local_storage_check:
    paths:
      - {path: /srv/media, must_exist: true, mounted: true, not_empty: true, readable_by: {user: 58096, groups: [58096]}}
      - {path: /var/lib/vmstation/jellyfin/config, minimum_free: 2GiB}
      - {path: /var/lib/vmstation/jellyfin/cache, minimum_free: 2GiB, minimum_free_inodes: 10000}
  become: true
"""

RETURN = r"""
findings:
  description: Everything that violates a rule.
  returned: when the options could be read
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: directories_are_mounted
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: directory /srv/media
    found:
      description: What was found.
      type: str
      returned: always
      sample: "a directory of /dev/sda1 (ext4, mounted at /): nothing is mounted there"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: a directory on a file system of its own
    fix:
      description: The next step.
      type: str
      returned: always
      sample: >-
        Mount it (`findmnt --target /srv/media` shows what is there now), with a line in /etc/fstab that lasts; or do not ask for a mount,
        if the root file system is where it belongs.
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: when the options could be read
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: directory /srv/monitoring
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "exists; 212 GiB free"
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: directories
    found: an empty list
    expected: a directory
    fix: Name one.
paths:
  description: The state of each directory that answered, in the order of O(paths).
  returned: when the options could be read
  type: list
  elements: dict
  contains:
    path:
      description: The path as in O(paths[].path), without superfluous slashes and dots.
      type: str
      returned: always
      sample: /var/lib/vmstation/jellyfin/config
    exists:
      description: Whether something exists at this path.
      type: bool
      returned: always
      sample: false
    nearest:
      description: The directory or its nearest existing parent, with links resolved. The next five values are those of its file system.
      type: str
      returned: always
      sample: /var/lib
    device:
      description: The device as the kernel names it, or an empty string.
      type: str
      returned: always
      sample: /dev/sda1
    mount_point:
      description: The mount point, or an empty string.
      type: str
      returned: always
      sample: /
    file_system:
      description: The type of the file system, or an empty string.
      type: str
      returned: always
      sample: ext4
    free:
      description: The free space in bytes for users other than root.
      type: int
      returned: always
      sample: 64424509440
    free_inodes:
      description: The free inodes for users other than root, or V(null) if the file system does not count them.
      type: int
      returned: always
      sample: 15728640
    owner:
      description: The numeric ID of the owner, or V(null) if the directory does not exist.
      type: int
      returned: always
      sample: 1000
    group:
      description: The numeric ID of the group, or V(null) if the directory does not exist.
      type: int
      returned: always
      sample: 1000
    mode:
      description: The mode of the directory, or V(null) if it does not exist.
      type: str
      returned: always
      sample: "0750"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.io import LocalStorage

ARGUMENTS = {
    "paths": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "path": {"type": "str", "required": True},
            "must_exist": {"type": "bool", "default": False},
            "mounted": {"type": "bool", "default": False},
            "not_empty": {"type": "bool", "default": False},
            "minimum_free": {"type": "str"},
            "minimum_free_inodes": {"type": "int"},
            "maximum_used": {"type": "int", "default": 100},
            "writable": {"type": "bool", "default": False},
            "readable_by": {
                "type": "dict",
                "options": {
                    "user": {"type": "int", "required": True},
                    "groups": {"type": "list", "elements": "int", "required": True},
                },
            },
        },
    },
    "watched_elsewhere": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 10},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        storage = LocalStorage(judge.seconds(module.params))
        seen = judge.look(judge.request(module.params), storage, module.params["watched_elsewhere"])
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = judge.judge(seen)
    result = {"changed": False, **as_result(found, judge.looked_at(seen)), "paths": judge.as_data(seen)}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
