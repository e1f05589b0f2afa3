# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of the modules for backups on the controller."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  work_directory:
    description:
      - The directory for temporary unencrypted archives, each in a new directory of mode 0700. It must belong to you or to root, and other
        users must not be able to rename its content, as in C(/tmp).
      - Without it, the first of C($XDG_RUNTIME_DIR), C($TMPDIR) or C(/tmp), and C(/var/tmp) that has enough free space.
    type: path
"""

    # a module that reads backups
    READING = r"""
options:
  passphrase_file:
    description:
      - A file whose first line is the passphrase of the backup. A backup that was encrypted for a key needs that key in your key ring.
    type: path
  recipients:
    description:
      - The keys that backups are encrypted for, instead of a passphrase. The secret key must be in your key ring.
    type: list
    elements: str
    default: []
  accept_unencrypted:
    description:
      - With O(passphrase_file) or O(recipients), only encrypted backups are accepted, because another person could have written an
        unencrypted file. If V(true), the backup in O(path) is accepted even if it is not encrypted.
    type: bool
    default: false
requirements:
  - gpg (GnuPG) >= 2.2.7, for encrypted backups
"""
