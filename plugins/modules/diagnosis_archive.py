#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnosis_archive
short_description: Write what hosts and cluster said into one archive for somebody who helps
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Writes one C(.tar.gz), named after the cluster and the time in UTC, for its owner alone (mode 0600). It stands under its name when it is
    complete and on disk, and not before.
  - C(index.txt) in it says what is there, what was cut, what could not be had and why, and how many secrets were taken out of each file.
    C(index.json) says the same to programs.
attributes:
  platform:
    platforms: posix
  check_mode:
    support: full
    details:
      - It tells the name, of which the time is that of the look.
  diff_mode:
    support: none
    details:
      - What it shows would be the archive.
  idempotent:
    support: none
    details:
      - Every run writes an archive.
options:
  entries:
    description:
      - What hosts and cluster said, as P(vmstation.cluster.diagnosis_entries#filter) collects it.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of its file in the archive.
        type: str
        required: true
      status:
        description:
          - Whether it is there.
        type: str
        required: true
        choices: [complete, cut, absent, asleep, failed]
      asked:
        description:
          - The command, path or list.
        type: str
        default: ""
      text:
        description:
          - What it said, without secrets.
        type: str
        default: ""
      note:
        description:
          - What was cut, and why it failed or is absent.
        type: str
        default: ""
      keep:
        description:
          - Which end is kept if there is too much of it.
        type: str
        choices: [head, tail]
        default: head
      redactions:
        description:
          - How many secrets were taken out of it.
        type: int
        default: 0
      seconds:
        description:
          - How long it took.
        type: float
        default: 0
  documents:
    description:
      - Data that the controller has, by name, such as the network plan. Each becomes a JSON file, without secrets.
    type: dict
    default: {}
  cluster:
    description:
      - The name of the cluster.
    type: str
    default: cluster
  directory:
    description:
      - Where to write the archive. The directory must exist.
    type: path
    required: true
  maximum_size:
    description:
      - How much all texts may have together before they are compressed, in bytes or such as V(20MiB). The longest are cut first.
    type: str
    default: 20MiB
notes:
  - Ansible writes the options of every module to the system's log. Give the task the variable C(ansible_no_target_syslog), as it is as long
    as the archive.
seealso:
  - module: vmstation.cluster.host_diagnosis_info
  - module: vmstation.cluster.cluster_diagnosis_info
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Write the archive
  vmstation.cluster.diagnosis_archive:
    entries: "{{ hostvars | vmstation.cluster.diagnosis_entries(ansible_play_hosts_all) }}"
    documents:
      network_plan: "{{ network_plan }}"
    cluster: vmstation
    directory: ~/diagnoses
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
path:
  description: The archive.
  returned: success
  type: str
  sample: /home/me/vmstation-diagnosis-20261125T233000Z.tar.gz
size:
  description: Its size in bytes. V(0) in check mode.
  returned: success
  type: int
  sample: 197734
lines:
  description: Where it is and how large, and what could not be had, as lines of text.
  returned: success
  type: list
  elements: str
  sample:
    - "/home/me/vmstation-diagnosis-20261125T233000Z.tar.gz: 193.1 KiB, 177 files, 2 secrets taken out"
    - "not had: hosts/homelab: asleep, and left so"
    - "not had: cluster/api-services.yaml and 38 more: not asked for, as the API server does not answer: connection refused"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.archiving import archive, order
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import ENTRY_ARGUMENTS
from ansible_collections.vmstation.cluster.plugins.module_utils._io.archives import LocalArchives
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "entries": {"type": "list", "elements": "dict", "required": True, "options": ENTRY_ARGUMENTS},
    "documents": {"type": "dict", "default": {}},
    "cluster": {"type": "str", "default": "cluster"},
    "directory": {"type": "path", "required": True},
    "maximum_size": {"type": "str", "default": "20MiB"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        done = archive(order(module.params), LocalArchives(), check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    # Ansible would return the options besides, and with them all that is in the archive
    module.exit_json(changed=True, path=done.path, size=done.size, lines=done.lines, invocation={})


if __name__ == "__main__":
    main()
