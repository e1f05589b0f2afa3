#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_dns_check
short_description: Query the cluster's DNS from a node
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Queries the C(dns_service_ip) of the network plan over UDP and TCP, from the host that the module runs on. The name of the API server
    must resolve to its address in the plan, the names in O(names) must resolve, and a name that does not exist must not resolve.
  - The module sends the DNS queries itself, so the host's resolver, search list and cache are not used. It needs no root privileges,
    except for O(pods).
  - Only nodes of the cluster reach that address. The result of one node shows nothing about another, so run it on each node.
  - This module changes nothing.
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
      - More fully qualified names that must resolve.
    type: list
    elements: str
    default: []
  names_outside:
    description:
      - Names outside the cluster for which an upstream server must give an answer. That a name does not exist is an answer, too.
    type: list
    elements: str
    default: []
  pods:
    description:
      - Whether to send one query from inside each Pod of this host, too, at most 32. No Pod is created. The module enters the network
        namespaces of the Pods, so it needs root privileges.
      - If no Pod gets an answer, or a Pod in C(kube-system), C(monitoring) or C(jellyfin) does not, the severity is C(error). Otherwise it
        is C(warning), because a policy of your own may intend it.
    type: bool
    default: false
  timeout:
    description:
      - The time in seconds to wait for an answer. All queries are sent at the same time.
    type: float
    default: 3
  attempts:
    description:
      - How many times a query is sent over UDP, each time with the O(timeout), because a datagram may be lost.
    type: int
    default: 2
  wait:
    description:
      - The time in seconds for which all queries are repeated while something is wrong, for example right after CoreDNS Pods have moved.
        Each query may reach any of these Pods, so three rounds in a row must then succeed. The returned answers are those of the last
        round, or, if the wait ends first, those of the last round with a problem.
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
- name: Query the cluster's DNS from every node
  vmstation.cluster.cluster_dns_check:
    plan: "{{ network_plan }}"
    names:
      - grafana.monitoring.svc.cluster.local
"""

RETURN = r"""
findings:
  description: The problems of the DNS, as seen from the host.
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: the_dns_address_answers
    severity:
      description: C(error), or C(warning) as described for O(pods).
      type: str
      returned: always
      sample: error
    subject:
      description: The address, the transport, and the name if the finding is about one.
      type: str
      returned: always
      sample: "DNS at 10.233.0.3 over UDP"
    found:
      description: The answer that was received.
      type: str
      returned: always
      sample: "no answer within 6 s"
    expected:
      description: The answer that is required.
      type: str
      returned: always
      sample: "an answer on this host"
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "It answers over TCP: a firewall or policy may allow only TCP, or Service kube-dns may lack the port."
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
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: DNS
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "6 answers, all correct"
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
    subject: timeout
    found: "0"
    expected: a positive number of seconds
    fix: Remove it.
answers:
  description: All queries and their answers.
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    server:
      description: The address that was queried.
      type: str
      returned: always
      sample: 10.233.0.3
    transport:
      description: C(udp) or C(tcp).
      type: str
      returned: always
      sample: udp
    name:
      description: The queried name.
      type: str
      returned: always
      sample: kubernetes.default.svc.cluster.local
    answer:
      description: The response code, such as C(NOERROR) or C(NXDOMAIN), or the reason why there was no answer.
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
      description: The time in seconds until the answer.
      type: float
      returned: always
      sample: 0.002
pods:
  description: The answer in each Pod that was asked. Empty without O(pods).
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    pod:
      description: The namespace and the name of the Pod.
      type: str
      returned: always
      sample: monitoring/grafana-dcc9ccd6b-th6c5
    answer:
      description: The response code, or the reason why there was no answer.
      type: str
      returned: always
      sample: NOERROR
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.answers import (
    as_data,
    ask_in_pods,
    ask_until_well,
    judge,
    judge_pods,
    looked_at,
    pods_as_data,
    request,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._dns.io import HostResolvers, PodNetworks
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    "plan": {"type": "dict", "required": True},
    "names": {"type": "list", "elements": "str", "default": []},
    "names_outside": {"type": "list", "elements": "str", "default": []},
    "pods": {"type": "bool", "default": False},
    "timeout": {"type": "float", "default": 3},
    "attempts": {"type": "int", "default": 2},
    "wait": {"type": "float", "default": 0},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    resolvers = HostResolvers(module.params["timeout"], module.params["attempts"])
    try:
        asked = request(module.params)
        outcomes = ask_until_well(asked, resolvers, SystemClock())
        in_pods = ask_in_pods(asked, resolvers, PodNetworks(resolvers)) if module.params["pods"] else {}
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    findings = [*judge(outcomes), *judge_pods(in_pods, outcomes)]
    result = {
        "changed": False,
        **as_result(findings, looked_at(outcomes, in_pods, findings)),
        "answers": as_data(outcomes),
        "pods": pods_as_data(in_pods),
    }
    failing = failures(findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
