#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: kubeadm_control_plane
short_description: Create the control plane of a cluster with kubeadm, and repair it
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Runs C(kubeadm init) on a host without a control plane, with a configuration that C(kubeadm config validate) has accepted.
  - If an init was killed or its SSH connection was lost, the next run continues it. Nothing that it created is lost.
  - On an existing control plane, anything that is missing is created again by the corresponding phase of kubeadm. This includes manifests
    of static Pods, kubeconfig files, certificates, the kubelet's service, kube-proxy and kubeadm's ConfigMaps.
  - Certificates of kubeadm are renewed before they expire, and the static Pods that read them only when they start are restarted one after
    the other. If the kubelet's client certificate has expired, because the host was off, it is created again.
  - Leftovers of another cluster are reported and rejected. So is a control plane that lost something that cannot be recreated.
  - With O(join), a host without a control plane joins the cluster of another control plane host instead, with an etcd member of its own. If
    that join was killed, the next run removes what it left and joins again.
  - Service ranges beyond those of the API server are created as ServiceCIDR objects, and the module waits for them.
  - A difference between the configuration and the running cluster is reported as a finding, and nothing is changed.
extends_documentation_fragment:
  - vmstation.cluster.attributes
attributes:
  check_mode:
    support: full
    details:
      - It reads and predicts. On a host without kubeadm, the configuration is not validated.
  diff_mode:
    support: full
    details:
      - The diff shows kubeadm's configuration file. It contains no secrets.
  idempotent:
    support: full
  platform:
    platforms: linux
options:
  configuration:
    description:
      - The documents of kubeadm's configuration, at least an C(InitConfiguration) and a C(ClusterConfiguration).
      - The filter P(vmstation.cluster.kubeadm_init_configuration#filter) creates them from the network plan.
    type: list
    elements: dict
    required: true
  unverified_configuration:
    description:
      - The same documents without the settings with which the control plane verifies kubelets. They are used instead on an existing control
        plane whose API server does not verify kubelets (C(--kubelet-certificate-authority)). Files that are created again there, also after
        a restore, therefore do not verify kubelets that have no certificates yet. M(vmstation.cluster.kubelet_certificates) changes this.
      - If the manifest of the API server is missing, the previous configuration file decides.
      - The default is to use O(configuration) always.
    type: list
    elements: dict
    version_added: 0.2.0
  service_cidrs:
    description:
      - Service ranges beyond those of the C(ClusterConfiguration). A ServiceCIDR is created for each, unless one contains it already.
      - Other ServiceCIDR objects are reported and not changed.
    type: list
    elements: str
    default: []
  timeout:
    description:
      - The maximum time in seconds for C(kubeadm init), and then for the API server to become ready.
    type: int
    default: 600
  certificate_days:
    description:
      - The minimum number of days that a certificate must still be valid. One that expires earlier is renewed by kubeadm.
      - Certificates that kubeadm cannot renew are reported as findings. These are CAs, and certificates whose CA key is not on the host.
      - If C(certificateValidityPeriod) of the C(ClusterConfiguration) is short, certificates are renewed only in its last third.
    type: int
    default: 30
  join:
    description:
      - How this host joins an existing cluster as a further control plane. Without it, C(kubeadm init) creates a cluster.
      - On a host that has a control plane, this changes nothing. In check mode it may be empty, V({}).
    type: dict
    version_added: 0.2.0
    suboptions:
      endpoint:
        description: Host and port of the API, as M(vmstation.cluster.kubeadm_join_token) returns it.
        type: str
        default: ""
      token:
        description: A bootstrap token of the cluster. It is passed to kubeadm through a pipe, and written to no file.
        type: str
        default: ""
      ca_cert_hashes:
        description: Hashes of the cluster's CA, as M(vmstation.cluster.kubeadm_join_token) returns them.
        type: list
        elements: str
        default: []
      files:
        description: RV(vmstation.cluster.kubeadm_control_plane_info#module:files) of a control plane host.
        type: dict
        default: {}
  peers:
    description:
      - The addresses of the other control plane hosts. If an API server answers at one of them, no cluster is created here.
        If this host has lost what cannot be recreated, the error message shows how it joins them again.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
notes:
  - Run it as root. kubeadm, kubelet, kubectl and a container runtime must be installed.
  - The output of C(kubeadm init) or C(kubeadm join) is written to C(/var/log/vmstation-kubeadm-init.log), the configuration to
    C(/etc/kubernetes/vmstation-kubeadm.yaml), and the mark of this collection to C(/etc/kubernetes/vmstation-cluster.json).
seealso:
  - module: vmstation.cluster.kubeadm_control_plane_info
  - plugin: vmstation.cluster.kubeadm_init_configuration
    plugin_type: filter
  - module: vmstation.cluster.kubelet_certificates
  - module: vmstation.cluster.node_preflight_check
"""

EXAMPLES = r"""
- name: Create the control plane
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
    - The state of the host before this run. V(absent) means no control plane, V(interrupted) an unfinished init or join, V(complete) a
      plane.
  returned: success
  type: str
  sample: complete
repaired:
  description: What was missing and how it was created again, and which certificates were renewed.
  returned: success
  type: list
  elements: str
  sample: ["/etc/kubernetes/manifests/etcd.yaml: was missing; recreated by `kubeadm init phase etcd local`"]
service_cidrs_created:
  description: The ranges for which a ServiceCIDR was created.
  returned: success
  type: list
  elements: str
  sample: [10.233.0.0/24]
findings:
  description: What needs attention. Findings do not fail the task.
  returned: success
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      sample: the_cluster_is_configured_as_planned
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: warning
    subject:
      description: The object that was checked.
      type: str
      sample: "ConfigMap kube-system/kubelet-config: KubeletConfiguration.clusterDNS"
    found:
      description: What was found.
      type: str
      sample: "['10.96.0.10']"
    expected:
      description: What is required.
      type: str
      sample: "['10.233.0.3']"
    fix:
      description: The next step.
      type: str
certificates:
  description: The certificates of kubeadm, including those in kubeconfig files.
  returned: success, on an existing control plane
  type: list
  elements: dict
  contains:
    name:
      description: The name of the certificate, as kubeadm writes it.
      type: str
      sample: apiserver
    expires:
      description: The expiry time of the certificate.
      type: str
      sample: "2027-11-23T06:59:02Z"
    days:
      description: The number of days until the certificate expires.
      type: int
      sample: 364
kubeadm_output:
  description: The output of C(kubeadm init), line by line.
  returned: when C(kubeadm init) failed
  type: list
  elements: str
  sample: ["[init] Using Kubernetes version: v1.36.4"]
diagnosis:
  description: Diagnostic output of the host. It contains the kubelet's state and errors, and the control plane's containers with the ends
    of their logs.
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
    "unverified_configuration": {"type": "list", "elements": "dict"},
    "service_cidrs": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 600},
    "certificate_days": {"type": "int", "default": 30},
    "join": {
        "type": "dict",
        "options": {
            "endpoint": {"type": "str", "default": ""},
            "token": {"type": "str", "default": "", "no_log": True},
            "ca_cert_hashes": {"type": "list", "elements": "str", "default": []},
            "files": {"type": "dict", "default": {}, "no_log": True},
        },
    },
    "peers": {"type": "list", "elements": "str", "default": []},
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
