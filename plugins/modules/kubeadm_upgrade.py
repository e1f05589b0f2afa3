#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_upgrade
short_description: Upgrade a node to a release of Kubernetes with kubeadm
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - On a control plane, it runs C(kubeadm upgrade apply) if the API server, the controller manager, the scheduler, kubeadm's ConfigMap or
    kube-proxy have a different release. This renews kubeadm's certificates. The role dns upgrades DNS.
  - On a worker, it runs C(kubeadm upgrade node) if the installed kubelet has a different release. Run it before the new kubelet is
    installed.
  - If a run was killed, the next run finds out what was done and continues. It waits for a kubeadm that is still running.
  - The installed kubeadm must already have the required release. The kubelet is not changed.
attributes:
  check_mode:
    support: full
    details:
      - It reads what would be upgraded, and runs nothing.
  diff_mode:
    support: full
    details:
      - The diff shows the releases.
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  role:
    description:
      - The role of the host.
    type: str
    required: true
    choices: [control_plane, worker]
  cluster_name:
    description:
      - The name of the cluster. A host of another cluster is rejected.
    type: str
    required: true
  release:
    description:
      - The required release of Kubernetes, for example V(1.36.4).
    type: str
    required: true
  address:
    description:
      - The address of the API server on this host. Required on a control plane.
    type: str
    default: ""
  ignore_preflight_errors:
    description:
      - Preflight checks of kubeadm whose errors you accept.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time in seconds for kubeadm, and before it for the API server to become ready.
    type: int
    default: 900
notes:
  - Run it as root.
  - The output of kubeadm is written to C(/var/log/vmstation-kubeadm-upgrade.log).
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

- name: Upgrade a worker before its kubelet
  vmstation.cluster.kubeadm_upgrade:
    role: worker
    cluster_name: vmstation
    release: 1.36.4
  become: true
"""

RETURN = r"""
before:
  description: What kubeadm upgrades on this host, with the release before the upgrade.
  returned: success
  type: dict
  sample: {kube-apiserver: v1.36.3, kube-controller-manager: v1.36.3, kube-scheduler: v1.36.3, kubeadm-config: v1.36.3, kube-proxy: v1.36.3}
after:
  description: The same after the upgrade. Empty if check mode predicts a change.
  returned: success
  type: dict
kubeadm_output:
  description: The output of kubeadm, line by line.
  returned: when kubeadm failed
  type: list
  elements: str
diagnosis:
  description: Diagnostic output of the host.
  returned: when kubeadm failed, or the API server does not come up
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.upgrade import ensure, read_request, with_diagnosis
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
        refusal = with_diagnosis(refusal, host)
        module.fail_json(msg=str(refusal), **getattr(refusal, "details", {}))
    module.exit_json(**outcome.as_result())


if __name__ == "__main__":
    main()
