#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_approver
short_description: Approve the certificate requests of the kubelets in the inventory
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Installs a program on the control plane, and a systemd timer that starts it twice a minute. It approves the requests of kubelets for
    server certificates (signer C(kubernetes.io/kubelet-serving)). Kubernetes signs these certificates, but does not approve the requests
    itself.
  - A request is approved if it comes from the kubelet of a node in O(nodes) and has the subject of this node, no other names and addresses
    than those in O(nodes), and the usages of a server certificate.
  - Other requests are not denied. They stay pending, and the reason is written to the journal once (C(journalctl --unit
    vmstation-kubelet-approver)). M(vmstation.cluster.cluster_health_check) reports them. Kubernetes removes such a request after a day, and
    the kubelet makes another one.
  - Kubelets renew their certificates at any time, not only while a playbook runs. So a program on the control plane approves them.
options:
  nodes:
    description:
      - The nodes of the cluster, a list of mappings with the keys C(name) and C(address), one address or a list. Other keys are ignored.
      - The filter P(vmstation.cluster.cluster_hosts#filter) returns such a list.
    type: list
    elements: dict
    default: []
  address:
    description:
      - The address of the API server on this host. Required with O(state=present).
    type: str
    default: ""
  state:
    description:
      - V(absent) removes the program, its files and the timer.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Run it as root on the control plane. The program uses C(kubectl) and C(/etc/kubernetes/admin.conf).
  - Its list of nodes is C(/etc/vmstation/kubelet-approver.json), mode 0600.
seealso:
  - module: vmstation.cluster.kubelet_tls_bootstrap
  - module: vmstation.cluster.kubelet_certificates
  - name: Kubernetes signers
    description: What the signer of kubelets' server certificates requires.
    link: https://kubernetes.io/docs/reference/access-authn-authz/certificate-signing-requests/#kubernetes-signers
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Approve the requests of the cluster's kubelets
  vmstation.cluster.kubelet_approver:
    address: 192.168.4.63
    nodes:
      - {name: masternode, address: 192.168.4.63}
      - {name: homelab, address: [192.168.4.62, "fd00:4::62"]}
  become: true
"""

RETURN = r"""# """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.host import ENTRY, this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.requests import ensure
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "nodes": {"type": "list", "elements": "dict", "default": []},
    "address": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, required_if=[("state", "present", ["nodes", "address"])], supports_check_mode=True)
    try:
        result = ensure(this_host(), module.params, ENTRY, check_mode=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    result.pop("public_key")
    module.exit_json(**result)


if __name__ == "__main__":
    main()
