#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: local_storage_check
short_description: Judge whether the directories of a host are there, mounted, filled, and have room
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Judges the directories that workloads are to keep data in, or to read it from, before anything is applied. All problems of all
    directories are found in one run.
  - A disk that is not mounted leaves an empty directory behind. O(paths[].mounted) and O(paths[].not_empty) tell that from a library.
  - Room is what is free for users other than root (C(f_bavail) of statvfs(3)). Where a directory does not exist yet, it is judged at its
    nearest parent that exists.
  - Which file system a directory is on is read from C(/proc/self/mountinfo), after the directory was looked at, so that one that is mounted
    on demand is there.
  - A file system that does not answer within O(timeout), such as NFS without its server, is a finding, and the others are judged.
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
          - The directory, in full.
        type: str
        required: true
      must_exist:
        description:
          - Whether it must exist. What exists and is no directory is a finding in any case.
        type: bool
        default: false
      mounted:
        description:
          - Whether it must be on a file system other than that of C(/), be it the mount point or below it.
        type: bool
        default: false
      not_empty:
        description:
          - Whether something must be in it.
        type: bool
        default: false
      minimum_free:
        description:
          - How much must be free, in bytes, or with a unit such as V(2GiB) or V(500MB). Known are B, KiB, MiB, GiB and TiB, powers of 1024,
            and KB, MB, GB and TB, powers of 1000.
        type: str
      minimum_free_inodes:
        description:
          - How many inodes must be free. It does not count on file systems that have no fixed number of them, such as btrfs.
        type: int
      maximum_used:
        description:
          - The percentage of the file system that may be in use before it is a warning. What is reserved for root counts as used.
        type: int
        default: 100
  timeout:
    description:
      - Seconds that a look at one directory may take.
    type: float
    default: 10
notes:
  - Become root where a directory, or one above it, is closed to the user of the connection.
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
"""

EXAMPLES = r"""
- name: Require a library that is mounted, and room for what is kept
  vmstation.cluster.local_storage_check:
    paths:
      - {path: /srv/media, must_exist: true, mounted: true, not_empty: true}
      - {path: /var/lib/vmstation/jellyfin/config, minimum_free: 2GiB}
      - {path: /var/lib/vmstation/jellyfin/cache, minimum_free: 2GiB, minimum_free_inodes: 10000}
  become: true
"""

RETURN = r"""
findings:
  description: Everything that is not as it must be.
  returned: when the options could be read
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: directories_are_mounted
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: What was judged.
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
        Mount it (`findmnt --target /srv/media` tells what is there now), with a line in /etc/fstab that lasts; or do not ask for a mount,
        if the root file system is where it belongs.
paths:
  description: What was seen of each directory that answered, in the order of O(paths).
  returned: when the options could be read
  type: list
  elements: dict
  contains:
    path:
      description: As in O(paths[].path), without superfluous slashes and dots.
      type: str
      returned: always
      sample: /var/lib/vmstation/jellyfin/config
    exists:
      description: Whether there is something of this name.
      type: bool
      returned: always
      sample: false
    nearest:
      description: Itself or its nearest parent that exists, links followed. The five values that follow are of its file system.
      type: str
      returned: always
      sample: /var/lib
    device:
      description: The device, as the kernel calls it, or an empty string.
      type: str
      returned: always
      sample: /dev/sda1
    mount_point:
      description: Where it is mounted, or an empty string.
      type: str
      returned: always
      sample: /
    file_system:
      description: The type of the file system, or an empty string.
      type: str
      returned: always
      sample: ext4
    free:
      description: Bytes that are free for users other than root.
      type: int
      returned: always
      sample: 64424509440
    free_inodes:
      description: Inodes that are free for them, or V(null) where they are not counted.
      type: int
      returned: always
      sample: 15728640
    owner:
      description: The number of its owner, or V(null) if it does not exist.
      type: int
      returned: always
      sample: 1000
    group:
      description: The number of its group, or V(null) if it does not exist.
      type: int
      returned: always
      sample: 1000
    mode:
      description: Its mode, or V(null) if it does not exist.
      type: str
      returned: always
      sample: "0750"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.storage import LocalStorage
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage import judge, look, model

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
        },
    },
    "timeout": {"type": "float", "default": 10},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        seen = look.look(model.request(module.params), LocalStorage(model.seconds(module.params)))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.judge(seen)
    result = {"changed": False, "findings": as_dicts(found), "paths": judge.as_data(seen)}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
