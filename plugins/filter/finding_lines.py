# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: finding_lines
short_description: Format the findings of a check, one line each
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Formats each finding as what was found, what is expected, and the next step.
options:
  _input:
    description: The C(findings) of a check's result.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Report the findings
  ansible.builtin.debug:
    msg: "{{ network.findings | vmstation.cluster.finding_lines }}"
"""

RETURN = r"""
_value:
  description: The formatted lines.
  type: list
  elements: str
  sample:
    - "warning: clock: found not synchronised; expected synchronised: certificates depend on it. Install and start chrony."
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site import verdict


def finding_lines(findings: object) -> list[str]:
    try:
        return verdict.finding_lines(findings)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"finding_lines": finding_lines}
