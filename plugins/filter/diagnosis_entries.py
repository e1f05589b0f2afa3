# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: diagnosis_entries
short_description: Collect the results of host_diagnosis_info and cluster_diagnosis_info
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Collects the registered results of the tasks in C(playbooks/diagnose.yml), in the form that M(vmstation.cluster.diagnosis_archive)
    takes. C(diagnosis_host) is a variable of each host, C(diagnosis_cluster) a variable of any one host.
  - A host that is asleep or unreachable, or whose task failed, becomes an entry that reports this.
  - One more entry contains the versions of Ansible and of this collection.
positional: hosts, asleep
options:
  _input:
    description: The variable C(hostvars).
    type: dict
    required: true
  hosts:
    description: The names of the hosts.
    type: list
    elements: str
    required: true
  asleep:
    description: The hosts that are asleep, as P(vmstation.cluster.asleep_hosts#filter) returns them.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Write the archive
  vmstation.cluster.diagnosis_archive:
    entries: "{{ hostvars | vmstation.cluster.diagnosis_entries(ansible_play_hosts_all, hostvars | vmstation.cluster.asleep_hosts) }}"
    directory: /var/tmp
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
_value:
  description: The entries, whose names begin with C(cluster/), C(hosts/NAME/) or C(controller/).
  type: list
  elements: dict
  sample: [{name: hosts/homelab, status: asleep, asked: host homelab, note: "asleep, and left so"}]
"""

import platform
from collections.abc import Callable, Iterable

from ansible.errors import AnsibleFilterError
from ansible.release import __version__ as ansible_version
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis import archive, host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def diagnosis_entries(hostvars: object, hosts: Iterable[str], asleep: Iterable[str] = ()) -> list[dict[str, object]]:
    versions = {"vmstation.cluster": host.version(), "ansible-core": ansible_version, "Python": platform.python_version()}
    try:
        return archive.entries_of(hostvars, hosts, set(asleep), versions)
    except Refusal as refusal:
        raise AnsibleFilterError(str(refusal)) from refusal


class FilterModule:
    def filters(self) -> dict[str, Callable[..., object]]:
        return {"diagnosis_entries": diagnosis_entries}
