#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_dns_check
short_description: Ask the cluster's DNS from a node
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Asks the C(dns_service_ip) of the network plan, from the host that it runs on, over UDP and over TCP.
    The name of the API server must have its address in the plan, the names in O(names) must resolve, and a name that does not exist must
    not.
  - It speaks DNS itself, so that the host's resolver, its search list and its cache have no part in it, and needs no root.
  - Only nodes of the cluster reach that address. What one node is told proves nothing about another, so run it on each.
  - It changes nothing.
attributes:
  platform:
    platforms: linux
options:
  plan:
    description:
      - The network plan of the cluster, as M(vmstation.cluster.network_plan_check) takes it.
    type: dict
    required: true
  names:
    description:
      - More names that must resolve, with their domain.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds to wait for an answer. All questions are asked at the same time.
    type: float
    default: 3
  attempts:
    description:
      - How often a question is sent over UDP, each time with the O(timeout), as a datagram may be lost.
    type: int
    default: 2
  wait:
    description:
      - Seconds for which everything is asked again while something is wrong, such as right after Pods of CoreDNS have moved.
        As each question goes to any of these Pods, three rounds in a row must be well then. The answers that are returned are the last
        ones, or at the end of the wait the last in which something was wrong.
    type: float
    default: 0
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
seealso:
  - module: vmstation.cluster.coredns_check
"""

EXAMPLES = r"""
- name: Ask the cluster's DNS from every node
  vmstation.cluster.cluster_dns_check:
    plan: "{{ network_plan }}"
    names:
      - grafana.monitoring.svc.cluster.local
"""

RETURN = r"""
findings:
  description: What stands against the DNS, as seen from the host.
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: the_dns_address_answers
    severity:
      description: Always C(error).
      type: str
      returned: always
      sample: error
    subject:
      description: The address, the transport, and the name where it is about one.
      type: str
      returned: always
      sample: "DNS at 10.233.0.3 over UDP"
    found:
      description: What came.
      type: str
      returned: always
      sample: "no answer within 6 s"
    expected:
      description: What must come.
      type: str
      returned: always
      sample: "an answer on this host"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Over TCP it answers: look for a firewall or policy that passes TCP alone, and at the ports of Service kube-dns."
answers:
  description: Every question and what came.
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    server:
      description: The address that was asked.
      type: str
      returned: always
      sample: 10.233.0.3
    transport:
      description: C(udp) or C(tcp).
      type: str
      returned: always
      sample: udp
    name:
      description: The name that was asked for.
      type: str
      returned: always
      sample: kubernetes.default.svc.cluster.local
    answer:
      description: The response code, such as C(NOERROR) or C(NXDOMAIN), or why there was none.
      type: str
      returned: always
      sample: NOERROR
    addresses:
      description: The addresses of the name.
      type: list
      elements: str
      returned: always
      sample: [10.96.0.1]
    seconds:
      description: How long it took.
      type: float
      returned: always
      sample: 0.002
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.answers import as_data, ask_until_well, judge, request
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.dns import HostResolvers
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "plan": {"type": "dict", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 3},
    "attempts": {"type": "int", "default": 2},
    "wait": {"type": "float", "default": 0},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        asked = request(module.params)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    outcomes = ask_until_well(asked, HostResolvers(module.params["timeout"], module.params["attempts"]), SystemClock())
    findings = judge(outcomes)
    result = {"changed": False, "findings": as_dicts(findings), "answers": as_data(outcomes)}
    failing = failures(findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
