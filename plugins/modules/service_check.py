#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_check
short_description: Judge whether Services are as the network plan says, and whether they answer on every node
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares the Services of a cluster with the network plan. Each must exist, be of the planned type, have the planned port and NodePort,
    and at least one endpoint that is ready.
  - Then asks the NodePort of each on every node that is awake, all at once, from the host that the module runs on. With C(health) an HTTP
    request for that path must be answered with a status below 400. Without it a TCP connection is enough.
  - A Service without a ready endpoint is not asked, because nobody could answer. NodePorts of UDP and SCTP are not asked either.
  - It changes nothing. It takes one list of Services and one of EndpointSlices, however many nodes there are. What the API server does not
    permit to read is a finding of severity C(warning) that names the missing permission, and the rest is judged.
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
          - The Service's name.
        type: str
        required: true
      namespace:
        description:
          - The Service's namespace.
        type: str
        required: true
      port:
        description:
          - Its port inside the cluster.
        type: int
        required: true
      node_port:
        description:
          - Its port on every node.
        type: int
      protocol:
        description:
          - Its transport protocol.
        type: str
        choices: [tcp, udp, sctp]
        default: tcp
      type:
        description:
          - Its type. Without it, C(NodePort) with O(services[].node_port) and C(ClusterIP) otherwise.
        type: str
        choices: [NodePort, ClusterIP, LoadBalancer]
      health:
        description:
          - The HTTP path that says it is well.
        type: str
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys than these do not count.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The host's name.
        type: str
        required: true
      address:
        description:
          - Its address, or a list of them, of which the first is asked.
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
      - Names of O(nodes) that are asleep and therefore not asked.
    type: list
    elements: str
    default: []
  node_port_range:
    description:
      - The plan's range of NodePorts.
    type: str
    default: 30000-32767
  timeout:
    description:
      - Seconds that a node may take to accept the connection, and then to answer.
    type: float
    default: 5
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Judge the Services of the plan
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
  description: Everything that is not as planned.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: node_ports_answer
    severity:
      description: C(error) or C(warning).
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
      sample: "Look at that node: its firewall, whose rules site.yml puts right, its kube-proxy, and its way to the other nodes' pods."
services:
  description: What was seen of each planned Service, in the order of O(services).
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
      description: Whether there is such a Service.
      type: bool
      returned: always
      sample: true
    type:
      description: Its type, or an empty string.
      type: str
      returned: always
      sample: NodePort
    cluster_ips:
      description: Its addresses inside the cluster.
      type: list
      elements: str
      returned: always
      sample: [10.96.61.7]
    node_port:
      description: The NodePort of the planned port, or 0.
      type: int
      returned: always
      sample: 30300
    ready_endpoints:
      description: How many of its endpoints are ready.
      type: int
      returned: always
      sample: 1
    answers:
      description: What each node answered.
      type: list
      elements: dict
      returned: always
      contains:
        node:
          description: The node's name.
          type: str
          returned: always
          sample: masternode
        url:
          description: What was asked; C(tcp) stands for a mere connection.
          type: str
          returned: always
          sample: http://192.168.4.63:30300/api/health
        status:
          description: The HTTP status, or 0.
          type: int
          returned: always
          sample: 200
        problem:
          description: Why there was no answer, or an empty string.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._io.node_ports import NodePortVisitor
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._services import judge, look, model
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
        },
    },
    **CLUSTER_HOSTS_ARGUMENTS,
    "node_port_range": {"type": "str", "default": "30000-32767"},
    "timeout": {"type": "float", "default": 5},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = model.request(module.params)
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        seen = look.look(request, cluster, NodePortVisitor())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.judge(request, seen)
    result = {"changed": False, "findings": as_dicts(found), "services": judge.as_data(request, seen), "api_calls": cluster.calls}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
