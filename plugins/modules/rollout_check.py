#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_check
short_description: Wait until workloads of a cluster are rolled out, and say why they are not
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Waits for a set of DaemonSets, Deployments and StatefulSets at once, until each is rolled out as C(kubectl rollout status) understands
    it. Its controller has seen the last change, all of its Pods are updated, and they are available.
  - Of a workload that is not there in time it names the Pods that are not ready with what their status says, such as C(Unschedulable),
    C(ImagePullBackOff) or C(CrashLoopBackOff) with the exit code and the last words of the container, and the last events.
  - DaemonSets have Pods on nodes that are switched off, too. O(asleep) names the nodes whose Pods are not waited for.
  - It changes nothing. The number of requests depends on the number of namespaces and kinds, not on that of nodes or workloads.
attributes:
  check_mode:
    support: full
    details:
      - It never changes anything. In check mode it waits as it does otherwise.
  diff_mode:
    support: none
    details:
      - It never changes anything.
  idempotent:
    support: full
    details:
      - It never changes anything.
  platform:
    platforms: all
options:
  workloads:
    description:
      - What to wait for.
    type: list
    elements: dict
    required: true
    suboptions:
      kind:
        description:
          - The kind of the workload.
        type: str
        required: true
        choices: [DaemonSet, Deployment, StatefulSet]
      namespace:
        description:
          - Its namespace.
        type: str
        required: true
      name:
        description:
          - Its name.
        type: str
        required: true
  asleep:
    description:
      - Names of nodes that are switched off, or otherwise not to be waited for. Pods of DaemonSets on them count neither as wanted nor as
        there.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds to wait at most. V(0) looks once and judges what is there.
      - An API server that stops answering meanwhile is asked again until then. One that does not answer at first fails the task at once.
    type: float
    default: 300
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Wait until Calico runs on every node that is awake
  vmstation.cluster.rollout_check:
    kubeconfig: ~/.kube/vmstation.config
    workloads:
      - {kind: DaemonSet, namespace: kube-system, name: calico-node}
      - {kind: Deployment, namespace: kube-system, name: calico-kube-controllers}
    asleep: [homelab]
    timeout: 300
  delegate_to: localhost

- name: Judge what runs now, without waiting or failing
  vmstation.cluster.rollout_check:
    kubeconfig: ~/.kube/vmstation.config
    workloads:
      - {kind: Deployment, namespace: kube-system, name: coredns}
    timeout: 0
    fail_on: never
  delegate_to: localhost
  register: coredns
"""

RETURN = r"""
findings:
  description: One for each workload that is not rolled out.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: workloads_are_rolled_out
    severity:
      description: Always C(error).
      type: str
      returned: always
      sample: error
    subject:
      description: The workload.
      type: str
      returned: always
      sample: Deployment kube-system/coredns
    found:
      description: What it still waits for, its Pods that are not ready, and the last events.
      type: str
      returned: always
      sample: >-
        after 300 s still waiting for 2 of 2 Pods to be available; Pod coredns-6c8f4d-x2x7q on masternode: container coredns:
        CrashLoopBackOff; last ended with exit code 1, 6 restarts
    expected:
      description: What is waited for.
      type: str
      returned: always
      sample: rolled out, 2 Pods available
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Read why it ended: `kubectl logs --previous --namespace kube-system coredns-6c8f4d-x2x7q`."
workloads:
  description: Every workload, in the order of O(workloads).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    kind:
      description: As in O(workloads[].kind).
      type: str
      returned: always
      sample: Deployment
    namespace:
      description: As in O(workloads[].namespace).
      type: str
      returned: always
      sample: kube-system
    name:
      description: As in O(workloads[].name).
      type: str
      returned: always
      sample: coredns
    rolled_out:
      description: Whether nothing is missing.
      type: bool
      returned: always
      sample: true
    waiting_for:
      description: What is missing, or an empty string.
      type: str
      returned: always
      sample: ""
    desired:
      description: How many Pods there should be, without those on nodes that are asleep.
      type: int
      returned: always
      sample: 2
    updated:
      description: How many of them are of the last revision.
      type: int
      returned: always
      sample: 2
    available:
      description: How many Pods are available.
      type: int
      returned: always
      sample: 2
    pods:
      description: The Pods that are not ready. Empty for a workload that is rolled out.
      type: list
      elements: dict
      returned: always
      contains:
        name:
          description: The name of the Pod.
          type: str
          returned: always
          sample: coredns-6c8f4d-x2x7q
        node:
          description: Its node, or an empty string.
          type: str
          returned: always
          sample: masternode
        state:
          description: What its status says.
          type: str
          returned: always
          sample: "container coredns: CrashLoopBackOff; last ended with exit code 1, 6 restarts"
        next_step:
          description: What to do about it.
          type: str
          returned: always
          sample: "Read why it ended: `kubectl logs --previous --namespace kube-system coredns-6c8f4d-x2x7q`."
    events:
      description: The last events of the workload and of the Pods under RV(workloads[].pods), oldest first. Empty if it is rolled out.
      type: list
      elements: str
      returned: always
      sample: ["BackOff: Back-off restarting failed container coredns in pod coredns-6c8f4d-x2x7q"]
seconds:
  description: How long it waited.
  returned: when the API server answered
  type: float
  sample: 12.1
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 9
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout import judge, model, watch

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "workloads": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "kind": {"type": "str", "required": True, "choices": list(model.KINDS)},
            "namespace": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
        },
    },
    "asleep": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 300},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        cluster = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        outcome = watch.watch(model.request(module.params), cluster, SystemClock())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.findings(outcome.reports, outcome.seconds)
    result = {
        "changed": False,
        "findings": as_dicts(found),
        "workloads": judge.as_data(outcome.reports),
        "seconds": round(outcome.seconds, 1),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
