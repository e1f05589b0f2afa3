#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_preflight_check
short_description: Judge whether a host is ready to become a node of a cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Takes one look at a host and names everything that would make C(kubeadm init), C(kubeadm join) or Calico fail on it, from what earlier
    attempts left behind to the kernel, the clock, the size, the name and the address of the host.
  - It looks and judges. It changes nothing, and it reports all findings of a host in one run.
  - A host whose kubelet serves has no leftovers. What looks like one there is in use.
  - What cannot be known is a finding of severity C(warning), never a pass.
attributes:
  platform:
    platforms: linux
options:
  role:
    description:
      - What the host is to become. It decides which ports must be free, and how large the host must be.
    type: str
    required: true
    choices: [control_plane, worker]
  name:
    description:
      - The host's name in the inventory.
    type: str
    required: true
  addresses:
    description:
      - The host's addresses in the network plan, one or one of each family. They must be on interfaces of the host, and there must be a
        default route of each of their families.
      - Without any, the addresses are not judged, and the default route is that of IPv4.
    type: list
    elements: str
    default: []
  encapsulation:
    description:
      - Calico's encapsulation. It decides which kernel module pods of other hosts are reached through.
    type: str
    choices: [IPIP, IPIPCrossSubnet, VXLAN, VXLANCrossSubnet, None]
    default: None
  kernel_modules:
    description:
      - The kernel modules that must be loaded, built in or loadable.
    type: list
    elements: str
    default: [br_netfilter, overlay]
  peers:
    description:
      - The hosts of the cluster, to tell whether this one is unique. The host's own entry does not count.
      - P(vmstation.cluster.node_identities#filter) makes it from gathered facts.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The other host's name in the inventory.
        type: str
        required: true
      hostname:
        description:
          - What it calls itself.
        type: str
      machine_id:
        description:
          - The content of its C(/etc/machine-id).
        type: str
      product_uuid:
        description:
          - The UUID that its firmware gives it.
        type: str
  controller_time:
    description:
      - The controller's Unix time at the start of the task, as C(now(fmt='%s')) gives it. Without it the clocks are not compared.
    type: float
  max_clock_drift:
    description:
      - Seconds that the host's clock may differ from O(controller_time). The time that the task takes to reach the host is part of it.
    type: float
    default: 30
  accept:
    description:
      - Rules whose findings you know and accept. They are returned as RV(accepted) and fail nothing.
    type: list
    elements: str
    default: []
    choices:
      - kubelet_files_belong_to_a_running_kubelet
      - certificates_belong_to_a_running_kubelet
      - static_pods_belong_to_a_running_kubelet
      - etcd_data_belongs_to_a_running_etcd
      - interfaces_belong_to_no_other_cni
      - cni_configuration_is_calicos
      - ports_are_free
      - swap_is_off
      - cgroup_controllers_are_there
      - cgroup_version_is_2
      - clock_is_synchronised
      - clock_agrees_with_the_controller
      - kernel_modules_can_be_loaded
      - encapsulation_modules_can_be_loaded
      - cpus_suffice
      - memory_suffices
      - disk_has_room
      - hostname_is_a_node_name
      - hostname_is_the_inventory_name
      - hostname_is_unique
      - machine_id_is_unique
      - product_uuid_is_unique
      - address_is_on_the_host
      - default_route_is_there
      - distribution_is_supported
      - architecture_is_supported
      - containerd_suits_the_kubelet
      - containerd_keeps_its_directories
      - installed_release_is_of_the_wanted_version
      - kubelet_suits_the_api_server
      - programs_are_no_packages
      - packages_can_be_installed
      - no_package_would_be_removed
  kubernetes_release:
    description:
      - The release of Kubernetes that is to be installed. Without it neither containerd nor what is installed is judged.
    type: str
    default: ""
  upgrade:
    description:
      - The node is upgraded to O(kubernetes_release), so that what is installed and the API server may be one minor version older.
    type: bool
    default: false
  installation_kind:
    description:
      - Where it comes from, as C(kind) of M(vmstation.cluster.installation_source_check). Programs from a directory must not be those of a
        package.
    type: str
    choices: ["", packages, directory]
    default: ""
  architecture:
    description:
      - The architecture that it is for, in Kubernetes' words. Empty means that any supported one will do.
    type: str
    default: ""
  containerd_package:
    description:
      - The package of containerd that is to be installed.
      - Empty means the package that C(/usr/bin/containerd) is part of. On a host without one it means C(containerd) where the package
        manager is apt and C(containerd.io) where it is dnf.
    type: str
    default: ""
  containerd_version:
    description:
      - Its version as the package manager writes it, or a pattern. Empty means any.
    type: str
    default: ""
  packages:
    description:
      - The packages that are to be installed beside containerd. With O(kubernetes_release), the package manager is asked what installing
        containerd and these would remove. It only simulates, and with the package lists that the host has.
    type: list
    elements: str
    default: []
  api_servers:
    description:
      - Addresses of the control plane. One that answers must be of a release that the kubelet may join.
    type: list
    elements: str
    default: []
  kubelet_configuration:
    description:
      - Fields of C(KubeletConfiguration) that differ from kubelet's defaults. Only the thresholds of its disks are used
        (C(evictionHard), C(mergeDefaultEvictionSettings), C(imageGCHighThresholdPercent)).
    type: dict
    default: {}
notes:
  - It must run as root, else it cannot see which process holds a port.
seealso:
  - module: vmstation.cluster.network_plan_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
"""

EXAMPLES = r"""
- name: Judge a worker
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    addresses: [192.168.4.62]
    encapsulation: IPIP
    controller_time: "{{ now(fmt='%s') }}"
  become: true

- name: Show what stands against all hosts, fail on nothing
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    peers: "{{ hostvars | vmstation.cluster.node_identities(ansible_play_hosts) }}"
    fail_on: never
  become: true
  register: preflight

- name: Run a node with swap, knowingly
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    accept: [swap_is_off]
  become: true
"""

RETURN = r"""
findings:
  description: What stands against the host, in the order of the rules under O(accept).
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    rule:
      description: The truth that does not hold.
      type: str
      returned: always
      sample: ports_are_free
    severity:
      description: C(error), C(warning) or C(info).
      type: str
      returned: always
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      returned: always
      sample: port 10250/tcp
    found:
      description: What it is.
      type: str
      returned: always
      sample: bound by nc (pid 4711)
    expected:
      description: What it must be.
      type: str
      returned: always
      sample: free for kubelet
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Stop it (`ss -Hltnp sport = :10250` shows it), or move it to another port."
accepted:
  description: Findings of the rules in O(accept), as under RV(findings).
  returned: when the options were accepted
  type: list
  elements: dict
  sample: []
kubelet_is_live:
  description: Whether a kubelet serves on the host.
  returned: when the options were accepted
  type: bool
  sample: false
containerd_package:
  description: The package of containerd that is to be installed, or is. Empty without O(kubernetes_release).
  returned: when the options were accepted
  type: str
  sample: containerd.io
packages:
  description:
    - What the package manager is to be asked for, containerd first, with its version if O(containerd_version) has one. Empty without
      O(kubernetes_release).
  returned: when the options were accepted
  type: list
  elements: str
  sample: [containerd.io, conntrack, socat]
modules_to_load:
  description: The modules of O(kernel_modules) that the host has and that are not loaded yet.
  returned: when the options were accepted
  type: list
  elements: str
  sample: [br_netfilter]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._io.command import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._io.host_state import LocalFiles, LocalMachine, look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._io.web_client import HostWebClient
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.judge import RULES, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.request import ENCAPSULATION_MODULES, expectations
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal

ARGUMENTS = {
    "role": {"type": "str", "required": True, "choices": ["control_plane", "worker"]},
    "name": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "encapsulation": {"type": "str", "choices": list(ENCAPSULATION_MODULES), "default": "None"},
    "kernel_modules": {"type": "list", "elements": "str", "default": ["br_netfilter", "overlay"]},
    "peers": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "hostname": {"type": "str"},
            "machine_id": {"type": "str"},
            "product_uuid": {"type": "str"},
        },
    },
    "controller_time": {"type": "float"},
    "max_clock_drift": {"type": "float", "default": 30},
    "accept": {"type": "list", "elements": "str", "default": [], "choices": list(RULES)},
    "kubernetes_release": {"type": "str", "default": ""},
    "upgrade": {"type": "bool", "default": False},
    "installation_kind": {"type": "str", "choices": ["", "packages", "directory"], "default": ""},
    "architecture": {"type": "str", "default": ""},
    "containerd_package": {"type": "str", "default": ""},
    "containerd_version": {"type": "str", "default": ""},
    "packages": {"type": "list", "elements": "str", "default": []},
    "api_servers": {"type": "list", "elements": "str", "default": []},
    "kubelet_configuration": {"type": "dict", "default": {}},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        expected = expectations(module.params)
        state = look_at_host(expected, LocalFiles(), HostCommands(), LocalMachine(), HostWebClient())
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    judgement = judge(state, expected, module.params["accept"])
    result = {
        "changed": False,
        "findings": as_dicts(judgement.findings),
        "accepted": as_dicts(judgement.accepted),
        "kubelet_is_live": state.kubelet_is_live,
        "containerd_package": state.software.packages.containerd,
        "packages": list(state.software.packages.wanted),
        "modules_to_load": state.modules_to_load(expected.modules),
    }
    failing = failures(judgement.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
