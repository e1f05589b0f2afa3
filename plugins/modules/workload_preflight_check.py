#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_preflight_check
short_description: Judge whether a cluster can take workloads, before they are applied
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Judges what an API server does not, or only halfway through. Whether planned NodePorts are free, whether the nodes that workloads are
    bound to exist and take Pods, and whether their StorageClasses exist.
  - A NodePort that another Service has is named with that Service. One that the planned Service has itself is as it must be.
  - A node must be ready and not cordoned, unless it is one of O(asleep). Pods that are bound to a node that sleeps wait for it.
  - It takes one list each of Services, Nodes and StorageClasses, and none where nothing is asked of it. What the API server does not permit
    to read is a finding of severity C(warning) that names the missing permission, and the rest is judged.
attributes:
  platform:
    platforms: all
options:
  services:
    description:
      - The planned Services, such as those of C(network_plan.services) that are about to be applied. One without a NodePort is not judged.
    type: list
    elements: dict
    default: []
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
      node_port:
        description:
          - Its port on every node.
        type: int
      port:
        description:
          - Not used.
        type: int
      protocol:
        description:
          - Not used. Services never share a NodePort, whatever their protocols.
        type: str
      type:
        description:
          - Not used.
        type: str
      health:
        description:
          - Not used.
        type: str
  nodes:
    description:
      - Names of nodes that Pods are to run on. They are compared in lower case, as Kubernetes writes them.
    type: list
    elements: str
    default: []
  asleep:
    description:
      - Names of hosts that are asleep, as P(vmstation.cluster.asleep_hosts#filter) returns them. Their nodes must exist, and nothing else.
    type: list
    elements: str
    default: []
  storage_classes:
    description:
      - Names of StorageClasses that must exist.
    type: list
    elements: str
    default: []
seealso:
  - module: vmstation.cluster.service_check
  - module: vmstation.cluster.node_ready_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Require what Jellyfin needs of the cluster
  vmstation.cluster.workload_preflight_check:
    kubeconfig: ~/.kube/vmstation.config
    services:
      - {name: jellyfin, namespace: jellyfin, node_port: 30096}
    nodes: [storagenodet3500]
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: Everything that stands in the way.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: node_ports_are_free
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: What was judged.
      type: str
      returned: always
      sample: Service jellyfin/jellyfin
    found:
      description: What was found.
      type: str
      returned: always
      sample: "NodePort 30096 is taken by Service default/web"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: NodePort 30096 for itself
    fix:
      description: The next step.
      type: str
      returned: always
      sample: >-
        Give one of the two another NodePort: the planned one in network_plan.services, the other with
        `kubectl edit service -n default web`.
services:
  description: The planned Services that have a NodePort, in the order of O(services).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    namespace:
      description: As in O(services[].namespace).
      type: str
      returned: always
      sample: jellyfin
    name:
      description: As in O(services[].name).
      type: str
      returned: always
      sample: jellyfin
    node_port:
      description: As in O(services[].node_port).
      type: int
      returned: always
      sample: 30096
    taken_by:
      description: The other Service that has this NodePort, as namespace/name, or an empty string.
      type: str
      returned: always
      sample: default/web
nodes:
  description: The nodes, in the order of O(nodes).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: As in O(nodes), in lower case.
      type: str
      returned: always
      sample: storagenodet3500
    exists:
      description: Whether there is a Node of this name.
      type: bool
      returned: always
      sample: true
    ready:
      description: Whether it is ready.
      type: bool
      returned: always
      sample: true
    schedulable:
      description: Whether it is not cordoned.
      type: bool
      returned: always
      sample: true
    asleep:
      description: Whether it is not ready because its host is asleep.
      type: bool
      returned: always
      sample: false
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._workloads import judge, look, model

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "services": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "namespace": {"type": "str", "required": True},
            "node_port": {"type": "int"},
            "port": {"type": "int"},
            "protocol": {"type": "str"},
            "type": {"type": "str"},
            "health": {"type": "str"},
        },
    },
    "nodes": {"type": "list", "elements": "str", "default": []},
    "asleep": {"type": "list", "elements": "str", "default": []},
    "storage_classes": {"type": "list", "elements": "str", "default": []},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = model.request(module.params)
        seen = look.look(request, KubernetesApi(module.params["kubeconfig"], module.params["context"]))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.judge(request, seen)
    result = {"changed": False, "findings": as_dicts(found), **judge.as_data(request, seen)}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
