#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_certificates
short_description: Let the control plane verify the certificates of kubelets
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - With O(state=present), the cluster's configuration makes new kubelets request their server certificates from the cluster. When each node
    serves one, the API server is changed so that it verifies kubelets (C(--kubelet-certificate-authority)), and the scheduler and the
    controller manager serve a certificate of the cluster's CA. Until then, the API server is not changed. These components restart once.
  - It approves requests as M(vmstation.cluster.kubelet_approver) does, and waits for the nodes in O(wait_for).
  - A node that does not answer, because it is asleep, keeps its certificate, and is not waited for.
  - With O(state=absent), the API server is changed back first, then the configuration.
  - The changes are stored in kubeadm's ConfigMaps too, so that an upgrade keeps them, and in C(/etc/kubernetes/vmstation-kubeadm.yaml).
    Other settings stay as they are.
options:
  state:
    description:
      - V(kept) acts as V(present) if the cluster has this configuration already. Otherwise it changes nothing.
    type: str
    choices: [present, absent, kept]
    default: present
  nodes:
    description:
      - The nodes of the cluster, as in M(vmstation.cluster.kubelet_approver).
    type: list
    elements: dict
    required: true
  configuration:
    description:
      - The documents for kubeadm on this host, as the filter P(vmstation.cluster.kubeadm_init_configuration#filter) returns them.
      - With O(state=absent), create them with C(kubelet_certificates=false). The arguments in them are then your own, and are kept.
    type: list
    elements: dict
    required: true
  verify:
    description:
      - Whether to check the certificates of all nodes, and to let the API server verify kubelets as soon as all nodes have one. V(false)
        configures the cluster only, before the nodes are configured.
    type: bool
    default: true
  wait_for:
    description:
      - Names of nodes that must serve a certificate of the cluster's CA.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time in seconds to wait for these.
    type: int
    default: 120
attributes:
  check_mode:
    support: full
    details:
      - In check mode no request is approved.
  diff_mode:
    support: none
  idempotent:
    support: full
  platform:
    platforms: linux
notes:
  - Run it as root on the control plane.
seealso:
  - module: vmstation.cluster.kubelet_approver
  - module: vmstation.cluster.kubelet_tls_bootstrap
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Verify the kubelets when all of them have certificates
  vmstation.cluster.kubelet_certificates:
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    configuration: "{{ network_plan | vmstation.cluster.kubeadm_init_configuration('masternode', ['192.168.4.63'], '1.36.4') }}"
    wait_for: [masternode, homelab]
  become: true
"""

RETURN = r"""
active:
  description: Whether kubelets request their server certificates from the cluster.
  returned: success
  type: bool
  sample: true
verified:
  description: Whether the API server of this host verifies kubelets.
  returned: success
  type: bool
  sample: true
nodes:
  description: What is wrong with the certificate of each node. Empty if nothing is; V(no answer) of a host that is asleep.
  returned: success
  type: dict
  sample: {masternode: "", homelab: no answer}
done:
  description: What was changed.
  returned: success
  type: list
  elements: str
  sample: ["ConfigMap kube-system/kubelet-config: serverTLSBootstrap set"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.host import served_by_all
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.serving import ensure, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "state": {"type": "str", "choices": ["present", "absent", "kept"], "default": "present"},
    "nodes": {"type": "list", "elements": "dict", "required": True},
    "configuration": {"type": "list", "elements": "dict", "required": True},
    "verify": {"type": "bool", "default": True},
    "wait_for": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        outcome = ensure(read_request(module.params, check=module.check_mode), this_host(), served_by_all)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    for finding in outcome.findings:
        module.warn(str(finding))
    module.exit_json(**outcome.as_result())


if __name__ == "__main__":
    main()
