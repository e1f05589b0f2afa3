#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: directory_archive
short_description: Archive a directory of this host, and keep the newest archives
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Writes a C(.tar.gz) of a directory with owners, modes and links, that only O(owner) may read (mode 0600). It gets its final name only
    when it is complete and on disk.
  - If the free space is smaller than the total size of the files, nothing is written.
  - Removes the oldest archives with that name, so that O(keep) archives remain. Other files are not changed.
  - No process may write to the directory during the run.
attributes:
  check_mode:
    support: full
    details:
      - It returns the file names. The time in them is the time of the task.
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
  source:
    description:
      - The directory to archive.
    type: str
    required: true
  destination:
    description:
      - The directory for archives. It must exist and be outside of O(source).
    type: str
    required: true
  name:
    description:
      - The name of the archives, of letters, digits, underscores and dots.
    type: str
    required: true
  label:
    description:
      - A label for this archive, such as a version. Characters other than letters, digits, C(_), C(.) and C(-) are replaced by C(_).
    type: str
    required: true
  keep:
    description:
      - The number of archives with O(name) to keep, including this one, whatever their label.
    type: int
    default: 3
  owner:
    description:
      - The only user who may read the archive. Set it to the user who fetches the archive without becoming root. Without it, the user who
        runs the module.
    type: str
  maximum_size:
    description:
      - The maximum total size of the files, such as V(20GiB). A larger directory is rejected. Without it, there is no limit.
    type: str
  timeout:
    description:
      - The maximum time in seconds to write the archive.
    type: int
    default: 3600
seealso:
  - module: vmstation.cluster.directory_restore
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Archive the configuration before another version opens it
  vmstation.cluster.directory_archive:
    source: /var/lib/vmstation/jellyfin/config
    destination: /var/lib/vmstation/jellyfin-backups
    name: jellyfin
    label: 10.11.10
    keep: 3
  become: true
"""

RETURN = r"""
path:
  description: The path of the archive. Its name consists of O(name), O(label) and the time in UTC.
  returned: success
  type: str
  sample: /var/lib/vmstation/jellyfin-backups/jellyfin-10.11.10-20261124T101500Z.tar.gz
size:
  description: The size of the archive in bytes. V(0) in check mode.
  returned: success
  type: int
  sample: 48234496
sha256:
  description: The SHA-256 checksum of the archive. Empty in check mode.
  returned: success
  type: str
  sample: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
removed:
  description: The archives that were removed, or would be in check mode.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/vmstation/jellyfin-backups/jellyfin-10.11.7-20260901T090000Z.tar.gz]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalArchives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archiving import archive, order

ARGUMENTS = {
    "source": {"type": "str", "required": True},
    "destination": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "label": {"type": "str", "required": True},
    "keep": {"type": "int", "default": 3},
    "owner": {"type": "str"},
    "maximum_size": {"type": "str"},
    "timeout": {"type": "int", "default": 3600},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        done = archive(order(module.params), LocalArchives(), check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=True, path=done.path, size=done.size, sha256=done.sha256, removed=list(done.removed))


if __name__ == "__main__":
    main()
