#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_diagnosis_info
short_description: Read diagnostic information from the Kubernetes API
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads Nodes, Pods, events, workloads, Services, policies, volumes and all objects of Calico, each as YAML. It also reads the ends of
    the logs of system Pods and of Pods that are not healthy. C(docs/diagnose.md) has the full list.
  - Secrets are never requested. Of other objects, only a list of fields is returned. Values of environment variables, commands, arguments
    and annotations, and the data of ConfigMaps are not in it.
  - The module does not fail if the API server does not answer or rejects a list. What could not be read is reported with the reason.
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
- name: Read diagnostic information from the cluster
  vmstation.cluster.cluster_diagnosis_info:
    kubeconfig: ~/.kube/vmstation.config
  delegate_to: localhost
  run_once: true
  register: cluster

- name: Show the Pods of the cluster
  ansible.builtin.debug:
    msg: "{{ (cluster.entries | selectattr('name', '==', 'pods.txt') | first).text }}"
"""

RETURN = r"""
entries:
  description: Everything that was requested, with the keys that M(vmstation.cluster.host_diagnosis_info) returns.
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
  description: The number of requests to the API server.
  returned: success
  type: int
  sample: 71
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.proxied import TextApi
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis import cluster
from ansible_collections.vmstation.cluster.plugins.module_utils._diagnosis.model import as_data, share
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

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
