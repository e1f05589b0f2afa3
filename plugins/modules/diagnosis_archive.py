#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: diagnosis_archive
short_description: Write the diagnostic information of hosts and cluster into one archive
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Writes one C(.tar.gz), named after the cluster and the time in UTC, that only its owner may read (mode 0600). It gets its final name
    only when it is complete and on disk.
  - C(index.txt) in it lists what is included, what was truncated, what is missing and why, and how many secrets were removed from each
    file. C(index.json) contains the same for programs.
attributes:
  platform:
    platforms: posix
  check_mode:
    support: full
    details:
      - It returns the file name. The time in it is the time of the task.
  diff_mode:
    support: none
    details:
      - There is no diff, because it would contain the archive.
  idempotent:
    support: none
    details:
      - Every run writes an archive.
options:
  entries:
    description:
      - The diagnostic information of hosts and cluster, as P(vmstation.cluster.diagnosis_entries#filter) collects it.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the entry's file in the archive.
        type: str
        required: true
      status:
        description:
          - Whether the entry is V(complete), V(cut) because it was too long, V(absent) on the host, V(failed), or V(asleep) like its host.
        type: str
        required: true
        choices: [complete, cut, absent, asleep, failed]
      asked:
        description:
          - The command, path or list that was read.
        type: str
        default: ""
      text:
        description:
          - The output or content, without secrets.
        type: str
        default: ""
      note:
        description:
          - What was truncated, or why the entry failed or is absent.
        type: str
        default: ""
      keep:
        description:
          - Which end to keep if the text is too long.
        type: str
        choices: [head, tail]
        default: head
      redactions:
        description:
          - The number of secrets that were removed from the text.
        type: int
        default: 0
      seconds:
        description:
          - The time in seconds that reading took.
        type: float
        default: 0
  documents:
    description:
      - Data of the controller, by name, such as the network plan. Each becomes a JSON file, without secrets.
    type: dict
    default: {}
  cluster:
    description:
      - The name of the cluster.
    type: str
    default: cluster
  directory:
    description:
      - The directory for the archive. It must exist.
    type: path
    required: true
  maximum_size:
    description:
      - The maximum size of all texts together before compression, in bytes or with a unit such as V(20MiB). The longest texts are truncated
        first.
    type: str
    default: 20MiB
notes:
  - Ansible writes the options of every module to the system log. Set the variable C(ansible_no_target_syslog) for the task, because its
    options are as long as the archive.
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
  description: The path of the archive.
  returned: success
  type: str
  sample: /home/me/vmstation-diagnosis-20261125T233000Z.tar.gz
size:
  description: The size of the archive in bytes. V(0) in check mode.
  returned: success
  type: int
  sample: 197734
lines:
  description: The path and the size of the archive, and what is missing, as lines of text.
  returned: success
  type: list
  elements: str
  sample:
    - "/home/me/vmstation-diagnosis-20261125T233000Z.tar.gz: 193.1 KiB, 177 files, 2 secrets masked"
    - "missing: hosts/homelab: asleep"
    - "missing: cluster/api-services.yaml and 38 more: not asked for, as the API server does not answer: connection refused"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.archive import archive, order
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import ENTRY_ARGUMENTS
from ansible_collections.vmstation.cluster.plugins.module_utils._host.directories import LocalArchives
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
    # otherwise Ansible returns the options too, which contain everything in the archive
    module.exit_json(changed=True, path=done.path, size=done.size, lines=done.lines, invocation={})


if __name__ == "__main__":
    main()
