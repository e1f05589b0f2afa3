# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The attributes of every module; each module fills in ``support``."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description:
      - Whether C(--check) reads and plans like a normal run, and skips only the changes.
  diff_mode:
    description:
      - Whether C(--diff) shows the state before and after the change.
  idempotent:
    description:
      - Whether a second run with the same options changes nothing.
  platform:
    description:
      - The platforms that the module runs on.
    support: full
"""

    # a module that changes nothing
    READ_ONLY = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: none
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
"""

    # a module that changes a Linux host, and predicts the changes in check mode
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
