#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: host_diagnosis_info
short_description: Read diagnostic information from a host
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads the state of the system, its network, the rules of every firewall, the container runtime, kubelet, and the ends of their logs,
    several at a time. C(docs/diagnose.md) has the full list.
  - It works on a host that is broken or partly installed. A program that is not installed or does not answer is reported as such.
  - This module changes nothing, and leaves no files on the host.
attributes:
  platform:
    platforms: linux
options:
  shared_by:
    description:
      - The number of hosts that share O(maximum_size).
    type: int
    default: 1
seealso:
  - module: vmstation.cluster.cluster_diagnosis_info
  - module: vmstation.cluster.diagnosis_archive
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.diagnosis
"""

EXAMPLES = r"""
- name: Read diagnostic information from the host
  vmstation.cluster.host_diagnosis_info:
    maximum_size: 4MiB
  become: true
  register: host

- name: Show the routes of the host
  ansible.builtin.debug:
    msg: "{{ (host.entries | selectattr('name', '==', 'network/routes.txt') | first).text }}"
"""

RETURN = r"""
entries:
  description: Everything that was requested.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name of the entry's file in an archive.
      type: str
      returned: always
    status:
      description: V(complete), V(cut) if only a part was kept, V(absent) if the program or file does not exist, or V(failed).
      type: str
      returned: always
    asked:
      description: The command or path that was read.
      type: str
      returned: always
    text:
      description: The output or content, without secrets.
      type: str
      returned: always
    note:
      description: What was truncated, or why the entry failed or is absent.
      type: str
      returned: always
    keep:
      description: Which end to keep if the text is too long, V(head) or V(tail).
      type: str
      returned: always
    redactions:
      description: The number of secrets that were removed from the text.
      type: int
      returned: always
    seconds:
      description: The time in seconds that reading took.
      type: float
      returned: always
  sample:
    - name: network/rules.txt
      status: complete
      asked: ip -details rule show
      text: "0: from all lookup local\n"
      note: ""
      keep: head
      redactions: 0
      seconds: 0.004
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis import host
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.host import LocalReader
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import as_data, share
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "maximum_size": {"type": "str", "default": "20MiB"},
    "shared_by": {"type": "int", "default": 1},
    "timeout": {"type": "float", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        room = share(module.params["maximum_size"], module.params["shared_by"])
        entries = host.look(LocalReader(), SystemClock(), room, module.params["timeout"])
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, entries=as_data(entries))


if __name__ == "__main__":
    main()
