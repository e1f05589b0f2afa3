# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option C(fail_on) of every check."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  fail_on:
    description:
      - The lowest severity of a finding that fails the task. All findings are returned in any case.
      - V(error) fails on errors, V(warning) fails on errors, warnings and what is unknown, V(never) never fails.
    type: str
    choices: [error, warning, never]
    default: error
"""
