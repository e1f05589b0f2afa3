#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_diagnosis_info
short_description: Read from the Kubernetes API what somebody who helps would ask for
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads Nodes, Pods, events, workloads, Services, policies, volumes, the configuration of kubeadm, kubelet, kube-proxy and CoreDNS, and
    everything of Calico, each as YAML; and the ends of the logs of the system's Pods and of those that are not well.
    C(docs/diagnose.md) lists what it is.
  - Secrets are never asked for. The environment of containers is read, without the values whose names or forms say that they are secret.
  - An API server that does not answer, or refuses a list, does not make it fail. What could not be had is named with the reason.
attributes:
  platform:
    platforms: posix
seealso:
  - module: vmstation.cluster.host_diagnosis_info
  - module: vmstation.cluster.diagnosis_archive
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.kubeconfig
  - vmstation.cluster.diagnosis
"""

EXAMPLES = r"""
- name: Read what the cluster says of itself
  vmstation.cluster.cluster_diagnosis_info:
    kubeconfig: ~/.kube/vmstation.config
  delegate_to: localhost
  run_once: true
  register: cluster

- name: Show its Pods
  ansible.builtin.debug:
    msg: "{{ (cluster.entries | selectattr('name', '==', 'pods.txt') | first).text }}"
"""

RETURN = r"""
entries:
  description: Everything that was asked for, with the keys that M(vmstation.cluster.host_diagnosis_info) returns.
  returned: success
  type: list
  elements: dict
  sample:
    - name: services.yaml
      status: complete
      asked: list of Service
      text: "apiVersion: v1\nkind: Service\n"
      note: ""
      keep: head
      redactions: 0
      seconds: 0.021
api_calls:
  description: How many requests it took.
  returned: success
  type: int
  sample: 71
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis import cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.bounds import share
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import as_data
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._io.texts import TextApi
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "maximum_size": {"type": "str", "default": "20MiB"},
    "timeout": {"type": "float", "default": 120},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        room = share(module.params["maximum_size"], 1)
        api = TextApi(module.params["kubeconfig"], module.params["context"])
        entries = cluster.look(api, SystemClock(), room, module.params["timeout"])
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, entries=as_data(entries), api_calls=api.calls)


if __name__ == "__main__":
    main()
