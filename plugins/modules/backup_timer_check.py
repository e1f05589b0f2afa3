#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup_timer_check
short_description: Check the scheduled backups of a control plane
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reports the age of the newest backup that M(vmstation.cluster.backup_timer) created on this host, and of its copies on other hosts.
  - It is a warning if the timer is not active, if the last run failed, if a backup is overdue by its schedule, and if no other host has a
    copy of the last 7 days although some are configured.
  - It only reads. Run M(vmstation.cluster.backup_archive_check) on the controller to check whether a backup is complete.
attributes:
  platform:
    platforms: linux
notes:
  - Run it as root, on the host that M(vmstation.cluster.backup_timer) configured.
seealso:
  - module: vmstation.cluster.backup_timer
extends_documentation_fragment:
  - vmstation.cluster.findings
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: Check the scheduled backups
  vmstation.cluster.backup_timer_check:
    fail_on: warning
  become: true
"""

RETURN = r"""
findings:
  description: What is wrong with the scheduled backups. Their severity is V(warning).
  returned: when the timer is installed
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      sample: the_last_scheduled_backup_succeeded
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: warning
    subject:
      description: The object that was checked.
      type: str
      sample: scheduled backups of vmstation
    found:
      description: What was found.
      type: str
      sample: the last run failed (its process was ended)
    expected:
      description: What is required.
      type: str
      sample: a backup
    fix:
      description: The next step.
      type: str
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: when the timer is installed
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: scheduled backups of vmstation
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: the newest is 5 hours old; 7 kept in /var/backups/vmstation
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: /etc/vmstation/backup.json
    found: not what this collection writes
    expected: the file of the scheduled backups
    fix: Run site.yml.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._backup.schedule import judge, look
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._host.archives import LocalPacking
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {"fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        findings, looked_at = judge(look(this_host(), LocalPacking()))
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    failing = failures(findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **as_result(findings, looked_at))
    module.exit_json(changed=False, **as_result(findings, looked_at))


if __name__ == "__main__":
    main()
