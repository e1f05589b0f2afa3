#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: network_plan_check
short_description: Judge a network plan and its hosts before any host is touched
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads the one network plan of a cluster and its hosts, and reports every problem of them in one run, each with its fix.
  - Finds ranges that overlap, addresses that cannot be, a pod network that is too small for the nodes, NodePorts that collide, and
    declared ports that are stale or missing.
  - Says what follows from the plan, the ports of each role with their reasons foremost.
  - It reads nothing but its options. Run it once, on the controller.
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.findings
attributes:
  check_mode:
    support: full
    details:
      - It never changes anything.
  diff_mode:
    support: none
    details:
      - There is no change to show.
  idempotent:
    support: full
    details:
      - The same options give the same findings, and never a change.
  platform:
    platforms: all
options:
  plan:
    description:
      - The network plan, a mapping. Its keys are described in C(docs/network-plan.md).
      - A value of any other shape is reported as a finding.
    type: raw
    required: true
  hosts:
    description:
      - The hosts of the cluster, a list of mappings with the keys C(name), C(address), C(role) (V(control_plane) or V(worker)), C(mac)
        and C(sleeps). C(mac) is needed of hosts with C(sleeps=true) only. C(address) may be a list of an IPv4 and an IPv6 address.
      - The filter P(vmstation.cluster.cluster_hosts#filter) makes it from the inventory.
      - Without it, the plan alone is judged.
    type: raw
seealso:
  - plugin: vmstation.cluster.network_plan_ports
    plugin_type: filter
  - plugin: vmstation.cluster.cluster_hosts
    plugin_type: filter
  - module: vmstation.cluster.firewall_ports
"""

EXAMPLES = r"""
- name: Prove the plan before any host is touched
  vmstation.cluster.network_plan_check:
    plan: "{{ network_plan }}"
    hosts: "{{ hostvars | vmstation.cluster.cluster_hosts(groups) }}"
  delegate_to: localhost
  run_once: true
  register: network

- name: Show what is open on a worker, and why
  ansible.builtin.debug:
    var: network.derived.ports.worker

- name: Judge a plan alone, and accept no warning
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
      description: The truth that does not hold. C(docs/network-plan.md) lists them all.
      type: str
      sample: pods_are_apart_from_services
    severity:
      description: V(error), V(warning) or V(info).
      type: str
      sample: error
    subject:
      description: The thing that was judged.
      type: str
      sample: network_plan.pod_cidr
    found:
      description: What it is.
      type: str
      sample: 10.100.0.0/16, which lies inside service_cidr 10.96.0.0/12
    expected:
      description: What it must be.
      type: str
      sample: a network apart from service_cidr
    fix:
      description: The next step.
      type: str
      sample: Move pod_cidr, for example to 10.244.0.0/16.
derived:
  description: What follows from the plan. What the plan does not say, or not well, is null or empty.
  returned: always
  type: dict
  contains:
    broadcast:
      description: Where magic packets go, the broadcast address of the IPv4 node network.
      type: str
      sample: 192.168.4.255
    gateway:
      description: The routers of the node network.
      type: list
      elements: str
      sample: [192.168.4.1]
    upstream_dns:
      description: Whom the cluster's DNS asks for names outside the cluster.
      type: list
      elements: str
      sample: [192.168.4.1]
    trusted:
      description: The pod networks, which the hosts' firewalls let pass.
      type: list
      elements: str
      sample: [10.244.0.0/16]
    service_cidrs:
      description: The service networks of the API server.
      type: list
      elements: str
      sample: [10.96.0.0/12]
    extra_service_cidrs:
      description: Ranges that the cluster needs as ServiceCIDR objects, because the DNS address lies outside the service networks.
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
      description: The address that the Service C(kubernetes) takes, the first of the primary service network.
      type: str
      sample: 10.96.0.1
    mtu:
      description: The MTU of pods on an Ethernet of 1500 bytes, the smallest of all pools.
      type: int
      sample: 1480
    capacity:
      description: The Calico pools and what they hold.
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
          description: The number of hosts that were given, or null.
          type: int
          sample: 3
        encapsulation:
          description: How packets of this pool travel between nodes.
          type: str
          sample: IPIP
        mtu:
          description: The MTU of pods of this pool on an Ethernet of 1500 bytes.
          type: int
          sample: 1480
    ports:
      description: The ports that each role needs, in the keys C(control_plane) and C(worker), each a list.
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
from ansible_collections.vmstation.cluster.plugins.module_utils._findings import as_dicts, failure_message, failures
from ansible_collections.vmstation.cluster.plugins.module_utils._network_plan.check import judge

ARGUMENTS = {
    "plan": {"type": "raw", "required": True},
    "hosts": {"type": "raw"},
    "fail_on": {"type": "str", "choices": ["error", "warning", "never"], "default": "error"},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    verdict = judge(module.params["plan"], module.params["hosts"])
    result = {"changed": False, "findings": as_dicts(verdict.findings), "derived": verdict.derived}
    failing = failures(verdict.findings, module.params["fail_on"])
    if failing:
        module.fail_json(msg=failure_message(failing), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
