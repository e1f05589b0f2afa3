# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module says about itself; each fills in ``support``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description:
      - Whether C(--check) reads and plans as a real run does, and leaves out only the change.
  diff_mode:
    description:
      - Whether C(--diff) shows what stood before and what stands afterwards.
  idempotent:
    description:
      - Whether a second run with the same options finds nothing left to change.
  platform:
    description:
      - The platforms that the module runs on.
    support: full
"""

    # a module that only looks
    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - It never changes anything.
  diff_mode:
    support: none
    details:
      - It never changes anything.
  idempotent:
    support: full
    details:
      - It never changes anything.
"""

    # a module that changes a Linux host, and says so beforehand
    HOST_CHANGE = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
  platform:
    platforms: linux
"""
