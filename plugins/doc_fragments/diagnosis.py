# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Limits of the modules that collect diagnostic information."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  maximum_size:
    description:
      - The maximum size of all texts together, in bytes or with a unit such as V(20MiB). The longest texts are truncated first.
        Logs keep their newest part.
    type: str
    default: 20MiB
  timeout:
    description:
      - The maximum time in seconds. Requests have three quarters of it. What has not answered by then is reported as missing, and so is
        a text that cannot be masked in the rest of the time.
    type: float
    default: 120
notes:
  - "Secrets are removed before anything is returned: private keys, tokens, passwords, authorization headers, values whose name suggests
    a secret, and what looks random. Names, IP addresses, MAC addresses and other log messages are kept."
"""
