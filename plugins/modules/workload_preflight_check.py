#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_preflight_check
short_description: Check whether a cluster can run workloads before they are applied, and which of their objects exist
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Checks what an API server does not check, or only partly. These are whether planned NodePorts are free, whether the nodes that workloads
    are bound to exist and accept Pods, and whether their StorageClasses exist.
  - If another Service has a planned NodePort, the finding names that Service. If the planned Service itself has it, that is correct.
  - A node must be ready and not cordoned, unless it is in O(asleep). Pods that are bound to a node that is asleep wait for it.
  - Reads one list each of Services, Nodes and StorageClasses, and skips a list that is not needed. If the API server denies a read, a
    finding of severity C(unknown) names the missing permission, and the rest is checked.
  - With O(namespace), it also returns the existing objects of the workloads in RV(existing), so that a role needs only one call. If the API
    server denies a part of that, the module fails.
attributes:
  platform:
    platforms: all
options:
  services:
    description:
      - The planned Services, such as those of C(network_plan.services) that will be applied. A Service without a NodePort is not checked.
    type: list
    elements: dict
    default: []
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
      node_port:
        description:
          - The port of the Service on every node.
        type: int
      port:
        description:
          - Not used.
        type: int
      protocol:
        description:
          - Not used. Services cannot share a NodePort, whatever their protocols.
        type: str
      type:
        description:
          - Not used.
        type: str
      health:
        description:
          - Not used.
        type: str
      sources:
        description:
          - Not used.
        type: list
        elements: str
  nodes:
    description:
      - The names of the nodes that Pods must run on. They are compared in lower case, as Kubernetes writes them.
    type: list
    elements: str
    default: []
  asleep:
    description:
      - The names of hosts that are asleep, as P(vmstation.cluster.asleep_hosts#filter) returns them. Their nodes need only exist.
    type: list
    elements: str
    default: []
  tolerated_taints:
    description:
      - The taints that the Pods tolerate, each as its key and effect. Any other taint of O(nodes) with the effect C(NoSchedule) or
        C(NoExecute) is an error, except those that Kubernetes itself sets for a time.
    type: list
    elements: str
    default: ["node-role.kubernetes.io/control-plane:NoSchedule"]
    version_added: 0.2.0
  extended_resources:
    description:
      - The names of extended resources, such as those of a device plugin. Each of O(nodes) must offer them in C(status.allocatable).
    type: list
    elements: str
    default: []
    version_added: 0.3.0
  storage_classes:
    description:
      - The names of StorageClasses that must exist.
    type: list
    elements: str
    default: []
  namespace:
    description:
      - The namespace of the workloads. With it, RV(existing) is returned. It need not exist.
    type: str
  node_label:
    description:
      - A label selector. The nodes that match it are returned in RV(existing.labelled_nodes). Requires O(namespace).
    type: str
  secrets:
    description:
      - The required content of Secrets in O(namespace). Those that match are named in RV(existing.matching_secrets). No value is returned.
        Requires O(namespace).
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The name of the Secret.
        type: str
        required: true
      data:
        description:
          - All values of the Secret by their keys, encoded in Base64, as in its manifest.
        type: dict
        required: true
  certificates:
    description:
      - Whether RV(existing.certificates) is read. Only with O(namespace).
    type: bool
    default: false
    version_added: 0.2.0
  manifests:
    description:
      - Texts in YAML, each of one object or of several. Those objects that are still to be applied are returned in RV(pending). The API
        server compares them with dry runs of server-side apply. These require the permission to patch the objects, and change nothing.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
  field_manager:
    description:
      - The field manager for applying O(manifests).
    type: str
    default: vmstation.cluster
    version_added: 0.2.0
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
- name: Check the requirements of Jellyfin in the cluster
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
  description: The problems that were found.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: node_ports_are_free
    severity:
      description: C(error) or C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
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
      sample: cluster
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "4 Services, 1 nodes and 0 StorageClasses wanted"
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
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
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
      description: The name as in O(nodes), in lower case.
      type: str
      returned: always
      sample: storagenodet3500
    exists:
      description: Whether a Node with this name exists.
      type: bool
      returned: always
      sample: true
    ready:
      description: Whether the node is ready.
      type: bool
      returned: always
      sample: true
    schedulable:
      description: Whether the node is not cordoned.
      type: bool
      returned: always
      sample: true
    asleep:
      description: Whether the node is not ready because its host is asleep.
      type: bool
      returned: always
      sample: false
existing:
  description: The existing objects of the workloads, or V(null) without O(namespace).
  returned: when the API server answered
  type: dict
  contains:
    anything:
      description: Whether the namespace, a cluster object, a labelled node, or a Role or RoleBinding of another namespace exists.
      type: bool
      returned: always
      sample: true
    namespace:
      description: Whether the namespace exists.
      type: bool
      returned: always
      sample: true
    deployments:
      description: The Deployments of the namespace, each with its C(name) and the C(images) of its containers.
      type: list
      elements: dict
      returned: always
      sample: [{name: jellyfin, images: ["docker.io/jellyfin/jellyfin:10.11.11"]}]
    jobs:
      description: The names of the Jobs of the namespace.
      type: list
      elements: str
      returned: always
      sample: []
    asleep_pods:
      description: The Pods of the namespace on nodes in O(asleep), each as a manifest with its name.
      type: list
      elements: dict
      returned: always
      sample: [{apiVersion: v1, kind: Pod, metadata: {namespace: jellyfin, name: jellyfin-6c8f4d-x2x7q}}]
    matching_secrets:
      description: The names of those O(secrets) whose data match exactly.
      type: list
      elements: str
      returned: always
      sample: [grafana-admin]
    cluster_objects:
      description: >-
        The PersistentVolumes, ClusterRoles and ClusterRoleBindings whose label C(app.kubernetes.io/part-of) is the namespace, each with its
        kind and name.
      type: list
      elements: str
      returned: always
      sample: [PersistentVolume jellyfin-config]
    access:
      description: >-
        The Roles and RoleBindings of other namespaces whose label C(app.kubernetes.io/part-of) is the namespace, each as a manifest with
        its name.
      type: list
      elements: dict
      returned: always
      sample: [{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {namespace: kube-system, name: "monitoring:prometheus"}}]
    released_volumes:
      description: The names of those PersistentVolumes whose claim was deleted.
      type: list
      elements: str
      returned: always
      sample: []
    labelled_nodes:
      description: The names of the nodes that have O(node_label).
      type: list
      elements: str
      returned: always
      sample: [storagenodet3500]
    certificates:
      description: >-
        The components that have certificates of the cluster's CA, as ConfigMap kube-system/kubeadm-config configures them. V(kubelets), and
        V(managers), which are the scheduler and the controller manager. Empty without O(certificates).
      type: list
      elements: str
      returned: always
      sample: [kubelets, managers]
pending:
  description: The objects of O(manifests) that do not exist or that differ, in the same order.
  returned: when the module does not fail
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    PreviewingApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.node_labels import TOLERATED_BY_ROLES
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.objects import objects_of, pending
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._workloads import workloads

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
            "sources": {"type": "list", "elements": "str"},
        },
    },
    "nodes": {"type": "list", "elements": "str", "default": []},
    "asleep": {"type": "list", "elements": "str", "default": []},
    "tolerated_taints": {"type": "list", "elements": "str", "default": list(TOLERATED_BY_ROLES)},
    "extended_resources": {"type": "list", "elements": "str", "default": []},
    "storage_classes": {"type": "list", "elements": "str", "default": []},
    "namespace": {"type": "str"},
    "node_label": {"type": "str"},
    "secrets": {
        "type": "list",
        "elements": "dict",
        "no_log": False,  # the values are, below
        "options": {"name": {"type": "str", "required": True}, "data": {"type": "dict", "required": True, "no_log": True}},
    },
    "certificates": {"type": "bool", "default": False},
    "manifests": {"type": "list", "elements": "str", "default": []},
    "field_manager": {"type": "str", "default": "vmstation.cluster"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec=ARGUMENTS,
        required_by={"node_label": ["namespace"], "secrets": ["namespace"]},
        supports_check_mode=True,
    )
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    params = module.params
    try:
        request = workloads.request(params)
        cluster = PreviewingApi(params["kubeconfig"], params["context"])
        seen = workloads.look(request, cluster)
        found = workloads.judge(request, seen)
        result = {"changed": False, **as_result(found, workloads.looked_at(request, found)), **workloads.as_data(request, seen)}
        failing = failures(found, params["fail_on"])
        if failing:
            module.fail_json(msg=failure_message(failing), **result)
        result["pending"] = pending(objects_of(params["manifests"]), cluster, params["field_manager"])
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
