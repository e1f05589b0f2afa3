#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: api_address_check
short_description: Check the service that keeps the address of the Kubernetes API
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Checks on a control plane host what M(vmstation.cluster.api_address) has configured, and reports whether the host has the address.
  - It only reads.
options:
  address:
    description: The address of the API, C(api_vip) of the network plan.
    type: str
    required: true
  name:
    description: The name of this host in O(nodes).
    type: str
    required: true
  nodes:
    description: The hosts of the cluster, as for M(vmstation.cluster.api_address).
    type: list
    elements: dict
    required: true
attributes:
  platform:
    platforms: linux
notes:
  - Run it as root, on a control plane host.
seealso:
  - module: vmstation.cluster.api_address
extends_documentation_fragment:
  - vmstation.cluster.findings
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
"""

EXAMPLES = r"""
- name: Check the address of the API
  vmstation.cluster.api_address_check:
    address: "{{ network_plan.api_vip }}"
    name: "{{ inventory_hostname }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  become: true
"""

RETURN = r"""
findings:
  description: What is wrong with the service. The severity is V(error).
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      sample: the_api_address_is_configured
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: error
    subject:
      description: The object that was checked.
      type: str
      sample: address 192.168.4.60 of the API
    found:
      description: What was found.
      type: str
      sample: vmstation-api-address.service not enabled or not active
    expected:
      description: What is required.
      type: str
      sample: enabled and active
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
  returned: success
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: address 192.168.4.60 of the API
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: on this host
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
    subject: name
    found: homelab
    expected: a control plane host among nodes (masternode)
    fix: Correct the name, or add it to nodes.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._api_address.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._api_address.keepalived import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "address": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        verdict = judge(this_host(), module.params)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    failing = failures(verdict.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **as_result(verdict.findings, verdict.looked_at))
    module.exit_json(changed=False, **as_result(verdict.findings, verdict.looked_at))


if __name__ == "__main__":
    main()
