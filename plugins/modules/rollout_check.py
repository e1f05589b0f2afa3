#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_check
short_description: Wait until workloads are rolled out, and report why they are not
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Waits for a set of DaemonSets, Deployments and StatefulSets at the same time, until each is rolled out by the rules of C(kubectl rollout
    status). Its controller has processed the last change, and all of its Pods are updated and available.
  - For a workload that is not ready in time, it reports the Pods that are not ready with their status, such as C(Unschedulable),
    C(ImagePullBackOff) or C(CrashLoopBackOff) with the exit code and the end of the container's log, and the last events.
  - DaemonSets also have Pods on nodes that are switched off. Pods on the nodes in O(asleep) are not waited for.
  - This module changes nothing. The number of requests depends on the number of namespaces and kinds, not on the number of nodes or
    workloads.
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing. In check mode it also waits.
  diff_mode:
    support: none
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - This module changes nothing.
  platform:
    platforms: all
options:
  workloads:
    description:
      - The workloads to wait for.
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
          - The namespace of the workload.
        type: str
        required: true
      name:
        description:
          - The name of the workload.
        type: str
        required: true
  asleep:
    description:
      - The names of nodes that are switched off or that must not be waited for. DaemonSet Pods on them count neither as desired nor as
        available.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time to wait in seconds. With V(0), the workloads are checked once.
      - If the API server stops answering during this time, the request is repeated until the time is over. If it does not answer at the
        start, the task fails immediately.
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

- name: Check the workloads once, without failing
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
  description: One finding for each workload that is not rolled out.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
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
      description: The missing condition, the Pods that are not ready, and the last events.
      type: str
      returned: always
      sample: >-
        after 300 s still waiting for 2 of 2 Pods to be available; Pod coredns-6c8f4d-x2x7q on masternode: container coredns:
        CrashLoopBackOff; last ended with exit code 1, 6 restarts
    expected:
      description: The state that is waited for.
      type: str
      returned: always
      sample: rolled out, 2 Pods available
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Read why it ended: `kubectl logs --previous --namespace kube-system coredns-6c8f4d-x2x7q`."
    hosts:
      description:
        - The hosts that the finding is about, two for the connection between them. Empty for the cluster, and for the host that the
          module runs on.
      type: list
      elements: str
      returned: always
      sample: []
looked_at:
  description: What the check looked at, also where it found nothing.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: DaemonSet kube-system/calico-node
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "3 of 3 Pods available"
    state:
      description: V(ok), V(asleep), or the worst severity of the findings about the object, V(warning), V(unknown) or V(error).
      type: str
      returned: always
      sample: ok
    hosts:
      description: The hosts that it is about, as in RV(findings).
      type: list
      elements: str
      returned: always
      sample: []
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
workloads:
  description: All workloads, in the order of O(workloads).
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
      description: Whether the workload is rolled out.
      type: bool
      returned: always
      sample: true
    waiting_for:
      description: The missing condition, or an empty string.
      type: str
      returned: always
      sample: ""
    desired:
      description: The desired number of Pods, without those on nodes that are asleep.
      type: int
      returned: always
      sample: 2
    updated:
      description: The number of Pods of the last revision.
      type: int
      returned: always
      sample: 2
    available:
      description: The number of available Pods.
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
          description: The node of the Pod, or an empty string.
          type: str
          returned: always
          sample: masternode
        state:
          description: The status of the Pod.
          type: str
          returned: always
          sample: "container coredns: CrashLoopBackOff; last ended with exit code 1, 6 restarts"
        next_step:
          description: The next step for this Pod.
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
  description: The number of seconds that the module waited.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import (
    KUBECONFIG_ARGUMENTS,
    KUBERNETES_IMPORT_ERROR,
    KubernetesApi,
)
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._rollout import pods
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "workloads": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "kind": {"type": "str", "required": True, "choices": list(pods.KINDS)},
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
        outcome = pods.watch(pods.request(module.params), cluster, SystemClock())
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = pods.findings(outcome.reports, outcome.seconds)
    result = {
        "changed": False,
        **as_result(found, pods.looked_at(outcome.reports, found)),
        "workloads": pods.as_data(outcome.reports),
        "seconds": round(outcome.seconds, 1),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
