#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubelet_tls_bootstrap
short_description: Let the kubelet of this host request its server certificate from the cluster
version_added: 0.2.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Sets C(serverTLSBootstrap) in the file of the kubelet (C(/var/lib/kubelet/config.yaml)), and restarts the kubelet if the file has
    changed. Pods keep running.
  - Without the setting, the kubelet signs its server certificate itself, so that no client can verify it.
  - The kubelet serves no certificate until its request is approved. M(vmstation.cluster.kubelet_approver) must run before.
  - On a host without this file nothing is changed.
options:
  state:
    description:
      - V(present) sets C(serverTLSBootstrap) to V(true), V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Run it as root.
seealso:
  - module: vmstation.cluster.kubelet_approver
  - module: vmstation.cluster.kubelet_certificates
  - name: Kubelet TLS bootstrapping
    description: What C(serverTLSBootstrap) does, and what kubelets request.
    link: https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.host_change
"""

EXAMPLES = r"""
- name: Let the kubelet request its server certificate
  vmstation.cluster.kubelet_tls_bootstrap:
  become: true
"""

RETURN = r"""# """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._kubelet.serving import bootstrap
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = bootstrap(this_host(), is_on=module.params["state"] == "present", check=module.check_mode)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
