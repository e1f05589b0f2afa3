#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_network_check
short_description: Check pod-to-pod, Service and DNS connectivity between all nodes
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Creates one short-lived pod and one Service for each node that is awake and ready, in a temporary namespace. Each pod then sends
    requests, all at the same time, to the pod on every other node over HTTP, to the Service of every pod, and to the plan's DNS addresses.
    The answer of a pod is larger than a packet, so that an MTU that is too large is detected. Failed requests are repeated for 8 seconds.
  - A finding names the cause instead of each failed request. It is a node if no traffic passes to or from it, otherwise the pair of nodes,
    with the direction if only one fails. A Service or DNS is not reported if pod-to-pod connectivity itself is broken.
  - A pod that does not start is a finding with the node and the reason, such as the scheduler's message, C(ImagePullBackOff) or the error
    of the CNI plugin. Requests that could not be sent are unknown and never ok.
  - The namespace is deleted when the check ends, also if it fails, times out, or is ended by a signal. The pods terminate on their own if
    nothing deletes them. The leftovers of a killed run are removed by a run that starts at least two minutes after that run's O(timeout).
  - The pods comply with the Pod Security Standard C(restricted), tolerate every taint and are placed by the scheduler.
  - The API server must allow to list nodes and namespaces, to create, get and delete namespaces, and in them to create service accounts,
    services and pods, to list and patch pods, and to list events. If one of these permissions is missing, a finding of severity C(unknown)
    names it, and the matrix is unknown. Neither pod logs nor C(exec) are used.
attributes:
  check_mode:
    support: full
    details:
      - Reads the nodes and returns in RV(placed) what would be created. It creates nothing, and RV(matrix) is empty.
  diff_mode:
    support: none
    details:
      - There is no diff, because nothing remains in the cluster.
  idempotent:
    support: full
    details:
      - It removes what it creates. C(changed) is true only if it removed the leftovers of a killed run, or could not remove its own
        objects.
  platform:
    platforms: linux
options:
  plan:
    description:
      - The network plan. Only C(dns_service_ip), C(dns_domain), C(encapsulation) and C(pod_cidr) are used.
    type: dict
    required: true
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Only the name is used. The maximum is 100
        hosts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the node.
        type: str
        required: true
      address:
        description:
          - Not used.
        type: raw
      mac:
        description:
          - Not used.
        type: str
      role:
        description:
          - Not used.
        type: str
      sleeps:
        description:
          - Not used.
        type: bool
  asleep:
    description:
      - The names of the hosts in O(nodes) that are asleep. No pod is created for them, and they are not checked.
    type: list
    elements: str
    default: []
  image:
    description:
      - An image with BusyBox for the pods. A node that already has the image does not pull it.
    type: str
    default: docker.io/library/busybox:1.35.0
  names:
    description:
      - DNS names that pods must be able to resolve, in addition to C(kubernetes.default.svc) in the plan's domain. The maximum is 20 names.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time in seconds for the whole check, from 30 to 600. The last 25 seconds are for the requests, so pods must have started
        before. The removal may take 60 seconds more, and takes about 5.
    type: float
    default: 60
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Check the connectivity between pods on all nodes that are awake
  vmstation.cluster.pod_network_check:
    kubeconfig: ~/.kube/vmstation.config
    plan: "{{ network_plan }}"
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    names: [grafana.monitoring.svc.cluster.local, example.org]
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
findings:
  description: All problems, one finding for each cause.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: pods_reach_pods_on_other_nodes
    severity:
      description: C(error) or C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The node, the pair of nodes, the name, or another object at fault.
      type: str
      returned: always
      sample: node homelab
    found:
      description: What was found, with the first entries of the matrix that show it.
      type: str
      returned: always
      sample: >-
        its pod reaches no pod on masternode and storagenodet3500 and none reaches it: homelab -> masternode
        (http://10.244.77.7:8080/: no answer, 3 tries); and 3 more
    expected:
      description: What is required.
      type: str
      returned: always
      sample: an answer from the pod on every other node
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Check the firewall of homelab, which must allow 4789/udp from the other hosts and forward pods' packets both ways."
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
      sample: pod network
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "every pair of nodes reaches each other's Pods, Services and DNS"
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
matrix:
  description:
    - The requests of each node's pod, in the order of O(nodes). Nodes that are asleep have no entry.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    source:
      description: The node whose pod sent the request.
      type: str
      returned: always
      sample: masternode
    target:
      description: The node whose pod or Service was the target, or the name that was looked up.
      type: str
      returned: always
      sample: homelab
    kind:
      description: C(pod), C(service) or C(dns).
      type: str
      returned: always
      sample: pod
    ok:
      description: Whether the answer was correct. V(null) if this is unknown.
      type: bool
      returned: always
      sample: true
    detail:
      description: The target of the request and the result, or the reason why no request was sent.
      type: str
      returned: always
      sample: "http://10.244.77.7:8080/: answers"
    seconds:
      description: The time in seconds of the last attempt.
      type: float
      returned: always
      sample: 0.01
nodes:
  description: The state of each node, in the order of O(nodes).
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: As in O(nodes[].name).
      type: str
      returned: always
      sample: masternode
    state:
      description:
        - C(started) if the node's pod ran, C(not_started) if it did not, C(asleep), C(not_ready), or C(awake) if nothing was created.
      type: str
      returned: always
      sample: started
    reason:
      description: The reason why no pod ran on the node, or an empty string.
      type: str
      returned: always
      sample: ""
    pod_address:
      description: The address of the node's pod, or an empty string.
      type: str
      returned: always
      sample: 10.244.77.7
    nameservers:
      description: The DNS addresses that the kubelet gave to the pod.
      type: list
      elements: str
      returned: always
      sample: [10.233.0.3]
placed:
  description: What was created, or would be in check mode.
  returned: when the API server answered
  type: list
  elements: str
  sample: [Namespace vmstation-probe-1b2c3d4e5f, Pod vmstation-probe-1b2c3d4e5f/probe-0 on masternode]
removed:
  description: The namespaces of killed runs that were removed. The run's own namespace is not listed.
  returned: when the API server answered
  type: list
  elements: str
  sample: []
seconds:
  description: The number of seconds that the check took, including the removal.
  returned: when the API server answered
  type: float
  sample: 9.4
calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 31
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 52
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network import model, probe
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network.io import ProbePods, ending_in_order, fresh_name
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._timing import SystemClock

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    "plan": {"type": "dict", "required": True},
    "nodes": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "address": {"type": "raw"},
            "mac": {"type": "str"},
            "role": {"type": "str"},
            "sleeps": {"type": "bool"},
        },
    },
    "asleep": {"type": "list", "elements": "str", "default": []},
    "image": {"type": "str", "default": "docker.io/library/busybox:1.35.0"},
    "names": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 60},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        request = model.request(module.params)
        cluster = ProbePods(module.params["kubeconfig"], module.params["context"])
        namespace = fresh_name(model.PREFIX)
        if module.check_mode:
            outcome = probe.plan(request, cluster, SystemClock(), namespace)
        else:
            with ending_in_order():
                outcome = probe.run(request, cluster, SystemClock(), namespace)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    found = probe.judge(request, outcome)
    result = {
        "changed": outcome.is_changed,
        **as_result(found, probe.looked_at(outcome, found)),
        **probe.as_data(outcome),
        "api_calls": cluster.calls,
    }
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
