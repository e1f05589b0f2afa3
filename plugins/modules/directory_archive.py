#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: directory_archive
short_description: Archive a directory of this host under the time, and keep the newest archives
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Writes a C(.tar.gz) of a directory with owners, modes and links, for O(owner) alone (mode 0600). It stands under its name when it is
    complete and on disk, and not before.
  - Where there is less room than the files have together, nothing is written.
  - Removes the oldest archives of that name, so that O(keep) are left. Other files are left alone.
  - Nothing may write to the directory meanwhile.
attributes:
  check_mode:
    support: full
    details:
      - It tells the names, of which the time is that of the look.
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
  source:
    description:
      - The directory to archive.
    type: str
    required: true
  destination:
    description:
      - The directory for archives, which must exist, outside of O(source).
    type: str
    required: true
  name:
    description:
      - What the archives are called, in letters, digits, underscores and dots.
    type: str
    required: true
  label:
    description:
      - What this archive is of, such as a version. Characters other than letters, digits, C(_), C(.) and C(-) become C(_).
    type: str
    required: true
  keep:
    description:
      - How many archives of O(name) stay, this one included, whatever their label.
    type: int
    default: 3
  owner:
    description:
      - The user who may read the archive, and no other. Whoever fetches it without becoming root is named here. Without it, who runs this.
    type: str
  maximum_size:
    description:
      - How large the files may be together, such as V(20GiB). Larger directories are refused. Without it, any size will do.
    type: str
  timeout:
    description:
      - Seconds after which an archive that is not complete is given up.
    type: int
    default: 3600
seealso:
  - module: vmstation.cluster.directory_restore
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Keep the configuration before another version opens it
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
  description: The archive, named O(name), O(label) and the time in UTC.
  returned: success
  type: str
  sample: /var/lib/vmstation/jellyfin-backups/jellyfin-10.11.10-20261124T101500Z.tar.gz
size:
  description: Its size in bytes. V(0) in check mode.
  returned: success
  type: int
  sample: 48234496
sha256:
  description: Its checksum. Empty in check mode.
  returned: success
  type: str
  sample: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
removed:
  description: The archives that were removed, or would be.
  returned: success
  type: list
  elements: str
  sample: [/var/lib/vmstation/jellyfin-backups/jellyfin-10.11.7-20260901T090000Z.tar.gz]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.archives import LocalArchives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archives import order
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archiving import archive

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
