#!/usr/bin/python
# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: calico_info
short_description: Read what stands of Calico in a cluster
version_added: 0.1.0
author: the vmstation.cluster contributors (@vmstation)
description:
  - Reads from the Kubernetes API alone what is known of Calico, without judging it. M(vmstation.cluster.calico_check) does that.
  - It takes one list each of Nodes, Pods of calico-node, DaemonSets, IPPools, BlockAffinities, FelixConfigurations, BGPConfigurations,
    BGPPeers and CalicoNodeStatuses, however many nodes there are.
  - Calico's own kinds are read as C(projectcalico.org/v3) if the API server serves them so, else as C(crd.projectcalico.org/v1).
  - A list that may not be read is V(null), and RV(unknown) names the missing permission.
attributes:
  platform:
    platforms: posix
seealso:
  - module: vmstation.cluster.calico_check
extends_documentation_fragment:
  - vmstation.cluster.attributes
  - vmstation.cluster.attributes.read_only
  - vmstation.cluster.kubeconfig
"""

EXAMPLES = r"""
- name: Read what stands of Calico
  vmstation.cluster.calico_info:
    kubeconfig: ~/.kube/vmstation.config
  delegate_to: localhost
  run_once: true
  register: calico

- name: Show the BGP sessions of each node
  ansible.builtin.debug:
    msg: "{{ item.name }}: {{ item.bgp.established | default([]) | join(' ') }}"
  loop: "{{ calico.nodes }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
api_calls:
  description: How many requests it took.
  returned: when the API server answered
  type: int
  sample: 13
api_version:
  description: The version in which Calico's kinds are served, empty if it is not installed.
  returned: when the API server answered
  type: str
  sample: crd.projectcalico.org/v1
daemon_set:
  description: The DaemonSet calico-node, V(null) if there is none.
  returned: when the API server answered
  type: dict
  contains:
    namespace:
      description: Its namespace.
      type: str
      returned: always
    name:
      description: Its name.
      type: str
      returned: always
    image:
      description: The image of the container calico-node.
      type: str
      returned: always
    readiness:
      description: The command of its readiness probe, word by word.
      type: list
      elements: str
      returned: always
    desired:
      description: How many Pods there should be.
      type: int
      returned: always
    ready:
      description: How many of them are ready.
      type: int
      returned: always
  sample:
    namespace: kube-system
    name: calico-node
    image: quay.io/calico/node:v3.32.1
    readiness: [/bin/calico-node, -felix-ready, -bird-ready]
    desired: 3
    ready: 3
nodes:
  description: Every Node.
  returned: when the API server answered
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      returned: always
    ready:
      description: Its condition Ready, C(True), C(False) or C(Unknown).
      type: str
      returned: always
    network_unavailable:
      description: Its condition NetworkUnavailable. calico-node sets it to C(False) once, so that it is no sign of life.
      type: str
      returned: always
    addresses:
      description: The addresses that calico-node has found and uses.
      type: list
      elements: str
      returned: always
    tunnels:
      description: The addresses of its tunnels, by kind and IP version.
      type: dict
      returned: always
    is_route_reflector:
      description: Whether it is one, and therefore not in the mesh.
      type: bool
      returned: always
    calico_node:
      description: Its Pod of calico-node with C(name), C(namespace), C(ready), C(trouble) and C(restarts), V(null) without one.
      type: dict
      returned: always
    bgp:
      description: What its CalicoNodeStatus says, V(null) without one. C(updated) is when it last changed, not when it was last looked at.
      type: dict
      returned: always
  sample:
    - name: homelab
      ready: "True"
      network_unavailable: "False"
      addresses: [192.168.4.62]
      tunnels: {IPIPv4: 10.244.12.64}
      is_route_reflector: false
      calico_node: {name: calico-node-x7k2p, namespace: kube-system, ready: true, trouble: "", restarts: 0}
      bgp:
        updated: "2026-11-23T06:41:00+00:00"
        bird: {v4: Ready, v6: NotReady}
        established: [192.168.4.61, 192.168.4.63]
        not_established: []
pools:
  description: The IPPools, with what they leave out as Calico takes it.
  returned: when the API server answered
  type: list
  elements: dict
  sample:
    - name: default-ipv4-ippool
      cidr: 10.244.0.0/16
      block_size: 26
      ipip_mode: Always
      vxlan_mode: Never
      nat_outgoing: true
      disabled: false
      node_selector: all()
      allowed_uses: [Workload, Tunnel]
blocks:
  description: The blocks of addresses that nodes have, without those given up.
  returned: when the API server answered
  type: list
  elements: dict
  sample: [{cidr: 10.244.12.64/26, node: homelab, state: confirmed}]
felix:
  description: The FelixConfiguration C(default).
  returned: when the API server answered
  type: dict
  sample: {prometheusMetricsEnabled: true, prometheusMetricsPort: 9091}
bgp:
  description: The BGPConfiguration C(default).
  returned: when the API server answered
  type: dict
  sample: {nodeToNodeMeshEnabled: true}
bgp_peers:
  description: The BGPPeers. C(is_derivable) is whether node and address alone say who has the session.
  returned: when the API server answered
  type: list
  elements: dict
  sample: [{name: router, node: "", address: 192.168.4.1, is_derivable: true}]
unknown:
  description: What could not be read, and the permission that is missing.
  returned: when the API server answered
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule, missing_required_lib
from ansible_collections.vmstation.cluster.plugins.module_utils._calico import survey
from ansible_collections.vmstation.cluster.plugins.module_utils._io.cluster import KubernetesApi
from ansible_collections.vmstation.cluster.plugins.module_utils._io.kubeconfig import KUBECONFIG_ARGUMENTS, KUBERNETES_IMPORT_ERROR
from ansible_collections.vmstation.cluster.plugins.module_utils._refusal import Refusal


def main() -> None:
    module = AnsibleModule(argument_spec=KUBECONFIG_ARGUMENTS, supports_check_mode=True)
    if KUBERNETES_IMPORT_ERROR:
        module.fail_json(msg=missing_required_lib("kubernetes"), exception=KUBERNETES_IMPORT_ERROR)
    try:
        api = KubernetesApi(module.params["kubeconfig"], module.params["context"])
        facts = survey.look(api)
    except Refusal as refusal:
        module.fail_json(msg=str(refusal))
    module.exit_json(changed=False, api_calls=api.calls, **survey.as_data(facts))


if __name__ == "__main__":
    main()
