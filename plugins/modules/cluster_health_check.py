#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_health_check
short_description: Check the control plane, workloads, storage, API, certificates and monitoring of a cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - C(control_plane) requests C(/livez) and C(/readyz) from the API server, and checks that the static Pods of each control plane host are
    ready, that kube-scheduler and kube-controller-manager renew their Leases, that the API server accepts a write, and that etcd has enough
    space. Components without a Pod on any host, such as those of k3s or an etcd that is a service of the host, are named in RV(looked_at).
    Of these, only their Leases are checked.
  - C(workloads) checks every Deployment, StatefulSet, DaemonSet, Job and Pod. A finding contains the reason that Kubernetes reports. It is
    an error in O(namespaces) and a warning elsewhere.
  - C(storage) checks that every PersistentVolumeClaim is bound, that no PersistentVolume has failed or has lost its claim, and that neither
    is being deleted while Pods use it. M(vmstation.cluster.local_storage_check) checks directories of a host. Added in release 0.2.0.
  - C(api) checks that each admission webhook with C(failurePolicy) C(Fail) has a Service with a ready endpoint, that each APIService is
    available, and that no namespace is terminating for minutes.
  - C(certificates) checks how long the API server's certificate and the kubeconfig's client certificate are valid, and that the requests of
    kubelets for server certificates are approved. A request for other names or addresses than those in O(nodes) is reported with a reason.
  - C(monitoring) queries Prometheus, Loki and Grafana through the API server, which needs the permission to get C(services/proxy).
    Prometheus must store samples, reach the targets of all hosts that are awake, and evaluate its rules. Alerts that fire, and receivers
    whose last alert was not delivered, are findings of severity C(warning). Without these Services in O(monitoring_namespace), there is no
    finding.
  - Anything that is missing because a host of O(asleep) is off is not reported. A Pod or a claim that is younger than 60 seconds is
    reported only if one of its containers has failed.
  - This module changes nothing. It sends all requests at the same time and reads each list once. The number of requests does not depend on
    the number of nodes or workloads, except that long lists come in pages.
  - If the API server denies a read, a finding of severity C(unknown) names the missing permission. If the API server does not answer at
    all, the task fails, unless an expired certificate is the reason.
attributes:
  platform:
    platforms: all
options:
  nodes:
    description:
      - The hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys are ignored.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - The name of the host. In lower case it is the name of its node.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of addresses. A kubelet may request a certificate for these only.
        type: raw
        required: true
      mac:
        description:
          - Not used.
        type: str
      role:
        description:
          - V(control_plane) for a control plane host. Other values are ignored.
        type: str
      sleeps:
        description:
          - Not used.
        type: bool
  asleep:
    description:
      - The names of the hosts in O(nodes) that are asleep.
    type: list
    elements: str
    default: []
  groups:
    description:
      - The groups of checks to run.
    type: list
    elements: str
    choices: [control_plane, workloads, storage, api, certificates, monitoring]
    default: [control_plane, workloads, storage, api, certificates, monitoring]
  namespaces:
    description:
      - The namespaces in which a problem of a workload is an error. A Deployment or StatefulSet in them must also have a replica.
    type: list
    elements: str
    default: [kube-system, monitoring, jellyfin]
  dns_replicas:
    description:
      - The minimum number of replicas of the Deployment C(kube-system/coredns).
    type: int
    default: 1
  certificate_days:
    description:
      - The number of days that a certificate must still be valid. Fewer days are a warning, fewer than 7 an error.
    type: int
    default: 30
  monitoring_namespace:
    description:
      - The namespace of the Services C(prometheus), C(loki) and C(grafana).
    type: str
    default: monitoring
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
  - vmstation.cluster.kubeconfig
seealso:
  - module: vmstation.cluster.node_ready_check
  - module: vmstation.cluster.rollout_check
"""

EXAMPLES = r"""
- name: Check the health of the cluster
  vmstation.cluster.cluster_health_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
    asleep: "{{ hostvars | vmstation.cluster.asleep_hosts }}"
    dns_replicas: 2
    fail_on: never
  delegate_to: localhost
  run_once: true
  register: health

- name: Fail if a certificate expires within 60 days
  vmstation.cluster.cluster_health_check:
    kubeconfig: ~/.kube/vmstation.config
    nodes: []
    groups: [certificates]
    certificate_days: 60
    fail_on: warning
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: All problems that were found.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    group:
      description: The group of checks, one of O(groups).
      type: str
      returned: always
      sample: control_plane
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: control_plane_components_run
    severity:
      description: C(error) or C(warning), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: kube-scheduler
    found:
      description: What was found, with the reason that Kubernetes reports.
      type: str
      returned: always
      sample: "no Pod kube-scheduler-masternode; its Lease was last renewed 75 s ago: no Pod is scheduled"
    expected:
      description: What is required.
      type: str
      returned: always
      sample: ready on masternode, with a renewed Lease
    fix:
      description: The next step.
      type: str
      returned: always
      sample: >-
        On masternode, check its manifest /etc/kubernetes/manifests/kube-scheduler.yaml and `journalctl -u kubelet`.
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
      sample: control plane
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "API server ready; etcd 24 MiB; scheduler and controller manager renew their Leases"
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
    group:
      description: The group of checks, one of O(groups).
      type: str
      returned: always
      sample: control_plane
failure:
  description: The parts of the error message, with the keys C(subject), C(found), C(expected) and C(fix).
  returned: when the task fails before it has a result
  type: dict
  sample:
    subject: kubeconfig ~/.kube/config
    found: no file of this name that can be read
    expected: a kubeconfig
    fix: Name the right file.
api_calls:
  description: The number of requests to the API server.
  returned: when the API server answered
  type: int
  sample: 29
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._cluster.api import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._health.io import HealthApi
from ansible_collections.vmstation.cluster.plugins.module_utils._health.judge import as_data, check
from ansible_collections.vmstation.cluster.plugins.module_utils._health.model import CERTIFICATE_DAYS, GROUPS, OWN_NAMESPACES, wanted
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    **KUBECONFIG_ARGUMENTS,
    **CLUSTER_HOSTS_ARGUMENTS,
    "groups": {"type": "list", "elements": "str", "choices": list(GROUPS), "default": list(GROUPS)},
    "namespaces": {"type": "list", "elements": "str", "default": list(OWN_NAMESPACES)},
    "dns_replicas": {"type": "int", "default": 1},
    "certificate_days": {"type": "int", "default": CERTIFICATE_DAYS},
    "monitoring_namespace": {"type": "str", "default": "monitoring"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        cluster = HealthApi(module.params["kubeconfig"], module.params["context"])
        outcome = check(wanted(module.params), cluster)
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    result = {"changed": False, **as_data(outcome), "api_calls": cluster.calls}
    failing = failures([one for found in outcome.findings.values() for one in found], module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
