#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pod_network_check
short_description: Let a pod on every node reach the pods on all others, their Services and names, and judge what happened
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Places one short-lived pod and one Service for each node that is awake and ready, in a namespace of its own. Each pod then asks, all at
    once, the pod on every other node over HTTP, the Service of every pod, and the plan's DNS addresses for names. The answer of a pod is
    larger than a packet, so that an MTU that is too large shows. What fails is asked again for 8 seconds.
  - A finding names a cause and not a line of the matrix. It is a node if nothing passes to or from it, else the pair of nodes, and the
    direction if it is one. A Service or DNS is not blamed where the way itself is broken.
  - A pod that does not start is a finding that names the node and the reason, such as the scheduler's message, C(ImagePullBackOff) or what
    the CNI plugin said. Whatever could not be asked is unknown and never good.
  - The namespace goes when the check ends, also when it fails, runs out of time, or is ended by a signal. The pods end by themselves when
    nobody ends them. What a killed run left is removed by a run that begins two minutes or more after the killed one's O(timeout).
  - The pods keep to the Pod Security Standard C(restricted), tolerate every taint and are placed by the scheduler.
  - The API server must permit to list nodes and namespaces, to create, get and delete namespaces, and in them to create service accounts,
    services and pods, to list and patch pods, and to list events. Without one of these there is a finding of severity C(warning) that names
    it, and the matrix is unknown. Neither pods' logs nor C(exec) are used.
attributes:
  check_mode:
    support: full
    details:
      - Reads the nodes and returns in RV(placed) what would be placed. It places nothing, and RV(matrix) is empty.
  diff_mode:
    support: none
    details:
      - It leaves nothing behind that could differ.
  idempotent:
    support: full
    details:
      - It removes what it places. C(changed) is true only if it removed what a killed run had left, or could not remove its own.
  platform:
    platforms: linux
options:
  plan:
    description:
      - The network plan. Of it C(dns_service_ip), C(dns_domain), C(encapsulation) and C(pod_cidr) count.
    type: dict
    required: true
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Only the name counts. 100 at most.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The node's name.
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
      - Names of O(nodes) that are asleep. Nothing is placed on them and nothing said about them.
    type: list
    elements: str
    default: []
  image:
    description:
      - An image with BusyBox, for the pods. A node that has it does not pull it.
    type: str
    default: docker.io/library/busybox:1.35.0
  names:
    description:
      - DNS names that pods must be able to resolve, besides C(kubernetes.default.svc) of the plan's domain. 20 at most.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds for the whole check, 30 to 600. The last 25 of them are for asking; pods must have started before. Removing may take
        60 seconds more, and takes about 5.
    type: float
    default: 60
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Let pods on all nodes that are awake reach each other
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
  description: Everything that is broken, one for each cause.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: pods_reach_pods_on_other_nodes
    severity:
      description: C(error) or C(warning).
      type: str
      returned: always
      sample: error
    subject:
      description: The node, the pair of nodes, the name, or what else is at fault.
      type: str
      returned: always
      sample: node homelab
    found:
      description: What was found, with the first lines of the matrix that show it.
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
      sample: "Look at the firewall of homelab, which must let in 4789/udp from the other hosts and forward pods' packets both ways."
matrix:
  description:
    - What each node's pod asked, in the order of O(nodes). Nodes that are asleep have no line.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    source:
      description: The node whose pod asked.
      type: str
      returned: always
      sample: masternode
    target:
      description: The node whose pod or Service was asked, or the name that was looked up.
      type: str
      returned: always
      sample: homelab
    kind:
      description: C(pod), C(service) or C(dns).
      type: str
      returned: always
      sample: pod
    ok:
      description: Whether the right answer came. V(null) if that is unknown.
      type: bool
      returned: always
      sample: true
    detail:
      description: Who was asked and what happened, or why nobody was.
      type: str
      returned: always
      sample: "http://10.244.77.7:8080/: answers"
    seconds:
      description: What the last try took.
      type: float
      returned: always
      sample: 0.01
nodes:
  description: What is known of each node, in the order of O(nodes).
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
        - C(started) if its pod ran, C(not_started) if it did not, C(asleep), C(not_ready), or C(awake) if nothing was placed.
      type: str
      returned: always
      sample: started
    reason:
      description: Why no pod ran there, or an empty string.
      type: str
      returned: always
      sample: ""
    pod_address:
      description: The address that its pod had, or an empty string.
      type: str
      returned: always
      sample: 10.244.77.7
    nameservers:
      description: The DNS addresses that the kubelet gave to its pod.
      type: list
      elements: str
      returned: always
      sample: [10.233.0.3]
placed:
  description: What was placed, or in check mode would be.
  returned: when the API server answered
  type: list
  elements: str
  sample: [Namespace vmstation-probe-1b2c3d4e5f, Pod vmstation-probe-1b2c3d4e5f/probe-0 on masternode]
removed:
  description: Namespaces that killed runs had left, and that were removed. The own one goes silently.
  returned: when the API server answered
  type: list
  elements: str
  sample: []
seconds:
  description: How long it took, with removing.
  returned: when the API server answered
  type: float
  sample: 9.4
calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 31
api_calls:
  description: How many requests the API server was sent.
  returned: when the API server answered
  type: int
  sample: 52
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.clock import SystemClock
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._io.probe_pods import ProbePods, ending_in_order, fresh_name
from ansible_collections.vmstation.cluster.plugins.module_utils._pod_network import judge, manifests, model, probe
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

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
        namespace = fresh_name(manifests.PREFIX)
        if module.check_mode:
            outcome = probe.plan(request, cluster, SystemClock(), namespace)
        else:
            with ending_in_order():
                outcome = probe.run(request, cluster, SystemClock(), namespace)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    found = judge.judge(request, outcome)
    result = {"changed": outcome.is_changed, "findings": as_dicts(found), **judge.as_data(outcome), "api_calls": cluster.calls}
    failing = failures(found, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
