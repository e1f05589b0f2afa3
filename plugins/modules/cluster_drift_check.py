#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_drift_check
short_description: Compare the network plan with what the cluster really runs with
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Puts each value of the network plan beside the same value of the running cluster, wherever it stands there, and reports where the two
    differ. It answers whether somebody has changed the plan without the cluster, or the cluster without the plan.
  - It reads kubeadm's ConfigMaps C(kubeadm-config), C(kubelet-config) and C(kube-proxy), the flags of the static Pods of the API server
    and the controller manager, the API server's version, ServiceCIDR objects, the DNS Service, other Services that pass for it, the
    Corefile, Calico's IP pools, and Node objects with their addresses, their kubelets' versions and whether they are cordoned.
  - With O(kubelets) it also asks each kubelet for the configuration that it really runs with, all at once, through the API server's
    C(/api/v1/nodes/NAME/proxy/configz). That needs the permission to C(get nodes/proxy). A node of O(asleep), and one whose kubelet has
    fallen silent, is not asked.
  - Hosts that are no node, and nodes that are no host of the inventory, are found.
  - It changes nothing. But for one request for each kubelet, the number of requests does not grow with the number of nodes.
  - What the API server does not permit to read is V(unknown) and a finding of severity C(warning) that names the missing permission, and
    the rest is compared. When the API server does not answer at all, the task fails.
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
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys than these do not count.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The host's name. In lower case it is the name of its node.
        type: str
        required: true
      address:
        description:
          - Its address, or a list of one of each family. Those of the families of pods and Services must be the C(InternalIP) of its node.
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
      - Names of O(nodes) that are asleep. Their kubelets are not asked, and they may be cordoned.
    type: list
    elements: str
    default: []
  kubelets:
    description:
      - Whether each kubelet is asked for its real configuration.
    type: bool
    default: true
  timeout:
    description:
      - Seconds that the kubelets may take to answer, all of them together. What one has not answered by then is V(unknown).
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

- name: Show what differs, and what is not known
  ansible.builtin.debug:
    msg: "{{ drift.compared | rejectattr('equal', 'sameas', true) }}"
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: Everything that differs, in the order of RV(compared), then everything that could not be read.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: kubelets_run_as_planned
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: The thing that differs, or that could not be read.
      type: str
      returned: always
      sample: node homelab
    found:
      description: Where in it, and what is there.
      type: str
      returned: always
      sample: "kubelet's clusterDNS: 10.96.0.10"
    expected:
      description: What the plan says.
      type: str
      returned: always
      sample: 10.233.0.3
    fix:
      description: The next step.
      type: str
      returned: always
      sample: >-
        When ConfigMap kube-system/kubelet-config is as planned, run on homelab: `kubeadm upgrade node phase kubelet-config` and
        `systemctl restart kubelet`. Pods that run keep the old one until they are made anew.
compared:
  description: Every value that was compared, control plane first, then kubelets, kube-proxy, DNS, IP pools, and node by node.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    subject:
      description: The thing that has the value.
      type: str
      returned: always
      sample: ConfigMap kube-system/kubeadm-config
    source:
      description: Where in it.
      type: str
      returned: always
      sample: networking.serviceSubnet
    planned:
      description: What the plan says. Lists are one text, with commas.
      type: str
      returned: always
      sample: 10.96.0.0/12
    live:
      description: What is there; C(nothing) when there is none, C(unknown) when it could not be read.
      type: str
      returned: always
      sample: 10.96.0.0/12
    equal:
      description:
        - Whether the two are the same, a boolean, or the text V(unknown). Of a kubelet that sleeps it is V(unknown) without a finding.
      type: raw
      returned: always
      sample: true
api_calls:
  description: How many requests the API server was sent, those to kubelets among them.
  returned: when the API server answered
  type: int
  sample: 20
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.judge import as_data, compare_all, findings
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.look import look
from ansible_collections.vmstation.cluster.plugins.module_utils._drift.wanted import read_wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi, read_yaml
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubelets import KubeletVisitor
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "plan": {"type": "dict", "required": True},
    **CLUSTER_HOSTS_ARGUMENTS,
    "kubelets": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 15},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        wanted = read_wanted(module.params)
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        compared = compare_all(wanted, look(wanted, cluster, KubeletVisitor(cluster.read), read_yaml))
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = findings(compared)
    result = {"changed": False, "findings": as_dicts(found), "compared": as_data(compared), "api_calls": cluster.calls}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
