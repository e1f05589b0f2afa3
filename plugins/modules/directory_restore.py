#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: directory_restore
short_description: Put a directory of this host back from its archive
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Takes the directory of an archive that M(vmstation.cluster.directory_archive) wrote out beside its place, with owners, modes, times and
    links, and renames it when it is complete and on disk, and not before.
  - No link of the archive is followed. One with names that lead elsewhere, or with a file that has setuid or setgid, is refused before
    anything is written. Any owner is restored, root too, as such a file gives nobody more than its content.
  - A directory that has something in it stays, unless O(existing=replace). Then it is kept aside, named O(destination), C(.before-) and
    the time.
  - Nothing may use the directory meanwhile.
attributes:
  check_mode:
    support: full
    details:
      - It reads O(archive) and writes nothing. The time in RV(kept_aside) is that of the look.
  diff_mode:
    support: none
    details:
      - What it shows would be the archive.
  idempotent:
    support: partial
    details:
      - With O(existing=keep) what is there stays. With O(existing=replace) every run replaces it.
  platform:
    platforms: linux
options:
  archive:
    description:
      - The archive, on this host.
    type: str
    required: true
  sha256:
    description:
      - Its checksum. Empty means that it is not compared.
    type: str
    default: ""
  destination:
    description:
      - The directory. Directories that it is in are made. It must be no mount point and no link.
    type: str
    required: true
  existing:
    description:
      - V(keep) leaves a directory alone that has something in it. V(replace) keeps it aside.
    type: str
    choices: [keep, replace]
    default: keep
  keep:
    description:
      - How many former directories stay aside.
    type: int
    default: 3
notes:
  - It must run as root, as owners are restored by their numbers.
seealso:
  - module: vmstation.cluster.directory_archive
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Put Jellyfin's configuration back on a new disk
  vmstation.cluster.directory_restore:
    archive: /var/lib/vmstation/restore/jellyfin.tar.gz
    destination: /var/lib/vmstation/jellyfin/config
  become: true
"""

RETURN = r"""
kept_aside:
  description: Where the former directory is, or would be. Empty if nothing was there, or if it stays.
  returned: success
  type: str
  sample: /var/lib/vmstation/jellyfin/config.before-20261125T233300Z
removed:
  description: Former directories that are no longer kept.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._io.directories import LocalDirectories
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._storage.restoring import read_wish, restore

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
