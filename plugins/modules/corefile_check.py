#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: corefile_check
short_description: Judge a Corefile before CoreDNS is given it
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads a Corefile as CoreDNS 1.14 does, and names what would keep CoreDNS from starting with it, with its line.
    Such are a block that is not closed, a plugin that is unknown or stands twice, an option or argument that a plugin does not take, and a
    zone that is served twice.
  - Then it names what would not work in the cluster of O(plan), such as another domain, probes that nothing answers, or an upstream that
    leads back to CoreDNS.
  - It asks no cluster and changes nothing. Arguments are judged for the plugins cache, errors, forward, health, kubernetes, loadbalance,
    log, loop, prometheus, ready, reload and whoami, and only the names of all others.
attributes:
  platform:
    platforms: all
options:
  corefile:
    description:
      - The text of the Corefile.
    type: str
    required: true
  plan:
    description:
      - The network plan of the cluster, as M(vmstation.cluster.network_plan_check) takes it.
    type: dict
    required: true
  accept:
    description:
      - Rules whose findings you know and accept. They are left out.
    type: list
    elements: str
    default: []
    choices:
      - imports_and_variables_can_be_judged
      - plugins_are_known
      - plugins_stand_once
      - plugins_are_written_as_they_should
      - server_blocks_have_plugins
      - zones_are_served_once
      - the_cluster_domain_is_served
      - reverse_zones_are_served
      - reverse_zones_fall_through
      - the_readiness_probe_is_answered
      - the_liveness_probe_is_answered
      - a_pod_that_ends_still_answers
      - metrics_are_served
      - upstreams_are_addresses
      - upstreams_do_not_depend_on_the_node
      - upstreams_are_not_the_cluster_itself
      - names_outside_are_forwarded
      - loops_are_detected
      - answers_are_cached
      - errors_are_logged
      - changes_are_taken_up
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
seealso:
  - plugin: vmstation.cluster.dns_corefile
    plugin_type: filter
  - module: vmstation.cluster.coredns_check
"""

EXAMPLES = r"""
- name: Judge a Corefile of our own
  vmstation.cluster.corefile_check:
    corefile: "{{ lookup('file', 'Corefile') }}"
    plan: "{{ network_plan }}"
  delegate_to: localhost

- name: Be strict, but for one thing that is wanted
  vmstation.cluster.corefile_check:
    corefile: "{{ lookup('file', 'Corefile') }}"
    plan: "{{ network_plan }}"
    accept: [answers_are_cached]
    fail_on: warning
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: What stands against the Corefile, in the order of the rules under O(accept); if it cannot be read, why, and nothing else.
  returned: when the plan was accepted
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: upstreams_are_not_the_cluster_itself
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      returned: always
      sample: "Corefile, line 13"
    found:
      description: What it is.
      type: str
      returned: always
      sample: "upstream 127.0.0.53: the Pod itself"
    expected:
      description: What it must be.
      type: str
      returned: always
      sample: "a resolver outside the cluster"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Forward to 192.168.4.1, the plan's upstream_dns."
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.lint import RULES, lint
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "corefile": {"type": "str", "required": True},
    "plan": {"type": "dict", "required": True},
    "accept": {"type": "list", "elements": "str", "default": [], "choices": list(RULES)},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        findings = lint(module.params["corefile"], dns_plan(module.params["plan"]), module.params["accept"])
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    result = {"changed": False, "findings": as_dicts(findings)}
    failing = failures(findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
