#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: node_preflight_check
short_description: Check whether a host is ready to become a node of a cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reports everything that would make C(kubeadm init), C(kubeadm join) or Calico fail on a host, including leftovers of earlier attempts,
    the kernel, the clock, the size, the name and the address of the host.
  - This module changes nothing. It reports all findings of a host in one run.
  - If the kubelet of a host is serving, its files, certificates and ports are in use and not reported as leftovers.
  - What cannot be determined is a finding of severity C(unknown).
attributes:
  platform:
    platforms: linux
options:
  role:
    description:
      - The role of the host. It decides which ports must be free and the minimum size of the host.
    type: str
    required: true
    choices: [control_plane, worker]
  name:
    description:
      - The name of the host in the inventory.
    type: str
    required: true
  addresses:
    description:
      - The addresses of the host in the network plan, one or one of each IP version. They must be on interfaces of the host, and a default
        route must exist for each IP version.
      - If the list is empty, addresses are not checked, and a default route for IPv4 is required.
    type: list
    elements: str
    default: []
  encapsulation:
    description:
      - The encapsulation of Calico. It decides which kernel module is needed to reach pods on other hosts.
    type: str
    choices: [IPIP, IPIPCrossSubnet, VXLAN, VXLANCrossSubnet, None]
    default: None
  plan:
    description:
      - The network plan. The networks of pods and Services in it must not overlap networks that the host has already, such as those of
        Docker, a VPN, libvirt or a second network card. Without it, they are not compared.
    type: dict
  kernel_modules:
    description:
      - The kernel modules that must be loaded, built in or loadable.
    type: list
    elements: str
    default: [br_netfilter, overlay]
  kube_proxy_mode:
    description:
      - The mode of kube-proxy. It decides which kernel modules its rules need. Without it, the modules for the rules of kube-proxy and
        Calico are not checked.
    type: str
    choices: ["", iptables, nftables]
    default: ""
  calico_felix:
    description:
      - Fields of C(FelixConfiguration). With C(nftablesMode=Enabled), Calico needs no modules of iptables and ipset.
    type: dict
    default: {}
  install_kernel_modules:
    description:
      - Whether a package with missing modules may be installed. If V(true), missing modules that RV(kernel_package) contains are findings
        of severity C(info).
    type: bool
    default: false
  peers:
    description:
      - The hosts of the cluster, to check that names and identifiers are unique. The host's own entry is ignored.
      - The filter P(vmstation.cluster.node_identities#filter) creates this list from gathered facts.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the other host in the inventory.
        type: str
        required: true
      hostname:
        description:
          - The hostname that the other host reports.
        type: str
      machine_id:
        description:
          - The content of its C(/etc/machine-id).
        type: str
      product_uuid:
        description:
          - The UUID that its firmware reports.
        type: str
  controller_time:
    description:
      - The Unix time of the controller at the start of the task, as C(now(fmt='%s')) returns it. Without it, the clocks are not compared.
    type: float
  max_clock_drift:
    description:
      - The maximum difference in seconds between the host's clock and O(controller_time). It includes the time that the task takes to reach
        the host.
    type: float
    default: 30
  accept:
    description:
      - Rules whose findings you accept. These findings are returned in RV(accepted) and do not fail the task.
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
      - netfilter_modules_can_be_loaded
      - tables_are_readable_by_iptables
      - packets_are_filtered_by_their_route
      - selinux_permits_the_cluster
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
      - host_networks_are_apart_from_the_clusters
      - distribution_is_supported
      - architecture_is_supported
      - containerd_suits_the_kubelet
      - containerd_keeps_its_directories
      - installed_release_is_of_the_wanted_version
      - kubelet_suits_the_api_server
      - programs_are_no_packages
      - packages_can_be_installed
      - no_package_would_be_removed
      - the_host_is_the_planned_one
      - addresses_belong_to_one_host
      - hosts_file_has_the_planned_addresses
      - pods_packets_fit_the_interface
      - large_packets_reach_other_hosts
      - packets_are_forwarded
      - certificates_stay_valid
      - images_can_be_had
  kubernetes_release:
    description:
      - The release of Kubernetes to install. Without it, neither containerd nor the installed packages are checked.
    type: str
    default: ""
  upgrade:
    description:
      - Whether the node is being upgraded to O(kubernetes_release). If V(true), the installed release and the API server may be one minor
        version older.
    type: bool
    default: false
  installation_kind:
    description:
      - The kind of the installation source, as C(kind) of M(vmstation.cluster.installation_source_check). With V(directory), programs must
        not belong to a package.
    type: str
    choices: ["", packages, directory]
    default: ""
  architecture:
    description:
      - The architecture of the installation source, in Kubernetes' terms. Empty means any supported architecture.
    type: str
    default: ""
  containerd_package:
    description:
      - The package of containerd to install.
      - Empty means the package that owns C(/usr/bin/containerd). If there is none, C(containerd) with apt and C(containerd.io) with dnf.
    type: str
    default: ""
  containerd_version:
    description:
      - The version of O(containerd_package) as the package manager writes it, or a pattern. Empty means any version.
    type: str
    default: ""
  containerd_source:
    description:
      - The source of containerd's package, V(distribution) or V(docker), the package repository of Docker. With V(docker), the package
        is C(containerd.io) unless O(containerd_package) is set.
    type: str
    choices: [distribution, docker]
    default: distribution
  packages:
    description:
      - The packages to install in addition to containerd. With O(kubernetes_release), the package manager simulates the installation with
        the package lists that the host has, and reports which packages it would remove. If they lack a package, it simulates the
        installation again with updated lists (apt in a temporary directory, dnf in its cache). A package that is still missing is an error.
    type: list
    elements: str
    default: []
  monitoring:
    description:
      - Whether the cluster's monitoring will run on the host. Then its port 9100 must be free for node exporter.
    type: bool
    default: false
  api_servers:
    description:
      - Addresses of the control plane. If one answers, its release must be one that the kubelet may join.
    type: list
    elements: str
    default: []
  kubelet_configuration:
    description:
      - Fields of C(KubeletConfiguration) that differ from kubelet's defaults. Only the disk thresholds are used (C(evictionHard),
        C(mergeDefaultEvictionSettings), C(imageGCHighThresholdPercent)).
    type: dict
    default: {}
  hosts:
    description:
      - All hosts of the cluster, as P(vmstation.cluster.cluster_hosts#filter) returns them. Other keys are ignored.
      - With it, the host must not be another one of them, must have none of their addresses, and must have the right addresses in
        C(/etc/hosts). The kernel of a node must forward packets. Packets as large as those of Pods must reach the next four hosts of
        the list that answer small ones (ICMP echo, IPv4).
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - The name of the host.
        type: str
        required: true
      address:
        description:
          - The address of the host, or a list of addresses.
        type: raw
        required: true
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
  certificate_days:
    description:
      - The number of days that the certificates of kubelet and of the control plane on this host must still be valid. Fewer days are a
        warning, fewer than 7 an error.
      - With V(0), certificates are not checked.
    type: int
    default: 0
  containerd_socket:
    description:
      - The path of containerd's socket. With it, the images of static Pods, of running containers and of Pod sandboxes (C(pause)) must be
        in containerd, unless their registry or one of its mirrors answers.
    type: str
    default: ""
    version_added: 0.2.0
notes:
  - Run it as root. Otherwise it cannot see which process holds a port.
seealso:
  - module: vmstation.cluster.network_plan_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.findings
"""

EXAMPLES = r"""
- name: Check a worker
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    addresses: [192.168.4.62]
    encapsulation: IPIP
    controller_time: "{{ now(fmt='%s') }}"
  become: true

- name: Report the findings of all hosts without failing
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    peers: "{{ hostvars | vmstation.cluster.node_identities(ansible_play_hosts) }}"
    fail_on: never
  become: true
  register: preflight

- name: Accept that swap is on
  vmstation.cluster.node_preflight_check:
    role: worker
    name: "{{ inventory_hostname }}"
    accept: [swap_is_off]
  become: true
"""

RETURN = r"""
findings:
  description: The problems of the host, in the order of the rules under O(accept).
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated.
      type: str
      returned: always
      sample: ports_are_free
    severity:
      description: C(error), C(warning) or C(info), or C(unknown) for what could not be read.
      type: str
      returned: always
      sample: error
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: port 10250/tcp
    found:
      description: What was found.
      type: str
      returned: always
      sample: used by nc (pid 4711)
    expected:
      description: What is required.
      type: str
      returned: always
      sample: free for kubelet
    fix:
      description: The next step.
      type: str
      returned: always
      sample: "Stop it (`ss -Hltnp sport = :10250` shows it), or move it to another port."
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
  returned: when the options were accepted
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: "host homelab: software and leftovers"
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "no problems"
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
    subject: name
    found: an empty text
    expected: the name of the host
    fix: Set it.
accepted:
  description: The findings of the rules in O(accept), in the form of RV(findings).
  returned: when the options were accepted
  type: list
  elements: dict
  sample: []
kubelet_is_live:
  description: Whether a kubelet is serving on the host.
  returned: when the options were accepted
  type: bool
  sample: false
containerd_package:
  description: The package of containerd that is installed or is to be installed. Empty without O(kubernetes_release).
  returned: when the options were accepted
  type: str
  sample: containerd.io
packages:
  description:
    - The arguments for the package manager, containerd first, with O(containerd_version) if set. Empty without O(kubernetes_release).
  returned: when the options were accepted
  type: list
  elements: str
  sample: [containerd.io, conntrack, socat]
adds_repository:
  description: Whether the package repository of Docker has to be added for O(containerd_source=docker), or was added by the role node.
  returned: when the options were accepted
  type: bool
  sample: false
packages_installed:
  description: Whether all of RV(packages) are installed, so that the package manager has nothing to do. V(false) if unknown.
  returned: when the options were accepted
  type: bool
  sample: true
network_managers:
  description: The running services that manage network interfaces, C(NetworkManager) and C(systemd-networkd).
  returned: when the options were accepted
  type: list
  elements: str
  sample: [NetworkManager]
selinux:
  description: The mode of SELinux, V(enforcing), V(permissive) or V(disabled). Empty if unknown.
  returned: when the options were accepted
  type: str
  sample: enforcing
kernel_package:
  description: The package to install for missing kernel modules. Empty if none is missing, or without O(install_kernel_modules).
  returned: when the options were accepted
  type: str
  sample: kernel-modules-extra-6.12.0-211.34.1.el10_2.x86_64
modules_to_load:
  description: The modules of O(kernel_modules) that the host has, or gets with RV(kernel_package), but that are not loaded.
  returned: when the options were accepted
  type: list
  elements: str
  sample: [br_netfilter]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._host.commands import HostCommands
from ansible_collections.vmstation.cluster.plugins.module_utils._host.files import LocalFiles
from ansible_collections.vmstation.cluster.plugins.module_utils._host.web import HostWebClient
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.io import Echoes, LocalMachine, look_at_host
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.judge import RULES, judge
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.model import ENCAPSULATION_MODULES, PROXY_MODULES, expectations
from ansible_collections.vmstation.cluster.plugins.module_utils._preflight.software import modules_to_load, package_to_install
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal
from ansible_collections.vmstation.cluster.plugins.module_utils._site.hosts import CLUSTER_HOSTS_ARGUMENTS

ARGUMENTS = {
    "role": {"type": "str", "required": True, "choices": ["control_plane", "worker"]},
    "name": {"type": "str", "required": True},
    "addresses": {"type": "list", "elements": "str", "default": []},
    "encapsulation": {"type": "str", "choices": list(ENCAPSULATION_MODULES), "default": "None"},
    "plan": {"type": "dict"},
    "kernel_modules": {"type": "list", "elements": "str", "default": ["br_netfilter", "overlay"]},
    "kube_proxy_mode": {"type": "str", "choices": ["", *PROXY_MODULES], "default": ""},
    "calico_felix": {"type": "dict", "default": {}},
    "install_kernel_modules": {"type": "bool", "default": False},
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
    "containerd_source": {"type": "str", "choices": ["distribution", "docker"], "default": "distribution"},
    "packages": {"type": "list", "elements": "str", "default": []},
    "monitoring": {"type": "bool", "default": False},
    "api_servers": {"type": "list", "elements": "str", "default": []},
    "kubelet_configuration": {"type": "dict", "default": {}},
    "hosts": {**CLUSTER_HOSTS_ARGUMENTS["nodes"], "required": False, "default": []},
    "certificate_days": {"type": "int", "default": 0},
    "containerd_socket": {"type": "str", "default": ""},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        expected = expectations(module.params)
        state = look_at_host(expected, LocalFiles(), HostCommands(), LocalMachine(), HostWebClient(), echoes=Echoes())
    except Refusal as refusal:
        module.fail_json(**refusal.as_result())
    judgement = judge(state, expected, module.params["accept"])
    result = {
        "changed": False,
        **as_result(judgement.findings, judgement.looked_at(expected.name)),
        "accepted": as_dicts(judgement.accepted),
        "kubelet_is_live": state.kubelet_is_live,
        "containerd_package": state.software.packages.containerd,
        "packages": list(state.software.packages.wanted),
        "adds_repository": state.software.packages.adds_repository,
        "packages_installed": state.software.packages.simulation.nothing_to_do,
        "network_managers": state.network_managers,
        "selinux": state.selinux,
        "kernel_package": package_to_install(state, expected),
        "modules_to_load": modules_to_load(state, expected),
    }
    failing = failures(judgement.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
