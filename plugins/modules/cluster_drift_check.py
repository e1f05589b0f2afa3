#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_drift_check
short_description: Compare the network plan with the running cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares each value of the network plan with all places of the running cluster that contain it, and reports the differences. It shows
    whether the plan was changed without the cluster, or the cluster without the plan.
  - Reads the ConfigMaps C(kubeadm-config), C(kubelet-config) and C(kube-proxy), the flags of the static Pods of the API server and the
    controller manager, the version of the API server, ServiceCIDR objects, the DNS Service, other Services that claim to be the DNS
    Service, the Corefile, Calico's IP pools, and Node objects with their addresses, kubelet versions and whether they are cordoned.
  - With O(kubelets), it also requests from each kubelet its running configuration, all at the same time, through the API server's
    C(/api/v1/nodes/NAME/proxy/configz). This requires the permission C(get nodes/proxy). Nodes in O(asleep) and nodes whose kubelet stopped
    posting its status are skipped.
  - If kubeadm did not make the cluster, its ConfigMaps and static Pods are not compared. With another pod network than Calico, IP pools are
    not compared. RV(looked_at) reports that. A DNS cache on each node, at a link-local address in C(clusterDNS), is not a difference.
  - Hosts that are not nodes, and nodes that are not in the inventory, are reported.
  - This module changes nothing. Except for one request for each kubelet, the number of requests does not grow with the number of nodes.
  - If the API server denies a read, the value is V(unknown), a finding of severity C(unknown) names the missing permission, and the rest is
    compared. If the API server does not answer at all, the task fails.
attributes:
  platform:
    platforms: all
options:
  plan:
    description:
      - The network plan of the cluster, as M(vmstation.cluster.network_plan_check) takes it.
    type: dict
    required: true
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys are ignored.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host. In lower case it is the name of its node.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of one of each IP version. For the IP versions of pods and Services, it must be the
            C(InternalIP) of the node.
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
      - The names of the hosts in O(nodes) that are asleep. Their kubelets are skipped, and they may be cordoned.
    type: list
    elements: str
    default: []
  kubelets:
    description:
      - Whether to request the running configuration of each kubelet.
    type: bool
    default: true
  nat_outgoing:
    description:
      - Whether traffic of Pods to addresses outside the cluster uses the address of their node, as C(calico_nat_outgoing) of the role
        calico.
    type: bool
    default: true
  timeout:
    description:
      - The maximum time in seconds for all kubelets together to answer. Values of kubelets that have not answered by then are V(unknown).
    type: float
    default: 15
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
seealso:
  - module: vmstation.cluster.network_plan_check
  - module: vmstation.cluster.coredns_check
  - plugin: vmstation.cluster.kubeadm_init_configuration
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Compare the cluster with the plan
  vmstation.cluster.cluster_drift_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    fail_on: never
  delegate_to: localhost
  run_once: true
  register: drift

- name: Show the differences and the unknown values
  ansible.builtin.debug:
    msg: "{{ drift.compared | rejectattr('equal', 'sameas', true) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: All differences, in the order of RV(compared), then everything that could not be read.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: kubelets_run_as_planned
    severity:
      description: C(error) or C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that differs or that could not be read.
      type: str
      returned: always
      sample: node homelab
    found:
      description: The field of the object and its value.
      type: str
      returned: always
      sample: "kubelet's clusterDNS: 10.96.0.10"
    expected:
      description: The value of the plan.
      type: str
      returned: always
      sample: 10.233.0.3
    fix:
      description: The next step.
      type: str
      returned: always
      sample: >-
        When ConfigMap kube-system/kubelet-config matches the plan, run on homelab: `kubeadm upgrade node phase kubelet-config` and
        `systemctl restart kubelet`. Running Pods keep the old one until they are recreated.
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
      sample: plan and cluster
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "57 values are the same"
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
compared:
  description: All values that were compared, in the order of control plane, kubelets, kube-proxy, DNS, IP pools, and nodes.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    subject:
      description: The object that has the value.
      type: str
      returned: always
      sample: ConfigMap kube-system/kubeadm-config
    source:
      description: The field of the object.
      type: str
      returned: always
      sample: networking.serviceSubnet
    planned:
      description: The value of the plan. A list is one text, separated by commas.
      type: str
      returned: always
      sample: 10.96.0.0/12
    live:
      description: The value in the cluster. C(nothing) if there is none, C(unknown) if it could not be read.
      type: str
      returned: always
      sample: 10.96.0.0/12
    equal:
      description:
        - Whether both values are equal, a boolean, or the text V(unknown). For a kubelet on a node that is asleep it is V(unknown), without
          a finding.
      type: raw
      returned: always
      sample: true
api_calls:
  description: The number of requests to the API server, including those to kubelets.
  returned: when the API server answered
  type: int
  sample: 20
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
    read_yaml,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.proxied import KubeletVisitor
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.judge import as_data, compare_all, findings, looked_at
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.model import SECONDS, look, read_wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "plan": {"type": "dict", "required": True},
    **CLUSTER_HOSTS_ARGUMENTS,
    "kubelets": {"type": "bool", "default": True},
    "nat_outgoing": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": SECONDS},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        wanted = read_wanted(module.params)
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        seen = look(wanted, cluster, KubeletVisitor(cluster.read), read_yaml)
        compared = compare_all(wanted, seen)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = findings(compared)
    everything = as_result(found, looked_at(compared, found, seen))
    result = {"changed": False, **everything, "compared": as_data(compared), "api_calls": cluster.calls}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
