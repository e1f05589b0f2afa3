#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: network_plan_check
short_description: Validate a network plan and its hosts before any host is changed
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Validates the network plan of a cluster and its hosts, and reports all problems in one run, each with a fix.
  - Finds ranges that overlap, invalid addresses, a pod network that is too small for the nodes, ports that collide, and declared ports that
    are outdated or missing.
  - Returns the values that follow from the plan, such as the ports of each role with their reasons.
  - Reads nothing but its options. Run it once, on the controller.
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
attributes:
  check_mode:
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    support: none
    details:
      - This module changes nothing.
  idempotent:
    support: full
    details:
      - The same options give the same findings. This module changes nothing.
  platform:
    platforms: all
options:
  plan:
    description:
      - The network plan, a mapping. Its keys are described in C(docs/network-plan.md).
      - A value that is not a mapping is reported as a finding.
    type: raw
    required: true
  hosts:
    description:
      - The hosts of the cluster, a list of mappings with the keys C(name), C(address), C(role) (V(control_plane) or V(worker)), C(mac) and
        C(sleeps). C(mac) is required only for hosts with C(sleeps=true). C(address) may be a list of an IPv4 and an IPv6 address.
      - The filter P(vmstation.cluster.cluster_hosts#filter) creates this list from the inventory.
      - Without it, only the plan is validated.
    type: raw
requirements:
  - netaddr >= 0.8.0, for examples of free ranges and addresses in RV(findings[].fix), and for the vendors of network cards in
    RV(findings[].found); without it, they are left out
seealso:
  - plugin: vmstation.cluster.network_plan_ports
    plugin_type: filter
  - plugin: vmstation.cluster.cluster_hosts
    plugin_type: filter
  - module: vmstation.cluster.firewall_ports
"""

EXAMPLES = r"""
- name: Validate the plan before any host is changed
  vmstation.cluster.network_plan_check:
    plan: "{{ network_plan }}"
    hosts: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  delegate_to: localhost
  run_once: true
  register: network

- name: Show the open ports of a worker and their reasons
  ansible.builtin.debug:
    var: network.derived.ports.worker

- name: Validate only a plan, and fail on warnings
  vmstation.cluster.network_plan_check:
    plan:
      node_cidr: 192.168.4.0/24
      gateway: 192.168.4.1
      pod_cidr: 10.244.0.0/16
      service_cidr: 10.96.0.0/12
      dns_service_ip: 10.96.0.10
      kubernetes_version: "1.36"
      encapsulation: IPIP
    fail_on: warning
  delegate_to: localhost
"""

RETURN = r"""
findings:
  description: All problems of the plan and the hosts, errors first.
  returned: always
  type: list
  elements: dict
  contains:
    rule:
      description: The rule that is violated. C(docs/network-plan.md) lists all rules.
      type: str
      sample: pods_are_apart_from_services
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: error
    subject:
      description: The object that was checked.
      type: str
      sample: network_plan.pod_cidr
    found:
      description: What was found.
      type: str
      sample: 10.100.0.0/16, which lies inside service_cidr 10.96.0.0/12
    expected:
      description: What is required.
      type: str
      sample: a network that does not overlap service_cidr
    fix:
      description: The next step.
      type: str
      sample: Move pod_cidr, for example to 10.244.0.0/16.
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
  returned: always
  type: list
  elements: dict
  contains:
    subject:
      description: The object that was checked.
      type: str
      returned: always
      sample: network plan
    facts:
      description: What was seen, in a few words.
      type: str
      returned: always
      sample: "no contradiction; 13 open ports for a control plane, 9 open ports for a worker"
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
derived:
  description: The values that follow from the plan. A value that cannot be derived is null or empty.
  returned: always
  type: dict
  contains:
    broadcast:
      description: The broadcast address of the IPv4 node network, which magic packets are sent to.
      type: str
      sample: 192.168.4.255
    gateway:
      description: The routers of the node network.
      type: list
      elements: str
      sample: [192.168.4.1]
    upstream_dns:
      description: The DNS servers that the cluster's DNS asks for names outside the cluster.
      type: list
      elements: str
      sample: [192.168.4.1]
    trusted:
      description: The pod networks, whose traffic the hosts' firewalls accept.
      type: list
      elements: str
      sample: [10.244.0.0/16]
    service_cidrs:
      description: The service networks of the API server.
      type: list
      elements: str
      sample: [10.96.0.0/12]
    extra_service_cidrs:
      description: The ranges that the cluster needs as ServiceCIDR objects, because the DNS address is outside the service networks.
      type: list
      elements: str
      sample: [10.233.0.0/24]
    dns_service_ips:
      description: The addresses of the cluster's DNS.
      type: list
      elements: str
      sample: [10.233.0.3]
    dns_domain:
      description: The cluster's DNS domain.
      type: str
      sample: cluster.local
    api_server_address:
      description: The address of the Service C(kubernetes), the first address of the primary service network.
      type: str
      sample: 10.96.0.1
    mtu:
      description: The MTU of pods on an Ethernet with an MTU of 1500 bytes, the smallest of all pools.
      type: int
      sample: 1480
    capacity:
      description: The Calico pools and their capacity.
      type: list
      elements: dict
      contains:
        cidr:
          description: The pod network.
          type: str
          sample: 10.244.0.0/16
        block_size:
          description: The prefix length of a block.
          type: int
          sample: 26
        blocks:
          description: The number of blocks in the pool, which limits the number of nodes.
          type: int
          sample: 1024
        pods_per_block:
          description: The number of addresses in a block.
          type: int
          sample: 64
        nodes:
          description: The number of given hosts, or null without O(hosts).
          type: int
          sample: 3
        encapsulation:
          description: The encapsulation of this pool's traffic between nodes.
          type: str
          sample: IPIP
        mtu:
          description: The MTU of the pods of this pool on an Ethernet with an MTU of 1500 bytes.
          type: int
          sample: 1480
    ports:
      description:
        - The ports that each role needs, in the keys C(control_plane) and C(worker), each a list. Those of C(extra_ports) come last, and
          their C(document) is their place in the plan.
      type: dict
      sample:
        worker:
          - port: 10250
            protocol: tcp
            sources: [192.168.4.61/32, 192.168.4.62/32, 192.168.4.63/32]
            comment: "kubelet: the API server fetches logs and runs exec, Prometheus scrapes"
            name: kubelet
            reason: the API server fetches logs and runs exec, Prometheus scrapes
            document: https://kubernetes.io/docs/reference/networking/ports-and-protocols/
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_result, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge

ARGUMENTS = {
    "plan": {"type": "raw", "required": True},
    "hosts": {"type": "raw"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    verdict = judge(module.params["plan"], module.params["hosts"])
    result = {"changed": False, **as_result(verdict.findings, verdict.looked_at), "derived": verdict.derived}
    failing = failures(verdict.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
