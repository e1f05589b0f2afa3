#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_check
short_description: Check that Services match the network plan and answer on every node
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares the Services of a cluster with the network plan. Each must exist, have the planned type, port and NodePort, and have at least
    one ready endpoint.
  - Then sends a request to the NodePort of each Service on every node that is awake, all at the same time, from the host that the module
    runs on. With C(health), an HTTP request for that path must return a status below 400. Without it, a TCP connection is enough.
  - A Service without a ready endpoint gets no request, because it cannot answer. NodePorts of UDP and SCTP get no request either.
  - This module changes nothing. It reads one list of Services and one of EndpointSlices, however many nodes there are. If the API server
    denies a read, a finding of severity C(unknown) names the missing permission, and the rest is checked.
attributes:
  platform:
    platforms: linux
options:
  services:
    description:
      - The planned Services, such as C(network_plan.services).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the Service.
        type: str
        required: true
      namespace:
        description:
          - The namespace of the Service.
        type: str
        required: true
      port:
        description:
          - The port of the Service inside the cluster.
        type: int
        required: true
      node_port:
        description:
          - The port of the Service on every node.
        type: int
      protocol:
        description:
          - The transport protocol of the Service.
        type: str
        choices: [tcp, udp, sctp]
        default: tcp
      type:
        description:
          - The type of the Service. Without it, C(NodePort) if O(services[].node_port) is set, otherwise C(ClusterIP).
        type: str
        choices: [NodePort, ClusterIP, LoadBalancer]
      health:
        description:
          - The HTTP path of the Service's health check.
        type: str
      sources:
        description:
          - Not used. O(ports) has the sources of each NodePort.
        type: list
        elements: str
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys are ignored.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of addresses, of which the first is used.
        type: raw
        required: true
      mac:
        description:
          - Not used.
        type: str
      role:
        description:
          - Not used.
        type: str
      sleeps:
        description:
          - Not used.
        type: bool
  asleep:
    description:
      - The names of the hosts in O(nodes) that are asleep. No requests are sent to them.
    type: list
    elements: str
    default: []
  node_port_range:
    description:
      - The NodePort range of the plan.
    type: str
    default: 30000-32767
  ports:
    description:
      - The ports that the firewalls open on the nodes, as C(derived.ports.worker) of M(vmstation.cluster.network_plan_check) lists them.
      - If a NodePort does not answer, and the host that the module runs on is not one of its sources, the finding has severity
        C(unknown), because the NodePort was not checked.
    type: list
    elements: dict
    default: []
  timeout:
    description:
      - The maximum time in seconds for a node to accept the connection, and then to answer.
    type: float
    default: 5
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Check the Services of the plan
  vmstation.cluster.service_check:
    kubeconfig: ~/.kube/vmstation.config
    services: "{{ network_plan.services }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    node_port_range: "{{ network_plan.node_port_range }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: Everything that does not match the plan.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: node_ports_answer
    severity:
      description: C(error) or C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The Service.
      type: str
      returned: always
      sample: Service monitoring/grafana
    found:
      description: What was found.
      type: str
      returned: always
      sample: "homelab (http://192.168.4.62:30300/api/health): no answer within 5 s"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: an HTTP status below 400 on every node that is awake
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Check that node: its firewall, whose rules site.yml restores, its kube-proxy, and its connectivity to the other nodes' pods."
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
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: Service monitoring/grafana
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "answers at NodePort 30300 on masternode, homelab; 1 ready endpoints"
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
      sample: [masternode, homelab]
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
services:
  description: The state of each planned Service, in the order of O(services).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    namespace:
      description: As in O(services[].namespace).
      type: str
      returned: always
      sample: monitoring
    name:
      description: As in O(services[].name).
      type: str
      returned: always
      sample: grafana
    exists:
      description: Whether the Service exists.
      type: bool
      returned: always
      sample: true
    type:
      description: The type of the Service, or an empty string.
      type: str
      returned: always
      sample: NodePort
    cluster_ips:
      description: The addresses of the Service inside the cluster.
      type: list
      elements: str
      returned: always
      sample: [10.96.61.7]
    node_port:
      description: The NodePort of the planned port, or V(0).
      type: int
      returned: always
      sample: 30300
    ready_endpoints:
      description: The number of ready endpoints.
      type: int
      returned: always
      sample: 1
    answers:
      description: The answer of each node.
      type: list
      elements: dict
      returned: always
      contains:
        node:
          description: The name of the node.
          type: str
          returned: always
          sample: masternode
        url:
          description: The URL of the request. The scheme C(tcp) means that only a connection was opened.
          type: str
          returned: always
          sample: http://192.168.4.63:30300/api/health
        status:
          description: The HTTP status, or V(0).
          type: int
          returned: always
          sample: 200
        problem:
          description: The reason why there was no answer, or an empty string.
          type: str
          returned: always
          sample: ""
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 5
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._services import judge
from ansible_collections.vmstation.cluster.plugins.module_utils._services.io import NodePortVisitor
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "services": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "node_port": {"type": "int"},
            "protocol": {"type": "str", "choices": ["tcp", "udp", "sctp"], "default": "tcp"},
            "type": {"type": "str", "choices": ["NodePort", "ClusterIP", "LoadBalancer"]},
            "health": {"type": "str"},
            "sources": {"type": "list", "elements": "str"},
        },
    },
    **CLUSTER_HOSTS_ARGUMENTS,
    "node_port_range": {"type": "str", "default": "30000-32767"},
    "ports": {"type": "list", "elements": "dict", "default": []},
    "timeout": {"type": "float", "default": judge.SECONDS},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = judge.request(module.params)
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        seen = judge.look(request, cluster, NodePortVisitor())
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = judge.judge(request, seen)
    result = {
        "changed": False,
        **as_result(found, judge.looked_at(request, seen, found)),
        "services": judge.as_data(request, seen),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
