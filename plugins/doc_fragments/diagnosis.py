# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What bounds everything that collects for a diagnosis."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  maximum_size:
    description:
      - How much all texts may have together, in bytes or such as V(20MiB). The longest are cut first, and of a log the newest part is kept.
    type: str
    default: 20MiB
  timeout:
    description:
      - After how many seconds nothing more is asked for. What has not answered by then is named as missing.
    type: float
    default: 120
notes:
  - "Secrets are taken out before anything is returned: private keys, tokens, passwords, authorization headers, and whatever has a name that
    says so. Names, addresses and MACs stay, and so does what programs write to their logs."
"""
