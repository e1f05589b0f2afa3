#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: corefile_check
short_description: Validate a Corefile before CoreDNS uses it
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Parses a Corefile as CoreDNS 1.14 does, and reports everything that would prevent CoreDNS from starting, with its line. Examples are an
    unclosed block, an unknown or duplicate plugin, an option or argument that a plugin does not support, and a zone that is served twice.
  - It also reports what would not work in the cluster of O(plan), such as a different domain, probes that get no answer, or an upstream
    that leads back to CoreDNS.
  - It contacts no cluster and changes nothing. Arguments are checked for the plugins cache, errors, forward, health, kubernetes,
    loadbalance, log, loop, prometheus, ready, reload and whoami. For other plugins only the names are checked.
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
      - Rules whose findings you accept. These findings are left out of the result.
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
- name: Validate a custom Corefile
  vmstation.cluster.corefile_check:
    corefile: "{{ lookup('file', 'Corefile') }}"
    plan: "{{ network_plan }}"
  delegate_to: localhost

- name: Fail on warnings, but accept one rule
  vmstation.cluster.corefile_check:
    corefile: "{{ lookup('file', 'Corefile') }}"
    plan: "{{ network_plan }}"
    accept: [answers_are_cached]
    fail_on: warning
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: The problems of the Corefile, in the order of the rules under O(accept). If it cannot be parsed, only the reason.
  returned: when the plan was accepted
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: upstreams_are_not_the_cluster_itself
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: "Corefile, line 13"
    found:
      description: What was found.
      type: str
      returned: always
      sample: "upstream 127.0.0.53: the Pod itself"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: "a resolver outside the cluster"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Forward to 192.168.4.1, the plan's upstream_dns."
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
  returned: when the plan was accepted
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: Corefile
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "24 lines"
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
    subject: network_plan.dns_service_ip
    found: none
    expected: an address
    fix: Set it.
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.lint import RULES, lint, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.model import dns_plan
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
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
        module.fail_json(**refusal.as_result())
    result = {"changed": False, **as_result(findings, looked_at(module.params["corefile"], findings))}
    failing = failures(findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
