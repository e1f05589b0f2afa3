# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every check takes and returns besides its own: C(fail_on) and the findings."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  fail_on:
    description:
      - From which severity on a finding makes the task fail. All findings are returned in any case.
      - V(error) fails on errors, V(warning) on errors and warnings, V(never) only reports.
    type: str
    choices: [error, warning, never]
    default: error
"""
