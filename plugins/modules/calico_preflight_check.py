#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_preflight_check
short_description: Judge whether Calico can be installed or changed as a network plan says
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Compares the IP pools of a cluster with its network plan before anything is applied, and looks for another pod network.
  - A pool of another network, block size or encapsulation is an error that names the way there. Calico has no way to change these of a
    pool that pods have their addresses from.
  - Where packets are encapsulated (always, or across subnets only) and whether pods leave by NAT is changed in place. That is a finding
    of severity C(info).
  - It returns the pools as they are to be applied. A pool of the planned network keeps its name, as after a migration.
attributes:
  platform:
    platforms: posix
options:
  plan:
    description:
      - The network plan.
    type: dict
    required: true
  version:
    description:
      - The version of Calico that is to be installed.
    type: str
    required: true
  nat_outgoing:
    description:
      - Whether pods reach the world under their node's address. IPv6 pods with global addresses never do.
    type: bool
    default: true
seealso:
  - plugin: vmstation.cluster.calico_manifest
    plugin_type: filter
  - module: vmstation.cluster.network_plan_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Judge whether the pools are as planned
  vmstation.cluster.calico_preflight_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    version: 3.32.1
  delegate_to: localhost
  run_once: true
  register: calico

- name: Show the pools that the plan wants
  ansible.builtin.debug:
    var: calico.pools
"""

RETURN = r"""
findings:
  description: What stands against it, errors first.
  returned: when the cluster could be read
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: pools_have_the_planned_block_size
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      returned: always
      sample: IPPool default-ipv4-ippool
    found:
      description: What it is.
      type: str
      returned: always
      sample: blockSize 26
    expected:
      description: What it must be.
      type: str
      returned: always
      sample: 24, as in network_plan.block_size
    fix:
      description: The next step.
      type: str
      returned: always
      sample: Set block_size to 26, or change the IP pool block size by a pool of its own.
pools:
  description: The IPPool objects of the plan, as they are to be applied.
  returned: when the cluster could be read
  type: list
  elements: dict
  sample:
    - apiVersion: crd.projectcalico.org/v1
      kind: IPPool
      metadata:
        name: default-ipv4-ippool
      spec:
        allowedUses: [Workload, Tunnel]
        blockSize: 26
        cidr: 10.244.0.0/16
        ipipMode: Always
        natOutgoing: true
        nodeSelector: all()
        vxlanMode: Never
serves_pools:
  description: Whether the cluster knows IP pools already, that is, whether Calico's definitions are installed.
  returned: when the cluster could be read
  type: bool
  sample: false
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.pools import API_VERSION, pool_documents
from ansible_collections.vmstation.cluster.plugins.module_utils._calico.preflight import judge, look
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "plan": {"type": "dict", "required": True},
    "version": {"type": "str", "required": True},
    "nat_outgoing": {"type": "bool", "default": True},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
    **KUBECONFIG_ARGUMENTS,
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        api = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        case = look(module.params, api)
        serves_pools = api.serves(API_VERSION, "IPPool")
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    findings = judge(case)
    pools = pool_documents(case.plan, case.live, case.nat_outgoing)
    result = {"changed": False, "findings": as_dicts(findings), "pools": pools, "serves_pools": serves_pools}
    failing = failures(findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
