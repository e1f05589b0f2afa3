#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
short_description: Let kubeadm upgrade a node to a release of Kubernetes
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - On a control plane it runs C(kubeadm upgrade apply) if the API server, the controller manager, the scheduler, kubeadm's ConfigMap or
    kube-proxy have another release. That renews kubeadm's certificates. DNS is left to the role dns.
  - On a worker it runs C(kubeadm upgrade node) if the installed kubelet has another release, and it has to come before the new kubelet.
  - What of it was done by a run that was killed is found, and the next run goes on from there. A kubeadm that still runs is waited for.
  - kubeadm must already be of the wanted release. The kubelet is not touched.
attributes:
  check_mode:
    support: full
    details:
      - It reads what would be upgraded, and runs nothing.
  diff_mode:
    support: full
    details:
      - The difference is that of the releases.
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  role:
    description:
      - What the host is.
    type: str
    required: true
    choices: [control_plane, worker]
  cluster_name:
    description:
      - The name of the cluster. A host of another one is refused.
    type: str
    required: true
  release:
    description:
      - The release that is wanted, as in V(1.36.4).
    type: str
    required: true
  address:
    description:
      - The address at which this host's API server answers. Needed on a control plane.
    type: str
    default: ""
  ignore_preflight_errors:
    description:
      - Checks of kubeadm whose errors you know and accept.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds that kubeadm may take, and before it seconds until the API server is ready.
    type: int
    default: 900
notes:
  - It must run as root.
  - The output of kubeadm is kept in C(/var/log/vmstation-kubeadm-upgrade.log).
seealso:
  - module: vmstation.cluster.upgrade_plan_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
"""

EXAMPLES = r"""
- name: Upgrade the control plane
  vmstation.cluster.kubeadm_upgrade:
    role: control_plane
    cluster_name: vmstation
    release: 1.36.4
    address: 192.168.4.63
  become: true

- name: Upgrade a worker, before its kubelet
  vmstation.cluster.kubeadm_upgrade:
    role: worker
    cluster_name: vmstation
    release: 1.36.4
  become: true
"""

RETURN = r"""
before:
  description: What kubeadm upgrades on this host, and its release before.
  returned: success
  type: dict
  sample: {kube-apiserver: v1.36.3, kube-controller-manager: v1.36.3, kube-scheduler: v1.36.3, kubeadm-config: v1.36.3, kube-proxy: v1.36.3}
after:
  description: The same afterwards. Nothing of it if check mode predicts a change.
  returned: success
  type: dict
kubeadm_output:
  description: What kubeadm said, line by line.
  returned: when kubeadm failed
  type: list
  elements: str
diagnosis:
  description: What the host says about it.
  returned: when kubeadm failed, or the API server does not come up
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.upgrade import ensure, read_request, told
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

OPTIONS = {
    "role": {"type": "str", "required": True, "choices": ["control_plane", "worker"]},
    "cluster_name": {"type": "str", "required": True},
    "release": {"type": "str", "required": True},
    "address": {"type": "str", "default": ""},
    "ignore_preflight_errors": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 900},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    host = this_host()
    try:
        outcome = ensure(read_request(module.params, check=module.check_mode), host)
    except Refusal as refusal:
        refusal = told(refusal, host)
        module.fail_json(msg=str(refusal), **getattr(refusal, "details", {}))
    module.exit_json(**outcome.as_result())


if __name__ == "__main__":
    main()
