#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_control_plane
short_description: Make a host the control plane of a cluster with kubeadm, and keep it whole
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Runs C(kubeadm init) on a host that has no control plane yet, with a configuration that C(kubeadm config validate) has accepted.
  - An init that was killed in mid-way, or whose SSH connection was lost, is taken up by the next run. Nothing that it made is lost.
  - On a control plane that stands, what is missing is made again by the phase of kubeadm that makes it. Among that are manifests of static
    Pods, kubeconfig files, certificates, the kubelet's service, kube-proxy and kubeadm's ConfigMaps.
  - What another cluster left is named and refused. So is a control plane that lost what nothing can make again.
  - Service ranges beyond the API server's own are made as ServiceCIDR objects and waited for.
  - A difference between the configuration and the running cluster is reported as a finding, and nothing is changed.
extends_documentation_fragment:
  - vmstation.cluster.attributes
attributes:
  check_mode:
    support: full
    details:
      - It reads and predicts. On a host without kubeadm the configuration is not validated.
  diff_mode:
    support: full
    details:
      - The difference is that of kubeadm's configuration file. It holds no secrets.
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  configuration:
    description:
      - The documents that kubeadm reads, an C(InitConfiguration) and a C(ClusterConfiguration) at least.
      - The filter P(vmstation.cluster.kubeadm_init_configuration#filter) makes them from the network plan.
    type: list
    elements: dict
    required: true
  service_cidrs:
    description:
      - Service ranges beyond those of the C(ClusterConfiguration). Each gets a ServiceCIDR unless one holds it already.
      - Other ServiceCIDR objects are reported and left as they are.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - Seconds that C(kubeadm init) may take, and after it seconds until the API server is ready.
    type: int
    default: 600
  certificate_days:
    description:
      - A certificate that expires in fewer days is reported as a finding.
    type: int
    default: 30
notes:
  - It must run as root. kubeadm, kubelet, kubectl and a container runtime must be on the host.
  - The output of C(kubeadm init) is kept in C(/var/log/vmstation-kubeadm-init.log), the configuration in
    C(/etc/kubernetes/vmstation-kubeadm.yaml), and the mark of this collection in C(/etc/kubernetes/vmstation-cluster.json).
seealso:
  - plugin: vmstation.cluster.kubeadm_init_configuration
    plugin_type: filter
  - module: vmstation.cluster.node_preflight_check
"""

EXAMPLES = r"""
- name: Make the host a control plane
  vmstation.cluster.kubeadm_control_plane:
    configuration: "{{ network_plan | vmstation.cluster.kubeadm_init_configuration('masternode', ['192.168.4.63'], '1.36.4') }}"
    service_cidrs: [10.233.0.0/24]
  become: true

- name: Show what a run would repair
  vmstation.cluster.kubeadm_control_plane:
    configuration: "{{ network_plan | vmstation.cluster.kubeadm_init_configuration('masternode', ['192.168.4.63'], '1.36.4') }}"
  become: true
  check_mode: true
  register: control_plane
"""

RETURN = r"""
situation:
  description:
    - What stood on the host before this run. V(absent) is nothing, V(interrupted) an init that did not come to its end, V(complete) a
      control plane.
  returned: success
  type: str
  sample: complete
repaired:
  description: What was missing, and how it was made again.
  returned: success
  type: list
  elements: str
  sample: ["/etc/kubernetes/manifests/etcd.yaml: was gone; made by `kubeadm init phase etcd local`"]
service_cidrs_created:
  description: Ranges for which a ServiceCIDR was made.
  returned: success
  type: list
  elements: str
  sample: [10.233.0.0/24]
findings:
  description: What needs attention. None of it fails the task.
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      sample: the_cluster_is_configured_as_planned
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: warning
    subject:
      description: The thing that was judged.
      type: str
      sample: "ConfigMap kube-system/kubelet-config: KubeletConfiguration.clusterDNS"
    found:
      description: What it is.
      type: str
      sample: "['10.96.0.10']"
    expected:
      description: What it must be.
      type: str
      sample: "['10.233.0.3']"
    fix:
      description: The next step.
      type: str
certificates:
  description: The certificates of kubeadm, those inside kubeconfig files too.
  returned: success, on a control plane that stands
  type: list
  elements: dict
  contains:
    name:
      description: Its name in kubeadm's words.
      type: str
      sample: apiserver
    expires:
      description: When it expires.
      type: str
      sample: "2027-11-23T06:59:02Z"
    days:
      description: The days until then.
      type: int
      sample: 364
kubeadm_output:
  description: What C(kubeadm init) said, line by line.
  returned: when C(kubeadm init) failed
  type: list
  elements: str
  sample: ["[init] Using Kubernetes version: v1.36.4"]
diagnosis:
  description: What the host says about it. The kubelet's state and errors, the control plane's containers and their last words.
  returned: when the control plane does not come up
  type: list
  elements: str
  sample: ["kubelet: active (running)", "etcd: has not been started"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.control_plane import ensure, read_request
from ansible_collections.vmstation.cluster.plugins.module_utils._kubeadm.host import this_host
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

OPTIONS = {
    "configuration": {"type": "list", "elements": "dict", "required": True},
    "service_cidrs": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 600},
    "certificate_days": {"type": "int", "default": 30},
}


def main() -> None:
    module = AnsibleModule(argument_spec=OPTIONS, supports_check_mode=True)
    try:
        outcome = ensure(read_request(module.params, check=module.check_mode), this_host())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal), **getattr(refusal, "details", {}))
    for finding in outcome.findings:
        if finding.severity != "info":
            module.warn(str(finding))
    module.exit_json(**outcome.as_result())


if __name__ == "__main__":
    main()
