#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: directory_restore
short_description: Restore a directory of this host from its archive
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Unpacks an archive that M(vmstation.cluster.directory_archive) wrote into a temporary directory beside O(destination), with owners,
    modes, times and links, and renames that directory only when it is complete and on disk.
  - Links in the archive are not followed. An archive with paths that lead outside, or with a setuid or setgid file, is rejected before
    anything is written. Every owner is restored, including root, because such a file grants nothing more than its content.
  - A directory that is not empty is kept, unless O(existing=replace). Then it is renamed to O(destination), C(.before-) and the time.
  - No process may use the directory during the run.
attributes:
  check_mode:
    support: full
    details:
      - It reads O(archive) and writes nothing. The time in RV(kept_aside) is the time of the task.
  diff_mode:
    support: none
    details:
      - There is no diff, because it would contain the archive.
  idempotent:
    support: partial
    details:
      - With O(existing=keep), an existing directory is kept. With O(existing=replace), every run replaces it.
  platform:
    platforms: linux
options:
  archive:
    description:
      - The path of the archive on this host.
    type: str
    required: true
  sha256:
    description:
      - The SHA-256 checksum of the archive. If empty, it is not compared.
    type: str
    default: ""
  destination:
    description:
      - The directory to restore. Missing parent directories are created. It must not be a mount point or a link.
    type: str
    required: true
  existing:
    description:
      - V(keep) does not change a directory that is not empty. V(replace) renames it and restores the archive in its place.
    type: str
    choices: [keep, replace]
    default: keep
  keep:
    description:
      - The number of renamed former directories to keep.
    type: int
    default: 3
notes:
  - Run it as root, because owners are restored by their numeric IDs.
seealso:
  - module: vmstation.cluster.directory_archive
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Restore Jellyfin's configuration on a new disk
  vmstation.cluster.directory_restore:
    archive: /var/lib/vmstation/restore/jellyfin.tar.gz
    destination: /var/lib/vmstation/jellyfin/config
  become: true
"""

RETURN = r"""
kept_aside:
  description: The path of the former directory, or what it would be in check mode. Empty if nothing existed, or if it was kept.
  returned: success
  type: str
  sample: /var/lib/vmstation/jellyfin/config.before-20261125T233300Z
removed:
  description: The former directories that were removed.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalDirectories
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.archiving import read_wish, restore

ARGUMENTS = {
    "archive": {"type": "str", "required": True},
    "sha256": {"type": "str", "default": ""},
    "destination": {"type": "str", "required": True},
    "existing": {"type": "str", "choices": ["keep", "replace"], "default": "keep"},
    "keep": {"type": "int", "default": 3},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcome = restore(read_wish(module.params), LocalDirectories(), check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=outcome.changed, kept_aside=outcome.aside, removed=list(outcome.removed))


if __name__ == "__main__":
    main()
